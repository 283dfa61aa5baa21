#pragma once
// The text that asks for simulated GPUs: "simulated:8,seed=7,scenario=hot,model=h100", and the scenarios shipped with
// Aether, which are compiled in.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "telemetry/simulated/scenario_file.h"

namespace aether {

struct SimulatedOptions {
  int gpus = 4;  // 1..kMaxSimulatedGpus
  std::uint64_t seed = 1;
  // Keys of simulated_gpu_types(), given to the GPUs in turn; empty = h100.
  std::vector<std::string> models = {};
  Scenario scenario = {};
};

struct ShippedScenario {
  std::string_view name;   // "hot"
  std::string_view text;   // of deploy/scenarios/hot.toml
};
// By name. "none" is not among them: it has no faults.
std::span<const ShippedScenario> shipped_scenarios();

// A shipped scenario's name, "none", or the path of a file, which has a '/' or ends in ".toml".
Result<Scenario> load_scenario(const std::string& name_or_path);

// "simulated:N[,seed=S][,scenario=NAME|FILE][,model=KEY+KEY...]"; reads the file. The message of an error lists what is
// known.
Result<SimulatedOptions> parse_simulated(std::string_view text);

}  // namespace aether
