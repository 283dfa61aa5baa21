#include "carbon/uk_carbon_intensity/reply.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace aether::carbon {
namespace {

using Json = nlohmann::json;

constexpr double kMostPlausible = 2000;  // g/kWh
constexpr std::size_t kMostHalfHours = 1000;
constexpr Duration kLongestPeriod = std::chrono::hours(2);

tl::unexpected<Error> corrupt(std::string message) {
  return fail(ErrorCode::kCorrupt, "the carbon intensity reply makes no sense: " + std::move(message));
}

const Json* find(const Json& json, const char* key) {
  if (!json.is_object()) return nullptr;
  const auto it = json.find(key);
  return it == json.end() ? nullptr : &*it;
}

// Null and absent are no value; everything else must be a plausible number.
Result<std::optional<double>> value_of(const Json& intensity, const char* key) {
  const Json* value = find(intensity, key);
  if (value == nullptr || value->is_null()) return std::optional<double>();
  if (!value->is_number()) return corrupt(fmt::format("{} is no number", key));
  const double number = value->get<double>();
  if (!std::isfinite(number) || number < 0 || number > kMostPlausible)
    return corrupt(
        fmt::format("{} is {} g/kWh; more than 0 and at most {} is plausible", key, number, kMostPlausible));
  return std::optional(number);
}

Result<Time> time_of(const Json& entry, const char* key) {
  const Json* value = find(entry, key);
  if (value == nullptr || !value->is_string()) return corrupt(fmt::format("an entry has no time '{}'", key));
  const auto time = parse_short_time(value->get<std::string>());
  if (!time) return corrupt(time.error().message);
  return *time;
}

Result<HalfHour> half_hour_of(const Json& entry) {
  const auto from = time_of(entry, "from"), to = time_of(entry, "to");
  if (!from) return fail(from.error());
  if (!to) return fail(to.error());
  if (*to <= *from || *to - *from > kLongestPeriod)
    return corrupt(fmt::format("a period goes from {} to {}", format_rfc3339(*from), format_rfc3339(*to)));
  const Json* intensity = find(entry, "intensity");
  if (intensity == nullptr || !intensity->is_object()) return corrupt("an entry has no 'intensity'");
  const auto actual = value_of(*intensity, "actual"), forecast = value_of(*intensity, "forecast");
  if (!actual) return fail(actual.error());
  if (!forecast) return fail(forecast.error());
  return HalfHour{*from, *to, *actual, *forecast};
}

std::string string_at(const Json& json, const char* key) {
  const Json* value = find(json, key);
  return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
}

// The array of entries: "data" itself, or the "data" of the one region inside it.
Result<const Json*> entries_of(const Json& json, std::string& region) {
  const Json* data = find(json, "data");
  if (data == nullptr) return corrupt("no 'data'");
  if (data->is_array() && !data->empty() && find(data->front(), "data") != nullptr) data = &data->front();
  if (data->is_object()) {
    region = string_at(*data, "shortname");
    data = find(*data, "data");
  }
  if (data == nullptr || !data->is_array()) return corrupt("'data' is no list");
  if (data->size() > kMostHalfHours) return corrupt(fmt::format("{} entries", data->size()));
  return data;
}

}  // namespace

Result<Time> parse_short_time(std::string_view text) {
  constexpr std::string_view kShort = "2018-01-20T12:00Z";
  if (text.size() == kShort.size() && text.ends_with('Z'))
    return parse_rfc3339(std::string(text.substr(0, text.size() - 1)) + ":00Z");
  return parse_rfc3339(text);
}

Result<UkReply> parse_reply(std::string_view body) {
  const Json json = Json::parse(body.begin(), body.end(), nullptr, false);
  if (json.is_discarded()) return corrupt("it is no JSON");
  UkReply reply;
  const auto entries = entries_of(json, reply.region);
  if (!entries) return fail(entries.error());
  for (const Json& entry : **entries) {
    const auto half_hour = half_hour_of(entry);
    if (!half_hour) return fail(half_hour.error());
    if (half_hour->best()) reply.half_hours.push_back(*half_hour);
  }
  auto& half_hours = reply.half_hours;
  std::stable_sort(half_hours.begin(), half_hours.end(),
                   [](const HalfHour& a, const HalfHour& b) { return a.from < b.from; });
  half_hours.erase(std::unique(half_hours.begin(), half_hours.end(),
                               [](const HalfHour& a, const HalfHour& b) { return a.from == b.from; }),
                   half_hours.end());
  if (half_hours.empty()) return corrupt("it holds no value");
  return reply;
}

std::string error_message_of(std::string_view body) {
  const Json json = Json::parse(body.begin(), body.end(), nullptr, false);
  const Json* error = find(json, "error");
  return error == nullptr ? std::string() : string_at(*error, "message");
}

const HalfHour* current_of(const std::vector<HalfHour>& half_hours, Time now) {
  for (const HalfHour& half_hour : half_hours)
    if (half_hour.from <= now && now < half_hour.to) return &half_hour;
  return nullptr;
}

std::vector<CarbonPoint> forecast_of(const std::vector<HalfHour>& half_hours, Time now) {
  std::vector<CarbonPoint> out;
  for (const HalfHour& half_hour : half_hours)
    if (half_hour.to > now && half_hour.from < now + std::chrono::hours(24))
      out.push_back({half_hour.from, half_hour.forecast ? *half_hour.forecast : *half_hour.actual});
  return out;
}

}  // namespace aether::carbon
