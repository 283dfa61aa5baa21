#include "telemetry/simulated/gpu_physics.h"

#include <cmath>

#include <gtest/gtest.h>

namespace aether {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

GpuLoad load_of(JobType type, int number = 1, std::int64_t memory_mb = 0) {
  return GpuLoad{GpuUuid("GPU-x"), AttemptId{JobId("job" + std::to_string(number)), 1}, type, memory_mb};
}

FaultPlan fault(FaultKind kind, Duration from) {
  const FaultKindInfo& info = info_of(kind);
  return FaultPlan(std::vector{Fault{.kind = kind, .level = info.level, .from = from, .ramp = seconds(info.ramp_s)}}, 0);
}

class GpuPhysicsTest : public testing::TestWithParam<std::string> {
 protected:
  const SimulatedGpuType& type = *find_simulated_gpu_type(GetParam());
  GpuPhysics gpu{type, 7, {}};
  Duration age{0};

  void advance(Duration step) { gpu.advance(age += step); }
  void run(JobType job) { gpu.set_loads({load_of(job)}); }
  double mean_power_over(Duration span) {
    const double before = gpu.energy_mj();
    advance(span);
    return (gpu.energy_mj() - before) / 1000 / std::chrono::duration<double>(span).count();
  }
};

TEST_P(GpuPhysicsTest, PowerRisesWithLoadAndFallsBack) {
  const double idle_w = mean_power_over(minutes(5));
  run(JobType::kInference);
  advance(minutes(2));
  const double inference_w = mean_power_over(minutes(20));
  run(JobType::kTraining);
  gpu.set_loads({load_of(JobType::kTraining, 2)});
  advance(minutes(2));
  const double training_w = mean_power_over(minutes(20));
  gpu.set_loads({});
  advance(minutes(10));
  EXPECT_NEAR(idle_w, type.power_idle_w, 0.1 * type.power_idle_w);
  EXPECT_GT(inference_w, 1.5 * idle_w);
  EXPECT_GT(training_w, 1.3 * inference_w);
  EXPECT_NEAR(mean_power_over(minutes(5)), idle_w, 0.1 * type.power_idle_w);
}

TEST_P(GpuPhysicsTest, EnergyIsTheIntegralOfPower) {
  run(JobType::kInference);
  double integral_mj = 0;
  for (int i = 0; i < 8000; ++i) {
    integral_mj += gpu.power_draw_w() * 1000 * 0.125;  // the power shown holds until the next step
    advance(GpuPhysics::kStep / 2);
    ASSERT_NEAR(gpu.energy_mj(), integral_mj, 1e-9 * integral_mj);
  }
}

TEST_P(GpuPhysicsTest, TemperatureApproachesEquilibriumAndNeverJumps) {
  advance(minutes(1));
  const double cold_c = gpu.temperature_c();
  run(JobType::kTraining);
  double last_c = cold_c;
  for (int i = 0; i < 4 * 1200; ++i) {
    const double gap_c = gpu.equilibrium_temperature_c() - last_c;
    advance(GpuPhysics::kStep);
    const double moved_c = gpu.temperature_c() - last_c;
    ASSERT_LE(std::abs(moved_c), 1.0) << i;
    // Towards the equilibrium of the step before, up to the drift of the air within one step.
    if (std::abs(gap_c) > 1) {
      ASSERT_GT(moved_c * gap_c, 0) << i;
    }
    last_c = gpu.temperature_c();
  }
  EXPECT_GT(last_c, cold_c + 15);
  gpu.set_loads({});
  advance(minutes(15));
  EXPECT_NEAR(gpu.temperature_c(), gpu.equilibrium_temperature_c(), 1);
  EXPECT_NEAR(gpu.temperature_c(), cold_c, 5);
}

TEST_P(GpuPhysicsTest, MemoryRampsUpAndReturnsToBaseline) {
  advance(seconds(10));
  const double baseline_mb = gpu.memory_used_mb();
  gpu.set_loads({load_of(JobType::kTraining, 1, 8000)});
  advance(seconds(2));
  EXPECT_GT(gpu.memory_used_mb(), baseline_mb + 1000);
  EXPECT_LT(gpu.memory_used_mb(), 4000);
  advance(minutes(1));
  EXPECT_NEAR(gpu.memory_used_mb(), 8000 + baseline_mb, 1);
  gpu.set_loads({load_of(JobType::kTraining, 1, 8000), load_of(JobType::kInference, 2, 3000)});
  advance(minutes(1));
  EXPECT_NEAR(gpu.memory_used_mb(), 11000 + baseline_mb, 1);
  gpu.set_loads({});
  advance(seconds(5));
  EXPECT_EQ(gpu.memory_used_mb(), baseline_mb);
  EXPECT_EQ(gpu.utilization(), 0);
  EXPECT_TRUE(gpu.idle());
}

TEST_P(GpuPhysicsTest, JobWithoutMemoryTakesMostOfTheGpu) {
  run(JobType::kTraining);
  advance(minutes(1));
  const double share = gpu.memory_used_mb() / static_cast<double>(type.memory_total_mb);
  EXPECT_GT(share, 0.8);
  EXPECT_LT(share, 0.95);
}

TEST_P(GpuPhysicsTest, TrainingIsBusyWithDipsAndInferenceIsBursty) {
  const auto shares = [&](JobType job) {
    gpu.set_loads({load_of(job, job == JobType::kTraining ? 3 : 4)});
    advance(minutes(1));
    int high = 0, low = 0;
    for (int i = 0; i < 3600; ++i) {
      advance(seconds(1));
      high += gpu.utilization() > 0.85;
      low += gpu.utilization() < 0.4;
    }
    return std::pair(high / 3600.0, low / 3600.0);
  };
  const auto [training_high, training_low] = shares(JobType::kTraining);
  EXPECT_GT(training_high, 0.85);
  EXPECT_GT(training_low, 0.005);
  EXPECT_LT(training_low, 0.15);
  const auto [inference_high, inference_low] = shares(JobType::kInference);
  EXPECT_LT(inference_high, 0.6);
  EXPECT_GT(inference_low, 0.15);
}

TEST_P(GpuPhysicsTest, StateDoesNotDependOnHowOftenSomebodyLooks) {
  GpuPhysics seldom(type, 7, {});
  run(JobType::kTraining);
  seldom.set_loads({load_of(JobType::kTraining)});
  for (int i = 0; i < 600; ++i) advance(std::chrono::milliseconds(100));
  seldom.advance(age);
  EXPECT_EQ(seldom.temperature_c(), gpu.temperature_c());
  EXPECT_EQ(seldom.energy_mj(), gpu.energy_mj());
  EXPECT_EQ(seldom.clock_mhz(), gpu.clock_mhz());
}

TEST_P(GpuPhysicsTest, BoundsHoldForADay) {
  Rng rng(11);
  std::uint64_t last_errors = 0;
  for (int i = 0; i < 24 * 360; ++i) {
    if (i % 90 == 0) {
      std::vector<GpuLoad> loads;
      for (std::uint64_t jobs = rng.below(4); jobs > 0; --jobs)
        loads.push_back(load_of(rng.chance(0.5) ? JobType::kTraining : JobType::kInference, i + static_cast<int>(jobs),
                                rng.chance(0.5) ? 0 : static_cast<std::int64_t>(rng.below(60000))));
      gpu.set_loads(loads);
    }
    advance(seconds(10));
    ASSERT_GT(gpu.temperature_c(), 15);
    ASSERT_LT(gpu.temperature_c(), type.temperature_slowdown_c);
    ASSERT_GE(gpu.utilization(), 0);
    ASSERT_LE(gpu.utilization(), 1);
    ASSERT_GE(gpu.utilization_memory_controller(), 0);
    ASSERT_LE(gpu.utilization_memory_controller(), 1);
    ASSERT_GE(gpu.power_draw_w(), type.power_idle_w);
    ASSERT_LE(gpu.power_draw_w(), type.power_limit_w * 1.001);
    ASSERT_GE(gpu.clock_mhz(), type.clock_idle_mhz - 1);
    ASSERT_LE(gpu.clock_mhz(), type.clock_max_mhz);
    ASSERT_GE(gpu.fan_speed_pct(), 29);
    ASSERT_LE(gpu.fan_speed_pct(), 100);
    ASSERT_LE(gpu.memory_used_mb(), static_cast<double>(type.memory_total_mb - type.memory_reserved_mb));
    ASSERT_GE(gpu.single_bit_errors(), last_errors);
    last_errors = gpu.single_bit_errors();
    ASSERT_EQ(gpu.double_bit_errors(), 0u);
    ASSERT_FALSE(gpu.lost());
  }
}

TEST_P(GpuPhysicsTest, LostCoolingThrottlesByTemperatureAndCostsPower) {
  GpuPhysics healthy(type, 7, {}), blocked(type, 7, fault(FaultKind::kCoolingLoss, seconds(20)));
  for (GpuPhysics* each : {&healthy, &blocked}) each->set_loads({load_of(JobType::kTraining, 2)});
  double healthy_mhz = 0, blocked_mhz = 0, hottest_c = 0;
  int throttled = 0;
  for (int i = 0; i < 1800; ++i) {
    age += seconds(1);
    healthy.advance(age);
    blocked.advance(age);
    EXPECT_EQ(healthy.throttling_mask() & 0x20, 0u) << i;
    hottest_c = std::max(hottest_c, blocked.temperature_c());
    if (i < 900) continue;
    throttled += (blocked.throttling_mask() & 0x20) != 0;
    healthy_mhz += healthy.clock_mhz();
    blocked_mhz += blocked.clock_mhz();
  }
  EXPECT_GT(throttled, 800);
  EXPECT_LT(blocked_mhz, 0.92 * healthy_mhz);
  EXPECT_GT(hottest_c, type.temperature_slow_c);
  EXPECT_LT(hottest_c, type.temperature_shutdown_c);
  EXPECT_LT(blocked.energy_mj(), healthy.energy_mj());
}

TEST_P(GpuPhysicsTest, FarBehindCatchesUpInCoarseSteps) {
  run(JobType::kTraining);
  advance(hours(24 * 30));
  EXPECT_GT(gpu.energy_mj(), type.power_idle_w * 1000 * 86400 * 30);
  EXPECT_LE(gpu.power_draw_w(), type.power_limit_w * 1.001);
}

INSTANTIATE_TEST_SUITE_P(Types, GpuPhysicsTest, testing::Values("h100", "a100", "l40s", "t4", "rtx4090"),
                         [](const auto& parameter) { return parameter.param; });

TEST(GpuPhysicsPowerCap, HeavyTrainingOnSomeSeedMeetsTheLimit) {
  const SimulatedGpuType& type = *find_simulated_gpu_type("a100");
  int capped = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    GpuPhysics gpu(type, seed, {});
    gpu.set_loads({load_of(JobType::kTraining, static_cast<int>(seed))});
    gpu.advance(minutes(2));
    if ((gpu.throttling_mask() & 0x4) == 0) continue;
    ++capped;
    EXPECT_LT(gpu.clock_mhz(), type.clock_max_mhz);
    EXPECT_NEAR(gpu.power_draw_w(), type.power_limit_w, 0.02 * type.power_limit_w);
  }
  EXPECT_GT(capped, 0);
  EXPECT_LT(capped, 20);
}

