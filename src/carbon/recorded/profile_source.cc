#include "carbon/recorded/profile_source.h"

#include <array>
#include <cmath>

namespace aether::carbon {
namespace {

constexpr Duration kStep = std::chrono::minutes(30);
constexpr int kStepsPerDay = 48;
// One value per full hour; straight lines between. Invented shape, mean about 240.
constexpr std::array<double, 24> kWeekdayHours{228, 220, 214, 210, 212, 226, 252, 276, 280, 262, 236, 214,
                                               202, 198, 204, 222, 250, 286, 310, 312, 298, 276, 256, 240};
constexpr double kWeekendFactor = 0.9;

bool is_weekend(Time time) {
  const std::chrono::weekday day(std::chrono::floor<std::chrono::days>(time));
  return day == std::chrono::Saturday || day == std::chrono::Sunday;
}

}  // namespace

double typical_intensity_g_per_kwh(Time time) {
  const Time midnight = std::chrono::floor<std::chrono::days>(time);
  const double hour = std::chrono::duration<double, std::ratio<3600>>(time - midnight).count();
  const auto full = static_cast<std::size_t>(hour) % 24;
  const double between = hour - std::floor(hour);
  const double value = kWeekdayHours[full] + (kWeekdayHours[(full + 1) % 24] - kWeekdayHours[full]) * between;
  return is_weekend(time) ? value * kWeekendFactor : value;
}

Result<CarbonReport> ProfileSource::fetch(Time now) {
  const Time slot = now - now.time_since_epoch() % kStep;
  CarbonReport report;
  report.zone = "typical";
  report.source = "built-in profile";
  report.label = "typical daily profile, not measured";
  report.is_estimated = true;
  report.intensity_g_per_kwh = typical_intensity_g_per_kwh(slot);
  report.observed_at = slot;
  report.received_at = now;
  for (int step = 0; step < kStepsPerDay; ++step)
    report.forecast.push_back({slot + step * kStep, typical_intensity_g_per_kwh(slot + step * kStep)});
  return report;
}

}  // namespace aether::carbon
