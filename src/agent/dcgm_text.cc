// The families of dcgm-exporter: names, types, labels, their order and the number format are its contract with the
// dashboards that exist; the help texts are ours.
#include <cmath>
#include <cstdlib>
#include <type_traits>

#include "agent/metrics_text.h"
#include "model/xid.h"

namespace aether {
namespace {

using D = GpuDetailField;
using Reading = Agent::Reading;
using enum MetricType;

// One line of a GPU, or of one of its MIG instances.
struct Subject {
  const GpuInfo& info;
  const Reading& reading;
  const MigInstance* mig = nullptr;
};
using Value = std::optional<double> (*)(const Subject&);

struct Row {
  const char* old_name;   // behind DCGM_FI_
  const char* new_name;   // null = not renamed
  MetricType type;
  NumberFormat number;
  const char* help;
  Value value;
};

constexpr auto kWhole = NumberFormat::kShortest;
constexpr auto kFloat = NumberFormat::kSixDecimals;
constexpr double kMebi = 1 << 20;

template <auto Field>
std::optional<double> sample(const Subject& subject) {
  const auto& value = subject.reading.sample.*Field;
  return value ? std::optional(static_cast<double>(*value)) : std::nullopt;
}
template <D Field>
std::optional<double> detail(const Subject& subject) {
  return subject.reading.detail.get(Field);
}
template <D Field, auto Instance = nullptr>
std::optional<double> ratio(const Subject& subject) {
  std::optional<double> percent = subject.reading.detail.get(Field);
  if constexpr (!std::is_null_pointer_v<decltype(Instance)>)
    if (subject.mig) percent = subject.mig->*Instance;
  return percent ? std::optional(*percent / 100) : std::nullopt;
}
template <D Field>
std::optional<double> bytes_per_second(const Subject& subject) {
  const auto mebibytes = subject.reading.detail.get(Field);
  return mebibytes ? std::optional(std::round(*mebibytes * kMebi)) : std::nullopt;
}

std::optional<double> memory_used(const Subject& subject) {
  if (subject.mig) return subject.mig->memory_used_mb ? std::optional(static_cast<double>(*subject.mig->memory_used_mb)) : std::nullopt;
  return sample<&GpuSample::memory_used_mb>(subject);
}
std::optional<double> memory_total(const Subject& subject) {
  if (subject.mig) return subject.mig->memory_total_mb ? std::optional(static_cast<double>(*subject.mig->memory_total_mb)) : std::nullopt;
  return sample<&GpuSample::memory_total_mb>(subject);
}
std::optional<double> memory_reserved(const Subject& subject) {
  return subject.mig ? std::nullopt : sample<&GpuSample::memory_reserved_mb>(subject);
}
std::optional<double> memory_free(const Subject& subject) {
  const auto total = memory_total(subject), used = memory_used(subject);
  return total && used ? std::optional(*total - *used - memory_reserved(subject).value_or(0)) : std::nullopt;
}
std::optional<double> memory_used_share(const Subject& subject) {
  const auto total = memory_total(subject), used = memory_used(subject);
  if (!total || !used) return std::nullopt;
  const double usable = *total - memory_reserved(subject).value_or(0);
  return usable > 0 ? std::optional(*used / usable) : std::nullopt;
}
std::optional<double> performance_state(const Subject& subject) {
  const auto& state = subject.reading.sample.performance_state;
  return state && state->size() > 1 ? std::optional(std::atof(state->c_str() + 1)) : std::nullopt;
}
// The last one, 0 before any; it never goes back, as there.
std::optional<double> last_xid(const Subject& subject) { return static_cast<double>(subject.reading.sample.xid_last.value_or(0)); }
template <auto Field>
std::optional<double> limit(const Subject& subject) {
  const auto& value = subject.info.*Field;
  return value ? std::optional(static_cast<double>(*value)) : std::nullopt;
}

constexpr const char* kXidErrors = "DEV_XID_ERRORS";

const Row kRows[] = {
    {"DEV_SM_CLOCK", nullptr, kGauge, kWhole, "Clock of the multiprocessors (MHz).", sample<&GpuSample::clock_sm_mhz>},
    {"DEV_MEM_CLOCK", nullptr, kGauge, kWhole, "Clock of the memory (MHz).", sample<&GpuSample::clock_mem_mhz>},
    {"DEV_MEMORY_TEMP", "DEV_MEMORY_TEMP_CELSIUS", kGauge, kWhole, "Temperature of the memory (C).", sample<&GpuSample::temperature_mem_c>},
    {"DEV_GPU_TEMP", "DEV_GPU_TEMP_CELSIUS", kGauge, kWhole, "Temperature of the GPU (C).", sample<&GpuSample::temperature_c>},
    {"DEV_POWER_USAGE", "DEV_BOARD_POWER_WATTS", kGauge, kFloat, "Power of the board (W).", sample<&GpuSample::power_draw_w>},
    {"DEV_TOTAL_ENERGY_CONSUMPTION", nullptr, kCounter, kWhole, "Energy since the driver was loaded (mJ).", sample<&GpuSample::energy_total_mj>},
    {"DEV_PCIE_REPLAY_COUNTER", "DEV_PCIE_REPLAY_TOTAL", kCounter, kWhole, "PCIe transfers that were repeated.", sample<&GpuSample::pcie_replay_total>},
    {"DEV_GPU_UTIL", "DEV_GPU_UTIL_RATIO", kGauge, kWhole, "Share of the time with a kernel running (%).", sample<&GpuSample::utilization_gpu>},
    {"DEV_MEM_COPY_UTIL", nullptr, kGauge, kWhole, "Share of the time with the memory busy (%).", sample<&GpuSample::utilization_memory_controller>},
    {"DEV_ENC_UTIL", nullptr, kGauge, kWhole, "Load of the encoder (%).", sample<&GpuSample::utilization_encoder_pct>},
    {"DEV_DEC_UTIL", nullptr, kGauge, kWhole, "Load of the decoder (%).", sample<&GpuSample::utilization_decoder_pct>},
    {kXidErrors, "DEV_XID_ERROR", kGauge, kWhole, "The last XID error, 0 before any.", last_xid},
    {"DEV_FB_FREE", nullptr, kGauge, kWhole, "Free memory (MiB).", memory_free},
    {"DEV_FB_USED", nullptr, kGauge, kWhole, "Used memory (MiB).", memory_used},
    {"DEV_FB_RESERVED", nullptr, kGauge, kWhole, "Memory that the driver reserves (MiB).", memory_reserved},
    {"DEV_UNCORRECTABLE_REMAPPED_ROWS", "DEV_ROW_REMAP_UNCORRECTABLE_TOTAL", kCounter, kWhole, "Rows replaced after uncorrectable errors.", detail<D::kRemappedRowsUncorrectable>},
    {"DEV_CORRECTABLE_REMAPPED_ROWS", "DEV_ROW_REMAP_CORRECTABLE_TOTAL", kCounter, kWhole, "Rows replaced after corrected errors.", detail<D::kRemappedRowsCorrectable>},
    {"DEV_ROW_REMAP_FAILURE", "DEV_ROW_REMAP_FAILED", kGauge, kWhole, "1 when a row could not be replaced.", detail<D::kRemappedRowsFailure>},
    {"PROF_GR_ENGINE_ACTIVE", "PROF_GR_ENGINE_UTIL_RATIO", kGauge, kFloat, "Share of the time with any engine active.", ratio<D::kEngineActivePct, &MigInstance::engine_active_pct>},
    {"PROF_PIPE_TENSOR_ACTIVE", "PROF_TENSOR_UTIL_RATIO", kGauge, kFloat, "Share of the time with the tensor pipe active.", ratio<D::kTensorActivePct, &MigInstance::tensor_active_pct>},
    {"PROF_DRAM_ACTIVE", "PROF_DRAM_UTIL_RATIO", kGauge, kFloat, "Memory bandwidth used against the peak.", ratio<D::kDramActivePct, &MigInstance::dram_active_pct>},
    {"PROF_PCIE_TX_BYTES", nullptr, kGauge, kWhole, "Sent over PCIe (bytes/s).", bytes_per_second<D::kPcieTxMbPerS>},
    {"PROF_PCIE_RX_BYTES", nullptr, kGauge, kWhole, "Received over PCIe (bytes/s).", bytes_per_second<D::kPcieRxMbPerS>},
    // Beyond the exporter's default set.
    {"PROF_SM_ACTIVE", "PROF_SM_UTIL_RATIO", kGauge, kFloat, "Share of the time that a multiprocessor was active.", ratio<D::kSmActivePct, &MigInstance::sm_active_pct>},
    {"PROF_SM_OCCUPANCY", "PROF_SM_OCCUPANCY_RATIO", kGauge, kFloat, "Resident warps against the possible ones.", ratio<D::kSmOccupancyPct>},
    {"PROF_PIPE_FP64_ACTIVE", "PROF_FP64_UTIL_RATIO", kGauge, kFloat, "Share of the time with the FP64 pipe active.", ratio<D::kFp64ActivePct>},
    {"PROF_PIPE_FP32_ACTIVE", "PROF_FP32_UTIL_RATIO", kGauge, kFloat, "Share of the time with the FP32 pipe active.", ratio<D::kFp32ActivePct>},
    {"PROF_PIPE_FP16_ACTIVE", "PROF_FP16_UTIL_RATIO", kGauge, kFloat, "Share of the time with the FP16 pipe active.", ratio<D::kFp16ActivePct>},
    {"PROF_NVLINK_TX_BYTES", nullptr, kGauge, kWhole, "Sent over NVLink (bytes/s).", bytes_per_second<D::kNvlinkTxMbPerS>},
    {"PROF_NVLINK_RX_BYTES", nullptr, kGauge, kWhole, "Received over NVLink (bytes/s).", bytes_per_second<D::kNvlinkRxMbPerS>},
    {"DEV_POWER_USAGE_INSTANT", "DEV_BOARD_POWER_RAW_WATTS", kGauge, kFloat, "Power of the board at this moment (W).", detail<D::kPowerInstantW>},
    {"DEV_ENFORCED_POWER_LIMIT", "DEV_BOARD_POWER_LIMIT_ENFORCED_WATTS", kGauge, kFloat, "Power limit in force (W).", sample<&GpuSample::power_limit_w>},
    {"DEV_POWER_MGMT_LIMIT", "DEV_BOARD_POWER_LIMIT_REQUESTED_WATTS", kGauge, kFloat, "Power limit asked for (W).", detail<D::kPowerLimitRequestedW>},
    {"DEV_POWER_MGMT_LIMIT_MIN", "DEV_BOARD_POWER_LIMIT_MIN_WATTS", kGauge, kFloat, "Lowest power limit (W).", detail<D::kPowerLimitMinW>},
    {"DEV_POWER_MGMT_LIMIT_MAX", "DEV_BOARD_POWER_LIMIT_MAX_WATTS", kGauge, kFloat, "Highest power limit (W).", detail<D::kPowerLimitMaxW>},
    {"DEV_POWER_MGMT_LIMIT_DEF", "DEV_BOARD_POWER_LIMIT_DEFAULT_WATTS", kGauge, kFloat, "Default power limit (W).", detail<D::kPowerLimitDefaultW>},
    {"DEV_FB_TOTAL", nullptr, kGauge, kWhole, "Memory of the board (MiB).", memory_total},
    {"DEV_FB_USED_PERCENT", "DEV_FB_USED_RATIO", kGauge, kFloat, "Used share of the usable memory, 0 to 1.", memory_used_share},
    {"DEV_PSTATE", "DEV_GPU_PSTATE", kGauge, kWhole, "Performance state, 0 the fastest.", performance_state},
    {"DEV_FAN_SPEED", nullptr, kGauge, kWhole, "Fan (%).", sample<&GpuSample::fan_speed_pct>},
    {"DEV_SLOWDOWN_TEMP", "DEV_GPU_TEMP_SLOWDOWN_CELSIUS", kGauge, kWhole, "Where the clock is halved (C).", limit<&GpuInfo::temperature_slowdown_c>},
    {"DEV_SHUTDOWN_TEMP", "DEV_GPU_TEMP_SHUTDOWN_CELSIUS", kGauge, kWhole, "Where the board shuts down (C).", limit<&GpuInfo::temperature_shutdown_c>},
    {"DEV_GPU_MAX_OP_TEMP", "DEV_GPU_MAX_OP_TEMP_CELSIUS", kGauge, kWhole, "Highest operating temperature (C).", detail<D::kTemperatureMaxC>},
    {"DEV_MEM_MAX_OP_TEMP", "DEV_MEMORY_MAX_OP_TEMP_CELSIUS", kGauge, kWhole, "The same of the memory (C).", detail<D::kTemperatureMemMaxC>},
    {"DEV_GPU_TEMP_LIMIT", "DEV_GPU_TEMP_MARGIN_CELSIUS", kGauge, kWhole, "Margin to the nearest slowdown (C).", detail<D::kTemperatureMarginC>},
    {"DEV_CLOCKS_EVENT_REASONS", nullptr, kGauge, kWhole, "Reasons for a lowered clock, as bits.", sample<&GpuSample::throttling_reasons_mask>},
    {"DEV_POWER_VIOLATION", nullptr, kCounter, kWhole, "Time below the clock for power (ns).", detail<D::kThrottlePowerCapNs>},
    {"DEV_THERMAL_VIOLATION", nullptr, kCounter, kWhole, "Time below the clock for heat (ns).", detail<D::kThrottleThermalNs>},
    {"DEV_SYNC_BOOST_VIOLATION", nullptr, kCounter, kWhole, "Time below the clock for sync boost (ns).", detail<D::kThrottleSyncBoostNs>},
    {"DEV_BOARD_LIMIT_VIOLATION", nullptr, kCounter, kWhole, "Time below the clock for the board (ns).", detail<D::kThrottleBoardLimitNs>},
    {"DEV_LOW_UTIL_VIOLATION", nullptr, kCounter, kWhole, "Time below the clock for little load (ns).", detail<D::kThrottleLowUtilNs>},
    {"DEV_RELIABILITY_VIOLATION", nullptr, kCounter, kWhole, "Time below the clock for reliability (ns).", detail<D::kThrottleReliabilityNs>},
    {"DEV_ECC_SBE_VOL_TOTAL", nullptr, kCounter, kWhole, "Single-bit errors since the driver was loaded.", sample<&GpuSample::ecc_sbe_volatile_total>},
    {"DEV_ECC_DBE_VOL_TOTAL", nullptr, kCounter, kWhole, "Double-bit errors since the driver was loaded.", sample<&GpuSample::ecc_dbe_volatile_total>},
    {"DEV_ECC_SBE_AGG_TOTAL", nullptr, kCounter, kWhole, "Single-bit errors of the board's life.", detail<D::kEccSbeAggregate>},
    {"DEV_ECC_DBE_AGG_TOTAL", nullptr, kCounter, kWhole, "Double-bit errors of the board's life.", detail<D::kEccDbeAggregate>},
    {"DEV_RETIRED_SBE", "DEV_PAGE_RETIRED_SBE_TOTAL", kCounter, kWhole, "Pages retired for single-bit errors.", detail<D::kRetiredPagesSbe>},
    {"DEV_RETIRED_DBE", "DEV_PAGE_RETIRED_DBE_TOTAL", kCounter, kWhole, "Pages retired for double-bit errors.", detail<D::kRetiredPagesDbe>},
    {"DEV_RETIRED_PENDING", "DEV_PAGE_RETIRED_PENDING", kCounter, kWhole, "Pages that wait for their retirement.", detail<D::kRetiredPagesPending>},
    {"DEV_ROW_REMAP_PENDING", nullptr, kGauge, kWhole, "1 while a replaced row waits for a reset.", detail<D::kRemappedRowsPending>},
    {"DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL", "DEV_NVLINK_CRC_FLIT_ERROR_TOTAL", kCounter, kWhole, "NVLink flow-control errors.", detail<D::kNvlinkCrcFlitErrors>},
    {"DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL", "DEV_NVLINK_CRC_DATA_ERROR_TOTAL", kCounter, kWhole, "NVLink data errors.", detail<D::kNvlinkCrcDataErrors>},
    {"DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL", "DEV_NVLINK_REPLAY_ERROR_TOTAL", kCounter, kWhole, "NVLink replays.", detail<D::kNvlinkReplayErrors>},
    {"DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL", "DEV_NVLINK_RECOVERY_ERROR_TOTAL", kCounter, kWhole, "NVLink recoveries.", detail<D::kNvlinkRecoveryErrors>},
    {"DEV_PCIE_LINK_GEN", nullptr, kGauge, kWhole, "PCIe generation.", detail<D::kPcieLinkGen>},
    {"DEV_PCIE_LINK_WIDTH", nullptr, kGauge, kWhole, "PCIe lanes.", detail<D::kPcieLinkWidth>},
    {"DEV_PCIE_MAX_LINK_GEN", nullptr, kGauge, kWhole, "Highest PCIe generation.", detail<D::kPcieLinkGenMax>},
    {"DEV_PCIE_MAX_LINK_WIDTH", nullptr, kGauge, kWhole, "Most PCIe lanes.", detail<D::kPcieLinkWidthMax>},
    {"DEV_GET_GPU_RECOVERY_ACTION", "DEV_GPU_RECOVERY_ACTION", kGauge, kWhole, "What the driver asks for, 0 nothing.", detail<D::kRecoveryAction>},
};

std::string_view xid_message(std::int64_t xid) { return xid == 0 ? "No Error" : xid_info(xid).meaning; }

class DcgmFamilies {
 public:
  DcgmFamilies(TextWriter& out, const MetricsInput& input, const MetricsOptions& options)
      : out_(out), input_(input), options_(options) {}

