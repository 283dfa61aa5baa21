#include "client/instant.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <string>

#include "base/quantity.h"

namespace aether::client {
namespace {

Result<Time> bad(std::string_view text) {
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("'{}' is no time; write 22:00, tomorrow, now+2h or 2026-01-15T09:00", text));
}

std::tm local(Time time) {
  const std::time_t seconds = to_unix_us(time) / 1'000'000;
  std::tm out{};
  localtime_r(&seconds, &out);
  return out;
}

Time from_local(std::tm when) {
  when.tm_isdst = -1;
  return from_unix_us(std::int64_t{std::mktime(&when)} * 1'000'000);
}

// `shape` as in "dd:dd": d stands for a digit. Fills `out` with the numbers between the other characters.
bool matches(std::string_view text, std::string_view shape, std::initializer_list<int*> out) {
  if (text.size() != shape.size()) return false;
  auto number = out.begin();
  int value = 0;
  for (std::size_t i = 0; i <= shape.size(); ++i) {
    if (i < shape.size() && shape[i] == 'd') {
      if (text[i] < '0' || text[i] > '9') return false;
      value = 10 * value + (text[i] - '0');
      continue;
    }
    if (i < shape.size() && text[i] != shape[i]) return false;
    **number++ = value;
    value = 0;
  }
  return true;
}

bool is_time_of_day(const std::tm& when) {
  return when.tm_hour <= 23 && when.tm_min <= 59 && when.tm_sec <= 59;
}

// "2h", or Slurm's "60", "30minutes", "1 hour" and the like.
Result<std::chrono::seconds> offset(std::string_view text) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const std::string_view unit = text.substr(digits);
  if (digits > 0 && digits < 10)
    for (const auto& [word, letter] : {std::pair("second", 's'), std::pair("minute", 'm'), std::pair("hour", 'h'),
                                       std::pair("day", 'd'), std::pair("", 's')})
      if (unit == word || (!unit.empty() && unit == std::string(word) + "s"))
        return parse_duration(std::string(text.substr(0, digits)) + letter);
  return parse_duration(text);
}

}  // namespace

Result<Time> parse_instant(std::string_view text, Time now) {
  if (text.size() > 64) return bad(text.substr(0, 64));
  if (text == "now") return now;
  if (text.starts_with("now+")) {
    const auto later = offset(text.substr(4));
    if (!later) return bad(text);
    return now + *later;
  }
  std::tm when = local(now);
  const auto at = [&](int hour, int minute, int second, int day) {
    std::tm out = when;
    out.tm_hour = hour, out.tm_min = minute, out.tm_sec = second, out.tm_mday += day;
    return from_local(out);
  };
  const auto next = [&](int hour, int minute, int second) {
    const Time today = at(hour, minute, second, 0);
    return today > now ? today : at(hour, minute, second, 1);
  };
  if (text == "today") return at(0, 0, 0, 0);
  if (text == "tomorrow") return at(0, 0, 0, 1);
  if (text == "midnight") return next(0, 0, 0);
  if (text == "noon") return next(12, 0, 0);
  std::tm given{};
  if (matches(text, "dd:dd", {&given.tm_hour, &given.tm_min}) ||
      matches(text, "dd:dd:dd", {&given.tm_hour, &given.tm_min, &given.tm_sec}))
    return is_time_of_day(given) ? Result<Time>(next(given.tm_hour, given.tm_min, given.tm_sec)) : bad(text);
  if (matches(text, "dddd-dd-dd", {&given.tm_year, &given.tm_mon, &given.tm_mday}) ||
      matches(text, "dddd-dd-ddTdd:dd", {&given.tm_year, &given.tm_mon, &given.tm_mday, &given.tm_hour, &given.tm_min}) ||
      matches(text, "dddd-dd-ddTdd:dd:dd",
              {&given.tm_year, &given.tm_mon, &given.tm_mday, &given.tm_hour, &given.tm_min, &given.tm_sec})) {
    const bool date = given.tm_year >= 1970 && given.tm_mon >= 1 && given.tm_mon <= 12 && given.tm_mday >= 1 && given.tm_mday <= 31;
    if (!date || !is_time_of_day(given)) return bad(text);
    given.tm_year -= 1900, given.tm_mon -= 1;
    return from_local(given);
  }
  const auto exact = parse_rfc3339(text);
  return exact ? exact : bad(text);
}

}  // namespace aether::client