TEST(GpuPhysicsFaults, DoubleBitErrorsBeginAtTheirOnset) {
  GpuPhysics gpu(*find_simulated_gpu_type("h100"), 7, fault(FaultKind::kDoubleBitErrors, seconds(60)));
  gpu.advance(seconds(59));
  EXPECT_EQ(gpu.double_bit_errors(), 0u);
  gpu.advance(seconds(61));
  EXPECT_EQ(gpu.double_bit_errors(), 1u);
  EXPECT_EQ(gpu.xid(), 48);
  gpu.advance(hours(1));
  EXPECT_GT(gpu.double_bit_errors(), 4u);
}

TEST(GpuPhysicsFaults, StalledJobsKeepTheirMemory) {
  GpuPhysics gpu(*find_simulated_gpu_type("h100"), 7, fault(FaultKind::kJobStall, seconds(120)));
  gpu.set_loads({load_of(JobType::kTraining, 1, 20000)});
  gpu.advance(seconds(119));
  EXPECT_GT(gpu.utilization(), 0.2);
  gpu.advance(seconds(125));
  EXPECT_EQ(gpu.utilization(), 0);
  EXPECT_GT(gpu.memory_used_mb(), 20000);
}

TEST(GpuPhysicsJobs, TheGpusOfAJobWorkInStepAndThoseOfOtherJobsDoNot) {
  const SimulatedGpuType& type = *find_simulated_gpu_type("h100");
  GpuPhysics one(type, 1, {}), peer(type, 2, {}), other(type, 2, {});
  one.set_loads({load_of(JobType::kTraining, 1)});
  peer.set_loads({load_of(JobType::kTraining, 1)});
  other.set_loads({load_of(JobType::kTraining, 2)});
  double apart_peer = 0, apart_other = 0;
  for (int i = 1; i <= 1200; ++i) {
    for (GpuPhysics* gpu : {&one, &peer, &other}) gpu->advance(seconds(i));
    apart_peer = std::max(apart_peer, std::abs(one.utilization() - peer.utilization()));
    apart_other = std::max(apart_other, std::abs(one.utilization() - other.utilization()));
  }
  EXPECT_LT(apart_peer, 0.15);
  EXPECT_GT(apart_other, 0.4);
}

