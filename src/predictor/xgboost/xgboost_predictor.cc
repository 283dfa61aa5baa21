#include "predictor/xgboost/xgboost_predictor.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "base/log.h"
#include "predictor/features.h"
#include "predictor/xgboost/model_files.h"

namespace aether::xgboost {
namespace {

// Rows between two looks at the clock: below a millisecond each.
constexpr std::size_t kScoreBlock = 512;
constexpr std::size_t kExplainBlock = 16;

const SystemClock& system_clock() {
  static const SystemClock clock;
  return clock;
}

Error no_model() {
  return {ErrorCode::kUnavailable, "no model is loaded; train one with 'aether train --synthetic'", {}};
}

class Deadline {
 public:
  Deadline(const Clock& clock, std::chrono::milliseconds limit) : clock_(clock), limit_(limit), end_(clock.mono() + limit) {}
  Result<void> check() const {
    if (clock_.mono() < end_) return {};
    return fail(ErrorCode::kTimeout, fmt::format("no prediction within {} ms", limit_.count()));
  }

 private:
  const Clock& clock_;
  std::chrono::milliseconds limit_;
  Mono end_;
};

Result<std::vector<float>> score_all(const Booster& booster, const std::vector<FeatureRow>& rows, const Deadline& deadline) {
  std::vector<float> scores;
  scores.reserve(rows.size());
  for (std::size_t begin = 0; begin < rows.size(); begin += kScoreBlock) {
    AETHER_TRY(deadline.check());
    const auto block = booster.scores(std::span(rows).subspan(begin, std::min(kScoreBlock, rows.size() - begin)));
    scores.insert(scores.end(), block.begin(), block.end());
  }
  AETHER_TRY(deadline.check());
  return scores;
}

std::vector<Contribution> contributions_of(const FeatureRow& row, const std::array<float, kFeatureCount + 1>& values) {
  std::vector<Contribution> out;
  out.reserve(values.size());
  for (std::size_t i = 0; i < kFeatureCount; ++i)
    out.push_back({std::string(feature_names()[i]),
                   std::isnan(row[i]) ? std::nullopt : std::optional<double>(row[i]), values[i]});
  out.push_back({"bias", std::nullopt, values[kFeatureCount]});
  return out;
}

// Indices of the best kMaxRecordedCandidates, in the order of ranking().
std::vector<std::size_t> best_indices(const std::vector<CandidateScore>& scores) {
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const std::size_t count = std::min(order.size(), kMaxRecordedCandidates);
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), order.end(),
                    [&](std::size_t a, std::size_t b) {
                      if (scores[a].score != scores[b].score) return scores[a].score > scores[b].score;
                      return scores[a].gpu_uuid < scores[b].gpu_uuid;
                    });
  order.resize(count);
  return order;
}

Result<void> explain(const Booster& booster, const std::vector<FeatureRow>& rows, const Deadline& deadline,
                     std::vector<CandidateScore>& scores) {
  const std::vector<std::size_t> best = best_indices(scores);
  for (std::size_t begin = 0; begin < best.size(); begin += kExplainBlock) {
    std::vector<FeatureRow> block;
    const std::size_t end = std::min(best.size(), begin + kExplainBlock);
    for (std::size_t i = begin; i < end; ++i) block.push_back(rows[best[i]]);
    const auto values = booster.contributions(block);
    if (!values) return fail(values.error());
    for (std::size_t i = begin; i < end; ++i)
      scores[best[i]].contributions = contributions_of(block[i - begin], (*values)[i - begin]);
    AETHER_TRY(deadline.check());
  }
  return {};
}

}  // namespace

XgboostPredictor::XgboostPredictor() : XgboostPredictor(system_clock()) {}
XgboostPredictor::XgboostPredictor(const Clock& clock) : clock_(clock) {}
XgboostPredictor::~XgboostPredictor() = default;

Result<void> XgboostPredictor::load(const std::string& directory) {
  auto model = load_model(directory);
  if (!model) return fail(model.error());
  use(std::move(*model));
  return {};
}

void XgboostPredictor::use(StoredModel model) {
  auto shared = std::make_shared<const StoredModel>(std::move(model));
  std::lock_guard lock(mutex_);
  model_ = std::move(shared);
}

std::shared_ptr<const StoredModel> XgboostPredictor::current() const {
  std::lock_guard lock(mutex_);
  return model_;
}

Result<ModelVersion> XgboostPredictor::model() {
  const auto model = current();
  if (!model) return fail(no_model());
  return ModelVersion{model->manifest.name, model->manifest.version};
}

Result<Prediction> XgboostPredictor::predict(const PredictRequest& request, std::chrono::milliseconds limit) {
  const Deadline deadline(clock_, limit);
  AETHER_TRY(validate(request));
  const auto model = current();
  if (!model) return fail(no_model());
  std::vector<FeatureRow> rows;
  rows.reserve(request.candidates.size());
  for (const CandidateFeatures& candidate : request.candidates) rows.push_back(feature_row(request, candidate));
  const auto scores = score_all(model->booster, rows, deadline);
  if (!scores) return fail(scores.error());

  Prediction prediction;
  prediction.model = {model->manifest.name, model->manifest.version};
  prediction.features_sha256 = model->manifest.features_sha256;
  prediction.missing_features = missing_features(rows);
  prediction.scores.reserve(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i)
    prediction.scores.push_back({request.candidates[i].gpu_uuid, (*scores)[i], {}});
  if (request.explain) AETHER_TRY(explain(model->booster, rows, deadline, prediction.scores));
  return prediction;
}

Result<std::vector<AnomalyVerdict>> XgboostPredictor::anomaly(const std::vector<AnomalySample>& samples,
                                                              std::chrono::milliseconds limit) {
  const Deadline deadline(clock_, limit);
  AETHER_TRY(validate(samples));
  const auto model = current();
  if (!model) return fail(no_model());
  AETHER_TRY(deadline.check());
  const HealthyBands bands(model->manifest.healthy_bands);
  std::vector<AnomalyVerdict> verdicts;
  verdicts.reserve(samples.size());
  for (const AnomalySample& sample : samples) verdicts.push_back(bands.judge(sample));
  AETHER_TRY(deadline.check());
  return verdicts;
}

Result<std::unique_ptr<XgboostPredictor>> open_or_train(const TrainOptions& options, const Clock& clock) {
  auto predictor = std::make_unique<XgboostPredictor>(clock);
  const auto loaded = predictor->load(options.directory);
  if (loaded) return predictor;
  if (loaded.error().code != ErrorCode::kNotFound) return fail(loaded.error());
  log::info("predictor", "no model yet, training one on synthetic data", {{"directory", options.directory}});
  const auto report = train_synthetic(options);
  if (!report) return fail_with_context("training the first model", report.error());
  log::info("predictor", "model trained", {{"version", report->version}, {"auc", report->evaluation.auc}});
  AETHER_TRY(predictor->load(options.directory));
  return predictor;
}

}  // namespace aether::xgboost
