#pragma once
// When a node's GPUs are believed to come free, and which job fits that best. Short jobs that start beside long ones, and
// long ones beside long ones, leave whole nodes to the jobs that need them.
#include <array>
#include <span>
#include <vector>

#include "queueing/run_time_distribution.h"

namespace aether::queueing {

// Points in time from now on, in seconds: 0, then 8 s, each a third later than the one before, up to ten days.
inline constexpr int kForecastPoints = 44;
const std::array<double, kForecastPoints>& forecast_times_s();

// At each of those times: the chance that it is over.
using Forecast = std::array<double, kForecastPoints>;

// Of one job that has run `age_s`.
Forecast forecast_end(const RunTimeDistribution& belief, double age_s);

class NodeForecasts {
 public:
  explicit NodeForecasts(std::size_t nodes);  // all empty
  void add(std::size_t node, const Forecast& job);

  // By how many seconds the job is expected to outlive all others on the node: the integral of the chance that it still
  // runs while they have ended. The whole of its time on an empty node.
  double expected_extension_s(std::size_t node, const Forecast& job) const;

 private:
  std::vector<Forecast> all_ended_;  // by node
};

// The node with room for `gpus` that the job keeps busy for the shortest time beyond what is there; the one with the
// fewest free GPUs among equals. -1 when none has room.
int least_extended_node(std::span<const int> free_gpus, int gpus, const Forecast& job, const NodeForecasts& nodes);

}  // namespace aether::queueing