// What each kind does to the readings; levels are the defaults.
TEST(GpuPhysicsFaults, EachHasItsMark) {
  const SimulatedGpuType& type = *find_simulated_gpu_type("h100");
  const auto after = [&](FaultPlan plan) {
    GpuPhysics gpu(type, 3, std::move(plan));
    gpu.set_loads({load_of(JobType::kTraining, 1, 20000)});
    gpu.advance(minutes(30));
    return gpu;
  };
  const GpuPhysics healthy = after({});
  EXPECT_GT(after(fault(FaultKind::kHotAir, {})).temperature_c(), healthy.temperature_c() + 5);
  EXPECT_GT(after(fault(FaultKind::kFanFailure, {})).temperature_c(), healthy.temperature_c() + 5);
  EXPECT_EQ(std::lround(after(fault(FaultKind::kFanFailure, {})).fan_speed_pct()), 0);
  EXPECT_EQ(after(fault(FaultKind::kPowerBrake, {})).throttling_mask() & 0x88, 0x88u);
  EXPECT_LE(after(fault(FaultKind::kPowerCap, {})).power_draw_w(), 0.6 * type.power_limit_w * 1.001);
  EXPECT_LE(after(fault(FaultKind::kStuckClock, {})).clock_mhz(), 345);
  EXPECT_GT(after(fault(FaultKind::kEccGrowth, {})).single_bit_errors(), 30u);
  EXPECT_GT(after(fault(FaultKind::kNvlinkErrors, {})).nvlink_errors(), 80000u);
  EXPECT_GT(after(fault(FaultKind::kPcieReplays, {})).pcie_replays(), 3000u);
  EXPECT_LT(after(fault(FaultKind::kPcieDegraded, {})).energy_mj(), 0.9 * healthy.energy_mj());
  EXPECT_NEAR(after(fault(FaultKind::kMemoryLeak, {})).memory_used_mb(), healthy.memory_used_mb() + 15000, 10);
  const GpuPhysics spinning = after(fault(FaultKind::kJobSpin, {}));
  EXPECT_EQ(spinning.utilization(), 1);
  EXPECT_LT(spinning.power_draw_w(), 0.35 * type.power_limit_w);
}

TEST(GpuPhysicsFaults, SlowClockShowsNoReason) {
  const SimulatedGpuType& type = *find_simulated_gpu_type("h100");
  GpuPhysics normal(type, 3, {}), slow(type, 3, fault(FaultKind::kSlowClock, seconds(30)));
  for (GpuPhysics* each : {&normal, &slow}) {
    each->set_loads({load_of(JobType::kTraining)});
    each->advance(minutes(3));
  }
  EXPECT_NEAR(slow.clock_mhz() / normal.clock_mhz(), 0.85, 0.05);
  EXPECT_EQ(slow.throttling_mask() & ~std::uint64_t{0x4}, 0u);
}

}  // namespace
}  // namespace aether
