// What the agent and its NVML worker take from each other. What decodes must encode to the same bytes again.
#include "fuzz.h"
#include "telemetry/nvml/wire.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace aether;
  const std::string_view bytes = fuzz::text_of(data, size);
  const auto frame = nvml::wire::decode(bytes);
  if (!frame) {
    AETHER_ASSERT(frame.error().code == ErrorCode::kCorrupt);
    return 0;
  }
  // A double may come back as another one only where a field holds whole numbers; a second round changes nothing more.
  const std::string once = nvml::wire::encode(*frame);
  const auto again = nvml::wire::decode(once);
  AETHER_ASSERT(again.has_value());
  AETHER_ASSERT(nvml::wire::encode(*again) == once);
  return 0;
}
