#include "runtime_model/classifier.h"

#include <xgboost/c_api.h>

#include <algorithm>

#include <fmt/format.h>

namespace aether::runtime_model {
namespace {

Result<void> check(int status, const char* action) {
  if (status == 0) return {};
  std::string reason = XGBGetLastError();
  reason.resize(std::min(reason.find('\n'), reason.size()));  // the rest is a stack trace
  return fail(ErrorCode::kInternal, fmt::format("XGBoost, {}: {}", action, reason));
}

// XGBoost takes arrays as JSON with the address inside.
std::string array_interface(const Features* rows, std::size_t count) {
  return fmt::format(R"({{"data":[{},true],"shape":[{},{}],"typestr":"<f4","version":3}})",
                     reinterpret_cast<std::uintptr_t>(rows), count, kFeatures);
}

struct MatrixDeleter {
  void operator()(void* handle) const { XGDMatrixFree(handle); }
};

}  // namespace

void Classifier::Handle::operator()(void* booster) const { XGBoosterFree(booster); }

Result<Classifier> Classifier::train(const std::vector<Features>& rows, const std::vector<float>& bins,
                                     const std::vector<float>& weights, const ClassifierParameters& parameters) {
  if (rows.empty() || rows.size() != bins.size() || rows.size() != weights.size())
    return fail(ErrorCode::kInvalidArgument, "training needs as many bins and weights as rows, and at least one");
  void* raw = nullptr;
  AETHER_TRY(check(XGDMatrixCreateFromDense(array_interface(rows.data(), rows.size()).c_str(),
                                            R"({"missing":NaN,"nthread":1})", &raw),
                   "building a matrix"));
  const std::unique_ptr<void, MatrixDeleter> matrix(raw);
  AETHER_TRY(check(XGDMatrixSetFloatInfo(raw, "label", bins.data(), bins.size()), "setting bins"));
  AETHER_TRY(check(XGDMatrixSetFloatInfo(raw, "weight", weights.data(), weights.size()), "setting weights"));
  void* handle = nullptr;
  void* matrices[] = {raw};
  AETHER_TRY(check(XGBoosterCreate(matrices, 1, &handle), "creating a booster"));
  std::unique_ptr<void, Handle> booster(handle);
  const std::pair<const char*, std::string> settings[] = {
      {"objective", "multi:softprob"}, {"num_class", std::to_string(queueing::kRunTimeBins)}, {"tree_method", "hist"},
      {"max_bin", "64"}, {"nthread", "1"}, {"max_depth", std::to_string(parameters.depth)},
      {"eta", fmt::format("{}", parameters.learning_rate)}, {"min_child_weight", "3"}, {"subsample", "0.7"},
      {"colsample_bytree", "0.6"}, {"seed", "1"}, {"verbosity", "0"}};
  for (const auto& [name, value] : settings)
    AETHER_TRY(check(XGBoosterSetParam(handle, name, value.c_str()), name));
  for (int round = 0; round < parameters.rounds; ++round)
    AETHER_TRY(check(XGBoosterUpdateOneIter(handle, round, raw), "training"));
  return Classifier(std::move(booster));
}

Result<queueing::BinProbabilities> Classifier::probabilities(const Features& features) const {
  static constexpr const char* kConfig =
      R"({"type":0,"training":false,"iteration_begin":0,"iteration_end":0,"strict_shape":true,"missing":NaN,"cache_id":0})";
  const bst_ulong* shape = nullptr;
  bst_ulong dimensions = 0;
  const float* result = nullptr;
  AETHER_TRY(check(XGBoosterPredictFromDense(booster_.get(), array_interface(&features, 1).c_str(), kConfig, nullptr, &shape,
                                             &dimensions, &result),
                   "predicting"));
  if (dimensions != 2 || shape[1] != queueing::kRunTimeBins)
    return fail(ErrorCode::kInternal, "XGBoost's answer has another shape than the bins");
  queueing::BinProbabilities out{};
  std::copy(result, result + queueing::kRunTimeBins, out.begin());
  return out;
}

}  // namespace aether::runtime_model
