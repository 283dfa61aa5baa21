#include "anomaly/threshold_alerts.h"

#include <gtest/gtest.h>

namespace aether {
namespace {

using std::chrono::seconds;
const Time kStart = Time(seconds(1'700'000'000));

class ThresholdAlertsTest : public testing::Test {
 protected:
  ThresholdAlertsTest() {
    info_.gpu_uuid = GpuUuid("GPU-1");
    info_.temperature_slowdown_c = 90;
    sample_.temperature_c = 60;
    sample_.throttling_reasons = "none";
    sample_.utilization_gpu = 90;
  }
  // Feeds the present reading once a second for `count` seconds; returns what changed.
  std::vector<Alert> feed(int count, bool with_sample = true) {
    std::vector<Alert> changed;
    for (int i = 0; i < count; ++i) {
      now_ += seconds(1);
      const GpuReading reading{info_, NodeId("n1"), "n1-0", with_sample ? &sample_ : nullptr, present_, job_, job_ ? std::optional(kStart) : std::nullopt};
      for (Alert& alert : alerts_.update(reading, now_)) changed.push_back(alert);
    }
    return changed;
  }
  std::vector<std::string> open_kinds() const {
    std::vector<std::string> kinds;
    for (const Alert& alert : alerts_.current(now_))
      if (!alert.cleared_at) kinds.push_back(alert.kind);
    return kinds;
  }

  GpuInfo info_;
  GpuSample sample_;
  bool present_ = true;
  std::optional<JobId> job_;
  ThresholdAlerts alerts_;
  Time now_ = kStart;
};

TEST_F(ThresholdAlertsTest, AHealthyGpuRaisesNothing) {
  EXPECT_TRUE(feed(3600).empty());
  EXPECT_TRUE(open_kinds().empty());
}

TEST_F(ThresholdAlertsTest, HeatOpensAfterItHasLastedAndClearsWithHysteresis) {
  sample_.temperature_c = 88;
  EXPECT_TRUE(feed(10).empty());
  ASSERT_EQ(feed(1).size(), 1u);
  EXPECT_EQ(open_kinds(), std::vector<std::string>{"temperature"});
  sample_.temperature_c = 84;  // below the limit of 87, inside the hysteresis
  EXPECT_TRUE(feed(60).empty());
  sample_.temperature_c = 80;
  const auto cleared = feed(11);
  ASSERT_EQ(cleared.size(), 1u);
  EXPECT_TRUE(cleared[0].cleared_at);
  EXPECT_TRUE(open_kinds().empty());
}

TEST_F(ThresholdAlertsTest, AShortSpikeIsNotAnAlert) {
  for (int i = 0; i < 20; ++i) {
    sample_.temperature_c = 95;
    EXPECT_TRUE(feed(5).empty());
    sample_.temperature_c = 60;
    EXPECT_TRUE(feed(2).empty());
  }
}

TEST_F(ThresholdAlertsTest, APowerCapIsNormalAndThermalThrottlingIsNot) {
  sample_.throttling_reasons = "power_cap";
  EXPECT_TRUE(feed(60).empty());
  sample_.throttling_reasons = "power_cap|hw_thermal";
  EXPECT_EQ(feed(11).size(), 1u);
  EXPECT_EQ(open_kinds(), std::vector<std::string>{"throttling"});
}

TEST_F(ThresholdAlertsTest, IdleNeedsAHolder) {
  sample_.utilization_gpu = 1;
  EXPECT_TRUE(feed(600).empty());
  job_ = JobId("J1");
  EXPECT_EQ(feed(301).size(), 1u);
  EXPECT_TRUE(alerts_.is_idle(GpuUuid("GPU-1")));
  sample_.utilization_gpu = 50;
  EXPECT_EQ(feed(1).size(), 1u);
  EXPECT_FALSE(alerts_.is_idle(GpuUuid("GPU-1")));
}

TEST_F(ThresholdAlertsTest, NewEccErrorsAndXidsOpenAtOnceAndClearWhenNoNewOnesCome) {
  feed(1);
  sample_.ecc_dbe_volatile_total = 2;
  sample_.xid_last = 79;
  sample_.xid_last_time = now_;
  EXPECT_EQ(feed(1).size(), 2u);
  for (const Alert& alert : alerts_.current(now_)) EXPECT_EQ(alert.severity, Severity::kCritical);
  EXPECT_TRUE(feed(500).empty());
  EXPECT_EQ(feed(200).size(), 2u);
  EXPECT_TRUE(open_kinds().empty());
}

TEST_F(ThresholdAlertsTest, AnApplicationXidIsOnlyInformation) {
  sample_.xid_last = 31;
  sample_.xid_last_time = now_;
  const auto opened = feed(1);
  ASSERT_EQ(opened.size(), 1u);
  EXPECT_EQ(opened[0].severity, Severity::kInfo);
}

TEST_F(ThresholdAlertsTest, SilenceAndLossAreDifferentAlerts) {
  feed(1);
  EXPECT_EQ(feed(16, false).size(), 1u);
  EXPECT_EQ(open_kinds(), std::vector<std::string>{"no_data"});
  present_ = false;
  feed(1, false);
  EXPECT_EQ(open_kinds(), std::vector<std::string>{"gpu_lost"});
}

TEST_F(ThresholdAlertsTest, RestoredAlertsClearToo) {
  sample_.temperature_c = 89;
  feed(11);
  ThresholdAlerts restarted;
  restarted.restore(alerts_.current(now_));
  alerts_ = restarted;
  sample_.temperature_c = 60;
  EXPECT_EQ(feed(11).size(), 1u);
  EXPECT_TRUE(open_kinds().empty());
}

TEST_F(ThresholdAlertsTest, AcknowledgingIsRemembered) {
  sample_.temperature_c = 89;
  feed(11);
  EXPECT_TRUE(alerts_.acknowledge(AlertId("temperature/GPU-1")));
  EXPECT_FALSE(alerts_.acknowledge(AlertId("none/GPU-1")));
  EXPECT_TRUE(alerts_.find(AlertId("temperature/GPU-1"))->acknowledged);
}

TEST(ThresholdAlerts, AFindingOfTheFleetOpensOnceAndClears) {
  ThresholdAlerts alerts;
  const Time now{std::chrono::seconds(1'700'000'000)};
  Alert alert;
  alert.id = AlertId("mass_loss/fleet");
  EXPECT_FALSE(alerts.set(alert, false, now));
  ASSERT_TRUE(alerts.set(alert, true, now));
  EXPECT_FALSE(alerts.set(alert, true, now));
  EXPECT_EQ(alerts.find(alert.id)->since, now);
  EXPECT_EQ(alerts.set(alert, false, now)->cleared_at, now);
  EXPECT_FALSE(alerts.set(alert, false, now));
}

}  // namespace
}  // namespace aether
