#pragma once
// Soft constraints: how good is this GPU for this job, 0 (bad) .. 1 (good), as named terms with weights.
#include <vector>

#include "cluster/cluster.h"
#include "model/decision.h"
#include "scheduler/scheduler.h"

namespace aether {

// `node_allocated_share`: part of the node's GPUs that are allocated. `model_score`: absent without a prediction.
std::vector<ScoreTerm> score_terms(const GpuRecord& gpu, double node_allocated_share,
                                   std::optional<double> model_score, const SchedulerOptions& options);
// Their weighted mean, without building them.
double total_score(const GpuRecord& gpu, double node_allocated_share, std::optional<double> model_score,
                   const SchedulerOptions& options);

}  // namespace aether
