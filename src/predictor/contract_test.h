#pragma once
// What every Predictor promises. An adapter's test instantiates PredictorContract with a factory of its own.
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "predictor/features.h"
#include "predictor/predictor.h"
#include "predictor/test_model.h"

namespace aether {

using std::chrono::milliseconds;
using std::chrono::seconds;

class PredictorUnderTest {
 public:
  virtual ~PredictorUnderTest() = default;
  virtual Predictor& with_model() = 0;
  virtual Predictor& without_model() = 0;
};

class PredictorContract : public testing::TestWithParam<std::function<std::unique_ptr<PredictorUnderTest>()>> {
 protected:
  Result<Prediction> predict(const PredictRequest& request) { return under_test_->with_model().predict(request, seconds(20)); }
  Predictor& predictor() { return under_test_->with_model(); }

  const std::unique_ptr<PredictorUnderTest> under_test_ = GetParam()();
};

TEST_P(PredictorContract, ScoresAreProbabilitiesInTheOrderOfTheCandidates) {
  const PredictRequest request = request_of(20);
  const auto prediction = predict(request);
  ASSERT_TRUE(prediction) << prediction.error().message;
  ASSERT_EQ(prediction->scores.size(), 20u);
  double lowest = 1, highest = 0;
  for (std::size_t i = 0; i < 20; ++i) {
    EXPECT_EQ(prediction->scores[i].gpu_uuid, request.candidates[i].gpu_uuid);
    lowest = std::min(lowest, prediction->scores[i].score);
    highest = std::max(highest, prediction->scores[i].score);
  }
  EXPECT_GE(lowest, 0);
  EXPECT_LE(highest, 1);
  EXPECT_GT(highest - lowest, 0.2) << "different GPUs get different scores";
  EXPECT_EQ(prediction->model.name, "gpu-fitness");
  EXPECT_EQ(prediction->features_sha256.size(), 64u);
}

TEST_P(PredictorContract, TheSameRequestGivesTheSameAnswer) {
  const PredictRequest request = request_of(8);
  const auto first = predict(request);
  const auto second = predict(request);
  ASSERT_TRUE(first && second);
  for (std::size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(first->scores[i].score, second->scores[i].score);
    EXPECT_EQ(first->scores[i].contributions, second->scores[i].contributions);
  }
}

TEST_P(PredictorContract, ACandidatesScoreDoesNotDependOnItsCompany) {
  PredictRequest request = request_of(40);
  const auto together = predict(request);
  ASSERT_TRUE(together);
  const std::vector<CandidateFeatures> all = request.candidates;
  for (const std::size_t i : {0, 17, 39}) {
    request.candidates = {all[i]};
    const auto alone = predict(request);
    ASSERT_TRUE(alone);
    EXPECT_EQ(alone->scores[0].score, together->scores[i].score);
  }
}

TEST_P(PredictorContract, EqualScoresAreRankedById) {
  PredictRequest request = request_of(1);
  for (const char* id : {"GPU-c", "GPU-a", "GPU-b"}) {
    request.candidates.push_back(request.candidates[0]);
    request.candidates.back().gpu_uuid = GpuUuid(id);
  }
  request.candidates.erase(request.candidates.begin());
  const auto prediction = predict(request);
  ASSERT_TRUE(prediction);
  EXPECT_THAT(ranking(*prediction), testing::ElementsAre(GpuUuid("GPU-a"), GpuUuid("GPU-b"), GpuUuid("GPU-c")));
}

TEST_P(PredictorContract, ContributionsSumToTheMargin) {
  const auto prediction = predict(request_of(8));
  ASSERT_TRUE(prediction);
  for (const CandidateScore& score : prediction->scores) {
    ASSERT_EQ(score.contributions.size(), kFeatureCount + 1);
    EXPECT_EQ(score.contributions.back().feature, "bias");
    double margin = 0;
    for (const Contribution& part : score.contributions) margin += part.contribution;
    EXPECT_NEAR(1 / (1 + std::exp(-margin)), score.score, 1e-3);
  }
}

TEST_P(PredictorContract, ContributionsShowTheValueTheModelSaw) {
  PredictRequest request = request_of(2);
  request.candidates[0].temperature_c = 61;
  request.candidates[1].temperature_c = std::nullopt;
  const auto prediction = predict(request);
  ASSERT_TRUE(prediction);
  EXPECT_EQ(prediction->scores[0].contributions[0].feature, "temperature_c");
  EXPECT_EQ(prediction->scores[0].contributions[0].value, 61.0);
  EXPECT_EQ(prediction->scores[1].contributions[0].value, std::nullopt);
}

TEST_P(PredictorContract, WithoutExplainThereAreTheSameScoresAndNoContributions) {
  PredictRequest request = request_of(8);
  const auto explained = predict(request);
  request.explain = false;
  const auto plain = predict(request);
  ASSERT_TRUE(explained && plain);
  for (std::size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(plain->scores[i].score, explained->scores[i].score);
    EXPECT_TRUE(plain->scores[i].contributions.empty());
  }
}

TEST_P(PredictorContract, OneCandidateIsEnough) {
  const auto prediction = predict(request_of(1));
  ASSERT_TRUE(prediction);
  EXPECT_EQ(prediction->scores.size(), 1u);
}

TEST_P(PredictorContract, TakesTheLargestListAndExplainsItsBest) {
  const auto prediction = predict(request_of(kMaxCandidates));
  ASSERT_TRUE(prediction) << prediction.error().message;
  ASSERT_EQ(prediction->scores.size(), kMaxCandidates);
  const std::vector<GpuUuid> order = ranking(*prediction);
  const std::vector<GpuUuid> best(order.begin(), order.begin() + kMaxRecordedCandidates);
  std::vector<GpuUuid> explained;
  for (const CandidateScore& score : prediction->scores)
    if (!score.contributions.empty()) explained.push_back(score.gpu_uuid);
  EXPECT_THAT(explained, testing::UnorderedElementsAreArray(best));
}

TEST_P(PredictorContract, AnEmptyOrTooLongListIsRefused) {
  PredictRequest request = request_of(1);
  request.candidates.resize(kMaxCandidates + 1);
  EXPECT_EQ(predict(request).error().code, ErrorCode::kInvalidArgument);
  request.candidates.clear();
  const auto empty = predict(request);
  ASSERT_FALSE(empty);
  EXPECT_EQ(empty.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(empty.error().field, "/candidates");
}

TEST_P(PredictorContract, ADuplicateIdIsRefusedByName) {
  PredictRequest request = request_of(3);
  request.candidates[2].gpu_uuid = request.candidates[0].gpu_uuid;
  const auto prediction = predict(request);
  ASSERT_FALSE(prediction);
  EXPECT_EQ(prediction.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(prediction.error().message, testing::HasSubstr("GPU-0000"));
  EXPECT_EQ(prediction.error().field, "/candidates/2/gpu_id");
}

TEST_P(PredictorContract, EveryNonFiniteNumberIsRefusedByCandidateAndField) {
  for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()})
    for (const CandidateNumber& number : candidate_numbers()) {
      PredictRequest request = request_of(3);
      request.candidates[1].*number.field = bad;
      const auto prediction = predict(request);
      ASSERT_FALSE(prediction);
      EXPECT_EQ(prediction.error().code, ErrorCode::kInvalidArgument);
      EXPECT_EQ(prediction.error().field, fmt::format("/candidates/1/{}", number.name));
      EXPECT_THAT(prediction.error().message, testing::AllOf(testing::HasSubstr("GPU-0001"), testing::HasSubstr(std::string(number.name))));
    }
}

TEST_P(PredictorContract, FeaturesThatNobodyHasAreReportedAndBearable) {
  PredictRequest request = request_of(4);
  for (CandidateFeatures& candidate : request.candidates) {
    const GpuUuid id = candidate.gpu_uuid;
    candidate = {};
    candidate.gpu_uuid = id;
    candidate.utilization_gpu = 10;
  }
  request.candidates[3].temperature_c = 50;
  const auto prediction = predict(request);
  ASSERT_TRUE(prediction);
  EXPECT_THAT(prediction->missing_features, testing::Contains("power_draw_w"));
  EXPECT_THAT(prediction->missing_features, testing::Contains("harmful_throttling"));
  EXPECT_THAT(prediction->missing_features, testing::Not(testing::Contains("utilization_gpu")));
  EXPECT_THAT(prediction->missing_features, testing::Not(testing::Contains("temperature_c")));
}

TEST_P(PredictorContract, IdsMayHoldAnyText) {
  PredictRequest request = request_of(2);
  request.candidates[0].gpu_uuid = GpuUuid("quote \" backslash \\ newline \n ü");
  const auto prediction = predict(request);
  ASSERT_TRUE(prediction) << prediction.error().message;
  EXPECT_EQ(prediction->scores[0].gpu_uuid, request.candidates[0].gpu_uuid);
}

TEST_P(PredictorContract, APassedDeadlineIsATimeout) {
  EXPECT_EQ(predictor().predict(request_of(3), milliseconds(0)).error().code, ErrorCode::kTimeout);
  EXPECT_EQ(predictor().anomaly({{GpuUuid("a"), {}}}, milliseconds(-1)).error().code, ErrorCode::kTimeout);
}

TEST_P(PredictorContract, WithoutAModelEverythingIsUnavailable) {
  Predictor& empty = under_test_->without_model();
  EXPECT_EQ(empty.model().error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(empty.predict(request_of(2), seconds(5)).error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(empty.anomaly({{GpuUuid("a"), {}}}, seconds(5)).error().code, ErrorCode::kUnavailable);
}

TEST_P(PredictorContract, TheModelIsTheOneThatPredicts) {
  const auto model = predictor().model();
  ASSERT_TRUE(model);
  EXPECT_EQ(predict(request_of(1))->model, *model);
}

TEST_P(PredictorContract, AHotIdleGpuIsAnAnomalyWithItsBand) {
  CandidateFeatures usual;
  usual.utilization_gpu = 1;
  usual.temperature_c = 34;
  CandidateFeatures hot = usual;
  hot.temperature_c = 97;
  CandidateFeatures throttled = usual;
  throttled.throttling_reasons = "hw_thermal";
  const auto verdicts = predictor().anomaly({{GpuUuid("ok"), usual}, {GpuUuid("hot"), hot}, {GpuUuid("slow"), throttled}}, seconds(5));
  ASSERT_TRUE(verdicts) << verdicts.error().message;
  ASSERT_EQ(verdicts->size(), 3u);
  EXPECT_FALSE((*verdicts)[0].anomaly);
  EXPECT_LT((*verdicts)[0].score, (*verdicts)[0].threshold);
  EXPECT_TRUE((*verdicts)[1].anomaly);
  EXPECT_GT((*verdicts)[1].score, (*verdicts)[1].threshold);
  ASSERT_EQ((*verdicts)[1].reasons.size(), 1u);
  EXPECT_EQ((*verdicts)[1].reasons[0].feature, "temperature_c");
  EXPECT_EQ((*verdicts)[1].reasons[0].value, 97);
  EXPECT_LT((*verdicts)[1].reasons[0].expected_high, 97);
  ASSERT_EQ((*verdicts)[2].reasons.size(), 1u);
  EXPECT_EQ((*verdicts)[2].reasons[0].feature, "harmful_throttling");
}

TEST_P(PredictorContract, BadSamplesAreRefusedByName) {
  CandidateFeatures broken;
  broken.power_draw_w = std::nan("");
  const auto verdicts = predictor().anomaly({{GpuUuid("fine"), {}}, {GpuUuid("bad"), broken}}, seconds(5));
  ASSERT_FALSE(verdicts);
  EXPECT_EQ(verdicts.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(verdicts.error().field, "/samples/1/power_draw_w");
  EXPECT_EQ(predictor().anomaly({}, seconds(5)).error().code, ErrorCode::kInvalidArgument);
}

}  // namespace aether
