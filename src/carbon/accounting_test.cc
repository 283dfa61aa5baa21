#include "carbon/accounting.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace aether {
namespace {

const Time kStart = Time(std::chrono::hours(24 * 365 * 56));
Time at(double seconds) { return kStart + Duration(static_cast<std::int64_t>(seconds * 1e6)); }

GpuSample sample(double seconds, std::optional<double> power_w,
                 std::optional<std::uint64_t> counter_mj = {}) {
  GpuSample out;
  out.sample_time = at(seconds);
  out.power_draw_w = power_w;
  out.energy_total_mj = counter_mj;
  return out;
}

TEST(Accounting, TheCounterWinsOverPower) {
  const std::vector samples{sample(0, 100, 5'000'000), sample(10, 100, 7'500'000)};
  const auto use = energy_of(samples, at(0), at(10));
  ASSERT_TRUE(use);
  EXPECT_DOUBLE_EQ(use->energy_j, 2500);
  EXPECT_EQ(use->covered, std::chrono::seconds(10));
}

TEST(Accounting, PowerIsIntegratedWithoutACounter) {
  const std::vector samples{sample(0, 100), sample(10, 300), sample(20, 300)};
  EXPECT_DOUBLE_EQ(energy_of(samples, at(0), at(20))->energy_j, 2000 + 3000);
  EXPECT_DOUBLE_EQ(energy_of(samples, at(5), at(10))->energy_j, (200 + 300) / 2.0 * 5)
      << "the edges are interpolated";
}

TEST(Accounting, NothingMeasuredIsAbsentNotZero) {
  EXPECT_FALSE(energy_of({}, at(0), at(10)));
  EXPECT_FALSE(energy_of(std::vector{sample(5, 100, 1)}, at(0), at(10))) << "one reading is no interval";
  EXPECT_FALSE(energy_of(std::vector{sample(0, {}), sample(10, {})}, at(0), at(10)));
  EXPECT_FALSE(energy_of(std::vector{sample(0, 1), sample(10, 1)}, at(10), at(20))) << "outside the interval";
  EXPECT_FALSE(energy_of(std::vector{sample(0, 1), sample(10, 1)}, at(5), at(5)));
}

TEST(Accounting, AnIdleGpuThatDrawsNothingIsZeroAndCovered) {
  const auto use = energy_of(std::vector{sample(0, {}, 7), sample(10, {}, 7)}, at(0), at(10));
  ASSERT_TRUE(use);
  EXPECT_EQ(use->energy_j, 0);
  EXPECT_EQ(use->covered, std::chrono::seconds(10));
}

TEST(Accounting, ACounterThatWasResetIsBridgedByPower) {
  const std::vector samples{sample(0, 200, 9'000'000), sample(10, 200, 11'000'000), sample(20, 200, 500'000),
                            sample(30, 200, 2'500'000)};
  const auto use = energy_of(samples, at(0), at(30));
  EXPECT_DOUBLE_EQ(use->energy_j, 2000 + 2000 + 2000);
  EXPECT_EQ(use->covered, std::chrono::seconds(30));
}

TEST(Accounting, AResetWithoutPowerLeavesAGap) {
  const auto use =
      energy_of(std::vector{sample(0, {}, 9'000'000), sample(10, {}, 500'000), sample(20, {}, 1'500'000)},
                at(0), at(20));
  EXPECT_DOUBLE_EQ(use->energy_j, 1000);
  EXPECT_EQ(use->covered, std::chrono::seconds(10));
}

TEST(Accounting, AnImpossibleJumpOfTheCounterIsNotBelieved) {
  const auto use = energy_of(std::vector{sample(0, 100, 0), sample(10, 100, UINT64_MAX)}, at(0), at(10));
  EXPECT_DOUBLE_EQ(use->energy_j, 1000);
}

TEST(Accounting, ALongSilenceOfPowerIsAGapButTheCounterBridgesIt) {
  EXPECT_FALSE(energy_of(std::vector{sample(0, 100), sample(61, 100)}, at(0), at(61)));
  EXPECT_TRUE(energy_of(std::vector{sample(0, 100), sample(60, 100)}, at(0), at(60)));
  EXPECT_DOUBLE_EQ(
      energy_of(std::vector{sample(0, {}, 0), sample(3600, {}, 360'000'000)}, at(0), at(3600))->energy_j,
      360'000);
}

TEST(Accounting, TheCounterMayBeReadLessOftenThanPower) {
  const std::vector samples{sample(0, 100), sample(10, 100, 1'000'000), sample(15, 900),
                            sample(20, 100, 2'000'000), sample(30, 100)};
  EXPECT_DOUBLE_EQ(energy_of(samples, at(0), at(30))->energy_j, 1000 + 1000 + 1000);
}

// Any cut of an interval gives the same sum: nothing is counted twice or lost at the edges.
TEST(Accounting, PartsAddUpToTheWhole) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Rng rng(seed);
    std::vector<GpuSample> samples;
    std::uint64_t counter = rng.below(1'000'000);
    for (double time = 0; time < 100; time += rng.uniform(0.1, 8)) {
      counter = rng.chance(0.1) ? rng.below(1000) : counter + rng.below(3'000'000);
      samples.push_back(sample(time, rng.chance(0.7) ? std::optional(rng.uniform(0, 700)) : std::nullopt,
                               rng.chance(0.5) ? std::optional(counter) : std::nullopt));
    }
    const double cut = rng.uniform(0, 100);
    const auto whole = energy_of(samples, at(0), at(100)), left = energy_of(samples, at(0), at(cut)),
               right = energy_of(samples, at(cut), at(100));
    const double parts = (left ? left->energy_j : 0) + (right ? right->energy_j : 0);
    EXPECT_NEAR(whole ? whole->energy_j : 0, parts, 1e-3) << "seed " << seed;
    EXPECT_LE(whole.value_or(EnergyUse{}).covered, std::chrono::seconds(100)) << "seed " << seed;
  }
}

TEST(Accounting, CarbonIsEnergyTimesIntensity) {
  EXPECT_DOUBLE_EQ(carbon_g(3.6e6, 250), 250);
  const std::vector samples{sample(0, 1000), sample(60, 1000), sample(120, 1000)};
  const std::vector<CarbonPoint> steps{{at(-1000), 100}, {at(60), 400}};
  const auto use = carbon_of(samples, at(0), at(120), steps);
  ASSERT_TRUE(use);
  EXPECT_DOUBLE_EQ(use->energy.energy_j, 120'000);
  EXPECT_NEAR(*use->carbon_g, carbon_g(60'000, 100) + carbon_g(60'000, 400), 1e-9);
}

TEST(Accounting, CarbonIsAbsentWhereTheIntensityIs) {
  const std::vector samples{sample(0, 1000), sample(60, 1000)};
  EXPECT_FALSE(carbon_of(samples, at(0), at(60), {})->carbon_g);
  const std::vector<CarbonPoint> late{{at(30), 100}};
  EXPECT_FALSE(carbon_of(samples, at(0), at(60), late)->carbon_g);
  EXPECT_TRUE(carbon_of(samples, at(30), at(60), late)->carbon_g);
  EXPECT_FALSE(carbon_of({}, at(0), at(60), late));
}

}  // namespace
}  // namespace aether
