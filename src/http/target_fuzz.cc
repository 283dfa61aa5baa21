// Heads and addresses before any route sees them.
#include "fuzz.h"
#include "http/head.h"
#include "http/routes.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace aether;
  const std::string_view text = fuzz::text_of(data, size);
  const auto scan = http::scan_head(text);
  AETHER_ASSERT(scan.end <= text.size() && scan.target_bytes <= text.size());
  if (scan.end != 0) AETHER_ASSERT(scan.defect.empty() && text.substr(0, scan.end).ends_with("\r\n"));

  static const http::RouteTable routes = [] {
    http::RouteTable table;
    for (const char* pattern : {"/api/v1/jobs", "/api/v1/jobs/{id}", "/api/v1/jobs/{id}/cancel", "/{all}"})
      table.add("GET", pattern, {});
    return table;
  }();
  if (const auto target = http::parse_target(text)) {
    for (const std::string& segment : target->segments) AETHER_ASSERT(segment.find('\0') == std::string::npos);
    const auto match = routes.find("GET", target->segments);
    for (const auto& [name, value] : match.params) AETHER_ASSERT(!name.empty());
  }
  if (const auto plain = http::percent_decode(text, true)) AETHER_ASSERT(plain->size() <= text.size());
  return 0;
}
