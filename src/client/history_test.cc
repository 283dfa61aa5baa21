// `aether history` and `aether usage`, their curves, and the times they take.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "client/fake_api.h"
#include "client/past.h"
#include "client/plot.h"
#include "client/terminal.h"

namespace aether::client {
namespace {

using testing::HasSubstr;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

TEST(Plot, ACurveGoesFromItsLowestToItsHighestValueAndAHoleStaysEmpty) {
  const std::vector<std::optional<double>> rising = {0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0};
  EXPECT_EQ(braille_plot(rising, {.width = 7, .height = 2, .from = "", .to = ""}), "7 ┤  ⣠⠞\n0 ┤⣠⠞⠁\n\n");
  const std::vector<std::optional<double>> hole = {5.0, 5.0, std::nullopt, std::nullopt, 5.0, 5.0};
  EXPECT_EQ(lines_of(braille_plot(hole, {.width = 6, .height = 2, .from = "", .to = ""}))[1], "5 ┤⣀ ⣀");
  EXPECT_EQ(braille_plot(std::vector<std::optional<double>>{std::nullopt}, {}), "");
}

TEST(Plot, NoLineIsWiderThanItsPlaceAndEveryPeakIsSeen) {
  std::vector<std::optional<double>> values(5000, 1.0);
  values[2345] = 1e9;  // one step of thousands
  for (const std::size_t width : {8u, 40u, 133u}) {
    const std::string plot = braille_plot(values, {.width = width, .height = 5, .from = "2026-01-15 09:42:17", .to = "2026-01-15 10:42:17"});
    const auto lines = lines_of(plot);
    ASSERT_EQ(lines.size(), 6u);
    for (std::size_t i = 0; i < 5; ++i) EXPECT_LE(display_width(lines[i]), width) << plot;
    EXPECT_GT(display_width(lines[0]), display_width("1.0G ┤")) << plot;
  }
  const std::string spark = sparkline(values, 20);
  EXPECT_EQ(display_width(spark), 20u);
  EXPECT_THAT(spark, HasSubstr("█"));
  EXPECT_EQ(sparkline(std::vector<std::optional<double>>{0.0, std::nullopt, 10.0}, 20), "▁ █");
}

TEST(Plot, NumbersOfAnAxisAreShort) {
  EXPECT_EQ(axis_number(0), "0");
  EXPECT_EQ(axis_number(73.46), "73.5");
  EXPECT_EQ(axis_number(1234), "1234");
  EXPECT_EQ(axis_number(81559), "81.6k");
  EXPECT_EQ(axis_number(3.2e9), "3.2G");
}

TEST(Past, ATimeOfDayIsTheLastOne) {
  const Time now = *parse_rfc3339("2026-01-15T12:00:00Z");
  setenv("TZ", "UTC", 1);
  tzset();
  const auto query = [&](PastFlags flags) { return past_query(flags, now).value_or("refused"); };
  EXPECT_EQ(query({.last = "2h", .from = "", .to = ""}), "&last=2h");
  EXPECT_EQ(query({.last = "", .from = "18:00", .to = "11:00"}), "&from=2026-01-14T18%3A00%3A00.000Z&to=2026-01-15T11%3A00%3A00.000Z");
  EXPECT_EQ(query({.last = "", .from = "yesterday", .to = "now-90m"}), "&from=2026-01-14T00%3A00%3A00.000Z&to=2026-01-15T10%3A30%3A00.000Z");
  EXPECT_EQ(query({.last = "2h", .from = "18:00", .to = ""}), "refused");
  EXPECT_EQ(query({.last = "2", .from = "", .to = ""}), "refused");
  EXPECT_EQ(since_until_query({.last = "2h", .from = "", .to = ""}, now).value_or(""), "&since=2026-01-15T10%3A00%3A00.000Z");
}

std::string history_reply(const std::string& groups) {
  return http::scripted_reply(200, R"({"scope":"node","id":"n1","step_s":60,"level":"1m","notes":["read this"],)"
                                   R"("time":[1768470120000,1768470180000,1768470240000],"groups":[)" + groups + "]}");
}
const char* const kOneGroup = R"({"name":"n1","series":{"power_draw_w":{"max":[250.5,null,300],"gpus":[2,0,2]}}})";

TEST(History, ANameIsAGpuANodeOrAJob) {
  FakeApi api({{"GET /api/v1/history", {problem(404, "not_found"), history_reply(kOneGroup)}}});
  const RunResult result = api.run({"history", "n1-7", "--metric", "power_draw_w", "--agg", "max", "--last", "2h", "--step", "5m", "--by", "all", "--utc"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  ASSERT_EQ(api.requests().size(), 2u);
  EXPECT_THAT(api.requests()[0].target, HasSubstr("scope=gpu&id=n1-7&metrics=power_draw_w&agg=max&by=all&step_s=300&last=2h"));
  EXPECT_THAT(api.requests()[1].target, HasSubstr("scope=node&id=n1-7"));
  EXPECT_EQ(result.out,
            "TIME                  POWER_DRAW_W_MAX\n2026-01-15 09:42:00Z             250.5\n2026-01-15 09:43:00Z                 -\n"
            "2026-01-15 09:44:00Z               300\n");
  EXPECT_THAT(result.err, HasSubstr("read this"));
}

TEST(History, OneCurveIsDrawnAndSeveralAreRows) {
  FakeApi one({{"GET /api/v1/history", {history_reply(kOneGroup)}}});
  const RunResult plot = one.run({"history", "fleet", "--metric", "power_draw_w", "--plot", "--utc"});
  EXPECT_EQ(plot.exit_code, 0) << plot.err;
  EXPECT_THAT(plot.out, HasSubstr("power_draw_w of n1, max; steps of 60s, from 1m rollups"));
  EXPECT_THAT(plot.out, HasSubstr("300 ┤"));
  EXPECT_THAT(plot.out, HasSubstr("low 250.5  mean 275.2  high 300  last 300; nothing was read in 1 of 3 steps"));
  FakeApi two({{"GET /api/v1/history", {history_reply(std::string(kOneGroup) + "," + R"({"name":"n2","series":{"power_draw_w":{"max":[null,null,null],"gpus":[0,0,0]}}})")}}});
  const RunResult rows = two.run({"history", "fleet", "--by", "node", "--plot", "--utc"});
  EXPECT_THAT(rows.out, HasSubstr("n1    max power_draw_w  250.5  275.2   300   300"));
  EXPECT_THAT(rows.out, HasSubstr("n2    max power_draw_w      -      -     -     -"));
}

TEST(History, CsvAndJsonAreTheServersOwn) {
  FakeApi api({{"GET /api/v1/history", {http::scripted_reply(200, "time,group\n1,n1\n", "text/csv"), history_reply(kOneGroup)}}});
  EXPECT_EQ(api.run({"history", "fleet", "-o", "csv"}).out, "time,group\n1,n1\n");
  EXPECT_THAT(api.requests()[0].target, HasSubstr("format=csv"));
  EXPECT_EQ(Json::parse(api.run({"history", "fleet", "--json"}).out)["level"], "1m");
  const RunResult refused = api.run({"gpus", "-o", "csv"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("--parsable"));
}

TEST(History, WhatIsWrongIsSaidBeforeAnybodyIsAsked) {
  FakeApi api({{"GET /api/v1/history", {problem(404, "not_found")}}});
  EXPECT_EQ(api.run({"history", "fleet", "--step", "5"}).exit_code, 2);
  EXPECT_EQ(api.run({"history", "n1", "n2"}).exit_code, 2);
  EXPECT_EQ(api.run({"history"}).exit_code, 2);
  EXPECT_EQ(api.requests().size(), 0u);
  const RunResult nobody = api.run({"history", "nobody"});
  EXPECT_EQ(nobody.exit_code, 3);
  EXPECT_THAT(nobody.err, HasSubstr("no GPU, node or job 'nobody'"));
}

TEST(Usage, HoursEnergyAndWhatWasMeasuredOfIt) {
  const char* const row = R"({"user":"ada","jobs":2,"attempts":3,"gpu_hours":2.5,"energy_kwh":0.9,"energy_covered":0.98,"carbon_g":null,"carbon_covered":0})";
  FakeApi api({{"GET /api/v1/usage", {http::scripted_reply(200, std::string(R"({"from":"2026-01-15T00:00:00.000Z","to":"2026-01-16T00:00:00.000Z","by":"user","items":[)") +
                                                                     row + "],\"total\":" + row + "}")}}});
  const RunResult result = api.run({"usage", "--user", "ada", "--last", "1d", "--utc"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "USER  JOBS  GPU HOURS    KWH  MEASURED  CO2  KNOWN\nada      2       2.50  0.900      98 %    -    0 %\n");
  EXPECT_THAT(api.requests()[0].target, HasSubstr("by=user&user=ada&last=1d"));
  EXPECT_EQ(api.run({"usage", "--by", "team"}).exit_code, 2);
}

TEST(Lists, AreAskedForWhatIsKnown) {
  const std::string empty = http::scripted_reply(200, R"({"items":[],"next_page_token":null})");
  FakeApi api({{"GET /api/v1/jobs", {empty}}, {"GET /api/v1/events", {empty}}, {"GET /api/v1/audit", {empty}}});
  api.run({"queue", "--label", "team=vision", "--label", "run=7"});
  EXPECT_THAT(api.requests()[0].target, HasSubstr("label=team%3Dvision%2Crun%3D7"));
  api.run({"events", "--user", "ada", "--state", "FAILED", "--job", "7", "--from", "2026-01-15T00:00:00Z"});
  EXPECT_THAT(api.requests()[1].target, HasSubstr("&job=7&user=ada&state=FAILED&since=2026-01-15T00%3A00%3A00.000Z"));
  api.run({"audit", "--actor", "ada", "--action", "cancel"});
  EXPECT_THAT(api.requests()[2].target, HasSubstr("&actor=ada&action=cancel"));
}

}  // namespace
}  // namespace aether::client
