#pragma once
// The API's replies. Tolerant where its two descriptions differ (CARBON notes in docs): the outer "data" is
// an object or an array, times have no seconds, "actual" is null in the future. Internal to the adapter.
// Pure.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "model/carbon.h"

namespace aether::carbon {

struct HalfHour {
  Time from, to;
  std::optional<double> actual, forecast;
  std::optional<double> best() const { return actual ? actual : forecast; }
  friend bool operator==(const HalfHour&, const HalfHour&) = default;
};

struct UkReply {
  std::vector<HalfHour>
      half_hours;      // ascending, no two of the same start; those without any value are left out
  std::string region;  // "South England" in a regional reply
};

// kCorrupt with what is wrong.
Result<UkReply> parse_reply(std::string_view body);
// "2018-01-20T12:00Z" as well as full RFC 3339.
Result<Time> parse_short_time(std::string_view text);
// The message of {"error": {"message"}}, "" when there is none.
std::string error_message_of(std::string_view body);

// The half hour that `now` lies in, nullptr when there is none.
const HalfHour* current_of(const std::vector<HalfHour>& half_hours, Time now);
std::vector<CarbonPoint> forecast_of(const std::vector<HalfHour>& half_hours, Time now);

}  // namespace aether::carbon
