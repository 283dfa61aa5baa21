#pragma once
// Port: the model's advice. Adapters: xgboost/ (in process), http/ (aether ai-core).
// Advice only: placement goes on without it, and the decision record says so.
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/decision.h"
#include "model/gpu.h"
#include "model/job.h"

namespace aether {

// One GPU as the model sees it: the telemetry names. Absent = missing, the model handles it.
struct CandidateFeatures {
  GpuUuid gpu_uuid;                    // or any unique id of the caller
  std::optional<double> temperature_c;
  std::optional<double> memory_used_mb;
  std::optional<double> memory_total_mb;
  std::optional<double> utilization_gpu;
  std::optional<double> utilization_memory_controller;
  std::optional<double> power_draw_w;
  std::optional<double> power_limit_w;
  std::optional<double> clock_gpu_mhz;
  std::optional<double> clock_gpu_max_mhz;
  std::optional<std::string> throttling_reasons;
  std::optional<double> node_busy_pct;      // mean utilisation of the node's GPUs
};

struct PredictRequest {
  JobType job_type = JobType::kTraining;
  int gpus = 1;
  std::optional<double> gpu_mem_mb;
  std::vector<CandidateFeatures> candidates;  // 1..kMaxCandidates, unique ids
  bool explain = true;                        // false: no contributions, which is several times faster
};
inline constexpr std::size_t kMaxCandidates = 4096;

struct CandidateScore {
  GpuUuid gpu_uuid;
  double score = 0;                           // 0..1, probability of a good run
  // Per feature, plus "bias"; sums to the margin. Of the best kMaxRecordedCandidates only: what a placement records.
  std::vector<Contribution> contributions;
};

struct Prediction {
  ModelVersion model;
  std::string features_sha256;                // of the ordered feature names
  std::vector<CandidateScore> scores;         // same order as the candidates
  std::vector<std::string> missing_features;  // absent in every candidate
};

// Best first; equal scores by id, so the same request gives the same answer.
std::vector<GpuUuid> ranking(const Prediction& prediction);

struct AnomalySample {
  GpuUuid gpu_uuid;
  CandidateFeatures features;
};
struct AnomalyReason {
  std::string feature;
  double value = 0, expected_low = 0, expected_high = 0;
};
struct AnomalyVerdict {
  GpuUuid gpu_uuid;
  bool anomaly = false;
  double score = 0;                           // 0..1
  double threshold = 0;
  std::vector<AnomalyReason> reasons;
};

// Thread-safe.
class Predictor {
 public:
  virtual ~Predictor() = default;
  // kTimeout when the deadline passed, kUnavailable when there is no model or no service, kInvalidArgument for an empty
  // list, a duplicate id, or a number that is not finite (the message names the candidate and the field).
  virtual Result<Prediction> predict(const PredictRequest& request, std::chrono::milliseconds deadline) = 0;
  virtual Result<std::vector<AnomalyVerdict>> anomaly(const std::vector<AnomalySample>& samples,
                                                      std::chrono::milliseconds deadline) = 0;
  // kUnavailable while no model is loaded.
  virtual Result<ModelVersion> model() = 0;
};

// The checks of predict() that do not depend on a model. Shared by all adapters and the service.
// kInvalidArgument; the field is a JSON pointer: "/candidates/3/temperature_c".
Result<void> validate(const PredictRequest& request);
// The same for anomaly(): 1..kMaxCandidates samples, unique ids, finite numbers.
Result<void> validate(const std::vector<AnomalySample>& samples);

}  // namespace aether
