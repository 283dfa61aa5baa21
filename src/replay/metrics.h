#pragma once
// What a replay is judged by.
#include <cstdint>
#include <vector>

#include "replay/engine.h"

namespace aether::replay {

struct Metrics {
  std::size_t jobs = 0;
  double mean_jct_s = 0;  // completion - submission
  double mean_queue_s = 0;
  std::int64_t p50_jct_s = 0, p99_jct_s = 0, p99_queue_s = 0, p999_queue_s = 0;
  double bounded_slowdown = 0;  // run times below 10 s count as 10 s
  std::int64_t makespan_s = 0;
};

Metrics measure(const Trace& trace, const ReplayOutcome& outcome);
// One per partition of the trace.
std::vector<Metrics> measure_partitions(const Trace& trace, const ReplayOutcome& outcome);

}  // namespace aether::replay
