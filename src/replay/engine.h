#pragma once
// A trace under a policy in virtual time.
#include <functional>
#include <vector>

#include "queueing/dispatcher.h"
#include "replay/estimator.h"
#include "replay/trace.h"

namespace aether::replay {

// Seconds lost by a preemption: as measured for Venus (40 s up to 8 GPUs, else 60 s) and for Philly (7, 30, 60 s).
std::int64_t venus_overhead_s(int gpus);
std::int64_t philly_overhead_s(int gpus);

struct JobOutcome {
  std::int64_t end_s = 0;
  std::int64_t ran_s = 0;  // overheads included
};

struct ReplayOutcome {
  std::vector<JobOutcome> jobs;  // as in the trace
  std::int64_t preemptions = 0;
  std::int64_t decisions = 0;
  double slowest_decision_ms = 0;
};

// `estimator` may be null for policies that need no belief. `progress` gets the share of ended jobs; may be empty.
ReplayOutcome run_replay(const Trace& trace, const queueing::DispatchOptions& options, Estimator* estimator,
                         const std::function<void(double)>& progress);

}  // namespace aether::replay
