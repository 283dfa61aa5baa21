#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "carbon/contract_test.h"
#include "carbon/uk_carbon_intensity/reply.h"
#include "carbon/uk_carbon_intensity/uk_carbon_intensity_source.h"
#include "http/scripted_server.h"

namespace aether::carbon {
namespace {

using http::scripted_reply;
using http::ScriptedRequest;
using http::ScriptedServer;

const Time kNow = parse_rfc3339("2026-01-15T09:42:17Z").value();
const Time kSlot = parse_rfc3339("2026-01-15T09:30:00Z").value();

std::string short_time(Time time) { return format_rfc3339(time).substr(0, 16) + "Z"; }

// The shape of the API with made-up values; actual is null in the future.
std::string entry(int half_hours_ahead, bool regional) {
  const Time from = kSlot + half_hours_ahead * std::chrono::minutes(30);
  const int value = 120 + half_hours_ahead;
  std::string intensity = regional ? fmt::format(R"({{"forecast":{},"index":"moderate"}})", value)
                                   : fmt::format(R"({{"forecast":{},"actual":{},"index":"moderate"}})", value,
                                                 half_hours_ahead == 0 ? "118" : "null");
  std::string out = fmt::format(R"({{"from":"{}","to":"{}","intensity":{})", short_time(from),
                                short_time(from + std::chrono::minutes(30)), intensity);
  if (regional) out += R"(,"generationmix":[{"fuel":"wind","perc":41.2}])";
  return out + "}";
}
std::string entries(int from, int to, bool regional) {
  std::string out;
  for (int i = from; i < to; ++i) out += (out.empty() ? "" : ",") + entry(i, regional);
  return "[" + out + "]";
}
std::string national(int from, int to) { return R"({"data":)" + entries(from, to, false) + "}"; }
std::string region(bool in_array) {
  const std::string data =
      R"({"regionid":12,"dnoregion":"SSE South","shortname":"South England","postcode":"RG10","data":)" +
      entries(-1, 96, true) + "}";
  return in_array ? R"({"data":[)" + data + "]}" : R"({"data":)" + data + "}";
}

std::string api(const ScriptedRequest& request, bool region_in_array = false) {
  if (request.target == "/intensity") return scripted_reply(200, national(0, 1));
  if (request.target == "/intensity/2026-01-15T09:30Z/fw48h") return scripted_reply(200, national(0, 97));
  if (request.target == "/regional/intensity/2026-01-15T09:30Z/fw48h/postcode/RG10")
    return scripted_reply(200, region(region_in_array));
  return scripted_reply(400,
                        R"({"error":{"code":"400 Bad Request","message":"Please enter a valid address"}})");
}

// The adapter with the server that it talks to.
class ReplayedSource final : public CarbonSource {
 public:
  explicit ReplayedSource(ScriptedServer::Handler handler, std::string postcode = {})
      : server_(std::move(handler)),
        source_({.postcode = std::move(postcode), .base_url = server_.url(), .public_internet_only = false}) {
  }
  Result<CarbonReport> fetch(Time now) override { return source_.fetch(now); }
  const ScriptedServer& server() const { return server_; }

