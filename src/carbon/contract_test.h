#pragma once
// What every CarbonSource keeps. An adapter's test includes this once and instantiates CarbonSourceContract.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <memory>
#include <ostream>
#include <string>

#include "carbon/carbon_source.h"

namespace aether {

struct CarbonSourceCase {
  std::string name;
  std::function<std::unique_ptr<CarbonSource>()> make;
  Time now;
};
inline void PrintTo(const CarbonSourceCase& value, std::ostream* out) { *out << value.name; }

class CarbonSourceContract : public testing::TestWithParam<CarbonSourceCase> {
 protected:
  CarbonReport fetch() {
    source = GetParam().make();
    auto report = source->fetch(GetParam().now);
    if (!report) {
      ADD_FAILURE() << report.error().message;
      return {};
    }
    return *report;
  }
  static bool is_plausible(double g_per_kwh) {
    return std::isfinite(g_per_kwh) && g_per_kwh >= 0 && g_per_kwh <= 2000;
  }
  std::unique_ptr<CarbonSource> source;
};

TEST_P(CarbonSourceContract, SaysWhatTheNumberIsAndWhereItComesFrom) {
  const CarbonReport report = fetch();
  EXPECT_NE(report.zone, "");
  EXPECT_NE(report.source, "");
  EXPECT_NE(report.label, "");
}

TEST_P(CarbonSourceContract, HasAPlausibleCurrentValueNotFromTheFuture) {
  const CarbonReport report = fetch();
  EXPECT_TRUE(is_plausible(report.intensity_g_per_kwh)) << report.intensity_g_per_kwh;
  EXPECT_GT(report.intensity_g_per_kwh, 0);
  EXPECT_LE(report.observed_at, GetParam().now);
  EXPECT_GT(report.observed_at, GetParam().now - std::chrono::hours(2));
  EXPECT_EQ(report.received_at, GetParam().now);
}

TEST_P(CarbonSourceContract, ForecastsTheNextDayInOrderWithoutHoles) {
  const CarbonReport report = fetch();
  const Time now = GetParam().now;
  ASSERT_FALSE(report.forecast.empty());
  EXPECT_LE(report.forecast.front().time, now);
  EXPECT_GT(report.forecast.front().time, now - std::chrono::hours(1));
  EXPECT_GE(report.forecast.back().time, now + std::chrono::hours(23));
  EXPECT_LE(report.forecast.back().time, now + std::chrono::hours(24));
  for (std::size_t i = 0; i < report.forecast.size(); ++i) {
    EXPECT_TRUE(is_plausible(report.forecast[i].intensity_g_per_kwh)) << i;
    if (i == 0) continue;
    EXPECT_GT(report.forecast[i].time, report.forecast[i - 1].time) << i;
    EXPECT_LE(report.forecast[i].time, report.forecast[i - 1].time + std::chrono::hours(1)) << i;
  }
}

TEST_P(CarbonSourceContract, AnswersAgainTheSame) {
  const CarbonReport first = fetch();
  const auto second = source->fetch(GetParam().now);
  ASSERT_TRUE(second);
  EXPECT_EQ(*second, first);
}

}  // namespace aether
