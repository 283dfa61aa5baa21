#include "store/series.h"

#include <gtest/gtest.h>

namespace aether::store {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr std::int64_t kDayUs = 86'400'000'000;

SeriesQuery query(Duration from, Duration to, seconds step) {
  return {GpuUuid("GPU-1"), {"temperature_c"}, Time(from), Time(to), step};
}

SeriesPlan plan(const SeriesQuery& asked, Time raw_from = {}, Time minutes_from = {}) {
  auto planned = plan_series(asked, raw_from, minutes_from);
  EXPECT_TRUE(planned) << (planned ? "" : planned.error().message);
  return planned.value_or(SeriesPlan{});
}

TEST(SeriesPlan, TheGridIsMadeOfMultiplesOfTheStepInsideTheRange) {
  const SeriesPlan found = plan(query(seconds(61), seconds(181), seconds(30)));
  EXPECT_EQ(found.level, Level::kRaw);
  EXPECT_EQ(found.first, Time(seconds(90)));
  EXPECT_EQ(found.points, 4u);                                                // 90, 120, 150, 180
  EXPECT_EQ(plan(query(seconds(60), seconds(180), seconds(30))).points, 4u);  // 60, 90, 120, 150
}

TEST(SeriesPlan, TheLevelFollowsTheStep) {
  EXPECT_EQ(plan(query(hours(0), hours(1), seconds(59))).level, Level::kRaw);
  EXPECT_EQ(plan(query(hours(0), hours(1), seconds(60))).level, Level::kMinute);
  EXPECT_EQ(plan(query(hours(0), hours(1), seconds(61))).step, seconds(120));
  EXPECT_EQ(plan(query(hours(0), hours(9), seconds(7200))).level, Level::kHour);
  EXPECT_EQ(plan(query(hours(0), hours(9), seconds(5400))).level, Level::kMinute);
}

TEST(SeriesPlan, AnAutomaticStepGivesAtMostAThousandPoints) {
  for (const Duration range : {Duration(1), Duration(minutes(15)), Duration(hours(1)), Duration(hours(30)),
                               Duration(kDayUs * 30), Duration(kDayUs * 700)}) {
    const SeriesPlan found = plan(query(hours(1), hours(1) + range, seconds(0)));
    EXPECT_LE(found.points, 1000u) << range.count();
    EXPECT_GE(found.step, seconds(1));
  }
  EXPECT_EQ(plan(query(hours(0), minutes(15), seconds(0))).step, seconds(1));
}

TEST(SeriesPlan, TheStepGrowsWhereOnlyACoarserLevelIsKept) {
  const SeriesPlan minute = plan(query(hours(1), hours(2), seconds(10)), Time(hours(1) + seconds(1)));
  EXPECT_EQ(minute.level, Level::kMinute);
  EXPECT_EQ(minute.step, minutes(1));
  const SeriesPlan hour = plan(query(hours(1), hours(9), seconds(10)), Time(hours(8)), Time(hours(2)));
  EXPECT_EQ(hour.level, Level::kHour);
  EXPECT_EQ(hour.step, hours(1));
}

TEST(SeriesPlan, BadQueriesNameTheField) {
  EXPECT_EQ(plan_series(query(hours(1), hours(1), seconds(1)), {}, {}).error().field, "/from");
  EXPECT_EQ(plan_series(query(hours(1), hours(2), seconds(-1)), {}, {}).error().field, "/step_s");
  EXPECT_EQ(plan_series(query(hours(0), hours(24 * 365), seconds(1)), {}, {}).error().field, "/step_s");
  SeriesQuery unknown = query(hours(1), hours(2), seconds(1));
  unknown.metrics = {"temperature_f"};
  const auto refused = plan_series(unknown, {}, {});
  EXPECT_EQ(refused.error().field, "/metrics");
  EXPECT_NE(refused.error().message.find("temperature_c"), std::string::npos);
  unknown.metrics.clear();
  EXPECT_EQ(plan_series(unknown, {}, {}).error().field, "/metrics");
}

TEST(SeriesBuilder, MeansAreWeightedAndHolesStayHoles) {
  const SeriesPlan grid = plan(query(seconds(0), seconds(30), seconds(10)));
  SeriesBuilder builder(grid, {"temperature_c"});
  builder.add(Time(seconds(0)), 0, {10, 5, 15, 3});
  builder.add(Time(seconds(9)), 0, {20, 20, 20, 1});
  builder.add(Time(seconds(20)), 0, {7, 7, 7, 1});
  builder.add(Time(seconds(30)), 0, {99, 99, 99, 1});  // after the grid
  builder.add(Time(seconds(-1)), 0, {99, 99, 99, 1});  // before it
  const Series series = std::move(builder).finish();
  const SeriesColumn& column = series.columns.at("temperature_c");
  EXPECT_EQ(column.mean, (std::vector<std::optional<double>>{12.5, std::nullopt, 7}));
  EXPECT_EQ(column.min, (std::vector<std::optional<double>>{5, std::nullopt, 7}));
  EXPECT_EQ(column.max, (std::vector<std::optional<double>>{20, std::nullopt, 7}));
}

}  // namespace
}  // namespace aether::store
