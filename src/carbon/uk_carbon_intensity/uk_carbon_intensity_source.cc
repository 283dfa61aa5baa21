#include "carbon/uk_carbon_intensity/uk_carbon_intensity_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "base/log.h"
#include "carbon/uk_carbon_intensity/reply.h"

namespace aether::carbon {
namespace {

constexpr Duration kHalfHour = std::chrono::minutes(30);
constexpr std::size_t kMostReplyBytes = 1u << 20;
constexpr std::chrono::milliseconds kTimeout{5000};

http::ClientOptions client_options(const UkCarbonIntensityOptions& options) {
  http::ClientOptions out;
  out.base_url = options.base_url;
  out.timeout = kTimeout;
  out.max_reply_bytes = kMostReplyBytes;
  out.public_internet_only = options.public_internet_only;
  return out;
}

Time slot_of(Time now) { return now - now.time_since_epoch() % kHalfHour; }

// "2018-01-20T12:00Z"
std::string path_time(Time time) { return format_rfc3339(time).substr(0, 16) + "Z"; }

// "rg10 1aa" -> "RG10". Empty when it can't be the first part of a British postcode.
std::string outward_part(std::string_view postcode) {
  std::string out;
  for (const char c : postcode.substr(0, postcode.find(' ')))
    out += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  const bool plain =
      std::all_of(out.begin(), out.end(), [](unsigned char c) { return std::isalnum(c) != 0; });
  return plain && out.size() >= 2 && out.size() <= 4 && std::isalpha(static_cast<unsigned char>(out[0])) != 0
             ? out
             : std::string();
}

Result<CarbonReport> report_of(const HalfHour* current, const UkReply& forecast, Time now) {
  if (current == nullptr)
    return fail(ErrorCode::kCorrupt,
                fmt::format("the carbon intensity reply has no value for {}", format_rfc3339(now)));
  CarbonReport report;
  report.source = "UK Carbon Intensity API (NESO)";
  report.is_estimated = !current->actual.has_value();
  report.intensity_g_per_kwh = *current->best();
  report.observed_at = current->from;
  report.received_at = now;
  report.forecast = forecast_of(forecast.half_hours, now);
  return report;
}

}  // namespace

UkCarbonIntensitySource::UkCarbonIntensitySource(UkCarbonIntensityOptions options)
    : options_(std::move(options)), client_(client_options(options_)) {}

Result<std::string> UkCarbonIntensitySource::get(const std::string& path) {
  auto response = client_.request("GET", path, {}, {{"Accept", "application/json"}});
  if (!response) {
    Error error = std::move(response).error();
    if (error.code == ErrorCode::kResourceExhausted) error.code = ErrorCode::kCorrupt;
    return fail(std::move(error));
  }
  if (response->status == 200) return std::move(response->body);
  return fail(ErrorCode::kUnavailable,
              fmt::format("{}{} answered {} {}", options_.base_url, path, response->status,
                          log::sanitise(error_message_of(response->body)).substr(0, 200)));
}

Result<CarbonReport> UkCarbonIntensitySource::fetch_national(Time now) {
  const auto current_body = get("/intensity");
  if (!current_body) return fail(current_body.error());
  const auto current = parse_reply(*current_body);
  if (!current) return fail(current.error());
  const auto forecast_body = get(fmt::format("/intensity/{}/fw48h", path_time(slot_of(now))));
  if (!forecast_body) return fail(forecast_body.error());
  const auto forecast = parse_reply(*forecast_body);
  if (!forecast) return fail(forecast.error());
  // Shortly after the half hour /intensity may still tell of the last one; the forecast then has the current
  // one.
  const HalfHour* now_there = current_of(current->half_hours, now);
  auto report =
      report_of(now_there != nullptr ? now_there : current_of(forecast->half_hours, now), *forecast, now);
  if (!report) return report;
  report->zone = "GB";
  report->label = report->is_estimated ? "Great Britain's average, forecast" : "Great Britain's average";
  return report;
}

Result<CarbonReport> UkCarbonIntensitySource::fetch_regional(Time now) {
  const std::string postcode = outward_part(options_.postcode);
  if (postcode.empty())
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("'{}' is no British postcode; give its first part, as RG10",
                            log::sanitise(options_.postcode)),
                "carbon.postcode");
  const auto body =
      get(fmt::format("/regional/intensity/{}/fw48h/postcode/{}", path_time(slot_of(now)), postcode));
  if (!body) return fail(body.error());
  const auto reply = parse_reply(*body);
  if (!reply) return fail(reply.error());
  auto report = report_of(current_of(reply->half_hours, now), *reply, now);
  if (!report) return report;
  report->zone = "GB-" + postcode;
  report->label = fmt::format("{} average, forecast",
                              reply->region.empty() ? postcode : log::sanitise(reply->region).substr(0, 80));
  return report;
}

Result<CarbonReport> UkCarbonIntensitySource::fetch(Time now) {
  return options_.postcode.empty() ? fetch_national(now) : fetch_regional(now);
}

}  // namespace aether::carbon
