#pragma once
// From what the cycle found to the records people read. Uses only the cycle's own candidates: nothing is judged again.
#include <vector>

#include "model/decision.h"
#include "scheduler/fleet_table.h"
#include "scheduler/scheduler.h"

namespace aether {

WaitRecord explain_held(const Job& job, const SchedulerInput& input);
// Of a job that may not start yet, whatever is free.
WaitRecord explain_gated(const Job& job, const SchedulerInput& input, const std::vector<Reason>& reasons);
// One record for all jobs beyond the positions that a cycle assessed; it names no job and no position.
WaitRecord explain_far_behind(const SchedulerInput& input, std::size_t assessed);

// What keeps any job of one shape waiting.
struct WaitBasis {
  std::vector<Reason> reasons;   // without the queue's own
  int of_kind = 0;               // GPUs on the largest node that could take it if everything else were gone
  int most_together = 0;         // eligible now on one node
};
WaitBasis waiting_basis(const JobSpec& spec, const FleetTable& table, const std::vector<Verdict>& verdicts);
// `ahead`: numbers of jobs before it in the queue that also wait.
WaitRecord explain_waiting(const Job& job, const WaitBasis& basis, const SchedulerInput& input, int position,
                           const std::vector<std::int64_t>& ahead);
// `candidates`: those to record, in order; `eligible` counts all.
PlacementRecord explain_placement(const Job& job, const Placement& placement, std::vector<Candidate> candidates,
                                  std::size_t eligible, const PredictionOutcome* prediction,
                                  const SchedulerInput& input);

}  // namespace aether
