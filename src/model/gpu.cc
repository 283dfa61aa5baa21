#include "model/gpu.h"

#include <array>
#include <span>

#include <fmt/format.h>

namespace aether {
namespace {

template <auto Field>
std::optional<double> get_field(const GpuSample& sample) {
  const auto& value = sample.*Field;
  return value ? std::optional<double>(static_cast<double>(*value)) : std::nullopt;
}

template <auto Field>
void set_field(GpuSample& sample, double value) {
  using Value = typename std::remove_reference_t<decltype(sample.*Field)>::value_type;
  sample.*Field = static_cast<Value>(value);
}

#define AETHER_METRIC(field) GpuMetric{#field, &get_field<&GpuSample::field>, &set_field<&GpuSample::field>}

constexpr std::array kMetrics = {
    AETHER_METRIC(temperature_c),
    AETHER_METRIC(temperature_mem_c),
    AETHER_METRIC(utilization_gpu),
    AETHER_METRIC(utilization_memory_controller),
    AETHER_METRIC(utilization_encoder_pct),
    AETHER_METRIC(utilization_decoder_pct),
    AETHER_METRIC(memory_used_mb),
    AETHER_METRIC(memory_total_mb),
    AETHER_METRIC(memory_reserved_mb),
    AETHER_METRIC(power_draw_w),
    AETHER_METRIC(power_limit_w),
    AETHER_METRIC(energy_total_mj),
    AETHER_METRIC(clock_gpu_mhz),
    AETHER_METRIC(clock_sm_mhz),
    AETHER_METRIC(clock_mem_mhz),
    AETHER_METRIC(fan_speed_pct),
    AETHER_METRIC(throttling_reasons_mask),
    AETHER_METRIC(ecc_sbe_volatile_total),
    AETHER_METRIC(ecc_dbe_volatile_total),
    AETHER_METRIC(pcie_replay_total),
    AETHER_METRIC(xid_last),
};

struct ReasonName {
  std::uint64_t bit;
  std::string_view name;
};
constexpr std::array kReasonNames = {
    ReasonName{0x1, "gpu_idle"},      ReasonName{0x2, "clocks_setting"}, ReasonName{0x4, "power_cap"},
    ReasonName{0x8, "hw_slowdown"},   ReasonName{0x10, "sync_boost"},    ReasonName{0x20, "sw_thermal"},
    ReasonName{0x40, "hw_thermal"},   ReasonName{0x80, "hw_power_brake"}, ReasonName{0x100, "display_clocks"},
};

}  // namespace

std::string_view to_string(GpuSource source) {
  switch (source) {
    case GpuSource::kNvml: return "nvml";
    case GpuSource::kSimulated: return "simulated";
    case GpuSource::kExternal: return "external";
  }
  return "external";
}

std::string_view to_string(GpuState state) {
  switch (state) {
    case GpuState::kNoData: return "no_data";
    case GpuState::kFree: return "free";
    case GpuState::kBusy: return "busy";
    case GpuState::kIdle: return "idle";
    case GpuState::kThrottling: return "throttling";
    case GpuState::kSlow: return "slow";
    case GpuState::kOut: return "out";
    case GpuState::kLost: return "lost";
    case GpuState::kQuarantined: return "quarantined";
  }
  return "no_data";
}

std::span<const GpuMetric> gpu_metrics() { return kMetrics; }

const GpuMetric* find_gpu_metric(std::string_view name) {
  for (const GpuMetric& metric : kMetrics)
    if (metric.name == name) return &metric;
  return nullptr;
}

std::string throttling_reasons_text(std::uint64_t mask) {
  if (mask == 0) return "none";
  std::string text;
  for (std::uint64_t bit = 1; bit != 0 && bit <= mask; bit <<= 1) {
    if ((mask & bit) == 0) continue;
    std::string name = fmt::format("bit_{:#x}", bit);
    for (const ReasonName& known : kReasonNames)
      if (known.bit == bit) name = known.name;
    text += (text.empty() ? "" : "|") + name;
  }
  return text;
}

bool is_harmful_throttling(std::string_view throttling_reasons) {
  for (std::string_view harmful : {"hw_slowdown", "sw_thermal", "hw_thermal", "hw_power_brake"}) {
    const std::size_t at = throttling_reasons.find(harmful);
    if (at != std::string_view::npos) return true;
  }
  return false;
}

}  // namespace aether
