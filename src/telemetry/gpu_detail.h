#pragma once
// What a driver can say about a GPU beyond the sample that travels on the bus: for the node's own /metrics and for the
// watch over its health. Every value is optional. docs/telemetry.md names unit and source of each.
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "model/ids.h"

namespace aether {

enum class GpuDetailField : std::uint8_t {
  kPowerInstantW, kPowerMemW, kPowerModuleW, kPowerLimitRequestedW, kPowerLimitMinW, kPowerLimitMaxW, kPowerLimitDefaultW,
  kThrottlePowerCapNs, kThrottleThermalNs, kThrottleSyncBoostNs, kThrottleBoardLimitNs, kThrottleLowUtilNs,
  kThrottleReliabilityNs, kThrottleSwThermalNs, kThrottleHwThermalNs, kThrottleHwPowerBrakeNs,
  kPcieTxBytes, kPcieRxBytes, kNvlinkTxBytes, kNvlinkRxBytes,
  kEccSbeAggregate, kEccDbeAggregate, kRetiredPagesSbe, kRetiredPagesDbe, kRetiredPagesPending,
  kRemappedRowsCorrectable, kRemappedRowsUncorrectable, kRemappedRowsPending, kRemappedRowsFailure,
  kPcieCorrectableErrors, kNvlinkCrcFlitErrors, kNvlinkCrcDataErrors, kNvlinkReplayErrors, kNvlinkRecoveryErrors,
  kRecoveryAction,
  kEngineActivePct, kSmActivePct, kSmOccupancyPct, kIntActivePct, kTensorActivePct, kTensorDfmaActivePct,
  kTensorHmmaActivePct, kTensorImmaActivePct, kDramActivePct, kFp64ActivePct, kFp32ActivePct, kFp16ActivePct,
  kPcieTxMbPerS, kPcieRxMbPerS, kNvlinkTxMbPerS, kNvlinkRxMbPerS,
  kClockVideoMhz, kClockSmMaxMhz, kBar1UsedMb, kBar1TotalMb, kTemperatureMarginC, kTemperatureMaxC, kTemperatureMemMaxC,
  kPcieLinkGen, kPcieLinkWidth, kPcieLinkGenMax, kPcieLinkWidthMax, kUtilizationJpgPct, kUtilizationOfaPct,
  kCount
};
inline constexpr std::size_t kGpuDetailFields = static_cast<std::size_t>(GpuDetailField::kCount);

// One GPU instance under MIG, as its own handle answers.
struct MigInstance {
  std::string uuid;       // "MIG-..."
  std::string profile;    // "1g.10gb"
  int gpu_instance = 0, compute_instance = 0;
  std::optional<std::int64_t> memory_used_mb, memory_total_mb;
  std::optional<double> engine_active_pct, sm_active_pct, tensor_active_pct, dram_active_pct;
  friend bool operator==(const MigInstance&, const MigInstance&) = default;
};

// Numbers by field; a NaN inside stands for "absent" and never comes out.
class GpuDetail {
 public:
  GpuDetail() { values_.fill(std::nan("")); }
  std::optional<double> get(GpuDetailField field) const {
    const double value = values_[static_cast<std::size_t>(field)];
    return std::isnan(value) ? std::nullopt : std::optional(value);
  }
  void set(GpuDetailField field, std::optional<double> value) {
    values_[static_cast<std::size_t>(field)] = value.value_or(std::nan(""));
  }

  std::string serial, vbios_version;      // empty when unknown
  std::vector<MigInstance> mig;           // empty without MIG
  Mono fast_at{}, state_at{}, slow_at{};  // when each tier was read last; zero = never

 private:
  std::array<double, kGpuDetailFields> values_;
};

struct GpuDetailName {
  GpuDetailField field;
  std::string_view name;  // unit last, as everywhere
};
// All fields, in their order.
std::span<const GpuDetailName> gpu_detail_names();

}  // namespace aether