 private:
  ScriptedServer server_;
  UkCarbonIntensitySource source_;
};

ErrorCode code_of(const std::string& reply) {
  ReplayedSource source([&](const ScriptedRequest&) { return reply; });
  const auto report = source.fetch(kNow);
  EXPECT_FALSE(report) << reply;
  EXPECT_TRUE(report || !report.error().message.empty());
  return report ? ErrorCode::kInternal : report.error().code;
}

INSTANTIATE_TEST_SUITE_P(UkCarbonIntensity, CarbonSourceContract,
                         testing::Values(CarbonSourceCase{"national",
                                                          [] {
                                                            return std::make_unique<ReplayedSource>(
                                                                [](const auto& r) { return api(r); });
                                                          },
                                                          kNow},
                                         CarbonSourceCase{"regional_object",
                                                          [] {
                                                            return std::make_unique<ReplayedSource>(
                                                                [](const auto& r) { return api(r, false); },
                                                                "rg10 1AA");
                                                          },
                                                          kNow},
                                         CarbonSourceCase{"regional_array",
                                                          [] {
                                                            return std::make_unique<ReplayedSource>(
                                                                [](const auto& r) { return api(r, true); },
                                                                "RG10");
                                                          },
                                                          kNow}),
                         [](const auto& parameter) { return parameter.param.name; });

TEST(UkCarbonIntensity, TheMeasuredValueWinsAndTheForecastFollows) {
  ReplayedSource source([](const auto& request) { return api(request); });
  const CarbonReport report = source.fetch(kNow).value();
  EXPECT_EQ(report.zone, "GB");
  EXPECT_DOUBLE_EQ(report.intensity_g_per_kwh, 118);
  EXPECT_FALSE(report.is_estimated);
  EXPECT_EQ(report.observed_at, kSlot);
  ASSERT_EQ(report.forecast.size(), 49u);
  EXPECT_DOUBLE_EQ(report.forecast.front().intensity_g_per_kwh, 120);
  EXPECT_DOUBLE_EQ(report.forecast.back().intensity_g_per_kwh, 168);
}

TEST(UkCarbonIntensity, WithoutAMeasurementTheForecastIsEstimated) {
  ReplayedSource source([](const auto& request) {
    return request.target == "/intensity" ? scripted_reply(200, national(-1, 0))
                                          : scripted_reply(200, national(0, 97));
  });
  auto later = source.fetch(kNow + std::chrono::minutes(30));
  ASSERT_TRUE(later) << later.error().message;
  EXPECT_TRUE(later->is_estimated);
  EXPECT_DOUBLE_EQ(later->intensity_g_per_kwh, 121);
}

TEST(UkCarbonIntensity, OnlyTheFirstPartOfAPostcodeLeavesTheHouse) {
  ReplayedSource source([](const auto& request) { return api(request); }, "rg10 1aa");
  const CarbonReport report = source.fetch(kNow).value();
  EXPECT_EQ(report.zone, "GB-RG10");
  EXPECT_EQ(report.label, "South England average, forecast");
  EXPECT_TRUE(report.is_estimated);
  EXPECT_EQ(source.server().requests().size(), 1u);
  for (const char* bad : {"../intensity", "R", "12345", "RG10?x", " RG10"}) {
    ReplayedSource refused([](const auto& request) { return api(request); }, bad);
    EXPECT_EQ(refused.fetch(kNow).error().code, ErrorCode::kInvalidArgument) << bad;
    EXPECT_TRUE(refused.server().requests().empty()) << bad;
  }
}

TEST(UkCarbonIntensity, AFailureSaysWhetherToAskAgain) {
  EXPECT_EQ(code_of(scripted_reply(429, "")), ErrorCode::kUnavailable);
  EXPECT_EQ(code_of(scripted_reply(500, "<html>")), ErrorCode::kUnavailable);
  EXPECT_EQ(code_of(scripted_reply(302, "", "text/html", "Location: http://169.254.169.254/\r\n")),
            ErrorCode::kUnavailable);
  EXPECT_EQ(code_of("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\n{"),
            ErrorCode::kUnavailable);
  EXPECT_EQ(code_of(scripted_reply(200, std::string((1 << 20) + 1, ' '))), ErrorCode::kCorrupt);
  EXPECT_EQ(code_of(scripted_reply(200, national(5, 9))), ErrorCode::kCorrupt) << "no value for now";
  ReplayedSource source(
      [](const auto&) { return scripted_reply(400, R"({"error":{"message":"Please\u001b[2J wait"}})"); });
  EXPECT_THAT(source.fetch(kNow).error().message, testing::HasSubstr("answered 400 Please\\x1b[2J wait"));
}

TEST(UkCarbonIntensity, RecoversAfterAFailure) {
  int calls = 0;
  ReplayedSource source(
      [&](const auto& request) { return ++calls == 1 ? scripted_reply(503, "") : api(request); });
  EXPECT_EQ(source.fetch(kNow).error().code, ErrorCode::kUnavailable);
  EXPECT_TRUE(source.fetch(kNow));
}

TEST(UkCarbonIntensity, ByDefaultOnlyThePublicInternetIsAsked) {
  ScriptedServer server([](const auto& request) { return api(request); });
  UkCarbonIntensitySource plain({.postcode = {}, .base_url = server.url()});
  EXPECT_EQ(plain.fetch(kNow).error().code, ErrorCode::kPermissionDenied);
  UkCarbonIntensitySource local(
      {.postcode = {}, .base_url = "https://127.0.0.1:" + std::to_string(server.port())});
  EXPECT_EQ(local.fetch(kNow).error().code, ErrorCode::kPermissionDenied);
  EXPECT_TRUE(server.requests().empty());
}

TEST(UkReply, RefusesWhatMakesNoSense) {
  const auto with = [](const std::string& from, const std::string& to, const std::string& intensity) {
    return R"({"data":[{"from":")" + from + R"(","to":")" + to + R"(","intensity":)" + intensity + "}]}";
  };
  const std::string from = "2026-01-15T09:30Z", to = "2026-01-15T10:00Z";
  EXPECT_TRUE(parse_reply(with(from, to, R"({"forecast":1})")));
  for (const std::string& bad :
       {std::string(), std::string("null"), std::string("[]"), std::string("{}"),
        std::string(R"({"data":7})"), std::string(R"({"data":[]})"), std::string(R"({"data":{"data":{}}})"),
        std::string(R"({"data":[{}]})"), std::string(R"({"data":[7]})"),
        with("soon", to, R"({"forecast":1})"), with(to, from, R"({"forecast":1})"),
        with(from, "2026-01-17T10:00Z", R"({"forecast":1})"), with(from, to, "7"),
        with(from, to, R"({"forecast":-1})"), with(from, to, R"({"forecast":"1"})"),
        with(from, to, R"({"forecast":2001})"), with(from, to, R"({"forecast":1e999})"),
        with(from, to, R"({"forecast":null,"actual":null})"), std::string(100'000, '[')}) {
    const auto reply = parse_reply(bad);
    ASSERT_FALSE(reply) << bad.substr(0, 100);
    EXPECT_EQ(reply.error().code, ErrorCode::kCorrupt);
  }
}

TEST(UkReply, SortsAndDropsRepeats) {
  const UkReply reply =
      parse_reply(R"({"data":[)" + entry(2, false) + "," + entry(0, false) + "," + entry(2, false) + "]}")
          .value();
  ASSERT_EQ(reply.half_hours.size(), 2u);
  EXPECT_EQ(reply.half_hours[0].from, kSlot);
  EXPECT_EQ(reply.half_hours[0].actual, 118);
  EXPECT_EQ(reply.half_hours[1].actual, std::nullopt);
}

TEST(UkReply, ReadsTimesWithAndWithoutSeconds) {
  EXPECT_EQ(parse_short_time("2026-01-15T09:30Z").value(), kSlot);
  EXPECT_EQ(parse_short_time("2026-01-15T09:30:00Z").value(), kSlot);
  EXPECT_FALSE(parse_short_time("2026-01-15 09:30"));
  EXPECT_FALSE(parse_short_time("2026-13-15T09:30Z"));
}

TEST(UkReply, ACutAtAnyByteIsCorruptAndAChangedByteNeverBreaksIt) {
  const std::string body =
      R"({"data":[{"regionid":12,"shortname":"South","data":)" + entries(0, 3, true) + "}]}";
  ASSERT_TRUE(parse_reply(body));
  for (std::size_t cut = 0; cut < body.size(); ++cut)
    EXPECT_EQ(parse_reply(body.substr(0, cut)).error().code, ErrorCode::kCorrupt) << cut;
  for (std::size_t at = 0; at < body.size(); ++at)
    for (const char c : {'\0', '"', '{', '}', '[', ',', '9', '-', '\xff'}) {
      std::string changed = body;
      changed[at] = c;
      const auto reply = parse_reply(changed);
      if (!reply) continue;
      for (const HalfHour& half_hour : reply->half_hours) EXPECT_TRUE(std::isfinite(*half_hour.best()));
    }
}

}  // namespace
}  // namespace aether::carbon
