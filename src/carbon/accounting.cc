#include "carbon/accounting.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace aether {
namespace {

struct Span {
  Time from, to;
};

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

Span overlap(Span a, Span b) { return {std::max(a.from, b.from), std::min(a.to, b.to)}; }
bool is_empty(const Span& span) { return span.to <= span.from; }

void add(EnergyUse& use, Span span, double energy_j) {
  use.energy_j += energy_j;
  use.covered += span.to - span.from;
}

// Adds what the counter says and returns the stretches it speaks for, ascending.
std::vector<Span> add_counter(std::span<const GpuSample> samples, Span interval, EnergyUse& use) {
  std::vector<Span> covered;
  const GpuSample* previous = nullptr;
  for (const GpuSample& sample : samples) {
    if (!sample.energy_total_mj) continue;
    if (previous != nullptr && *sample.energy_total_mj >= *previous->energy_total_mj) {
      const Span pair{previous->sample_time, sample.sample_time};
      const Span part = overlap(pair, interval);
      const double energy_j =
          static_cast<double>(*sample.energy_total_mj - *previous->energy_total_mj) / 1000.0;
      const double length_s = seconds(pair.to - pair.from);
      if (!is_empty(part) && energy_j <= kMostPlausibleW * length_s) {
        add(use, part, energy_j * seconds(part.to - part.from) / length_s);
        covered.push_back(part);
      }
    }
    previous = &sample;
  }
  return covered;
}

// The energy under the straight line from a's power to b's, within `part`.
double trapezoid_j(const GpuSample& a, const GpuSample& b, Span part) {
  const double length_s = seconds(b.sample_time - a.sample_time);
  const auto power_at = [&](Time time) {
    return *a.power_draw_w + (*b.power_draw_w - *a.power_draw_w) * seconds(time - a.sample_time) / length_s;
  };
  return (power_at(part.from) + power_at(part.to)) / 2 * seconds(part.to - part.from);
}

void add_power(std::span<const GpuSample> samples, Span interval, const std::vector<Span>& covered,
               EnergyUse& use) {
  const GpuSample* previous = nullptr;
  for (const GpuSample& sample : samples) {
    if (!sample.power_draw_w) continue;
    const GpuSample* const before = std::exchange(previous, &sample);
    if (before == nullptr || sample.sample_time - before->sample_time > kLongestPowerGap) continue;
    Span rest = overlap({before->sample_time, sample.sample_time}, interval);
    for (const Span& taken : covered) {
      if (taken.to <= rest.from || is_empty(rest)) continue;
      if (taken.from >= rest.to) break;
      const Span free{rest.from, taken.from};
      if (!is_empty(free)) add(use, free, trapezoid_j(*before, sample, free));
      rest.from = taken.to;
    }
    if (!is_empty(rest)) add(use, rest, trapezoid_j(*before, sample, rest));
  }
}

}  // namespace

std::optional<EnergyUse> energy_of(std::span<const GpuSample> samples, Time from, Time to) {
  EnergyUse use;
  const std::vector<Span> covered = add_counter(samples, {from, to}, use);
  add_power(samples, {from, to}, covered, use);
  if (use.covered == Duration(0)) return std::nullopt;
  return use;
}

double carbon_g(double energy_j, double intensity_g_per_kwh) {
  return energy_j / 3.6e6 * intensity_g_per_kwh;
}

std::optional<CarbonUse> carbon_of(std::span<const GpuSample> samples, Time from, Time to,
                                   std::span<const CarbonPoint> intensities) {
  const auto total = energy_of(samples, from, to);
  if (!total) return std::nullopt;
  CarbonUse use{*total, std::nullopt};
  const Time known_from = intensities.empty() ? to : std::clamp(intensities.front().time, from, to);
  if (energy_of(samples, from, known_from)) return use;
  double grams = 0;
  for (std::size_t i = 0; i < intensities.size(); ++i) {
    const Time start = std::max(from, intensities[i].time);
    const Time end = i + 1 < intensities.size() ? std::min(to, intensities[i + 1].time) : to;
    if (end <= start) continue;
    if (const auto part = energy_of(samples, start, end))
      grams += carbon_g(part->energy_j, intensities[i].intensity_g_per_kwh);
  }
  use.carbon_g = grams;
  return use;
}

}  // namespace aether
