#pragma once
// What can go wrong on a GPU, as data: kinds with a number each, and what the faults of one GPU amount to at a moment.
// One timeline for everything that plays scenarios. docs/scenarios.md lists the kinds.
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace aether {

enum class FaultKind : std::uint8_t {
  // heat and speed
  kCoolingLoss, kFanFailure, kHotAir, kPowerBrake, kPowerCap, kSlowClock, kStuckClock,
  // memory, links, events
  kEccGrowth, kDoubleBitErrors, kRowRemapPending, kRowRemapFailure, kXid, kNvlinkErrors, kPcieReplays, kPcieDegraded,
  // jobs
  kMemoryLeak, kJobStall, kJobSpin,
  // the measurement itself
  kFlappingSensor, kStuckSensor, kStuckValues, kMissingValues, kUnansweredReads, kSlowReads, kHang, kDriverReload,
  kOffTheBus, kSilentLoss,
  kCount
};

struct FaultKindInfo {
  FaultKind kind;
  std::string_view name;         // "cooling_loss"
  std::string_view level_key;    // "resistance"; empty: the kind has no number
  double level, low, high;       // default and bounds
  double neutral;                // the number that changes nothing; a ramp starts there
  std::int64_t ramp_s;           // default
  std::string_view what;         // one line for people
};
// In the order of the enum.
std::span<const FaultKindInfo> fault_kinds();
const FaultKindInfo& info_of(FaultKind kind);
const FaultKindInfo* find_fault_kind(std::string_view name);  // null: none of that name

// All durations count from the driver's start.
struct Fault {
  static constexpr Duration kForever = Duration::max();
  FaultKind kind = FaultKind::kCoolingLoss;
  std::vector<int> gpus = {};        // indexes; empty = all
  double level = 0;                  // meaning and unit by kind
  Duration from{0};
  Duration lasts = kForever;
  Duration every{0};                 // 0 = once; else it comes again with this period, above `lasts`
  Duration ramp{0};                  // from neutral to level
  std::uint64_t metrics = 0;         // kMissingValues: bits of gpu_metrics()

  bool concerns(int gpu_index) const;
  // How long it has been there this time; nothing while it is not.
  std::optional<Duration> active_for(Duration age) const;
  double level_at(Duration active) const;
};

// The faults of one GPU at one moment. As it begins, nothing is wrong.
struct FaultState {
  double resistance_added = 0;       // of the heat sink, as a share
  std::optional<double> fan_pct;
  double air_added_c = 0;
  double clock_share = 1;            // without a reason shown
  std::optional<double> clock_cap_mhz;  // likewise
  double brake_share = 1;            // of the clock, with the reason hw_power_brake
  double power_limit_share = 1;
  double single_bit_per_h = 0, double_bit_per_h = 0;
  bool remap_pending = false, remap_failed = false;
  double nvlink_errors_per_s = 0, pcie_replays_per_s = 0;
  int pcie_width = 16;
  double leak_mb_per_min = 0;
  bool jobs_stall = false, jobs_spin = false;
  double sensor_flap_c = 0;
  bool sensor_stuck = false, values_stuck = false;
  std::uint64_t missing = 0;
  double unanswered = 0;             // share of reads
  Duration read_takes{0};
  bool hangs = false, driver_gone = false;
  std::optional<Duration> lost_since;  // of the fault's beginning
  bool silent = false;               // lost without XID 79
};

// Of one GPU.
class FaultPlan {
 public:
  FaultPlan() = default;
  FaultPlan(std::span<const Fault> faults, int gpu_index);

  FaultState at(Duration age) const;
  // The XIDs whose moment lies in (after, until], in the order of the file.
  std::vector<std::int64_t> xids(Duration after, Duration until) const;
  bool empty() const { return faults_.empty(); }

 private:
  std::vector<Fault> faults_;
};

}  // namespace aether
