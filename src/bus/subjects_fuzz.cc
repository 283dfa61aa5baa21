// Subjects come from the bus: what parses is rebuilt the same, and no subject matches two kinds.
#include "bus/subjects.h"
#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace aether;
  const auto lines = fuzz::lines_of(fuzz::text_of(data, size), 2);
  const std::string& subject = lines.front();
  const std::string& pattern = lines.back();
  if (const auto source = subjects::parse_telemetry(subject); source && source->node.str() != "unknown")
    AETHER_ASSERT(subjects::telemetry(source->node, source->gpu_index) == subject);
  if (const auto node = subjects::parse_events(subject)) {
    AETHER_ASSERT(subjects::events(*node) == subject);
    AETHER_ASSERT(!subjects::parse_telemetry(subject));
    AETHER_ASSERT(subjects::matches(subjects::kAllEvents, subject));
  }
  if (subjects::is_publishable(subject)) AETHER_ASSERT(subjects::matches(subject, subject));
  if (subjects::is_pattern(pattern)) (void)subjects::matches(pattern, subject);
  return 0;
}
