#include "telemetry/simulated/fault.h"

#include <gtest/gtest.h>

namespace aether {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

Fault fault(FaultKind kind, double level) { return {.kind = kind, .level = level}; }

TEST(FaultKinds, EachHasItsPlaceItsNameAndADefaultWithinItsBounds) {
  for (std::size_t i = 0; i < fault_kinds().size(); ++i) {
    const FaultKindInfo& info = fault_kinds()[i];
    EXPECT_EQ(static_cast<std::size_t>(info.kind), i) << info.name;
    EXPECT_EQ(find_fault_kind(info.name), &info);
    EXPECT_FALSE(info.what.empty()) << info.name;
    if (info.level_key.empty()) continue;
    EXPECT_GE(info.level, info.low) << info.name;
    EXPECT_LE(info.level, info.high) << info.name;
  }
  EXPECT_EQ(find_fault_kind("warmth"), nullptr);
}

TEST(FaultPlan, AFaultComesAndGoes) {
  Fault air = fault(FaultKind::kHotAir, 10);
  air.from = seconds(60);
  air.lasts = seconds(30);
  const FaultPlan plan(std::vector{air}, 0);
  EXPECT_EQ(plan.at(seconds(59)).air_added_c, 0);
  EXPECT_EQ(plan.at(seconds(60)).air_added_c, 10);
  EXPECT_EQ(plan.at(seconds(89)).air_added_c, 10);
  EXPECT_EQ(plan.at(seconds(90)).air_added_c, 0);
}

TEST(FaultPlan, ARampBeginsAtWhatChangesNothing) {
  Fault clock = fault(FaultKind::kSlowClock, 0.5);
  clock.ramp = seconds(100);
  const FaultPlan plan(std::vector{clock}, 0);
  EXPECT_DOUBLE_EQ(plan.at(seconds(0)).clock_share, 1);
  EXPECT_DOUBLE_EQ(plan.at(seconds(50)).clock_share, 0.75);
  EXPECT_DOUBLE_EQ(plan.at(minutes(10)).clock_share, 0.5);
}

TEST(FaultPlan, AFaultMayComeAgain) {
  Fault brake = fault(FaultKind::kPowerBrake, 0.5);
  brake.from = seconds(10);
  brake.lasts = seconds(1);
  brake.every = seconds(60);
  const FaultPlan plan(std::vector{brake}, 0);
  int braked = 0;
  for (int s = 0; s < 10 + 600; ++s) braked += plan.at(seconds(s)).brake_share < 1;
  EXPECT_EQ(braked, 10);
}

TEST(FaultPlan, OthersGpusAreNotConcerned) {
  Fault stall = fault(FaultKind::kJobStall, 0);
  stall.gpus = {1, 3};
  for (int gpu = 0; gpu < 5; ++gpu)
    EXPECT_EQ(FaultPlan(std::vector{stall}, gpu).at(seconds(1)).jobs_stall, gpu == 1 || gpu == 3);
}

TEST(FaultPlan, FaultsAddUp) {
  const std::vector<Fault> faults = {fault(FaultKind::kHotAir, 3), fault(FaultKind::kHotAir, 4),
                                     fault(FaultKind::kPowerBrake, 0.7), fault(FaultKind::kPowerBrake, 0.4),
                                     fault(FaultKind::kSlowClock, 0.5), fault(FaultKind::kSlowClock, 0.5)};
  const FaultState state = FaultPlan(faults, 0).at(seconds(0));
  EXPECT_DOUBLE_EQ(state.air_added_c, 7);
  EXPECT_DOUBLE_EQ(state.brake_share, 0.4);
  EXPECT_DOUBLE_EQ(state.clock_share, 0.25);
}

TEST(FaultPlan, AnXidIsToldOncePerTime) {
  Fault once = fault(FaultKind::kXid, 31), often = fault(FaultKind::kXid, 13), lost = fault(FaultKind::kOffTheBus, 0);
  once.from = lost.from = seconds(5);
  often.every = seconds(2);
  const FaultPlan plan(std::vector{once, often, lost}, 0);
  std::map<std::int64_t, int> told;
  for (int s = 0; s < 10; ++s)
    for (std::int64_t code : plan.xids(seconds(s) - Duration(1), seconds(s + 1) - Duration(1))) ++told[code];
  EXPECT_EQ(told, (std::map<std::int64_t, int>{{13, 5}, {31, 1}, {79, 1}}));
}

TEST(FaultPlan, LossBeginsWhenItIsDue) {
  Fault loss = fault(FaultKind::kSilentLoss, 0);
  loss.from = seconds(60);
  const FaultPlan plan(std::vector{loss}, 0);
  EXPECT_FALSE(plan.at(seconds(59)).lost_since);
  EXPECT_EQ(plan.at(seconds(100)).lost_since, Duration(seconds(60)));
  EXPECT_TRUE(plan.at(seconds(100)).silent);
}

}  // namespace
}  // namespace aether
