#include "predictor/xgboost/train.h"

#include <fmt/format.h>

#include "predictor/healthy_bands.h"
#include "predictor/synthetic.h"
#include "predictor/xgboost/model_files.h"
#include "predictor/xgboost/xgboost_predictor.h"

namespace aether::xgboost {
namespace {

constexpr std::uint64_t kMaxSeed = 99'999;
constexpr std::uint64_t kClustersPerSeed = 1'000'000;  // training seeds never meet each other or the evaluation's
constexpr std::size_t kHealthySamples = 20'000;

void tell(const TrainOptions& options, const char* stage, double done) {
  if (options.on_progress) options.on_progress({stage, done});
}

TrainingRows draw_rows(const TrainOptions& options) {
  TrainingRows data;
  data.rows.reserve(options.rows);
  data.labels.reserve(options.rows);
  for (std::uint64_t cluster = 0; data.rows.size() < options.rows; ++cluster) {
    for (const SyntheticDecision& decision : synthetic_cluster((options.seed + 1) * kClustersPerSeed * 2 + cluster, {}))
      for (std::size_t i = 0; i < decision.ran_well.size() && data.rows.size() < options.rows; ++i) {
        data.rows.push_back(feature_row(decision.request, decision.request.candidates[i]));
        data.labels.push_back(decision.ran_well[i] ? 1.0f : 0.0f);
      }
    tell(options, "data", static_cast<double>(data.rows.size()) / static_cast<double>(options.rows));
  }
  return data;
}

Result<void> validate(const TrainOptions& options) {
  if (options.seed < 1 || options.seed > kMaxSeed)
    return fail(ErrorCode::kInvalidArgument, fmt::format("the seed is {}: give 1 to {}", options.seed, kMaxSeed), "seed");
  if (options.rows < 1000 || options.rows > 5'000'000)
    return fail(ErrorCode::kInvalidArgument, fmt::format("{} rows: give 1,000 to 5,000,000", options.rows), "rows");
  if (options.rounds < 1 || options.rounds > 2000)
    return fail(ErrorCode::kInvalidArgument, fmt::format("{} rounds: give 1 to 2,000", options.rounds), "rounds");
  if (options.directory.empty())
    return fail(ErrorCode::kInvalidArgument, "no directory for the model given", "directory");
  return {};
}

}  // namespace

Result<TrainReport> train_synthetic(const TrainOptions& options) {
  AETHER_TRY(validate(options));
  const TrainingRows data = draw_rows(options);
  TrainingParameters parameters;
  parameters.rounds = options.rounds;
  parameters.seed = options.seed;
  const auto bytes = Booster::train(data, parameters, [&](int round) {
    tell(options, "training", static_cast<double>(round) / options.rounds);
  });
  if (!bytes) return fail(bytes.error());

  Manifest manifest;
  manifest.trained_at = options.trained_at;
  manifest.rows = data.rows.size();
  manifest.seed = options.seed;
  manifest.healthy_bands = HealthyBands::learn(synthetic_healthy_samples(options.seed, kHealthySamples)).levels();

  TrainReport report;
  report.seed = options.seed;
  report.rows = data.rows.size();
  report.rounds = options.rounds;
  report.model_bytes = bytes->size();
  tell(options, "evaluation", 0);
  const auto booster = Booster::from_bytes(*bytes);
  if (!booster) return fail(booster.error());
  XgboostPredictor candidate;
  candidate.use({manifest, *booster});
  EvaluationOptions evaluation;
  evaluation.clusters = options.evaluation_clusters;
  auto evaluated = evaluate(candidate, evaluation);
  if (!evaluated) return fail(evaluated.error());
  report.evaluation = std::move(*evaluated);
  tell(options, "saving", 0);
  manifest.metrics_json = json(report.evaluation);
  const auto saved = save_model(options.directory, *bytes, std::move(manifest));
  if (!saved) return fail_with_context("saving the trained model", saved.error());
  report.name = saved->name;
  report.version = saved->version;
  report.folder = fmt::format("{}/{}", options.directory, saved->version);
  tell(options, "saving", 1);
  return report;
}

std::string table(const TrainReport& report) {
  return fmt::format("Model {} {}: {} rows, {} rounds, seed {}, {} KiB in {}\n\n{}", report.name, report.version,
                     report.rows, report.rounds, report.seed, report.model_bytes / 1024, report.folder,
                     table(report.evaluation));
}

std::string json(const TrainReport& report) {
  return fmt::format(R"({{"name":"{}","version":"{}","seed":{},"rows":{},"rounds":{},"model_bytes":{},"evaluation":{}}})",
                     report.name, report.version, report.seed, report.rows, report.rounds, report.model_bytes,
                     json(report.evaluation));
}

}  // namespace aether::xgboost
