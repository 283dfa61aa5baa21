#include "base/clock.h"

#include <algorithm>

#include <time.h>

#include <cstdlib>

#include <fmt/format.h>

namespace aether {
namespace {

Duration read_clock(clockid_t id) {
  timespec ts{};
  clock_gettime(id, &ts);
  return std::chrono::duration_cast<Duration>(std::chrono::seconds(ts.tv_sec) + std::chrono::nanoseconds(ts.tv_nsec));
}

// Reads exactly `digits` decimal digits at `pos`; -1 when they are not there.
int read_digits(std::string_view text, std::size_t pos, std::size_t digits) {
  if (pos + digits > text.size()) return -1;
  int value = 0;
  for (std::size_t i = pos; i < pos + digits; ++i) {
    if (text[i] < '0' || text[i] > '9') return -1;
    value = value * 10 + (text[i] - '0');
  }
  return value;
}

}  // namespace

Time SystemClock::now() const { return Time(read_clock(CLOCK_REALTIME)); }
Mono SystemClock::mono() const { return Mono(read_clock(CLOCK_BOOTTIME)); }

Time ManualClock::now() const {
  std::lock_guard lock(mutex_);
  return now_;
}
Mono ManualClock::mono() const {
  std::lock_guard lock(mutex_);
  return mono_;
}
void ManualClock::advance(Duration step) {
  std::lock_guard lock(mutex_);
  now_ += step;
  mono_ += step;
}

Time SteadyWallClock::advance(Time wall, Mono boot) {
  const Duration passed = boot - boot_;
  boot_ = boot;
  time_ += passed;
  const Duration most = passed / 200;
  time_ += std::clamp(wall - time_, -most, most);
  return time_;
}

std::string format_rfc3339(Time time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss clock{std::chrono::floor<std::chrono::milliseconds>(time - day)};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), clock.hours().count(),
                     clock.minutes().count(), clock.seconds().count(), clock.subseconds().count());
}

Result<Time> parse_rfc3339(std::string_view text) {
  const auto bad = [&] {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("'{}' is not a time; write it like 2026-01-15T09:42:17Z", text));
  };
  const int year = read_digits(text, 0, 4), month = read_digits(text, 5, 2), day = read_digits(text, 8, 2);
  const int hour = read_digits(text, 11, 2), minute = read_digits(text, 14, 2), second = read_digits(text, 17, 2);
  if (year < 0 || month < 0 || day < 0 || hour < 0 || minute < 0 || second < 0) return bad();
  if (text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != ' ') || text[13] != ':' || text[16] != ':')
    return bad();
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok() || hour > 23 || minute > 59 || second > 60) return bad();
  Time time = std::chrono::sys_days(date) + std::chrono::hours(hour) + std::chrono::minutes(minute) +
              std::chrono::seconds(second);
  std::size_t pos = 19;
  if (pos < text.size() && text[pos] == '.') {
    Duration unit = std::chrono::milliseconds(100);
    for (++pos; pos < text.size() && text[pos] >= '0' && text[pos] <= '9'; ++pos, unit /= 10)
      time += unit * (text[pos] - '0');
  }
  if (text.substr(pos) == "Z" || text.substr(pos) == "z") return time;
  if (text.size() != pos + 6 || (text[pos] != '+' && text[pos] != '-') || text[pos + 3] != ':') return bad();
  const int offset_hour = read_digits(text, pos + 1, 2), offset_minute = read_digits(text, pos + 4, 2);
  if (offset_hour < 0 || offset_hour > 23 || offset_minute < 0 || offset_minute > 59) return bad();
  const auto offset = std::chrono::hours(offset_hour) + std::chrono::minutes(offset_minute);
  return text[pos] == '+' ? time - offset : time + offset;
}

}  // namespace aether
