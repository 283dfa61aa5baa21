#pragma once
// What goes wrong on simulated GPUs, and the text that asks for it: "simulated:8,seed=7,scenario=hot,model=h100".
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace aether {

struct SimulatedOptions {
  int gpus = 4;  // 1..64
  std::uint64_t seed = 1;
  // Keys of simulated_gpu_types(), given to the GPUs in turn; empty = h100.
  std::vector<std::string> models = {};
  std::string scenario = "none";
};

// The faults of one GPU. Onsets count from the driver's start; a fault without onset never comes.
struct GpuFaults {
  static constexpr Duration kNever = Duration::max();
  Duration cooling_lost_from = kNever;     // over the two minutes after, the heat sink works ever worse
  Duration double_bit_errors_from = kNever;  // one at once, then one about every five minutes
  Duration falls_off_bus_at = kNever;      // XID 79, lost three seconds later
  Duration jobs_stall_from = kNever;       // jobs keep their memory and compute nothing
  Duration slow_clock_from = kNever;       // 15 % less clock, no reason shown
  double unanswered_reads = 0;             // share of reads that give no reading
};

struct Scenario {
  std::string_view name;
  std::string_view description;
  int gpus_needed;
  GpuFaults (*faults)(int gpu_index);
};
std::span<const Scenario> scenarios();
// Null when there is none of that name.
const Scenario* find_scenario(std::string_view name);

// "simulated:N[,seed=S][,scenario=NAME][,model=KEY+KEY...]". The message of an error lists what is known.
Result<SimulatedOptions> parse_simulated(std::string_view text);

}  // namespace aether
