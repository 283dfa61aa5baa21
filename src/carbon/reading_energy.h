#pragma once
// Energy of a stretch of time from what the history keeps: single readings, and rollups of a minute or an hour. Pure.
#include <optional>
#include <span>

#include "base/clock.h"
#include "carbon/accounting.h"

namespace aether {

// A reading at `time`, or with a length the rollup of [time, time + length).
struct EnergyReading {
  Time time;
  Duration length{0};
  std::optional<double> counter_min_mj, counter_max_mj;  // its first and last value, since it only grows
  std::optional<double> power_w;                         // the mean
  std::int64_t power_count = 0;
};

// As energy_of for samples: between two values of the counter the counter decides, unless it went back or moved faster
// than kMostPlausibleW; elsewhere power counts. A minute with a power reading counts as a whole one (kLongestPowerGap);
// of an hour as many seconds as there were readings. Of a rollup that lies across an edge the part inside counts.
// `readings` ascend and do not overlap.
std::optional<EnergyUse> energy_of(std::span<const EnergyReading> readings, Time from, Time to);

}  // namespace aether
