#include "predictor/xgboost/booster.h"

#include <xgboost/c_api.h>

#include <cmath>
#include <cstring>
#include <mutex>

#include <fmt/format.h>

#include "predictor/synthetic.h"
#include "predictor/xgboost/tree_ensemble.h"

namespace aether::xgboost {
namespace {

static_assert(sizeof(FeatureRow) == kFeatureCount * sizeof(float), "rows are handed to XGBoost as one dense array");

Result<void> check(int status, std::string_view action) {
  if (status == 0) return {};
  std::string reason = XGBGetLastError();
  reason.resize(std::min(reason.find('\n'), reason.size()));  // the rest is a stack trace
  return fail(ErrorCode::kInternal, fmt::format("XGBoost, {}: {}", action, reason));
}

struct MatrixDeleter {
  void operator()(void* handle) const { XGDMatrixFree(handle); }
};
using Matrix = std::unique_ptr<void, MatrixDeleter>;

// XGBoost takes arrays as JSON with the address inside ("array interface").
std::string array_interface(std::span<const FeatureRow> rows) {
  return fmt::format(R"({{"data":[{},true],"shape":[{},{}],"typestr":"<f4","version":3}})",
                     reinterpret_cast<std::uintptr_t>(rows.data()), rows.size(), kFeatureCount);
}

Result<Matrix> make_matrix(std::span<const FeatureRow> rows) {
  void* handle = nullptr;
  AETHER_TRY(check(XGDMatrixCreateFromDense(array_interface(rows).c_str(), R"({"missing":NaN,"nthread":1})", &handle),
                   "building a matrix"));
  return Matrix(handle);
}

Result<void> set_parameter(void* booster, const char* name, const std::string& value) {
  return check(XGBoosterSetParam(booster, name, value.c_str()), fmt::format("setting {}={}", name, value));
}

std::size_t element_count(const bst_ulong* shape, bst_ulong dimensions) {
  std::size_t count = 1;
  for (bst_ulong i = 0; i < dimensions; ++i) count *= shape[i];
  return count;
}

// The library may write its messages anywhere; an error is returned to us anyway.
void silence_library() {
  static const int registered = XGBRegisterLogCallback([](const char*) {});
  static_cast<void>(registered);
}

}  // namespace

struct Booster::State {
  ~State() {
    if (handle != nullptr) XGBoosterFree(handle);
  }
  BoosterHandle handle = nullptr;
  std::mutex mutex;  // around every use of the handle after loading
  TreeEnsemble trees;
};

namespace {

Result<std::string> serialise(BoosterHandle handle, const char* config) {
  bst_ulong length = 0;
  const char* data = nullptr;
  AETHER_TRY(check(XGBoosterSaveModelToBuffer(handle, config, &length, &data), "saving"));
  return std::string(data, length);
}

constexpr const char* kUbj = R"({"format":"ubj"})";

// Rows as the model will see them, gaps included.
std::vector<FeatureRow> probe_rows() {
  std::vector<FeatureRow> rows;
  for (const SyntheticDecision& decision : synthetic_cluster(77, {}))
    for (const CandidateFeatures& candidate : decision.request.candidates) rows.push_back(feature_row(decision.request, candidate));
  return rows;
}

Result<void> compare_with_library(const Booster& booster) {
  const std::vector<FeatureRow> rows = probe_rows();
  const std::vector<float> ours = booster.scores(rows);
  const auto theirs = booster.library_scores(rows);
  if (!theirs) return fail(theirs.error());
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (!(std::abs(ours[i] - (*theirs)[i]) < 1e-5f))
      return fail(ErrorCode::kCorrupt, fmt::format("the trees score {} where the library scores {}", ours[i], (*theirs)[i]));
  return {};
}

}  // namespace

Result<Booster> Booster::from_bytes(std::string_view bytes) {
  silence_library();
  auto state = std::make_shared<State>();
  AETHER_TRY(check(XGBoosterCreate(nullptr, 0, &state->handle), "creating a booster"));
  AETHER_TRY(set_parameter(state->handle, "nthread", "1"));
  if (const auto loaded = check(XGBoosterLoadModelFromBuffer(state->handle, bytes.data(), bytes.size()), "loading"); !loaded)
    return fail(ErrorCode::kCorrupt, loaded.error().message);
  // The file may carry the thread count of the training.
  AETHER_TRY(set_parameter(state->handle, "nthread", "1"));
  bst_ulong features = 0;
  AETHER_TRY(check(XGBoosterGetNumFeature(state->handle, &features), "counting features"));
  if (features != kFeatureCount)
    return fail(ErrorCode::kCorrupt, fmt::format("the model takes {} features, not {}", features, kFeatureCount));
  const auto json = serialise(state->handle, R"({"format":"json"})");
  if (!json) return fail(json.error());
  auto trees = TreeEnsemble::from_json(*json);
  if (!trees) return fail(trees.error());
  state->trees = std::move(*trees);
  Booster booster(std::move(state));
  AETHER_TRY(compare_with_library(booster));
  return booster;
}

Result<std::string> Booster::train(const TrainingRows& data, const TrainingParameters& parameters,
                               const std::function<void(int)>& after_round) {
  silence_library();
  if (data.rows.empty() || data.rows.size() != data.labels.size())
    return fail(ErrorCode::kInvalidArgument, "training needs as many labels as rows, and at least one");
  auto matrix = make_matrix(data.rows);
  if (!matrix) return fail(matrix.error());
  AETHER_TRY(check(XGDMatrixSetFloatInfo(matrix->get(), "label", data.labels.data(), data.labels.size()), "setting labels"));
  const auto state = std::make_unique<State>();
  void* matrices[] = {matrix->get()};
  AETHER_TRY(check(XGBoosterCreate(matrices, 1, &state->handle), "creating a booster"));
  const std::pair<const char*, std::string> settings[] = {
      {"objective", "binary:logistic"}, {"tree_method", "hist"}, {"max_bin", "128"}, {"nthread", "1"},
      {"max_depth", std::to_string(parameters.depth)}, {"eta", fmt::format("{}", parameters.learning_rate)},
      {"min_child_weight", "20"}, {"subsample", "0.8"}, {"colsample_bytree", "0.8"},
      {"seed", std::to_string(parameters.seed % 2147483647)}};
  for (const auto& [name, value] : settings) AETHER_TRY(set_parameter(state->handle, name, value));
  for (int round = 0; round < parameters.rounds; ++round) {
    AETHER_TRY(check(XGBoosterUpdateOneIter(state->handle, round, matrix->get()), "training"));
    if (after_round) after_round(round + 1);
  }
  return serialise(state->handle, kUbj);
}

std::vector<float> Booster::scores(std::span<const FeatureRow> rows) const {
  std::vector<float> out;
  out.reserve(rows.size());
  for (const FeatureRow& row : rows) out.push_back(state_->trees.score(row));
  return out;
}

Result<std::vector<float>> Booster::library_scores(std::span<const FeatureRow> rows) const {
  static constexpr const char* kConfig =
      R"({"type":0,"training":false,"iteration_begin":0,"iteration_end":0,"strict_shape":true,"missing":NaN,"cache_id":0})";
  std::lock_guard lock(state_->mutex);
  const bst_ulong* shape = nullptr;
  bst_ulong dimensions = 0;
  const float* result = nullptr;
  AETHER_TRY(check(XGBoosterPredictFromDense(state_->handle, array_interface(rows).c_str(), kConfig, nullptr, &shape,
                                             &dimensions, &result),
                   "predicting"));
  if (element_count(shape, dimensions) != rows.size())
    return fail(ErrorCode::kCorrupt, fmt::format("the model gives {} numbers for {} rows: it is no binary classifier",
                                                 element_count(shape, dimensions), rows.size()));
  return std::vector<float>(result, result + rows.size());  // the library keeps `result` for this thread's next call
}

Result<std::vector<std::array<float, kFeatureCount + 1>>> Booster::contributions(std::span<const FeatureRow> rows) const {
  static constexpr const char* kConfig =
      R"({"type":2,"training":false,"iteration_begin":0,"iteration_end":0,"strict_shape":false})";
  const auto matrix = make_matrix(rows);
  if (!matrix) return fail(matrix.error());
  std::lock_guard lock(state_->mutex);
  const bst_ulong* shape = nullptr;
  bst_ulong dimensions = 0;
  const float* result = nullptr;
  AETHER_TRY(check(XGBoosterPredictFromDMatrix(state_->handle, matrix->get(), kConfig, &shape, &dimensions, &result),
                   "explaining"));
  std::vector<std::array<float, kFeatureCount + 1>> out(rows.size());
  if (element_count(shape, dimensions) != rows.size() * (kFeatureCount + 1))
    return fail(ErrorCode::kCorrupt, "the model's contributions have another shape: it is no binary classifier");
  std::memcpy(out.data(), result, out.size() * sizeof out[0]);
  return out;
}

Result<std::string> Booster::to_bytes(Format format) const {
  std::lock_guard lock(state_->mutex);
  return serialise(state_->handle, format == Format::kJson ? R"({"format":"json"})" : kUbj);
}

}  // namespace aether::xgboost
