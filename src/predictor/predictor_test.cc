#include "predictor/predictor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "base/rng.h"
#include "predictor/evaluation.h"
#include "predictor/features.h"
#include "predictor/healthy_bands.h"
#include "predictor/synthetic.h"

namespace aether {
namespace {

float feature(const FeatureRow& row, std::string_view name) {
  for (std::size_t i = 0; i < kFeatureCount; ++i)
    if (feature_names()[i] == name) return row[i];
  ADD_FAILURE() << "no feature " << name;
  return 0;
}

TEST(Features, NamesAreUniqueAndNoneIsEmpty) {
  std::set<std::string_view> names(feature_names().begin(), feature_names().end());
  EXPECT_EQ(names.size(), kFeatureCount);
  EXPECT_FALSE(names.contains(""));
}

TEST(Features, SharesComeFromPartAndWhole) {
  PredictRequest request;
  request.job_type = JobType::kInference;
  request.gpus = 4;
  request.gpu_mem_mb = 8000;
  CandidateFeatures gpu;
  gpu.memory_used_mb = 4000;
  gpu.memory_total_mb = 16000;
  gpu.power_draw_w = 100;
  gpu.power_limit_w = 400;
  gpu.clock_gpu_mhz = 900;
  gpu.clock_gpu_max_mhz = 1800;
  const FeatureRow row = feature_row(request, gpu);
  EXPECT_FLOAT_EQ(feature(row, "memory_free_share"), 0.75f);
  EXPECT_FLOAT_EQ(feature(row, "power_share"), 0.25f);
  EXPECT_FLOAT_EQ(feature(row, "clock_share"), 0.5f);
  EXPECT_FLOAT_EQ(feature(row, "job_memory_share"), 0.5f);
  EXPECT_FLOAT_EQ(feature(row, "memory_share_after_start"), 0.75f);
  EXPECT_FLOAT_EQ(feature(row, "job_is_inference"), 1.0f);
  EXPECT_FLOAT_EQ(feature(row, "job_gpus"), 4.0f);
}

TEST(Features, AWholeOfZeroIsMissingAndNotADivision) {
  CandidateFeatures gpu;
  gpu.power_draw_w = 100;
  gpu.power_limit_w = 0;
  EXPECT_TRUE(std::isnan(feature(feature_row({}, gpu), "power_share")));
}

TEST(Features, OnlyHarmfulThrottlingCountsAsHarmful) {
  CandidateFeatures gpu;
  EXPECT_TRUE(std::isnan(feature(feature_row({}, gpu), "harmful_throttling")));
  for (const char* harmless : {"none", "None", "", "gpu_idle", "power_cap"}) {
    gpu.throttling_reasons = harmless;
    EXPECT_EQ(feature(feature_row({}, gpu), "harmful_throttling"), 0) << harmless;
  }
  gpu.throttling_reasons = "power_cap|sw_thermal";
  EXPECT_EQ(feature(feature_row({}, gpu), "harmful_throttling"), 1);
  EXPECT_EQ(feature(feature_row({}, gpu), "power_capped"), 1);
}

TEST(Ranking, IsBestFirstAndThenById) {
  Prediction prediction;
  prediction.scores = {{GpuUuid("c"), 0.5, {}}, {GpuUuid("a"), 0.2, {}}, {GpuUuid("b"), 0.5, {}}, {GpuUuid("d"), 0.9, {}}};
  EXPECT_THAT(ranking(prediction), testing::ElementsAre(GpuUuid("d"), GpuUuid("b"), GpuUuid("c"), GpuUuid("a")));
}

TEST(Validate, NamesTheFieldOfTheJob) {
  PredictRequest request;
  request.candidates.resize(1);
  EXPECT_EQ(validate(request).error().field, "/candidates/0/gpu_id");
  request.candidates[0].gpu_uuid = GpuUuid("a");
  EXPECT_TRUE(validate(request));
  request.gpus = -1;
  EXPECT_EQ(validate(request).error().field, "/job/gpus");
  request.gpus = 1;
  request.gpu_mem_mb = std::nan("");
  EXPECT_EQ(validate(request).error().field, "/job/gpu_mem_mb");
}

TEST(Synthetic, TheSameSeedGivesTheSameCluster) {
  const auto first = synthetic_cluster(5, {});
  const auto again = synthetic_cluster(5, {});
  const auto other = synthetic_cluster(6, {});
  ASSERT_EQ(first.size(), 10u);
  EXPECT_EQ(first[3].expected_slowdown, again[3].expected_slowdown);
  EXPECT_EQ(first[9].request.candidates[0].temperature_c, again[9].request.candidates[0].temperature_c);
  EXPECT_NE(first[3].expected_slowdown, other[3].expected_slowdown);
}

TEST(Synthetic, EveryDecisionIsAValidRequest) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed)
    for (const SyntheticDecision& decision : synthetic_cluster(seed, {})) {
      const auto valid = validate(decision.request);
      ASSERT_TRUE(valid) << valid.error().message;
      ASSERT_EQ(decision.expected_slowdown.size(), decision.request.candidates.size());
      for (const double slowdown : decision.expected_slowdown) ASSERT_GE(slowdown, 1);
    }
}

