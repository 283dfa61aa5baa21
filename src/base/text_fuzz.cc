// What people write: durations, sizes, times, names. Each printed form parses back to the same value.
#include "base/clock.h"
#include "base/log.h"
#include "base/names.h"
#include "base/quantity.h"
#include "base/ulid.h"
#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace aether;
  const std::string_view text = fuzz::text_of(data, size);
  if (const auto duration = parse_duration(text)) {
    const auto again = parse_duration(format_duration(*duration));
    AETHER_ASSERT(again && *again == *duration);
  }
  if (const auto memory_mb = parse_memory_mb(text)) {
    const auto again = parse_memory_mb(format_memory_mb(*memory_mb));
    AETHER_ASSERT(again && *again == *memory_mb);
  }
  if (const auto time = parse_rfc3339(text)) {
    const auto again = parse_rfc3339(format_rfc3339(*time));
    AETHER_ASSERT(again && std::chrono::floor<std::chrono::milliseconds>(*again) == std::chrono::floor<std::chrono::milliseconds>(*time));
  }
  for (const char c : log::sanitise(text)) AETHER_ASSERT(static_cast<unsigned char>(c) >= 0x20);
  const std::vector<std::string> known = {"listen.api", "gpus", "time_limit_s"};
  AETHER_ASSERT(nearest_name(text.substr(0, 64), known).size() < 16);
  (void)is_valid_name(text);
  (void)is_ulid(text);
  return 0;
}
