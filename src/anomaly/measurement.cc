// Whether the measurement itself behaves: values that vanish, stand still or jump, readings that come late or not at all.
#include <cmath>

#include <fmt/format.h>

#include "anomaly/judge.h"

namespace aether {
namespace {

constexpr double kJumpC = 8;               // between readings at most two seconds apart; a chip heats up by 2 °C a second
constexpr double kJumpsTauS = 120;
constexpr double kFewJumps = 3;
constexpr Duration kValuesStand = std::chrono::seconds(60);
constexpr Duration kTemperatureStands = std::chrono::minutes(3);
constexpr double kExpectedMovesC = 12, kPowerMoves = 0.3;  // either would have moved the temperature
constexpr std::uint16_t kUsuallyThereS = 120, kAbsentForS = 20;
constexpr double kGapsTauS = 300;
constexpr double kIntervalTauS = 30, kDayS = 86400;

std::uint16_t longer(std::uint16_t seconds, double dt_s) {
  return static_cast<std::uint16_t>(std::min(65535.0, seconds + std::max(1.0, std::round(dt_s))));
}

// What a reading of a GPU at work never repeats to the last digit.
double fingerprint(const GpuSample& sample) {
  return sample.power_draw_w.value_or(0) + 1e3 * sample.utilization_gpu.value_or(0) + 7 * sample.temperature_c.value_or(0) +
         static_cast<double>(sample.energy_total_mj.value_or(0) % 1'000'000'007) * 1e-3;
}

bool is_watched(const GpuMetric& metric) { return metric.name != "xid_last"; }

}  // namespace

void AnomalyDetector::observe_measurement(Gpu& gpu, const GpuSample& sample, double dt_s, Time now) {
  static_assert(std::tuple_size_v<decltype(Gpu::present)> == 21);
  for (std::size_t i = 0; i < std::min(gpu_metrics().size(), gpu.present.size()); ++i) {
    if (gpu_metrics()[i].get(sample)) {
      gpu.present[i] = longer(gpu.present[i], dt_s);
      gpu.absent[i] = 0;
    } else {
      gpu.absent[i] = longer(gpu.absent[i], dt_s);
    }
  }
  const bool first = gpu.sample_time == Time{};
  const double jumped = sample.temperature_c && gpu.shown_c && dt_s <= 2 ? std::abs(*sample.temperature_c - *gpu.shown_c) : 0;
  gpu.jumps.add(jumped >= kJumpC ? 1 : 0, dt_s, kJumpsTauS);

  const double sum = fingerprint(sample);
  if (sum != gpu.values_sum || first) gpu.same_values_since = now;
  gpu.values_sum = sum;

  const double expected = gpu.expected_c().value_or(gpu.temperature_c);
  if (!sample.temperature_c || sample.temperature_c != gpu.shown_c || first) {
    gpu.same_temperature_since = now;
    gpu.expected_low_c = gpu.expected_high_c = expected;
    gpu.power_low = gpu.power_high = gpu.heat_power.value();
  }
  gpu.power_low = std::min(gpu.power_low, gpu.heat_power.value());
  gpu.power_high = std::max(gpu.power_high, gpu.heat_power.value());
  gpu.expected_low_c = std::min(gpu.expected_low_c, expected);
  gpu.expected_high_c = std::max(gpu.expected_high_c, expected);
  gpu.shown_c = sample.temperature_c;

  if (first || dt_s > 60) return;
  gpu.interval.add(dt_s, dt_s, kIntervalTauS);
  gpu.usual_interval.add(dt_s, dt_s, kDayS, 0.02);
  gpu.gaps.add(gpu.usual_interval.known() && dt_s > 1.6 * gpu.usual_interval.location() ? 1 : 0, dt_s, kGapsTauS);
}

void AnomalyDetector::judge_measurement(Gpu& gpu, const GpuSample& sample, Time now, Out& out) {
  judge(gpu, {Signal::kSensor, gpu.jumps.value() >= kFewJumps, gpu.jumps.value() < kFewJumps / 3, Duration(0), Duration(0)}, now, out, [&] {
    return Words{"has a temperature sensor that jumps",
                 fmt::format("{:.0f} jumps of {:.0f} °C and more within two minutes, faster than a chip can heat up: do not trust it",
                             gpu.jumps.value(), kJumpC), "jumps", gpu.jumps.value(), kFewJumps};
  });

  const bool at_work = gpu.power.value() > 0.02;
  const bool frozen = at_work && sample.energy_total_mj && now - gpu.same_values_since >= kValuesStand;
  const bool moved = gpu.expected_high_c - gpu.expected_low_c >= kExpectedMovesC || gpu.power_high - gpu.power_low >= kPowerMoves;
  const bool stuck = sample.temperature_c && moved && now - gpu.same_temperature_since >= kTemperatureStands;
  judge(gpu, {Signal::kStuckValues, frozen || stuck, !frozen && !stuck, Duration(0), std::chrono::seconds(10)}, now, out, [&] {
    if (frozen)
      return Words{"shows values that stand still",
                   fmt::format("Every value, even the energy counter, is the same for {} s while it draws {:.0f} W",
                               std::chrono::duration_cast<std::chrono::seconds>(now - gpu.same_values_since).count(),
                               gpu.power.value() * gpu.power_scale_w), "", std::nullopt, std::nullopt};
    return Words{"shows a temperature that stands still",
                 fmt::format("{:.0f} °C for {} minutes, though its power went between {:.0f} and {:.0f} W: alarms about its heat may "
                             "be blind", gpu.temperature_c,
                             std::chrono::duration_cast<std::chrono::minutes>(now - gpu.same_temperature_since).count(),
                             gpu.power_low * gpu.power_scale_w, gpu.power_high * gpu.power_scale_w),
                 "°C", gpu.temperature_c, std::nullopt};
  });

  bool gone = false;
  for (std::size_t i = 0; i < std::min(gpu_metrics().size(), gpu.present.size()); ++i)
    gone = gone || (gpu.present[i] >= kUsuallyThereS && gpu.absent[i] >= kAbsentForS && is_watched(gpu_metrics()[i]));
  judge(gpu, {Signal::kMissingValues, gone, !gone, Duration(0), std::chrono::seconds(20)}, now, out, [&] {
    std::string names;
    for (std::size_t i = 0; i < std::min(gpu_metrics().size(), gpu.present.size()); ++i)
      if (gpu.present[i] >= kUsuallyThereS && gpu.absent[i] >= kAbsentForS && is_watched(gpu_metrics()[i]))
        names += (names.empty() ? "" : ", ") + std::string(gpu_metrics()[i].name);
    return Words{"no longer gives some values", fmt::format("Absent for {} s and more: {}; they were there before", kAbsentForS, names),
                 "", std::nullopt, std::nullopt};
  });

  const double usual_s = gpu.usual_interval.known() ? gpu.usual_interval.location() : 0;
  const bool slow = usual_s > 0 && gpu.interval.value() > 1.5 * usual_s;
  const bool gappy = gpu.gaps.value() * usual_s / kGapsTauS > 0.04 && gpu.gaps.value() >= 8;
  judge(gpu, {Signal::kReadings, slow || gappy, gpu.interval.value() < 1.2 * usual_s && gpu.gaps.value() < 4, std::chrono::seconds(30), std::chrono::seconds(30)},
        now, out, [&] {
    const std::string detail =
        slow ? fmt::format("A reading every {:.1f} s, so far every {:.1f} s", gpu.interval.value(), usual_s)
             : fmt::format("About {:.0f} readings missed within five minutes", gpu.gaps.value());
    return Words{"is read late or not at all", detail + ": calls of its driver take long or fail", "s", gpu.interval.value(), 1.5 * usual_s};
  });
}

}  // namespace aether