struct Labelled {
  double temperature_c, utilization_gpu;
  bool ran_well;
};

std::vector<Labelled> labelled_candidates() {
  std::vector<Labelled> out;
  for (std::uint64_t seed = 1; seed <= 60; ++seed)
    for (const SyntheticDecision& decision : synthetic_cluster(seed, {}))
      for (std::size_t i = 0; i < decision.ran_well.size(); ++i) {
        const CandidateFeatures& gpu = decision.request.candidates[i];
        if (gpu.temperature_c && gpu.utilization_gpu)
          out.push_back({*gpu.temperature_c, *gpu.utilization_gpu, decision.ran_well[i]});
      }
  return out;
}

// The prototype's task was solved without an error by such a rule, which left its model nothing to learn.
TEST(Synthetic, NoRuleOfTwoThresholdsSolvesTheTask) {
  const std::vector<Labelled> rows = labelled_candidates();
  double best = 0;
  for (double temperature = 30; temperature <= 95; temperature += 2.5)
    for (double utilization = 0; utilization <= 100; utilization += 5) {
      double right = 0;
      for (const Labelled& row : rows)
        right += (row.temperature_c < temperature && row.utilization_gpu < utilization) == row.ran_well;
      best = std::max(best, right / static_cast<double>(rows.size()));
    }
  EXPECT_LT(best, 0.85);
  EXPECT_GT(best, 0.6) << "telemetry tells something";
}

TEST(Synthetic, OutcomesAreGraded) {
  int slight = 0, strong = 0, none = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed)
    for (const SyntheticDecision& decision : synthetic_cluster(seed, {}))
      for (const double slowdown : decision.expected_slowdown) ++(slowdown < 1.05 ? none : slowdown < 1.4 ? slight : strong);
  const int all = none + slight + strong;
  EXPECT_GT(none, all / 10);
  EXPECT_GT(slight, all / 10);
  EXPECT_GT(strong, all / 10);
}

TEST(Evaluation, AreaUnderCurveOfKnownCases) {
  EXPECT_DOUBLE_EQ(area_under_curve({{0.1, false}, {0.2, false}, {0.8, true}, {0.9, true}}), 1);
  EXPECT_DOUBLE_EQ(area_under_curve({{0.1, true}, {0.9, false}}), 0);
  EXPECT_DOUBLE_EQ(area_under_curve({{0.5, true}, {0.5, false}, {0.5, false}}), 0.5);
  EXPECT_DOUBLE_EQ(area_under_curve({{0.3, true}, {0.2, false}, {0.4, false}}), 0.5);
  EXPECT_DOUBLE_EQ(area_under_curve({{0.3, true}}), 0.5);
}

TEST(Evaluation, TheIntervalIsTheNormalOne) {
  const Estimate estimate = aether::estimate({1, 2, 3, 4, 5});
  EXPECT_DOUBLE_EQ(estimate.mean, 3);
  EXPECT_NEAR(estimate.high - 3, 1.96 * std::sqrt(2.5 / 5), 1e-9);
  EXPECT_NEAR(3 - estimate.low, estimate.high - 3, 1e-12);
}

