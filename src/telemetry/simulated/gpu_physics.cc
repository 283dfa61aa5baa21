#include "telemetry/simulated/gpu_physics.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "base/assert.h"

namespace aether {
namespace {

constexpr std::uint64_t kGpuIdle = 0x1, kPowerCap = 0x4, kHwSlowdown = 0x8, kSwThermal = 0x20, kHwThermal = 0x40,
                        kHwPowerBrake = 0x80;

constexpr double kIdleMemoryMb = 4;
constexpr double kPowerExponent = 2.4;        // frequency times voltage squared, where voltage rises with frequency
constexpr double kLeakagePerK = 0.0012;       // of idle power, per kelvin above 40 °C
constexpr double kClockSlewMhzPerS = 600;
constexpr double kClockGridMhz = 15;
constexpr double kThermalControlMhzPerKS = 9;
constexpr double kThermalRecoveryMhzPerS = 25;
constexpr double kMemoryHeatTimeS = 25;
constexpr double kFanTimeS = 6;
constexpr double kMemoryFreePerS = 0.5;       // share of the board's memory
constexpr double kMeanHoursBetweenSingleBitErrors = 400;
constexpr double kMeanHoursBetweenXids = 3000;
constexpr double kLostAfterXidS = 3;

double seconds_of(Duration duration) { return std::chrono::duration<double>(duration).count(); }

// The share of the way to the target that a first-order system goes in dt. Exact for any dt, so it never overshoots.
double approach(double dt_s, double time_constant_s) { return 1 - std::exp(-dt_s / time_constant_s); }

std::uint64_t hash_text(std::uint64_t seed, std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325ull ^ seed;  // FNV-1a
  for (char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  return hash;
}

// Work that waits for a bad link is done more slowly.
double link_speed(const FaultState& faults) {
  const double pcie = 1 - 0.35 * (1 - faults.pcie_width / 16.0);
  return pcie * (1 - faults.nvlink_errors_per_s / (faults.nvlink_errors_per_s + 200));
}

}  // namespace

GpuPhysics::GpuPhysics(const SimulatedGpuType& type, std::uint64_t seed, FaultPlan plan)
    : type_(type),
      seed_(seed),
      plan_(std::move(plan)),
      rng_(seed),
      cooling_quality_(rng_.uniform(0.9, 1.12)),
      ambient_phase_(rng_.uniform(0, 2 * std::numbers::pi)),
      silicon_(rng_.uniform(0.97, 1.03)),
      temperature_c_(0),
      temperature_mem_c_(0),
      clock_mhz_(type.clock_idle_mhz),
      thermal_cap_mhz_(type.clock_max_mhz),
      power_w_(type.power_idle_w),
      memory_used_mb_(kIdleMemoryMb) {
  temperature_c_ = equilibrium_temperature_c();
  temperature_mem_c_ = temperature_c_ + 3;
}

void GpuPhysics::advance(Duration age) {
  AETHER_ASSERT(age >= asked_age_);
  asked_age_ = age;
  while (age - age_ >= kStep) {
    const Duration step_length = age - age_ > kFineCatchUp ? kCoarseStep : kStep;
    step(seconds_of(step_length));
    age_ += step_length;
  }
  if (!plan_.empty()) asked_faults_ = plan_.at(asked_age_);
}

void GpuPhysics::set_loads(const std::vector<GpuLoad>& loads) {
  std::vector<JobLoad> jobs;
  const std::int64_t available_mb = type_.memory_total_mb - type_.memory_reserved_mb;
  for (const GpuLoad& load : loads) {
    const auto same = [&](const JobLoad& job) { return job.load().attempt == load.attempt; };
    const auto known = std::find_if(jobs_.begin(), jobs_.end(), same);
    if (known != jobs_.end())
      jobs.push_back(*known);
    else
      jobs.emplace_back(load, available_mb, hash_text(0, to_string(load.attempt)), hash_text(seed_, to_string(load.attempt)));
  }
  jobs_ = std::move(jobs);
  if (jobs_.empty()) leaked_mb_ = 0;
}

double GpuPhysics::energy_mj() const { return energy_mj_ + power_w_ * 1000 * seconds_of(asked_age_ - age_); }

bool GpuPhysics::lost() const {
  const FaultState& faults = asked_faults_;
  return faults.lost_since && (faults.silent || seconds_of(asked_age_ - *faults.lost_since) >= kLostAfterXidS);
}

void GpuPhysics::step(double dt_s) {
  if (!plan_.empty()) faults_ = plan_.at(age_);
  energy_mj_ += power_w_ * 1000 * dt_s;  // the power shown since the last step
  const double keep = std::exp(-dt_s / 900);
  ambient_wander_c_ = ambient_wander_c_ * keep + rng_.normal(0, 0.8) * std::sqrt(1 - keep * keep);
  step_heat(dt_s);
  const Demand demand = total_demand(dt_s);
  step_clock(demand, dt_s);
  step_power(demand);
  step_memory(demand, dt_s);
  step_errors(dt_s);
}

Demand GpuPhysics::total_demand(double dt_s) {
  Demand total{.memory_mb = kIdleMemoryMb};
  double weighted_intensity = 0;
  for (JobLoad& job : jobs_) {
    Demand demand = job.step(dt_s);
    if (faults_.jobs_stall) demand.compute = demand.bandwidth = 0;
    if (faults_.jobs_spin) demand = {.compute = 1, .intensity = 0.08, .bandwidth = 0.02, .memory_mb = demand.memory_mb};
    total.compute += demand.compute;
    total.bandwidth += demand.bandwidth;
    total.memory_mb += demand.memory_mb;
    weighted_intensity += demand.intensity * demand.compute;
  }
  if (total.compute > 0) total.intensity = weighted_intensity / total.compute;
  if (!jobs_.empty()) leaked_mb_ += faults_.leak_mb_per_min * dt_s / 60;
  total.memory_mb += leaked_mb_;
  const double speed = link_speed(faults_);
  total.compute = speed * std::min(total.compute, 1.0);
  total.bandwidth = speed * std::min(total.bandwidth, 1.0);
  total.memory_mb =
      std::min(total.memory_mb, static_cast<double>(type_.memory_total_mb - type_.memory_reserved_mb));
  return total;
}

void GpuPhysics::step_clock(const Demand& demand, double dt_s) {
  const double floor_mhz = 0.25 * type_.clock_max_mhz;
  if (temperature_c_ > type_.temperature_slow_c)
    thermal_cap_mhz_ -= kThermalControlMhzPerKS * (temperature_c_ - type_.temperature_slow_c) * dt_s;
  else if (temperature_c_ < type_.temperature_slow_c - 2)
    thermal_cap_mhz_ += kThermalRecoveryMhzPerS * dt_s;
  thermal_cap_mhz_ = std::clamp(thermal_cap_mhz_, floor_mhz, type_.clock_max_mhz);

  throttling_mask_ = 0;
  double target = type_.clock_max_mhz;
  if (jobs_.empty()) {
    target = type_.clock_idle_mhz;
    throttling_mask_ |= kGpuIdle;
  } else {
    const double power_cap_mhz = clock_within_power_limit(demand);
    if (power_cap_mhz < std::min(target, thermal_cap_mhz_)) throttling_mask_ |= kPowerCap;
    if (faults_.brake_share < 1) throttling_mask_ |= kHwSlowdown | kHwPowerBrake;
    if (thermal_cap_mhz_ < target) throttling_mask_ |= kSwThermal;
    target = std::min({target, power_cap_mhz, thermal_cap_mhz_});
    if (temperature_c_ >= type_.temperature_slowdown_c) {
      target = std::min(target, 0.5 * type_.clock_max_mhz);
      throttling_mask_ |= kHwSlowdown | kHwThermal;
    }
    target = std::min(target, faults_.brake_share * type_.clock_max_mhz) * faults_.clock_share;
    if (faults_.clock_cap_mhz) target = std::min(target, std::max(*faults_.clock_cap_mhz, type_.clock_idle_mhz));
  }
  const double slew = kClockSlewMhzPerS * dt_s;
  clock_mhz_ = std::clamp(target, clock_mhz_ - slew, clock_mhz_ + slew);
  // The power control acts within microseconds, the boost ramps up: the clock is never above what the limit admits.
  if (throttling_mask_ & (kPowerCap | kHwSlowdown)) clock_mhz_ = std::min(clock_mhz_, target);
}

// A slower clock makes bursts of requests last longer (utilisation rises up to full) and moves less data per second.
void GpuPhysics::step_power(const Demand& demand) {
  const double speed = clock_mhz_ / type_.clock_max_mhz;
  utilization_ = demand.compute <= 0 ? 0 : std::min(1.0, demand.compute * (0.75 + 0.25 / std::max(speed, 0.25)));
  utilization_memory_ = demand.bandwidth * std::min(1.0, 0.2 + 0.8 * speed);
  power_w_ = power_at(clock_mhz_, demand);
}

double GpuPhysics::power_at(double clock_mhz, const Demand& demand) const {
  const double leakage = 1 + kLeakagePerK * std::max(0.0, temperature_c_ - 40);
  const double speed = clock_mhz / type_.clock_max_mhz;
  const double awake_w = jobs_.empty() ? 0 : 0.06 * type_.power_limit_w * speed;
  const double dynamic_w = 0.97 * silicon_ * (type_.power_limit_w - type_.power_idle_w) * demand.intensity * demand.compute *
                           std::pow(speed, kPowerExponent);
  return type_.power_idle_w * leakage + awake_w + dynamic_w;
}

// power_at() rises with the clock; bisection to a tenth of a step of the clock grid.
double GpuPhysics::clock_within_power_limit(const Demand& demand) const {
  double high = type_.clock_max_mhz;
  if (power_at(high, demand) <= power_limit_w()) return high;
  double low = 0;
  while (high - low > kClockGridMhz / 10) {
    const double middle = (low + high) / 2;
    (power_at(middle, demand) <= power_limit_w() ? low : high) = middle;
  }
  return low;
}

void GpuPhysics::step_heat(double dt_s) {
  const double resistance = resistance_k_per_w();
  const double target = ambient_c() + power_w_ * resistance;
  temperature_c_ += (target - temperature_c_) * approach(dt_s, resistance * type_.thermal_capacity_j_per_k);
  const double memory_target = temperature_c_ + 3 + 9 * utilization_memory_;
  temperature_mem_c_ += (memory_target - temperature_mem_c_) * approach(dt_s, kMemoryHeatTimeS);
  const double fan_target =
      faults_.fan_pct ? *faults_.fan_pct / 100 : std::clamp(0.3 + (temperature_c_ - 50) / 40, 0.3, 1.0);
  fan_ += (fan_target - fan_) * approach(dt_s, kFanTimeS);
}

// The air of the room: a daily swing and a slow wander.
double GpuPhysics::ambient_c() const {
  const double day = 2 * std::numbers::pi * seconds_of(age_) / 86400;
  return 24 + 1.5 * std::sin(day + ambient_phase_) + ambient_wander_c_ + faults_.air_added_c;
}

double GpuPhysics::resistance_k_per_w() const {
  return type_.thermal_resistance_k_per_w * cooling_quality_ * (1 + faults_.resistance_added) * (1.7 - 0.7 * fan_);
}

double GpuPhysics::equilibrium_temperature_c() const { return ambient_c() + power_w_ * resistance_k_per_w(); }

void GpuPhysics::step_memory(const Demand& demand, double dt_s) {
  const double freed = kMemoryFreePerS * static_cast<double>(type_.memory_total_mb) * dt_s;
  memory_used_mb_ = std::max(demand.memory_mb, memory_used_mb_ - freed);
}

void GpuPhysics::step_errors(double dt_s) {
  const double hours = dt_s / 3600;
  if (rng_.chance(hours / kMeanHoursBetweenSingleBitErrors)) ++single_bit_errors_;
  if (rng_.chance(hours / kMeanHoursBetweenXids) && !jobs_.empty()) raise_xid(31);  // a job's invalid memory access
  if (plan_.empty()) return;
  for (const std::int64_t code : plan_.xids(xids_until_, age_)) raise_xid(code);
  xids_until_ = age_;
  single_bit_errors_ += events(faults_.single_bit_per_h / 3600, dt_s);
  nvlink_errors_ += events(faults_.nvlink_errors_per_s, dt_s);
  pcie_replays_ += events(faults_.pcie_replays_per_s, dt_s);
  std::uint64_t double_bits = events(faults_.double_bit_per_h / 3600, dt_s);
  if (faults_.double_bit_per_h > 0 && !std::exchange(had_double_bit_, true)) double_bits = 1;
  if (double_bits > 0) raise_xid(48);
  double_bit_errors_ += double_bits;
}

// Of a Poisson process: exact by exponential gaps while few, the normal approximation beyond 50.
std::uint64_t GpuPhysics::events(double per_s, double dt_s) {
  const double mean = per_s * dt_s;
  if (mean <= 0) return 0;
  if (mean > 50) return static_cast<std::uint64_t>(std::max(0.0, std::round(rng_.normal(mean, std::sqrt(mean)))));
  std::uint64_t count = 0;
  for (double at = rng_.exponential(1); at < mean; at += rng_.exponential(1)) ++count;
  return count;
}

void GpuPhysics::raise_xid(std::int64_t code) {
  if (faults_.lost_since && code != 79) return;
  xid_ = code;
  xid_age_ = age_;
}

}  // namespace aether
