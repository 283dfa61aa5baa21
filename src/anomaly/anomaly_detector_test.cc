#include "anomaly/anomaly_detector.h"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"

namespace aether {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using testing::HasSubstr;

// Eight GPUs of one job whose readings a test bends. Temperature follows power; a little noise on both.
class AnomalyDetectorTest : public testing::Test {
 protected:
  static constexpr std::size_t kGpus = 8;
  AnomalyDetectorTest() {
    for (std::size_t i = 0; i < kGpus; ++i) {
      infos[i].gpu_uuid = GpuUuid("GPU-" + std::to_string(i));
      infos[i].gpu_index = static_cast<int>(i);
      infos[i].gpu_name = "H100";
      infos[i].power_limit_w = 700;
      infos[i].clock_gpu_max_mhz = 1980;
      infos[i].memory_total_mb = 80000;
    }
    for (Bend& bend : bends) bend.util = 95;
  }
  struct Bend {
    double util = 95, power_w = 500, heat_c = 0, clock = 1980, memory_mb = 60000;
    std::uint64_t ecc = 0, replays = 0;
    bool no_temperature = false, frozen = false, unread = false;
  };

  void run(Duration time) {
    for (const Time end = now + time; now < end;) {
      now += seconds(1);
      for (std::size_t i = 0; i < kGpus; ++i)
        if (!bends[i].unread) read(i);
    }
  }
  void read(std::size_t i) {
    const Bend& bend = bends[i];
    GpuSample& sample = samples[i];
    sample.sample_time = now;
    if (!bend.frozen) {
      const double power_w = bend.power_w + rng.normal(0, 4);
      heats[i] += (25 + 0.06 * power_w - heats[i]) / 40;
      sample.power_draw_w = power_w;
      sample.temperature_c = std::round(heats[i] + bend.heat_c);
      if (bend.no_temperature) sample.temperature_c.reset();
      sample.utilization_gpu = std::clamp(std::round(bend.util + rng.normal(0, 1)), 0.0, 100.0);
      sample.utilization_memory_controller = sample.utilization_gpu.value() / 2;
      sample.clock_sm_mhz = bend.clock;
      sample.power_limit_w = 700;
      sample.throttling_reasons_mask = 0;
      sample.memory_used_mb = static_cast<std::int64_t>(bend.memory_mb);
      sample.energy_total_mj = sample.energy_total_mj.value_or(0) + static_cast<std::uint64_t>(power_w * 1000);
      sample.ecc_sbe_volatile_total = bend.ecc;
      sample.pcie_replay_total = bend.replays;
    }
    const GpuReading reading{infos[i], NodeId("n1"), "n1-" + std::to_string(i), &sample, true, job, now};
    for (Finding& finding : detector.update(reading, now)) findings.push_back(std::move(finding));
  }
  std::set<std::string> open() const {
    std::set<std::string> ids;
    for (const Finding& finding : findings)
      if (finding.bad) ids.insert(finding.alert.id.str());
      else ids.erase(finding.alert.id.str());
    return ids;
  }
  std::string detail_of(const std::string& id) const {
    for (const Finding& finding : findings)
      if (finding.bad && finding.alert.id.str() == id) return finding.alert.detail;
    return {};
  }
  using Ids = std::set<std::string>;

