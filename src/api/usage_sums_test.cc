#include "api/usage_sums.h"

#include <gtest/gtest.h>

namespace aether::api {
namespace {

using std::chrono::seconds;

Time at(int second) { return Time(std::chrono::hours(1000) + seconds(second)); }

AttemptRecord attempt(std::vector<const char*> gpus, int from, std::optional<int> to) {
  AttemptRecord record;
  for (const char* gpu : gpus) record.attempt.placement.gpu_uuids.emplace_back(gpu);
  record.attempt.started_at = at(from);
  if (to) record.attempt.ended_at = at(*to);
  return record;
}

TEST(UsageSums, AGpuIsDividedAmongTheAttemptsOnItWhileTheyAreOnIt) {
  const std::vector<AttemptRecord> attempts = {attempt({"A", "B"}, -50, 100), attempt({"A"}, 50, 150), attempt({"A"}, 150, std::nullopt)};
  const auto parts = split_usage(attempts, at(0), at(200));
  ASSERT_EQ(parts.size(), 5u);
  std::vector<std::optional<GpuEnergy>> energy;
  for (const UsagePart& part : parts)  // 10 W each, all measured
    energy.push_back(GpuEnergy{10 * std::chrono::duration<double>(part.part.to - part.part.from).count(), part.part.to - part.part.from});
  const auto usage = sum_usage(attempts, parts, energy, at(0), at(200));
  EXPECT_DOUBLE_EQ(usage[0].gpu_s, 100 + 50 + 25);
  EXPECT_DOUBLE_EQ(usage[1].gpu_s, 25 + 50);
  EXPECT_DOUBLE_EQ(usage[2].gpu_s, 50);
  for (const AttemptUsage& one : usage) {
    EXPECT_DOUBLE_EQ(one.energy_j, 10 * one.gpu_s);
    EXPECT_DOUBLE_EQ(one.measured_gpu_s, one.gpu_s);
    EXPECT_DOUBLE_EQ(one.carbon_energy_j, 0);
  }
}

TEST(UsageSums, WhatTheHistoryForgotIsTakenFromTheRecordOfAnAttemptThatLiesInsideAsAWhole) {
  std::vector<AttemptRecord> attempts = {attempt({"A"}, 10, 110), attempt({"B"}, -10, 90), attempt({"C"}, 10, 110)};
  for (AttemptRecord& record : attempts) record.attempt.energy_j = 5000, record.attempt.carbon_g = 2.5;
  const auto parts = split_usage(attempts, at(0), at(200));
  const auto usage = sum_usage(attempts, parts, {std::nullopt, std::nullopt, GpuEnergy{4000, seconds(80)}}, at(0), at(200));
  EXPECT_DOUBLE_EQ(usage[0].energy_j, 5000);
  EXPECT_DOUBLE_EQ(usage[0].recorded_gpu_s, 100);
  EXPECT_DOUBLE_EQ(usage[0].carbon_g, 2.5);
  EXPECT_DOUBLE_EQ(usage[1].energy_j, 0);  // it began before: nobody knows how much of its energy belongs here
  EXPECT_DOUBLE_EQ(usage[1].measured_gpu_s, 0);
  EXPECT_DOUBLE_EQ(usage[1].gpu_s, 90);
  EXPECT_DOUBLE_EQ(usage[2].energy_j, 4000);
  EXPECT_DOUBLE_EQ(usage[2].measured_gpu_s, 80);
  EXPECT_DOUBLE_EQ(usage[2].carbon_g, 2);
  EXPECT_DOUBLE_EQ(usage[2].carbon_energy_j, 4000);
}

}  // namespace
}  // namespace aether::api
