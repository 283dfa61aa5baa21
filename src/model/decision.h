#pragma once
// Why a job got its GPUs, or why it waits: the scheduler's own record. Nothing is computed a second time for display.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "model/ids.h"
#include "model/job.h"

namespace aether {

struct ScoreTerm {
  std::string name;   // "model", "temperature_headroom", "packing", ...
  double value = 0;   // 0 (bad) .. 1 (good)
  double weight = 0;
  friend bool operator==(const ScoreTerm&, const ScoreTerm&) = default;
};

struct Contribution {
  std::string feature;
  std::optional<double> value;    // the feature's value; absent = missing
  double contribution = 0;        // to the margin (log-odds), as XGBoost reports it
  friend bool operator==(const Contribution&, const Contribution&) = default;
};

struct Candidate {
  GpuUuid gpu_uuid;
  std::string gpu_id;
  NodeId node;
  bool chosen = false;
  std::string rejected_by;    // a reason code of API.md §5; empty when the GPU was eligible
  std::string rejected_text;
  std::optional<double> score;
  std::vector<ScoreTerm> terms;
  std::vector<Contribution> contributions;
  friend bool operator==(const Candidate&, const Candidate&) = default;
};

struct ModelVersion {
  std::string name;
  std::string version;
  friend bool operator==(const ModelVersion&, const ModelVersion&) = default;
};

struct PlacementRecord {
  JobId job;
  int attempt = 0;
  Time decided_at;
  std::uint64_t cycle = 0;
  Placement placement;
  std::vector<std::string> gpu_ids;
  std::string policy;                         // "model" or "heuristic"
  std::optional<std::string> fallback_reason; // why the model had no say
  std::optional<ModelVersion> model;
  std::string summary;                        // one sentence for people
  std::vector<Candidate> candidates;          // chosen first, then by score; at most kMaxRecordedCandidates
  friend bool operator==(const PlacementRecord&, const PlacementRecord&) = default;
};
inline constexpr std::size_t kMaxRecordedCandidates = 64;

struct NodeFree {
  NodeId node;
  int free = 0;   // GPUs that this job could take there
  int total = 0;
  friend bool operator==(const NodeFree&, const NodeFree&) = default;
};

struct Reason {
  std::string code;        // API.md §5: "INSUFFICIENT_GPUS", ...
  bool blocking = true;
  std::string text;
  std::optional<std::int64_t> need, best;
  std::string unit;
  std::vector<NodeFree> evidence;
  std::vector<std::int64_t> job_numbers;   // jobs ahead or in the way
  std::optional<Time> until = {};          // when it clears by itself
  friend bool operator==(const Reason&, const Reason&) = default;
};

struct Check {
  std::string code;      // same vocabulary as Reason
  std::string verdict;   // "pass", "fail", "na"
  std::optional<double> have, need;
  std::string unit;
  std::string text;
  friend bool operator==(const Check&, const Check&) = default;
};

struct Counterfactual {
  std::string change;    // {"gpus": 2} as text: "it asks for 2 GPUs"
  std::string starts;    // "now"
  friend bool operator==(const Counterfactual&, const Counterfactual&) = default;
};

// Of a job that could not be placed in the last cycle.
struct WaitRecord {
  JobId job;
  Time evaluated_at;
  std::uint64_t cycle = 0;
  std::string summary;
  std::vector<Reason> reasons;   // the first one gives the summary
  std::vector<Check> checks;
  std::vector<Counterfactual> counterfactuals;
  int queue_position = 0;        // from 1
  std::optional<Time> start_eta; // when the time limits of running jobs alone would let it start; an upper bound
  int nodes_evaluated = 0;
  friend bool operator==(const WaitRecord&, const WaitRecord&) = default;
};

}  // namespace aether
