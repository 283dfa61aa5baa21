#pragma once
// One simulated GPU: power, heat, clocks, memory and counters, stepped on a fixed grid of time, so that its state
// depends on the seed, the loads and the time only, never on how often somebody looks.
#include <cstdint>
#include <optional>
#include <vector>

#include "base/rng.h"
#include "telemetry/simulated/fault.h"
#include "telemetry/simulated/gpu_type.h"
#include "telemetry/simulated/job_load.h"

namespace aether {

class GpuPhysics {
 public:
  static constexpr Duration kStep = std::chrono::milliseconds(250);
  // Beyond this much to catch up (a machine that slept), steps are coarse.
  static constexpr Duration kFineCatchUp = std::chrono::hours(1);
  static constexpr Duration kCoarseStep = std::chrono::seconds(5);

  GpuPhysics(const SimulatedGpuType& type, std::uint64_t seed, FaultPlan plan = {});

  // `age` counts from the driver's start and never goes back.
  void advance(Duration age);
  // Keeps the progress of loads that stay, by attempt. The GPUs of one attempt work in step, whatever their seeds.
  void set_loads(const std::vector<GpuLoad>& loads);

  double temperature_c() const { return temperature_c_; }
  double temperature_mem_c() const { return temperature_mem_c_; }
  double utilization() const { return utilization_; }
  double utilization_memory_controller() const { return utilization_memory_; }
  double memory_used_mb() const { return memory_used_mb_; }
  double power_draw_w() const { return power_w_; }
  double power_limit_w() const { return type_.power_limit_w * faults_.power_limit_share; }
  // Up to the age of the last advance(): the integral of power_draw_w.
  double energy_mj() const;
  double clock_mhz() const { return clock_mhz_; }
  double fan_speed_pct() const { return 100 * fan_; }
  std::uint64_t throttling_mask() const { return throttling_mask_; }
  bool idle() const { return jobs_.empty() && utilization_ <= 0; }
  std::uint64_t single_bit_errors() const { return single_bit_errors_; }
  std::uint64_t double_bit_errors() const { return double_bit_errors_; }
  std::optional<std::int64_t> xid() const { return xid_; }
  Duration xid_age() const { return xid_age_; }  // when, in ages of the driver
  std::uint64_t nvlink_errors() const { return nvlink_errors_; }
  std::uint64_t pcie_replays() const { return pcie_replays_; }
  bool lost() const;
  // At the age of the last advance().
  const FaultState& faults() const { return asked_faults_; }

  // Where the temperature goes if the power stays.
  double equilibrium_temperature_c() const;

 private:
  void step(double dt_s);
  Demand total_demand(double dt_s);
  void step_clock(const Demand& demand, double dt_s);
  void step_power(const Demand& demand);
  void step_heat(double dt_s);
  void step_memory(const Demand& demand, double dt_s);
  void step_errors(double dt_s);
  std::uint64_t events(double per_s, double dt_s);
  void raise_xid(std::int64_t code);
  double power_at(double clock_mhz, const Demand& demand) const;
  double clock_within_power_limit(const Demand& demand) const;
  double ambient_c() const;
  double resistance_k_per_w() const;

  const SimulatedGpuType& type_;
  const std::uint64_t seed_;
  const FaultPlan plan_;
  FaultState faults_, asked_faults_;  // at age_, at asked_age_
  Rng rng_;
  const double cooling_quality_;   // above 1: a worse mounted heat sink
  const double ambient_phase_;
  const double silicon_;           // power that the same work draws on this chip, against others of its type
  std::vector<JobLoad> jobs_;

  Duration age_{0};                // of the state
  Duration asked_age_{0};          // of the last advance(), less than one step later
  double ambient_wander_c_ = 0;
  double temperature_c_;
  double temperature_mem_c_;
  double fan_ = 0.3;
  double clock_mhz_;
  double thermal_cap_mhz_;         // what the software thermal control admits
  double utilization_ = 0;
  double utilization_memory_ = 0;
  double power_w_;
  double energy_mj_ = 0;
  double memory_used_mb_ = 0;
  std::uint64_t throttling_mask_ = 0x1;
  std::uint64_t single_bit_errors_ = 0;
  std::uint64_t double_bit_errors_ = 0;
  std::uint64_t nvlink_errors_ = 0, pcie_replays_ = 0;
  bool had_double_bit_ = false;
  double leaked_mb_ = 0;
  Duration xids_until_{-1};
  std::optional<std::int64_t> xid_;
  Duration xid_age_{0};
};

}  // namespace aether
