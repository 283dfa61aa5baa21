#include "carbon/reading_energy.h"

#include <gtest/gtest.h>

namespace aether {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

Time at(int second) { return Time(hours(24) + seconds(second)); }
EnergyReading counter(int second, double joules) { return {at(second), Duration(0), joules * 1000, joules * 1000, {}, 0}; }
EnergyReading minute(int n, double first_j, double last_j) {
  return {at(60 * n), minutes(1), first_j * 1000, last_j * 1000, {}, 0};
}
EnergyReading power(int second, Duration length, double watts, int count) {
  return {at(second), length, {}, {}, watts, count};
}
EnergyUse use(const std::vector<EnergyReading>& readings, int from, int to) {
  return energy_of(readings, at(from), at(to)).value_or(EnergyUse{-1, Duration(0)});
}

TEST(ReadingEnergy, TheCounterDecidesFromTheFirstToTheLastValueAlsoAcrossAGap) {
  // 100 W all the time; nothing is kept of the fourth minute.
  const std::vector<EnergyReading> readings = {counter(58, 5800), minute(1, 6000, 11900), minute(2, 12000, 17900),
                                               minute(4, 24000, 29900), counter(301, 30100)};
  const EnergyUse whole = use(readings, 58, 301);
  EXPECT_NEAR(whole.energy_j, 24300, 1e-6);
  EXPECT_EQ(whole.covered, seconds(243));
  EXPECT_NEAR(use(readings, 60, 300).energy_j, 24000, 110);
  EXPECT_NEAR(use(readings, 90, 150).energy_j, 6000, 110);  // of rollups across the edges the part inside
}

TEST(ReadingEnergy, ACounterThatWentBackSaysNothingAboutThatTime) {
  const EnergyUse between = use({minute(0, 1000, 7000), minute(1, 10, 5900)}, 0, 120);
  EXPECT_NEAR(between.energy_j, 6000 + 5890, 1e-6);
  const EnergyUse inside = use({minute(0, 1e9, 1e9 + 6000), minute(1, 3, 1e9 + 9000), minute(2, 6000, 12000)}, 0, 180);
  EXPECT_NEAR(inside.energy_j, 6000 + 6000, 1e-6);
  EXPECT_EQ(inside.covered, seconds(120));
}

TEST(ReadingEnergy, PowerCountsOnlyWhereThereIsNoCounter) {
  EnergyReading both = minute(0, 0, 6000);
  both.power_w = 999;
  both.power_count = 60;
  const EnergyUse mixed = use({both, power(60, minutes(1), 50, 20)}, 0, 120);
  EXPECT_NEAR(mixed.energy_j, 6000 + 3000, 1e-6);
  EXPECT_EQ(mixed.covered, seconds(120));
}

TEST(ReadingEnergy, NothingIsInventedForTimeWithoutAReading) {
  const EnergyUse hour = use({power(0, hours(1), 100, 900)}, 0, 3600);
  EXPECT_NEAR(hour.energy_j, 100 * 900, 1e-6);
  EXPECT_EQ(hour.covered, minutes(15));
  const EnergyUse gap = use({power(0, Duration(0), 100, 1), power(10, Duration(0), 200, 1), power(100, Duration(0), 200, 1)}, 0, 200);
  EXPECT_NEAR(gap.energy_j, 1500, 1e-6);
  EXPECT_EQ(gap.covered, seconds(10));
  EXPECT_FALSE(energy_of(std::span<const EnergyReading>(), at(0), at(10)));
  EXPECT_FALSE(energy_of(std::vector{counter(1, 5)}, at(0), at(10)));
}

}  // namespace
}  // namespace aether
