#include "telemetry/simulated/fault.h"

#include <algorithm>
#include <array>

namespace aether {
namespace {

using K = FaultKind;

constexpr std::array<FaultKindInfo, static_cast<std::size_t>(K::kCount)> kKinds = {{
    {K::kCoolingLoss, "cooling_loss", "resistance", 1.6, 0.01, 10, 0, 120, "share by which the heat sink works worse"},
    {K::kFanFailure, "fan_failure", "fan_pct", 0, 0, 100, 0, 0, "speed at which the fan is stuck"},
    {K::kHotAir, "hot_air", "air_c", 10, -20, 60, 0, 120, "°C that the air at the inlet is warmer"},
    {K::kPowerBrake, "power_brake", "clock_share", 0.5, 0.05, 1, 1, 0, "share of the clock left, reason hw_power_brake"},
    {K::kPowerCap, "power_cap", "power_share", 0.6, 0.1, 1, 1, 0, "share of the power limit left"},
    {K::kSlowClock, "slow_clock", "clock_share", 0.85, 0.05, 1, 1, 0, "share of the clock left, no reason shown"},
    {K::kStuckClock, "stuck_clock", "clock_mhz", 345, 100, 5000, 5000, 0, "highest clock under load, no reason shown"},
    {K::kEccGrowth, "ecc_growth", "per_hour", 120, 0, 1e8, 0, 300, "corrected memory errors"},
    {K::kDoubleBitErrors, "double_bit_errors", "per_hour", 12, 0, 1e6, 0, 0, "one at once, then this many, XID 48 each"},
    {K::kRowRemapPending, "row_remap_pending", "", 0, 0, 0, 0, 0, "XID 63, a row is to be remapped at the next reset"},
    {K::kRowRemapFailure, "row_remap_failure", "", 0, 0, 0, 0, 0, "XID 64, a row could not be remapped"},
    {K::kXid, "xid", "code", 31, 1, 999, 0, 0, "one event of this number"},
    {K::kNvlinkErrors, "nvlink_errors", "per_s", 50, 0, 1e6, 0, 0, "link errors; their retries cost speed"},
    {K::kPcieReplays, "pcie_replays", "per_s", 2, 0, 1e6, 0, 0, "replays of PCIe packets"},
    {K::kPcieDegraded, "pcie_degraded", "link_width", 4, 1, 16, 16, 0, "lanes that are left of 16; loading data takes longer"},
    {K::kMemoryLeak, "memory_leak", "mb_per_min", 500, 0, 1e6, 0, 0, "memory that the job takes and never gives back"},
    {K::kJobStall, "job_stall", "", 0, 0, 0, 0, 0, "jobs keep their memory and compute nothing"},
    {K::kJobSpin, "job_spin", "", 0, 0, 0, 0, 0, "jobs wait in a busy loop: fully used, hardly any power"},
    {K::kFlappingSensor, "flapping_sensor", "by_c", 20, 1, 100, 0, 0, "°C by which the temperature jumps now and then"},
    {K::kStuckSensor, "stuck_sensor", "", 0, 0, 0, 0, 0, "the temperature shown stays what it was"},
    {K::kStuckValues, "stuck_values", "", 0, 0, 0, 0, 0, "all values shown stay what they were"},
    {K::kMissingValues, "missing_values", "", 0, 0, 0, 0, 0, "the values named in `metrics` are absent"},
    {K::kUnansweredReads, "unanswered_reads", "share", 0.1, 0, 1, 0, 0, "share of readings that fail"},
    {K::kSlowReads, "slow_reads", "read_ms", 1500, 0, 60000, 0, 60, "time that one reading takes"},
    {K::kHang, "hang", "", 0, 0, 0, 0, 0, "calls about the GPU do not return"},
    {K::kDriverReload, "driver_reload", "", 0, 0, 0, 0, 0, "no GPU answers, then counters begin anew"},
    {K::kOffTheBus, "off_the_bus", "", 0, 0, 0, 0, 0, "XID 79, lost three seconds later"},
    {K::kSilentLoss, "silent_loss", "", 0, 0, 0, 0, 0, "lost without a word"},
}};

double share_of(Duration part, Duration whole) {
  return std::min(1.0, static_cast<double>(part.count()) / static_cast<double>(whole.count()));
}

void apply(const Fault& fault, double level, Duration age, Duration active, FaultState& state) {
  switch (fault.kind) {
    case K::kCoolingLoss: state.resistance_added += level; break;
    case K::kFanFailure: state.fan_pct = level; break;
    case K::kHotAir: state.air_added_c += level; break;
    case K::kPowerBrake: state.brake_share = std::min(state.brake_share, level); break;
    case K::kPowerCap: state.power_limit_share = std::min(state.power_limit_share, level); break;
    case K::kSlowClock: state.clock_share *= level; break;
    case K::kStuckClock: state.clock_cap_mhz = std::min(level, state.clock_cap_mhz.value_or(level)); break;
    case K::kEccGrowth: state.single_bit_per_h += level; break;
    case K::kDoubleBitErrors: state.double_bit_per_h += level; break;
    case K::kRowRemapPending: state.remap_pending = true; break;
    case K::kRowRemapFailure: state.remap_failed = true; break;
    case K::kXid: break;
    case K::kNvlinkErrors: state.nvlink_errors_per_s += level; break;
    case K::kPcieReplays: state.pcie_replays_per_s += level; break;
    case K::kPcieDegraded: state.pcie_width = std::min(state.pcie_width, static_cast<int>(level)); break;
    case K::kMemoryLeak: state.leak_mb_per_min += level; break;
    case K::kJobStall: state.jobs_stall = true; break;
    case K::kJobSpin: state.jobs_spin = true; break;
    case K::kFlappingSensor: state.sensor_flap_c += level; break;
    case K::kStuckSensor: state.sensor_stuck = true; break;
    case K::kStuckValues: state.values_stuck = true; break;
    case K::kMissingValues: state.missing |= fault.metrics; break;
    case K::kUnansweredReads: state.unanswered = std::max(state.unanswered, level); break;
    case K::kSlowReads:
      state.read_takes += std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::milli>(level));
      break;
    case K::kHang: state.hangs = true; break;
    case K::kDriverReload: state.driver_gone = true; break;
    case K::kSilentLoss: state.silent = true; [[fallthrough]];
    case K::kOffTheBus: state.lost_since = std::min(age - active, state.lost_since.value_or(Duration::max())); break;
    case K::kCount: break;
  }
}

// What the beginning of a fault is announced by; 0 = nothing.
std::int64_t xid_of(const Fault& fault) {
  switch (fault.kind) {
    case K::kXid: return static_cast<std::int64_t>(fault.level);
    case K::kRowRemapPending: return 63;
    case K::kRowRemapFailure: return 64;
    case K::kOffTheBus: return 79;
    default: return 0;
  }
}

// How often it has begun up to this age, this moment counted.
std::int64_t begun(const Fault& fault, Duration age) {
  if (age < fault.from) return 0;
  return fault.every.count() > 0 ? 1 + (age - fault.from) / fault.every : 1;
}

}  // namespace

