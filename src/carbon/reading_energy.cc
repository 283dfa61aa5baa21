#include "carbon/reading_energy.h"

#include <algorithm>
#include <vector>

namespace aether {
namespace {

struct Span {
  Time from, to;
  Duration length() const { return std::max(Duration(0), to - from); }
};
Span overlap(Span a, Span b) { return {std::max(a.from, b.from), std::min(a.to, b.to)}; }
double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

// The counter at one moment; of a rollup its lowest value at the beginning, its highest at the end.
struct Anchor {
  Time time;
  double mj = 0;
  Duration slack{0};  // the value may have been read so far away from `time`
};

bool is_plausible(const Anchor& a, const Anchor& b) {
  const double energy_j = (b.mj - a.mj) / 1000;
  return energy_j >= 0 && energy_j <= kMostPlausibleW * seconds(b.time - a.time + a.slack + b.slack);
}

// Adds what lies between two values and returns the time they speak for.
Span add_between(const Anchor& a, const Anchor& b, Span interval, EnergyUse& use) {
  const double energy_j = (b.mj - a.mj) / 1000;
  if (a.time == b.time) {
    // It was used since the value before was read, thus before this moment.
    if (a.time > interval.from && a.time <= interval.to) use.energy_j += energy_j;
    return {a.time, a.time};
  }
  const Span part = overlap({a.time, b.time}, interval);
  use.energy_j += energy_j * seconds(part.length()) / seconds(b.time - a.time);
  use.covered += part.length();
  return part;
}

// Ascending stretches that the counter speaks for.
std::vector<Span> add_counter(std::span<const EnergyReading> readings, Span interval, EnergyUse& use) {
  std::vector<Span> covered;
  std::optional<Anchor> before;
  const auto add = [&](const Anchor& next) {
    if (before && is_plausible(*before, next))
      if (const Span part = add_between(*before, next, interval, use); part.length() > Duration(0)) covered.push_back(part);
    before = next;
  };
  for (const EnergyReading& reading : readings) {
    if (!reading.counter_min_mj || !reading.counter_max_mj) continue;
    const Anchor first{reading.time, *reading.counter_min_mj, reading.length};
    const Anchor last{reading.time + reading.length, *reading.counter_max_mj, reading.length};
    if (reading.length > Duration(0) && !is_plausible({first.time, first.mj}, {last.time, last.mj})) {
      before.reset();  // it was set back meanwhile: neither value says when
      continue;
    }
    add(first);
    if (reading.length > Duration(0)) add(last);
  }
  return covered;
}

// What of `span` no stretch of `covered` speaks for.
Duration left_over(Span span, const std::vector<Span>& covered) {
  Duration left = span.length();
  auto it = std::lower_bound(covered.begin(), covered.end(), span.from, [](const Span& s, Time t) { return s.to <= t; });
  for (; it != covered.end() && it->from < span.to; ++it) left -= overlap(*it, span).length();
  return left;
}

void add_power(std::span<const EnergyReading> readings, Span interval, const std::vector<Span>& covered, EnergyUse& use) {
  const auto add = [&](Span span, double power_w, double share) {
    const Duration left = left_over(overlap(span, interval), covered);
    use.energy_j += power_w * seconds(left) * share;
    use.covered += std::chrono::duration_cast<Duration>(left * share);
  };
  const EnergyReading* before = nullptr;
  for (const EnergyReading& reading : readings) {
    if (!reading.power_w) continue;
    if (reading.length > Duration(0)) {
      const bool gapless = reading.length <= kLongestPowerGap;
      const double read_s = static_cast<double>(reading.power_count);
      add({reading.time, reading.time + reading.length}, *reading.power_w, gapless ? 1 : std::min(1.0, read_s / seconds(reading.length)));
      before = nullptr;
      continue;
    }
    if (before != nullptr && reading.time - before->time <= kLongestPowerGap)
      add({before->time, reading.time}, (*before->power_w + *reading.power_w) / 2, 1);
    before = &reading;
  }
}

}  // namespace

std::optional<EnergyUse> energy_of(std::span<const EnergyReading> readings, Time from, Time to) {
  EnergyUse use;
  const std::vector<Span> covered = add_counter(readings, {from, to}, use);
  add_power(readings, {from, to}, covered, use);
  if (use.covered == Duration(0)) return std::nullopt;
  return use;
}

}  // namespace aether
