#pragma once
// From what the cycle found to the records people read. Uses only the cycle's own candidates: nothing is judged again.
#include <vector>

#include "model/decision.h"
#include "scheduler/scheduler.h"

namespace aether {

WaitRecord explain_held(const Job& job, const SchedulerInput& input);
// Of a job that may not start yet, whatever is free.
WaitRecord explain_gated(const Job& job, const SchedulerInput& input, const std::vector<Reason>& reasons);
// Beyond the positions that a cycle assesses in full.
WaitRecord explain_far_behind(const Job& job, const SchedulerInput& input, int position);
// `ahead`: numbers of jobs before it in the queue that also wait.
WaitRecord explain_waiting(const Job& job, const std::vector<Candidate>& candidates, const SchedulerInput& input,
                           int position, const std::vector<std::int64_t>& ahead);
PlacementRecord explain_placement(const Job& job, const Placement& placement, std::vector<Candidate> candidates,
                                  const PredictionOutcome* prediction, const SchedulerInput& input);

// The largest number of eligible GPUs on one node.
int most_together(const std::vector<Candidate>& candidates);

}  // namespace aether
