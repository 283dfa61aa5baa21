#pragma once
// How long each level of the history is kept, and when rollups are made.
#include <chrono>

namespace aether::store {

struct Retention {
  std::chrono::seconds raw = std::chrono::hours(48);
  std::chrono::seconds minutes = std::chrono::hours(24 * 30);
  std::chrono::seconds hours = std::chrono::hours(24 * 730);
  std::chrono::seconds cleared_alerts = std::chrono::hours(24 * 90);
};

// One line in the log: what is kept for how long.
void log_retention(const Retention& retention);

// A minute is rolled up once it is this old; what comes later still counts, by rolling the minute up again.
inline constexpr std::chrono::seconds kRollupDelay{30};

// An hour is closed, which packs its raw samples, once it ended this long ago. What comes later opens it again.
inline constexpr std::chrono::seconds kCloseDelay = std::chrono::minutes(10);

}  // namespace aether::store