  void write(const Row& row) {
    if (options_.dcgm_names != DcgmNames::kNew || !row.new_name) write_named(row, row.old_name);
    if (options_.dcgm_names != DcgmNames::kOld && row.new_name) write_named(row, row.new_name);
  }

 private:
  void write_named(const Row& row, const char* name) {
    out_.family(std::string("DCGM_FI_") + name, row.type, row.help);
    for (const Agent::KnownGpu& gpu : input_.gpus) {
      const Reading* reading = find_fresh(input_, options_, gpu.info.gpu_uuid);
      if (!reading) continue;
      if (reading->detail.mig.empty()) write_line(row, {gpu.info, *reading});
      for (const MigInstance& mig : reading->detail.mig) write_line(row, {gpu.info, *reading, &mig});
    }
  }

  void write_line(const Row& row, const Subject& subject) {
    const auto value = row.value(subject);
    if (!value) return;
    Labels labels = {{"gpu", std::to_string(subject.info.gpu_index)},
                     {"UUID", subject.info.gpu_uuid.str()},
                     {"pci_bus_id", subject.info.gpu_pci_bus_id},
                     {"device", "nvidia" + std::to_string(subject.info.gpu_index)},
                     {"modelName", subject.info.gpu_name}};
    if (subject.mig) {
      labels.push_back({"GPU_I_PROFILE", subject.mig->profile});
      labels.push_back({"GPU_I_ID", std::to_string(subject.mig->gpu_instance)});
    }
    const HostLabel host = options_.host_label;
    if (host == HostLabel::kUpper || host == HostLabel::kBoth) labels.push_back({"Hostname", input_.host_name});
    if (host == HostLabel::kLower || host == HostLabel::kBoth) labels.push_back({"hostname", input_.host_name});
    const bool new_only = options_.dcgm_names == DcgmNames::kNew;
    labels.push_back({new_only ? "DCGM_FI_SYSTEM_DRIVER_VERSION" : "DCGM_FI_DRIVER_VERSION", input_.driver_version});
    if (std::string_view(row.old_name) == kXidErrors) {
      const std::int64_t xid = subject.reading.sample.xid_last.value_or(0);
      labels.push_back({"err_code", std::to_string(xid)});
      labels.push_back({"err_msg", std::string(xid_message(xid))});
    }
    out_.line(labels, *value, row.number);
  }

  TextWriter& out_;
  const MetricsInput& input_;
  const MetricsOptions& options_;
};

}  // namespace

void write_dcgm(TextWriter& out, const MetricsInput& input, const MetricsOptions& options) {
  DcgmFamilies families(out, input, options);
  for (const Row& row : kRows) families.write(row);
}

}  // namespace aether
