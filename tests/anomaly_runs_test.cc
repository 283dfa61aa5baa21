// A few labelled runs, as bench/anomaly.sh judges many: what must be found is found, and healthy GPUs are left alone.
#include "anomaly/labelled_runs.h"

#include <gtest/gtest.h>

namespace aether::bench {
namespace {

using std::chrono::minutes;

class LabelledRun : public testing::TestWithParam<const char*> {};

TEST_P(LabelledRun, IsFoundOnTheRightGpu) {
  const RunPlan plan{.kind = GetParam(), .seed = 3, .onset = minutes(40), .length = minutes(62)};
  DetectorWatcher detector;
  const std::vector<int> faulty = play(plan, {&detector});
  ASSERT_FALSE(faulty.empty());
  const Score found = score(plan, faulty, detector.alarms);
  EXPECT_GE(found.detected_after_s, 0);
  for (const Alarm& alarm : detector.alarms)
    EXPECT_EQ(score(plan, faulty, {alarm}).wrong, 0) << alarm.gpu << " at " << alarm.at_s << " s: " << alarm.text;
}

INSTANTIATE_TEST_SUITE_P(Kinds, LabelledRun,
                         testing::Values("cooling loss", "slow clock", "ECC growth", "memory leak", "degraded PCIe link",
                                         "missing values"));

TEST(LabelledRuns, AHealthyNodeRaisesNoAlarm) {
  const RunPlan plan{.kind = "healthy", .seed = 4, .onset = std::chrono::hours(3), .length = std::chrono::hours(3)};
  DetectorWatcher detector;
  ThresholdWatcher thresholds;
  EXPECT_TRUE(play(plan, {&detector, &thresholds}).empty());
  EXPECT_TRUE(detector.alarms.empty()) << detector.alarms.front().text;
  EXPECT_TRUE(thresholds.alarms.empty()) << thresholds.alarms.front().text;
}

TEST(LabelledRuns, KindAndSeedDecideEverything) {
  const RunPlan plan{.kind = "slow clock", .seed = 8, .onset = minutes(25), .length = minutes(30)};
  DetectorWatcher one, two;
  EXPECT_EQ(play(plan, {&one}), play(plan, {&two}));
  ASSERT_EQ(one.alarms.size(), two.alarms.size());
  for (std::size_t i = 0; i < one.alarms.size(); ++i) EXPECT_EQ(one.alarms[i].text, two.alarms[i].text);
}

}  // namespace
}  // namespace aether::bench
