#pragma once
// (cluster, queue, predictions, now) -> plan. Pure: no I/O, clock, thread or random number. The same input gives the
// same plan, in production, in replays and in tests.
//
// Two steps, so that the scheduler never calls the predictor: shortlist() names the jobs that could start now and the
// GPUs each could take; the caller asks the predictor; place() decides with whatever answers came in time. The caller
// then re-checks each start with still_fits(), since the cluster may have moved meanwhile.
#include <map>
#include <memory>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "cluster/cluster.h"
#include "model/decision.h"
#include "model/job.h"

namespace aether {

struct SchedulerOptions {
  // Soft constraints. With a prediction the model decides and the rest only breaks its ties; without one they decide.
  double weight_model = 1.0;
  double weight_tie_break = 0.001;      // factor on the three below while a prediction is there
  double weight_temperature_headroom = 0.4;
  double weight_low_utilization = 0.3;
  double weight_packing = 0.3;          // fuller nodes first, so that whole nodes stay free for large jobs
  // Memory in use on a GPU that Aether has given to nobody: above this it is somebody else's.
  std::int64_t foreign_memory_mb = 1024;
  std::chrono::seconds release_settle{3};  // readings within this time after a release still show the old job
  std::size_t max_assessed = 256;          // queue positions explained in full per cycle
  std::size_t max_judged = 1'000'000;      // verdicts of a job on a GPU per cycle; positions behind come later
};

struct RunningJob {
  AttemptId attempt;
  std::int64_t number = 0;
  Placement placement;
  Time ends_at_latest;                  // by its time limit
};

struct SchedulerInput {
  const Cluster& cluster;
  std::vector<const Job*> queue;        // PENDING and HELD, in any order
  std::vector<RunningJob> running;
  Time now;
  std::uint64_t cycle = 0;
  std::map<JobId, std::vector<Reason>> gated = {};  // PENDING jobs that may not start yet, whatever is free, and why
  std::string no_prediction = "the model was not asked";  // for the records of starts without a PredictionOutcome
};

// What the predictor said about one job: per GPU a score, or why there is none.
struct PredictionOutcome {
  std::optional<ModelVersion> model;
  std::map<GpuUuid, double> scores;
  std::map<GpuUuid, std::vector<Contribution>> contributions;
  std::string fallback_reason;          // set when there is no score
};

struct PlannedStart {
  JobId job;
  PlacementRecord record;
};

struct Plan {
  std::vector<PlannedStart> starts;     // in queue order
  std::vector<WaitRecord> waits;        // of the other jobs, as far as the cycle looked
  std::shared_ptr<const WaitRecord> behind = {};  // of all the rest together; null when nobody is left
  std::size_t behind_count = 0;
  std::size_t work = 0;                 // what it took: looks of a job at a GPU, and positions of the queue
};

struct Shortlisted {
  const Job* job = nullptr;
  std::vector<GpuUuid> candidates;      // eligible now
};
struct Shortlist {
  std::vector<Shortlisted> jobs;        // that could start now, on a GPU
  Plan plan;                            // without any prediction; as good as place() when `jobs` is empty
};

// Higher priority first, then first come.
std::vector<const Job*> queue_order(std::vector<const Job*> queue);

Shortlist shortlist(const SchedulerInput& input, const SchedulerOptions& options);
Plan place(const SchedulerInput& input, const std::map<JobId, PredictionOutcome>& predictions,
           const SchedulerOptions& options);
// The hard constraints once more, against the cluster as it is now.
bool still_fits(const Cluster& cluster, const Job& job, const Placement& placement, Time now,
                const SchedulerOptions& options);

}  // namespace aether