  std::array<GpuInfo, kGpus> infos;
  std::array<GpuSample, kGpus> samples;
  std::array<Bend, kGpus> bends;
  std::array<double, kGpus> heats = {40, 40, 40, 40, 40, 40, 40, 40};
  std::optional<JobId> job = JobId("J1");
  Rng rng{5};
  Time now{seconds(1'700'000'000)};
  AnomalyDetector detector;
  std::vector<Finding> findings;
};

TEST_F(AnomalyDetectorTest, JobsThatComeAndGoAreNoAnomaly) {
  for (int i = 0; i < 12; ++i) {
    job = JobId("J" + std::to_string(i));
    for (Bend& bend : bends) bend = {.util = 95, .power_w = 300.0 + 30 * i, .clock = 1980};
    run(minutes(20));
    job.reset();
    for (Bend& bend : bends) bend = {.util = 0, .power_w = 70, .clock = 345, .memory_mb = 0};
    run(minutes(7));
  }
  EXPECT_TRUE(findings.empty()) << findings.front().alert.detail;
}

TEST_F(AnomalyDetectorTest, AHotGpuIsToldWithItsPeersAndEndsWhenItCools) {
  run(minutes(20));
  bends[3].heat_c = 14;
  run(minutes(4));
  EXPECT_EQ(open(), Ids{"heat/GPU-3"});
  EXPECT_THAT(detail_of("heat/GPU-3"), HasSubstr("hotter than the 7 others that run the same job, at equal power"));
  EXPECT_EQ(findings.front().alert.severity, Severity::kWarning);
  EXPECT_EQ(findings.front().alert.job, JobId("J1"));
  bends[3].heat_c = 0;
  run(minutes(8));
  EXPECT_TRUE(open().empty());
}

TEST_F(AnomalyDetectorTest, AHotRoomIsTheNodesAndNotEachGpus) {
  run(minutes(30));
  for (Bend& bend : bends) bend.heat_c = 10;
  run(minutes(8));
  EXPECT_EQ(open(), Ids{"hot_node/n1"});
}

TEST_F(AnomalyDetectorTest, AStragglerIsToldByItsClockOrByItsWork) {
  run(minutes(20));
  bends[2].clock = 1600;
  bends[5].power_w = 400;
  run(minutes(6));
  EXPECT_EQ(open(), (Ids{"slow/GPU-2", "slow/GPU-5"}));
  EXPECT_THAT(detail_of("slow/GPU-2"), HasSubstr("reason shown: none"));
  EXPECT_THAT(detail_of("slow/GPU-5"), HasSubstr("draws 2"));
}

TEST_F(AnomalyDetectorTest, AJobThatSpinsOrStopsIsTold) {
  run(minutes(20));
  for (std::size_t i = 0; i < 4; ++i) bends[i] = {.util = 100, .power_w = 150};
  for (std::size_t i = 4; i < kGpus; ++i) bends[i] = {.util = 0, .power_w = 90};
  run(minutes(6));
  EXPECT_TRUE(open().contains("hung/GPU-0"));
  EXPECT_TRUE(open().contains("stalled/GPU-7"));
  EXPECT_FALSE(open().contains("stalled/GPU-0"));
}

TEST_F(AnomalyDetectorTest, MemoryThatOnlyGrowsIsALeakAndStepsAtTheStartAreNot) {
  for (int minute = 0; minute < 9; ++minute) {
    for (Bend& bend : bends) bend.memory_mb += 300;
    run(minutes(1));
  }
  run(minutes(10));
  EXPECT_TRUE(findings.empty());
  for (int second = 0; second < 900; ++second) {
    bends[1].memory_mb += 4;
    run(seconds(1));
  }
  EXPECT_EQ(open(), Ids{"memory_leak/GPU-1"});
  EXPECT_THAT(detail_of("memory_leak/GPU-1"), HasSubstr("full in"));
}

TEST_F(AnomalyDetectorTest, ErrorsThatAreCountedAreComparedWithWhatIsUsual) {
  for (int i = 0; i < 60; ++i) {  // one GPU has always had some: a replay every 30 s
    ++bends[6].replays;
    ++bends[6].replays;
    run(minutes(1));
  }
  EXPECT_TRUE(findings.empty());
  for (int i = 0; i < 10; ++i) {
    ++bends[0].ecc;
    bends[1].replays += 10;
    run(seconds(30));
  }
  EXPECT_EQ(open(), (Ids{"ecc_rate/GPU-0", "pcie_replays/GPU-1"}));
}

TEST_F(AnomalyDetectorTest, TheMeasurementItselfIsWatched) {
  run(minutes(20));
  bends[0].no_temperature = true;
  bends[1].frozen = true;
  for (int i = 0; i < 90; ++i) {
    bends[2].heat_c = i % 5 == 0 ? 20 : 0;
    bends[3].unread = i % 5 == 1;
    run(seconds(1));
  }
  EXPECT_EQ(open(), (Ids{"missing_values/GPU-0", "sensor/GPU-2", "stuck_values/GPU-1"}));
  EXPECT_THAT(detail_of("missing_values/GPU-0"), HasSubstr("temperature_c"));
  for (int i = 0; i < 90; ++i) {
    bends[2].heat_c = 0;
    bends[3].unread = i % 5 == 1;
    run(seconds(1));
  }
  EXPECT_TRUE(open().contains("readings/GPU-3"));
}

TEST_F(AnomalyDetectorTest, AnAlertOfAnEarlierRunEndsWhenTheConditionIsGood) {
  Alert alert;
  alert.kind = "sensor";
  alert.id = AlertId("sensor/GPU-4");
  alert.gpu_uuid = GpuUuid("GPU-4");
  detector.restore({alert});
  run(minutes(1));
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].alert.id, alert.id);
  EXPECT_FALSE(findings[0].bad);
}

TEST_F(AnomalyDetectorTest, NothingIsSaidWhenSwitchedOff) {
  detector = AnomalyDetector({.enabled = false});
  run(minutes(20));
  bends[3].heat_c = 20;
  run(minutes(5));
  EXPECT_TRUE(findings.empty());
  EXPECT_EQ(detector.find(GpuUuid("GPU-3")), nullptr);
}

TEST_F(AnomalyDetectorTest, AForgottenGpuBeginsAnew) {
  run(minutes(1));
  ASSERT_NE(detector.find(GpuUuid("GPU-3")), nullptr);
  detector.forget(GpuUuid("GPU-3"));
  EXPECT_EQ(detector.find(GpuUuid("GPU-3")), nullptr);
}

TEST(AnomalyDetector, RemembersLittle) {
  EXPECT_LT(sizeof(AnomalyDetector::Gpu) / gpu_metrics().size(), 256u);  // bytes per metric; the target is 18 KB
}

TEST(Baseline, WhatIsWrongIsLearntSlowly) {
  Baseline baseline;
  for (int i = 0; i < 3600; ++i) baseline.add(10 + (i % 2), 1, 86400, 0.1);
  EXPECT_NEAR(baseline.location(), 10.5, 0.05);
  EXPECT_NEAR(baseline.spread(), 0.625, 0.05);
  for (int i = 0; i < 600; ++i) baseline.add(100, 1, 86400, 0.1);
  EXPECT_LT(baseline.location(), 11);
}

TEST(Curve, FollowsALineAndKnowsWhatItHasNotSeen) {
  Curve curve;
  Rng rng(3);
  for (int i = 0; i < 20000; ++i) {
    const double x = rng.uniform(0.3, 0.9);
    curve.add(x, 20 + 50 * x, 1, 86400, 5);
  }
  for (double x : {0.35, 0.5, 0.63, 0.8}) EXPECT_NEAR(*curve.at(x), 20 + 50 * x, 2) << x;
  EXPECT_FALSE(curve.at(0.05));
}

}  // namespace
}  // namespace aether
