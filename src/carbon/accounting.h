#pragma once
// Energy and carbon of a stretch of time, from samples. Pure. What nobody measured is absent, never 0.
#include <optional>
#include <span>

#include "base/clock.h"
#include "model/carbon.h"
#include "model/gpu.h"

namespace aether {

struct EnergyUse {
  double energy_j = 0;
  Duration covered{0};  // how much of the interval the number accounts for; the rest was not measured
  friend bool operator==(const EnergyUse&, const EnergyUse&) = default;
};

// Longer silence between two power readings is a gap, not a straight line.
inline constexpr Duration kLongestPowerGap = std::chrono::seconds(60);
// More than any GPU draws; a counter that moves faster was reset or is broken.
inline constexpr double kMostPlausibleW = 5000;

// Of one GPU between `from` and `to`. `samples` are of that GPU, ascending by sample_time; those just outside
// the interval help at its edges. Where two readings of the energy counter enclose a stretch and the counter
// did not go back, the counter decides; elsewhere power is integrated (trapezoids). Absent when neither was
// there.
std::optional<EnergyUse> energy_of(std::span<const GpuSample> samples, Time from, Time to);

double carbon_g(double energy_j, double intensity_g_per_kwh);

struct CarbonUse {
  EnergyUse energy;
  std::optional<double> carbon_g;  // absent when a part of the energy has no intensity
};
// Each intensity holds from its time to the next one's; the last one goes on. Ascending.
std::optional<CarbonUse> carbon_of(std::span<const GpuSample> samples, Time from, Time to,
                                   std::span<const CarbonPoint> intensities);

}  // namespace aether
