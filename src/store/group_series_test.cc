#include "store/group_series.h"

#include <gtest/gtest.h>

#include <cmath>

namespace aether::store {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

GroupSeriesQuery query(std::size_t gpus, Duration length, seconds step, std::vector<Statistic> statistics = {Statistic::kMean}) {
  GroupSeriesQuery query;
  query.metrics = {"power_draw_w"};
  query.statistics = std::move(statistics);
  query.from = Time(hours(1000));
  query.to = query.from + length;
  query.step = step;
  for (std::size_t i = 0; i < gpus; ++i) query.members.push_back({GpuUuid("GPU-" + std::to_string(i)), 0, query.from, query.to});
  return query;
}

std::string level(const GroupSeriesQuery& asked) {
  auto plan = plan_group_series(asked, {}, {});
  return plan ? std::string(to_string(plan->level)) : plan.error().message;
}

TEST(GroupSeries, AnAutomaticStepGrowsWithTheNumberOfGpusAndAGivenOneIsRefused) {
  EXPECT_EQ(level(query(8, hours(1), seconds(0))), "raw");
  EXPECT_EQ(level(query(1000, hours(1), seconds(0))), "1m");
  EXPECT_EQ(level(query(1000, hours(24 * 30), seconds(0))), "1h");
  EXPECT_NE(level(query(1000, hours(1), seconds(1))).find("step_s=60"), std::string::npos);
  EXPECT_NE(level(query(1000, hours(24 * 30), seconds(60))).find("3600"), std::string::npos);
  EXPECT_NE(level(query(1000, hours(1), seconds(0), {Statistic::kP95})).find("fewer GPUs"), std::string::npos);
  GroupSeriesQuery many = query(1000, hours(24 * 30), seconds(3600));
  many.groups = 1000;
  EXPECT_EQ(level(many), "1h");
  many.statistics = {Statistic::kMean, Statistic::kMin, Statistic::kMax};
  EXPECT_NE(level(many).find("by=all"), std::string::npos);
}

TEST(GroupSeries, WhatIsNoNumberIsNoReading) {
  const GroupSeriesQuery asked = query(1, seconds(20), seconds(10), {Statistic::kMean, Statistic::kP95, Statistic::kLast});
  const auto plan = plan_group_series(asked, {}, {}).value();
  SeriesBuilder gpu(plan, asked.metrics, SeriesBuilder::Keep::kReadings);
  gpu.add(asked.from, 0, {NAN, NAN, NAN, 1});
  gpu.add(asked.from + seconds(10), 0, {7, 7, 7, 1});
  GroupSeriesBuilder group(plan, asked);
  group.add(0, gpu);
  const GroupSeries found = std::move(group).finish();
  const GroupColumn& column = found.groups[0].at("power_draw_w");
  EXPECT_EQ(column.gpus, (std::vector<std::uint32_t>{0, 1}));
  for (const auto& values : column.values) EXPECT_EQ(values, (std::vector<std::optional<double>>{std::nullopt, 7.0}));
}

TEST(GroupSeries, EveryStatisticHasAWord) {
  for (const Statistic statistic :
       {Statistic::kMean, Statistic::kMin, Statistic::kMax, Statistic::kSum, Statistic::kLast, Statistic::kP95})
    EXPECT_EQ(parse_statistic(to_string(statistic)), statistic);
  EXPECT_FALSE(parse_statistic("median"));
}

}  // namespace
}  // namespace aether::store
