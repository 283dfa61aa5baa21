#include "telemetry/gpu_detail.h"

namespace aether {
namespace {

using F = GpuDetailField;

constexpr std::array<GpuDetailName, kGpuDetailFields> kNames = {{
    {F::kPowerInstantW, "power_instant_w"},
    {F::kPowerMemW, "power_mem_w"},
    {F::kPowerModuleW, "power_module_w"},
    {F::kPowerLimitRequestedW, "power_limit_requested_w"},
    {F::kPowerLimitMinW, "power_limit_min_w"},
    {F::kPowerLimitMaxW, "power_limit_max_w"},
    {F::kPowerLimitDefaultW, "power_limit_default_w"},
    {F::kThrottlePowerCapNs, "throttle_power_cap_total_ns"},
    {F::kThrottleThermalNs, "throttle_thermal_total_ns"},
    {F::kThrottleSyncBoostNs, "throttle_sync_boost_total_ns"},
    {F::kThrottleBoardLimitNs, "throttle_board_limit_total_ns"},
    {F::kThrottleLowUtilNs, "throttle_low_util_total_ns"},
    {F::kThrottleReliabilityNs, "throttle_reliability_total_ns"},
    {F::kThrottleSwThermalNs, "throttle_sw_thermal_total_ns"},
    {F::kThrottleHwThermalNs, "throttle_hw_thermal_total_ns"},
    {F::kThrottleHwPowerBrakeNs, "throttle_hw_power_brake_total_ns"},
    {F::kPcieTxBytes, "pcie_tx_total_bytes"},
    {F::kPcieRxBytes, "pcie_rx_total_bytes"},
    {F::kNvlinkTxBytes, "nvlink_tx_total_bytes"},
    {F::kNvlinkRxBytes, "nvlink_rx_total_bytes"},
    {F::kEccSbeAggregate, "ecc_sbe_aggregate_total"},
    {F::kEccDbeAggregate, "ecc_dbe_aggregate_total"},
    {F::kRetiredPagesSbe, "retired_pages_sbe"},
    {F::kRetiredPagesDbe, "retired_pages_dbe"},
    {F::kRetiredPagesPending, "retired_pages_pending"},
    {F::kRemappedRowsCorrectable, "remapped_rows_correctable"},
    {F::kRemappedRowsUncorrectable, "remapped_rows_uncorrectable"},
    {F::kRemappedRowsPending, "remapped_rows_pending"},
    {F::kRemappedRowsFailure, "remapped_rows_failure"},
    {F::kPcieCorrectableErrors, "pcie_correctable_errors_total"},
    {F::kNvlinkCrcFlitErrors, "nvlink_crc_flit_errors_total"},
    {F::kNvlinkCrcDataErrors, "nvlink_crc_data_errors_total"},
    {F::kNvlinkReplayErrors, "nvlink_replay_errors_total"},
    {F::kNvlinkRecoveryErrors, "nvlink_recovery_errors_total"},
    {F::kRecoveryAction, "recovery_action"},
    {F::kEngineActivePct, "engine_active_pct"},
    {F::kSmActivePct, "sm_active_pct"},
    {F::kSmOccupancyPct, "sm_occupancy_pct"},
    {F::kIntActivePct, "int_active_pct"},
    {F::kTensorActivePct, "tensor_active_pct"},
    {F::kTensorDfmaActivePct, "tensor_dfma_active_pct"},
    {F::kTensorHmmaActivePct, "tensor_hmma_active_pct"},
    {F::kTensorImmaActivePct, "tensor_imma_active_pct"},
    {F::kDramActivePct, "dram_active_pct"},
    {F::kFp64ActivePct, "fp64_active_pct"},
    {F::kFp32ActivePct, "fp32_active_pct"},
    {F::kFp16ActivePct, "fp16_active_pct"},
    {F::kPcieTxMbPerS, "pcie_tx_mb_per_s"},
    {F::kPcieRxMbPerS, "pcie_rx_mb_per_s"},
    {F::kNvlinkTxMbPerS, "nvlink_tx_mb_per_s"},
    {F::kNvlinkRxMbPerS, "nvlink_rx_mb_per_s"},
    {F::kClockVideoMhz, "clock_video_mhz"},
    {F::kClockSmMaxMhz, "clock_sm_max_mhz"},
    {F::kBar1UsedMb, "bar1_used_mb"},
    {F::kBar1TotalMb, "bar1_total_mb"},
    {F::kTemperatureMarginC, "temperature_margin_c"},
    {F::kTemperatureMaxC, "temperature_max_c"},
    {F::kTemperatureMemMaxC, "temperature_mem_max_c"},
    {F::kPcieLinkGen, "pcie_link_gen"},
    {F::kPcieLinkWidth, "pcie_link_width"},
    {F::kPcieLinkGenMax, "pcie_link_gen_max"},
    {F::kPcieLinkWidthMax, "pcie_link_width_max"},
    {F::kUtilizationJpgPct, "utilization_jpg_pct"},
    {F::kUtilizationOfaPct, "utilization_ofa_pct"},
}};

constexpr bool in_order() {
  for (std::size_t i = 0; i < kNames.size(); ++i)
    if (static_cast<std::size_t>(kNames[i].field) != i || kNames[i].name.empty()) return false;
  return true;
}
static_assert(in_order(), "one name per field, in the order of the enumeration");

}  // namespace

std::span<const GpuDetailName> gpu_detail_names() { return kNames; }

}  // namespace aether
