#pragma once
// Training on synthetic data (predictor/synthetic.h). A few seconds on one core; run it beside a service only at first
// start, else as `aether train` in a process of its own.
#include <cstdint>
#include <functional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "predictor/evaluation.h"

namespace aether::xgboost {

struct TrainProgress {
  std::string stage;  // "data", "training", "evaluation", "saving"
  double done = 0;    // 0..1 of that stage
};

struct TrainOptions {
  std::uint64_t seed = 1;                // 1..99,999: evaluation uses other seeds
  std::size_t rows = 60'000;
  int rounds = 60;
  std::size_t evaluation_clusters = 200;
  std::string directory;                 // of model_files.h
  Time trained_at;                       // written into the manifest
  std::function<void(const TrainProgress&)> on_progress;
};

struct TrainReport {
  std::string name, version;
  std::string folder;      // of the model's files
  std::uint64_t seed = 0;
  std::size_t rows = 0;
  int rounds = 60;
  std::size_t model_bytes = 0;
  EvaluationReport evaluation;
};

// The same options give the same model, byte for byte, with the same build of XGBoost.
Result<TrainReport> train_synthetic(const TrainOptions& options);

// For people, and as one JSON object.
std::string table(const TrainReport& report);
std::string json(const TrainReport& report);

}  // namespace aether::xgboost
