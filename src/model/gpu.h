#pragma once
// One GPU: what does not change (GpuInfo), what is measured (GpuSample), and what Aether thinks of it (GpuState).
// Every measured field is optional: a value the device can't give is absent, never 0 and never a sentinel.
// Names and units: docs/telemetry.md. _mb is MiB.
#include <cstdint>
#include <span>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "model/ids.h"

namespace aether {

enum class GpuSource {
  kNvml,
  kSimulated,
  kExternal,  // telemetry without an agent of ours, e.g. the original prototype's; shown, never given a job
};
std::string_view to_string(GpuSource source);

struct GpuInfo {
  GpuUuid gpu_uuid;
  int gpu_index = 0;
  std::string gpu_name;
  std::string gpu_pci_bus_id;
  GpuSource source = GpuSource::kNvml;
  std::int64_t memory_total_mb = 0;
  std::optional<double> power_limit_w;
  std::optional<int> temperature_slowdown_c;
  std::optional<int> temperature_shutdown_c;
  std::optional<int> clock_gpu_max_mhz;
  std::optional<int> clock_mem_max_mhz;
  std::optional<std::string> gpu_architecture;
  std::optional<std::string> gpu_compute_capability;
  friend bool operator==(const GpuInfo&, const GpuInfo&) = default;
};

struct GpuProcess {
  int pid = 0;
  std::optional<std::int64_t> memory_used_mb;
  friend bool operator==(const GpuProcess&, const GpuProcess&) = default;
};

struct GpuSample {
  GpuUuid gpu_uuid;
  NodeId node;
  int gpu_index = 0;
  std::string gpu_name;
  std::uint64_t sample_seq = 0;       // per GPU, grows by 1; begins anew with each start of the agent, higher
  Time sample_time;                   // node clock
  std::optional<double> temperature_c;
  std::optional<double> temperature_mem_c;
  std::optional<double> utilization_gpu;                // %
  std::optional<double> utilization_memory_controller;  // %
  std::optional<double> utilization_encoder_pct;
  std::optional<double> utilization_decoder_pct;
  std::optional<std::int64_t> memory_used_mb;
  std::optional<std::int64_t> memory_total_mb;
  std::optional<std::int64_t> memory_reserved_mb;
  std::optional<double> power_draw_w;
  std::optional<double> power_limit_w;
  std::optional<std::uint64_t> energy_total_mj;
  std::optional<double> clock_gpu_mhz;
  std::optional<double> clock_sm_mhz;
  std::optional<double> clock_mem_mhz;
  std::optional<double> fan_speed_pct;
  std::optional<std::string> performance_state;   // "P0".."P15"
  std::optional<std::string> throttling_reasons;  // short names joined by "|", "none" when nothing throttles
  std::optional<std::uint64_t> throttling_reasons_mask;
  std::optional<std::uint64_t> ecc_sbe_volatile_total;
  std::optional<std::uint64_t> ecc_dbe_volatile_total;
  std::optional<std::uint64_t> pcie_replay_total;
  std::optional<std::int64_t> xid_last;
  std::optional<Time> xid_last_time;
  std::optional<std::vector<GpuProcess>> processes;
  friend bool operator==(const GpuSample&, const GpuSample&) = default;
};

// The numeric fields of a sample by name, in one fixed order: the columns of the store, the keys of JSON and the
// names that /metrics/query takes. `get` returns nothing for an absent value.
struct GpuMetric {
  std::string_view name;
  std::optional<double> (*get)(const GpuSample&);
  void (*set)(GpuSample&, double);
};
std::span<const GpuMetric> gpu_metrics();
const GpuMetric* find_gpu_metric(std::string_view name);

// Clocks event bits of NVML and their short names (the names of dcgm-exporter). Unknown bits print as bit_0x<hex>.
std::string throttling_reasons_text(std::uint64_t mask);
// True for reasons that cost speed because of heat or a fault: hw_slowdown, sw_thermal, hw_thermal, hw_power_brake.
// A power cap at the configured limit is normal and is not one of them.
bool is_harmful_throttling(std::string_view throttling_reasons);

enum class GpuState { kNoData, kFree, kBusy, kIdle, kThrottling, kSlow, kOut, kLost, kQuarantined };
std::string_view to_string(GpuState state);

}  // namespace aether
