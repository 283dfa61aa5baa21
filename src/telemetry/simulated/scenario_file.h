#pragma once
// Scenario files: TOML text to a list of faults. docs/scenarios.md has the format, deploy/scenarios/ the shipped ones.
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "telemetry/simulated/fault.h"

namespace aether {

struct Scenario {
  std::string name = "none";          // of the shipped one, or the path
  std::string description;
  int gpus_needed = 1;
  std::vector<Fault> faults;
};

constexpr std::size_t kMaxScenarioBytes = 256 * 1024;
constexpr std::size_t kMaxFaults = 1000;
constexpr int kMaxSimulatedGpus = 64;

// `origin` names the text in messages: "FILE:LINE: key ...: what is wrong, and what may stand there".
Result<Scenario> parse_scenario(std::string_view text, const std::string& origin);

}  // namespace aether
