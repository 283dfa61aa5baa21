#pragma once
// For tests: a small trained model and requests that look like a cluster's.
#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

#include "predictor/predictor.h"
#include "predictor/synthetic.h"
#include "predictor/xgboost/train.h"

namespace aether {

// A directory that goes away with the object.
class ScratchDirectory {
 public:
  ScratchDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "aether_predictor_XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~ScratchDirectory() { std::filesystem::remove_all(path_); }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline xgboost::TrainOptions small_training(const std::string& directory, std::uint64_t seed = 1) {
  xgboost::TrainOptions options;
  options.seed = seed;
  options.rows = 6000;
  options.rounds = 25;
  options.evaluation_clusters = 4;
  options.directory = directory;
  return options;
}

// Trained once per test program.
inline const std::string& trained_directory() {
  static const ScratchDirectory directory;
  static const bool trained = xgboost::train_synthetic(small_training(directory.path())).has_value();
  if (!trained) std::abort();
  return directory.path();
}

// `count` candidates from synthetic clusters with ids "GPU-0000", "GPU-0001", ...
inline PredictRequest request_of(std::size_t count, std::uint64_t seed = 7) {
  PredictRequest request = synthetic_cluster(seed, {1, 1}).front().request;
  request.candidates.clear();
  for (; request.candidates.size() < count; ++seed) {
    std::vector<SyntheticDecision> decisions = synthetic_cluster(seed, {1, count - request.candidates.size()});
    for (CandidateFeatures& candidate : decisions.front().request.candidates) {
      candidate.gpu_uuid = GpuUuid(fmt::format("GPU-{:04}", request.candidates.size()));
      request.candidates.push_back(std::move(candidate));
    }
  }
  return request;
}

}  // namespace aether
