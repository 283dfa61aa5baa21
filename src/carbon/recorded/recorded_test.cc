#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/files.h"
#include "carbon/contract_test.h"
#include "carbon/recorded/profile_source.h"
#include "carbon/recorded/series_source.h"

namespace aether::carbon {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

Time at(std::string_view text) { return parse_rfc3339(text).value(); }

// `days` days from Monday 2024-01-01 with the given steps; the value is 100 + hours since the start.
std::string series(int days, Duration step, Time start = at("2024-01-01T00:00:00Z")) {
  std::string csv = "time,intensity\n";
  for (Time time = start; time < start + days * hours(24); time += step)
    csv += fmt::format("{},{}\n", format_rfc3339(time),
                       100 + std::chrono::duration<double, std::ratio<3600>>(time - start).count());
  return csv;
}

std::unique_ptr<SeriesSource> source_of(const std::string& csv) {
  return SeriesSource::from_text(csv, {.path = "/data/gb.csv", .zone = "GB"}).value();
}

INSTANTIATE_TEST_SUITE_P(
    Recorded, CarbonSourceContract,
    testing::Values(CarbonSourceCase{"profile", [] { return std::make_unique<ProfileSource>(); },
                                     at("2026-03-14T23:47:11.5Z")},
                    CarbonSourceCase{"profile_on_the_half_hour",
                                     [] { return std::make_unique<ProfileSource>(); },
                                     at("2026-03-16T12:30:00Z")},
                    CarbonSourceCase{"series_in_its_dates", [] { return source_of(series(9, minutes(30))); },
                                     at("2024-01-03T10:10:00Z")},
                    CarbonSourceCase{"series_replayed", [] { return source_of(series(9, hours(1))); },
                                     at("2026-03-14T23:47:11Z")},
                    CarbonSourceCase{"series_before_its_dates", [] { return source_of(series(9, hours(1))); },
                                     at("2020-03-14T23:47:11Z")},
                    CarbonSourceCase{"series_of_one_day", [] { return source_of(series(1, minutes(15))); },
                                     at("2026-03-14T23:47:11Z")}),
    [](const auto& parameter) { return parameter.param.name; });

TEST(ProfileSource, SaysThatItIsNotMeasured) {
  const CarbonReport report = ProfileSource().fetch(at("2026-03-16T12:00:00Z")).value();
  EXPECT_EQ(report.zone, "typical");
  EXPECT_EQ(report.label, "typical daily profile, not measured");
  EXPECT_TRUE(report.is_estimated);
}

TEST(ProfileSource, HasADayAndAWeekend) {
  EXPECT_GT(typical_intensity_g_per_kwh(at("2026-03-16T19:00:00Z")),
            typical_intensity_g_per_kwh(at("2026-03-16T13:00:00Z")));
  EXPECT_DOUBLE_EQ(typical_intensity_g_per_kwh(at("2026-03-14T19:00:00Z")),
                   0.9 * typical_intensity_g_per_kwh(at("2026-03-16T19:00:00Z")));
  EXPECT_DOUBLE_EQ(typical_intensity_g_per_kwh(at("2026-03-16T19:00:00Z")),
                   typical_intensity_g_per_kwh(at("2026-03-17T19:00:00Z")));
  double largest_step = 0;
  for (Time time = at("2026-03-16T00:00:00Z"); time < at("2026-03-17T00:00:00Z"); time += minutes(30))
    largest_step = std::max(largest_step, std::abs(typical_intensity_g_per_kwh(time + minutes(30)) -
                                                   typical_intensity_g_per_kwh(time)));
  EXPECT_LT(largest_step, 25);
}

TEST(SeriesSource, InsideItsDatesTheValuesAreThoseOfTheDates) {
  const CarbonReport report = source_of(series(3, hours(1)))->fetch(at("2024-01-01T05:20:00Z")).value();
  EXPECT_DOUBLE_EQ(report.intensity_g_per_kwh, 105);
  EXPECT_FALSE(report.is_estimated);
  EXPECT_EQ(report.label, "recorded 2024-01-01 to 2024-01-03");
  EXPECT_EQ(report.source, "recorded series gb.csv");
  EXPECT_DOUBLE_EQ(report.forecast.at(2).intensity_g_per_kwh, 106);
}

TEST(SeriesSource, OutsideItIsReplayedAtTheSameWeekdayAndHour) {
  const auto source = source_of(series(14, hours(1)));
  const CarbonReport report = source->fetch(at("2026-03-17T07:00:00Z")).value();  // a Tuesday
  const double hours_in = report.intensity_g_per_kwh - 100;
  EXPECT_EQ(std::fmod(hours_in, 168.0), 24 + 7);
  EXPECT_TRUE(report.is_estimated);
  EXPECT_THAT(report.label, testing::HasSubstr("2024-01-01 to 2024-01-14, replayed"));
}

TEST(SeriesSource, AChangeOfStepIsReadByTime) {
  std::string csv = series(2, minutes(30));
  const Time second_half = at("2024-01-03T00:00:00Z");
  for (int i = 0; i < 2 * 96; ++i)
    csv += fmt::format("{},{}\n", format_rfc3339(second_half + i * minutes(15)), i % 2 == 0 ? 100 : 300);
  const auto report = source_of(csv)->fetch(at("2024-01-03T10:00:00Z")).value();
  EXPECT_DOUBLE_EQ(report.intensity_g_per_kwh, 200) << "the mean of two quarters";
  EXPECT_EQ(report.forecast.size(), 48u);
}

TEST(SeriesSource, RefusesWhatCannotBeAligned) {
  const auto error_of = [](const std::string& csv) {
    const auto source = SeriesSource::from_text(csv, {.path = "x.csv"});
    return source ? std::string("accepted")
                  : std::string(to_string(source.error().code)) + ": " + source.error().message;
  };
  EXPECT_THAT(error_of(""), testing::HasSubstr("less than one day"));
  EXPECT_THAT(error_of(series(1, hours(1)).substr(0, 200)), testing::StartsWith("corrupt"));
  // The last value holds for the last step, however long the first one was.
  std::string short_day = "2024-01-01T00:00:00Z,1\n";
  for (int hour = 3; hour < 22; ++hour) short_day += fmt::format("2024-01-01T{:02}:00:00Z,1\n", hour);
  EXPECT_THAT(error_of(short_day + "2024-01-01T21:30:00Z,1\n"), testing::HasSubstr("less than one day"));
  EXPECT_THAT(error_of("time,v\n2024-01-01T00:00:00Z,1\n2024-01-01T00:00:00Z,2\n"),
              testing::HasSubstr("line 3: "));
  EXPECT_THAT(error_of("2024-01-01T00:00:00Z,1\n2024-01-01T04:00:00Z,2\n"),
              testing::HasSubstr("longest gap"));
  for (const char* bad :
       {"2024-01-01T00:00:00Z", "yesterday,100", "2024-01-01T00:00:00Z,nan", "2024-01-01T00:00:00Z,-1",
        "2024-01-01T00:00:00Z,1e9", "2024-01-01T00:00:00Z,", "2024-01-01T00:00:00Z,100 g"})
    EXPECT_THAT(error_of(std::string("time,v\n") + bad + "\n"),
                testing::StartsWith("corrupt: x.csv: line 2: "))
        << bad;
  EXPECT_EQ(SeriesSource::open({.path = "/no/such.csv"}).error().code, ErrorCode::kNotFound);
}

TEST(SeriesSource, SurvivesACutAtEveryByte) {
  const std::string csv = series(1, hours(1)) + series(1, hours(1), at("2024-01-02T00:00:00Z")).substr(15);
  ASSERT_TRUE(SeriesSource::from_text(csv, {.path = "x"}));
  for (std::size_t cut = 0; cut < csv.size(); ++cut) {
    const auto source = SeriesSource::from_text(csv.substr(0, cut), {.path = "x"});
    if (source) {
      EXPECT_TRUE((*source)->fetch(at("2026-01-01T00:00:00Z"))) << cut;
    } else {
      EXPECT_EQ(source.error().code, ErrorCode::kCorrupt) << cut;
    }
  }
}

}  // namespace
}  // namespace aether::carbon