std::span<const FaultKindInfo> fault_kinds() { return kKinds; }

const FaultKindInfo& info_of(FaultKind kind) { return kKinds[static_cast<std::size_t>(kind)]; }

const FaultKindInfo* find_fault_kind(std::string_view name) {
  const auto found = std::find_if(kKinds.begin(), kKinds.end(), [&](const auto& kind) { return kind.name == name; });
  return found == kKinds.end() ? nullptr : &*found;
}

bool Fault::concerns(int gpu_index) const {
  return gpus.empty() || std::find(gpus.begin(), gpus.end(), gpu_index) != gpus.end();
}

std::optional<Duration> Fault::active_for(Duration age) const {
  if (age < from) return std::nullopt;
  Duration active = age - from;
  if (every.count() > 0) active %= every;
  return active < lasts ? std::optional(active) : std::nullopt;
}

double Fault::level_at(Duration active) const {
  const double neutral = info_of(kind).neutral;
  return ramp.count() <= 0 ? level : neutral + (level - neutral) * share_of(active, ramp);
}

FaultPlan::FaultPlan(std::span<const Fault> faults, int gpu_index) {
  for (const Fault& fault : faults)
    if (fault.concerns(gpu_index)) faults_.push_back(fault);
}

FaultState FaultPlan::at(Duration age) const {
  FaultState state;
  for (const Fault& fault : faults_)
    if (const auto active = fault.active_for(age)) apply(fault, fault.level_at(*active), age, *active, state);
  return state;
}

std::vector<std::int64_t> FaultPlan::xids(Duration after, Duration until) const {
  std::vector<std::int64_t> codes;
  for (const Fault& fault : faults_)
    if (const std::int64_t code = xid_of(fault))
      if (begun(fault, until) > begun(fault, after)) codes.push_back(code);
  return codes;
}

}  // namespace aether
