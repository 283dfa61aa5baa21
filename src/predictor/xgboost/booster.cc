#include "predictor/xgboost/booster.h"

#include <xgboost/c_api.h>

#include <cstring>
#include <mutex>
#include <type_traits>

#include <fmt/format.h>

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
  std::mutex contributions_mutex;
};

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
  Booster booster(std::move(state));
  // The first call configures the booster; after it, scores() only reads.
  if (auto first = booster.scores(std::vector<FeatureRow>(1)); !first) return fail(first.error());
  return booster;
}

Result<Booster> Booster::train(const TrainingRows& data, const TrainingParameters& parameters,
                               const std::function<void(int)>& after_round) {
  silence_library();
  if (data.rows.empty() || data.rows.size() != data.labels.size())
    return fail(ErrorCode::kInvalidArgument, "training needs as many labels as rows, and at least one");
  auto matrix = make_matrix(data.rows);
  if (!matrix) return fail(matrix.error());
  AETHER_TRY(check(XGDMatrixSetFloatInfo(matrix->get(), "label", data.labels.data(), data.labels.size()), "setting labels"));
  auto state = std::make_shared<State>();
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
  return Booster(std::move(state));
}

Result<std::vector<float>> Booster::scores(std::span<const FeatureRow> rows) const {
  static constexpr const char* kConfig =
      R"({"type":0,"training":false,"iteration_begin":0,"iteration_end":0,"strict_shape":true,"missing":NaN,"cache_id":0})";
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
  std::lock_guard lock(state_->contributions_mutex);
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

Result<std::string> Booster::to_bytes() const {
  bst_ulong length = 0;
  const char* data = nullptr;
  AETHER_TRY(check(XGBoosterSaveModelToBuffer(state_->handle, R"({"format":"ubj"})", &length, &data), "saving"));
  return std::string(data, length);
}

}  // namespace aether::xgboost
