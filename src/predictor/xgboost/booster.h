#pragma once
// One XGBoost model in memory: the C API's handle with an owner, errors as values, one thread per call.
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "predictor/features.h"

namespace aether::xgboost {

struct TrainingRows {
  std::vector<FeatureRow> rows;
  std::vector<float> labels;  // 1 = ran well
};

struct TrainingParameters {
  int rounds = 60;
  int depth = 4;
  double learning_rate = 0.2;
  std::uint64_t seed = 1;
};

// Const calls are thread-safe: scores come from TreeEnsemble, everything else takes a mutex.
// Not for static storage: freeing a booster touches thread-local data of the library, which is gone when statics go.
class Booster {
 public:
  // kCorrupt when the bytes are not a model of kFeatureCount features, or when the library's scores and TreeEnsemble's
  // differ. Give only bytes whose hash was checked: XGBoost's readers are not written for hostile input.
  static Result<Booster> from_bytes(std::string_view bytes);
  // One thread and a fixed seed: the same rows give the same model. `after_round` may be empty. The result is the model's
  // bytes: what will be served is what from_bytes() makes of them.
  static Result<std::string> train(const TrainingRows& data, const TrainingParameters& parameters,
                               const std::function<void(int round)>& after_round);

  // Probability of the positive class per row.
  std::vector<float> scores(std::span<const FeatureRow> rows) const;
  // The same from the library, up to rounding.
  Result<std::vector<float>> library_scores(std::span<const FeatureRow> rows) const;
  // Per row kFeatureCount contributions (TreeSHAP) and the bias; their sum is the margin.
  Result<std::vector<std::array<float, kFeatureCount + 1>>> contributions(std::span<const FeatureRow> rows) const;
  enum class Format { kUniversalBinaryJson, kJson };
  Result<std::string> to_bytes(Format format = Format::kUniversalBinaryJson) const;

 private:
  struct State;
  explicit Booster(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

}  // namespace aether::xgboost
