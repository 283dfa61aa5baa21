#pragma once
// Time is injected: the core never asks for it. Time is wall-clock UTC for people and records; Mono counts from boot,
// also through suspend (CLOCK_BOOTTIME), and is what deadlines and leases are measured with.
#include <chrono>
#include <mutex>
#include <string>
#include <string_view>

#include "base/result.h"

namespace aether {

using Duration = std::chrono::microseconds;
using Time = std::chrono::sys_time<Duration>;
struct BootClock {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<BootClock>;
  static constexpr bool is_steady = true;
};
using Mono = BootClock::time_point;

// Port. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Time now() const = 0;
  virtual Mono mono() const = 0;
};

class SystemClock final : public Clock {
 public:
  Time now() const override;
  Mono mono() const override;
};

// Moves only when told to; wall and boot time advance together.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(Time start = Time(std::chrono::hours(24 * 365 * 50))) : now_(start) {}
  Time now() const override;
  Mono mono() const override;
  void advance(Duration step);

 private:
  mutable std::mutex mutex_;
  Time now_;
  Mono mono_{std::chrono::hours(1)};
};

// Wall time that never jumps. It begins at the system's wall clock, goes on with boot time, and closes a difference that
// opens later (a step by NTP or by hand) at most 0.5 % faster or slower, so that waiting and timeouts measured with it
// stay right. One owner thread.
class SteadyWallClock {
 public:
  SteadyWallClock(Time wall, Mono boot) : time_(wall), boot_(boot) {}
  // Boot time must not go back between calls; the result doesn't either.
  Time advance(Time wall, Mono boot);

 private:
  Time time_;
  Mono boot_;
};

inline std::int64_t to_unix_us(Time time) { return time.time_since_epoch().count(); }
inline Time from_unix_us(std::int64_t microseconds) { return Time(Duration(microseconds)); }

// RFC 3339 in UTC with milliseconds: "2026-01-15T09:42:17.250Z".
std::string format_rfc3339(Time time);
// Accepts RFC 3339 with Z or an offset, and any number of fraction digits.
Result<Time> parse_rfc3339(std::string_view text);

}  // namespace aether