// Scores by what the test tells it: shows that the report measures the predictor it was given.
class KnowingPredictor final : public Predictor {
 public:
  explicit KnowingPredictor(double sign) : sign_(sign) {
    for (std::uint64_t seed = 500; seed < 520; ++seed)
      for (const SyntheticDecision& decision : synthetic_cluster(seed, {})) decisions_.push_back(decision);
  }
  Result<Prediction> predict(const PredictRequest& request, std::chrono::milliseconds) override {
    Prediction prediction;
    const auto& slowdown = decisions_[next_++].expected_slowdown;
    for (std::size_t i = 0; i < slowdown.size(); ++i)
      prediction.scores.push_back({request.candidates[i].gpu_uuid, 1 / (1 + std::exp(sign_ * (slowdown[i] - 1.15) * 20)), {}});
    return prediction;
  }
  Result<std::vector<AnomalyVerdict>> anomaly(const std::vector<AnomalySample>&, std::chrono::milliseconds) override {
    return std::vector<AnomalyVerdict>{};
  }
  Result<ModelVersion> model() override { return ModelVersion{"knowing", "1"}; }

 private:
  double sign_;
  std::vector<SyntheticDecision> decisions_;
  std::size_t next_ = 0;
};

TEST(Evaluation, APredictorThatKnowsHasNoRegretAndOneThatIsWrongHasMuch) {
  EvaluationOptions options;
  options.first_seed = 500;
  options.clusters = 20;
  KnowingPredictor right(1), wrong(-1);
  const auto good = evaluate(right, options);
  const auto bad = evaluate(wrong, options);
  ASSERT_TRUE(good && bad);
  EXPECT_EQ(good->policies[0].name, "model");
  EXPECT_NEAR(good->policies[0].regret.mean, 0, 1e-9);
  EXPECT_GT(good->auc, 0.95);
  EXPECT_LT(good->auc, 1) << "the single run is noisy, so even perfect knowledge errs";
  EXPECT_GT(bad->policies[0].regret.mean, 0.5);
  EXPECT_LT(bad->auc, 0.1);
  EXPECT_LT(good->log_loss, good->log_loss_of_share);
  EXPECT_GT(bad->log_loss, bad->log_loss_of_share);
}

TEST(HealthyBands, HealthyGpusStayInside) {
  const HealthyBands bands = HealthyBands::learn(synthetic_healthy_samples(1, 10000));
  int alarms = 0;
  const auto fresh = synthetic_healthy_samples(2, 5000);
  for (const CandidateFeatures& gpu : fresh) alarms += bands.judge({gpu.gpu_uuid, gpu}).anomaly;
  EXPECT_LT(alarms, 50) << "below 1 % of healthy GPUs";
}

TEST(HealthyBands, ScoreThresholdAndReasonsAgree) {
  const HealthyBands bands = HealthyBands::learn(synthetic_healthy_samples(1, 10000));
  Rng rng(3);
  int anomalies = 0;
  for (int i = 0; i < 2000; ++i) {
    CandidateFeatures gpu;
    gpu.utilization_gpu = rng.uniform(-10, 120);
    gpu.temperature_c = rng.uniform(0, 120);
    gpu.clock_gpu_mhz = rng.uniform(0, 2000);
    gpu.clock_gpu_max_mhz = 1980;
    const AnomalyVerdict verdict = bands.judge({GpuUuid("g"), gpu});
    EXPECT_EQ(verdict.anomaly, !verdict.reasons.empty());
    EXPECT_EQ(verdict.anomaly, verdict.score > verdict.threshold);
    for (const AnomalyReason& reason : verdict.reasons)
      EXPECT_TRUE(reason.value < reason.expected_low || reason.value > reason.expected_high);
    anomalies += verdict.anomaly;
  }
  EXPECT_GT(anomalies, 200);
  EXPECT_LT(anomalies, 1950);
}

TEST(HealthyBands, NothingKnownIsNoAnomaly) {
  const HealthyBands bands = HealthyBands::learn(synthetic_healthy_samples(1, 10000));
  const AnomalyVerdict verdict = bands.judge({GpuUuid("g"), {}});
  EXPECT_FALSE(verdict.anomaly);
  EXPECT_EQ(verdict.score, 0);
}

}  // namespace
}  // namespace aether
