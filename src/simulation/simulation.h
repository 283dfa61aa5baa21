#pragma once
// A whole Aether under a seed: the production orchestrator, agents and codec, with virtual machines, a bus that loses and
// repeats, a store that fails, and people. Faults first; then everything heals, and everything must settle.
#include <cstdint>
#include <string>
#include <vector>

#include "simulation/swarm.h"
#include "simulation/tally.h"

namespace aether::simulation {

struct Outcome {
  std::uint64_t seed = 0;
  Swarm swarm;
  Tally tally;
  std::uint64_t digest = 0;               // of the trace: the same seed gives the same
  Duration simulated{};
  std::vector<std::string> failures;      // empty: every promise held
  std::vector<std::string> trace;         // only when asked for
};

Outcome run(std::uint64_t seed, bool keep_trace = false);

}  // namespace aether::simulation
