// Scenario files of any text.
#include "fuzz.h"
#include "telemetry/simulated/scenario_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace aether;
  const auto scenario = parse_scenario(fuzz::text_of(data, size), "file");
  if (!scenario) {
    AETHER_ASSERT(scenario.error().message.starts_with("file:"));
    return 0;
  }
  AETHER_ASSERT(scenario->gpus_needed >= 1 && scenario->gpus_needed <= kMaxSimulatedGpus);
  const FaultPlan plan(scenario->faults, 0);
  for (std::int64_t second : {0, 1, 59, 3600, 1'000'000'000}) {
    const FaultState state = plan.at(std::chrono::seconds(second));
    AETHER_ASSERT(state.clock_share >= 0 && state.clock_share <= 1 && state.power_limit_share > 0);
    AETHER_ASSERT(state.pcie_width >= 1 && state.pcie_width <= 16);
    plan.xids(std::chrono::seconds(second), std::chrono::seconds(second + 1));
  }
  return 0;
}
