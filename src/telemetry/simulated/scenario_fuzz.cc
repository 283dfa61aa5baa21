// "--gpus simulated:..." of any text.
#include "fuzz.h"
#include "telemetry/simulated/scenario.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace aether;
  const auto options = parse_simulated(fuzz::text_of(data, size));
  if (options) AETHER_ASSERT(options->gpus >= 1 && options->scenario.gpus_needed <= options->gpus);
  else AETHER_ASSERT(!options.error().message.empty());
  return 0;
}
