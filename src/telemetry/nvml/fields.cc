#include "telemetry/nvml/fields.h"

#include "telemetry/nvml/return_code.h"
#include "telemetry/nvml/values.h"

namespace aether::nvml {
namespace {

using D = GpuDetailField;
constexpr auto kFast = FieldTier::kFast;
constexpr auto kState = FieldTier::kState;
constexpr auto kStatic = FieldTier::kStatic;
constexpr auto kSample = D::kCount;
constexpr double kMilli = 0.001;
constexpr double kKibi = 1024;

constexpr FieldRow kRows[] = {
    {kFieldEnergy, 0, kFast, kSample, 1},
    {kFieldPowerAverage, kScopeGpu, kFast, kSample, kMilli},
    {186, kScopeGpu, kFast, D::kPowerInstantW, kMilli},
    {197, 0, kFast, D::kPcieTxBytes, 1},
    {198, 0, kFast, D::kPcieRxBytes, 1},
    {138, kScopeAllLinks, kFast, D::kNvlinkTxBytes, kKibi},
    {139, kScopeAllLinks, kFast, D::kNvlinkRxBytes, kKibi},
    {74, 0, kFast, D::kThrottlePowerCapNs, 1},
    {75, 0, kFast, D::kThrottleThermalNs, 1},
    {76, 0, kFast, D::kThrottleSyncBoostNs, 1},
    {269, 0, kFast, D::kThrottleSwThermalNs, 1},
    {270, 0, kFast, D::kThrottleHwThermalNs, 1},
    {271, 0, kFast, D::kThrottleHwPowerBrakeNs, 1},

    {kFieldEccSingleBitVolatile, 0, kState, kSample, 1},
    {kFieldEccDoubleBitVolatile, 0, kState, kSample, 1},
    {5, 0, kState, D::kEccSbeAggregate, 1},
    {6, 0, kState, D::kEccDbeAggregate, 1},
    {29, 0, kState, D::kRetiredPagesSbe, 1},
    {30, 0, kState, D::kRetiredPagesDbe, 1},
    {31, 0, kState, D::kRetiredPagesPending, 1},
    {77, 0, kState, D::kThrottleBoardLimitNs, 1},
    {78, 0, kState, D::kThrottleLowUtilNs, 1},
    {79, 0, kState, D::kThrottleReliabilityNs, 1},
    {kFieldMemoryTemperature, 0, kState, kSample, 1},
    {kFieldPcieReplay, 0, kState, kSample, 1},
    {142, 0, kState, D::kRemappedRowsCorrectable, 1},
    {143, 0, kState, D::kRemappedRowsUncorrectable, 1},
    {144, 0, kState, D::kRemappedRowsPending, 1},
    {145, 0, kState, D::kRemappedRowsFailure, 1},
    {173, 0, kState, D::kPcieCorrectableErrors, 1},
    {186, kScopeModule, kState, D::kPowerModuleW, kMilli},
    {186, kScopeMemory, kState, D::kPowerMemW, kMilli},
    {kFieldPowerLimitEnforced, 0, kState, kSample, kMilli},
    {192, 0, kState, D::kPowerLimitRequestedW, kMilli},
    {38, kScopeAllLinks, kState, D::kNvlinkCrcFlitErrors, 1},
    {45, kScopeAllLinks, kState, D::kNvlinkCrcDataErrors, 1},
    {52, kScopeAllLinks, kState, D::kNvlinkReplayErrors, 1},
    {59, kScopeAllLinks, kState, D::kNvlinkRecoveryErrors, 1},
    {230, 0, kState, D::kRecoveryAction, 1},

    {187, 0, kStatic, D::kPowerLimitMinW, kMilli},
    {188, 0, kStatic, D::kPowerLimitMaxW, kMilli},
    {189, 0, kStatic, D::kPowerLimitDefaultW, kMilli},
};

constexpr bool tiers_fit() {
  std::size_t counts[3] = {};
  for (const FieldRow& row : kRows)
    if (++counts[static_cast<std::size_t>(row.tier)] > kMaxFieldsPerTier) return false;
  return true;
}
static_assert(tiers_fit());

constexpr std::uint64_t kHighestRecoveryAction = 16;

bool is_watts(const FieldRow& row) { return row.scale == kMilli; }
bool wraps(std::uint32_t id) { return id == 197 || id == 198; }

void put_sample(const FieldRow& row, std::uint64_t value, GpuSample& sample) {
  switch (row.id) {
    case kFieldEccSingleBitVolatile: sample.ecc_sbe_volatile_total = value; break;
    case kFieldEccDoubleBitVolatile: sample.ecc_dbe_volatile_total = value; break;
    case kFieldEnergy: sample.energy_total_mj = value; break;
    case kFieldPcieReplay: sample.pcie_replay_total = value; break;
    case kFieldPowerAverage: sample.power_draw_w = watts_of_milliwatts(value); break;
    case kFieldPowerLimitEnforced: sample.power_limit_w = watts_of_milliwatts(value); break;
    default: break;
  }
}

}  // namespace

std::span<const FieldRow> field_rows() { return kRows; }

Fields::Fields() {
  for (const FieldRow& row : kRows) rows_[static_cast<std::size_t>(row.tier)].push_back(&row);
}

void Fields::forget(const FieldRow& row) { std::erase(rows_[static_cast<std::size_t>(row.tier)], &row); }

void Fields::take(const FieldRow& row, const FieldValue& raw, GpuSample& sample, GpuDetail& detail) {
  if (row.id == kFieldMemoryTemperature) {
    sample.temperature_mem_c = memory_temperature(raw);
    return;
  }
  std::optional<std::uint64_t> value = unsigned_value(raw);
  if (row.detail == kSample) {
    if (value) put_sample(row, *value, sample);
    return;
  }
  // Every number of 32 bits is a count here; the blanks of other fields are not.
  if (wraps(row.id) && raw.result == kSuccess && raw.value_type == kU32) value = raw.value.u32;
  if (value && wraps(row.id)) {
    Wrap& wrap = wraps_[{row.id, row.scope}];
    if (raw.value_type == kU32 && *value < wrap.last) wrap.base += std::uint64_t{1} << 32;
    wrap.last = *value;
    *value += wrap.base;
  }
  std::optional<double> number;
  if (value) number = is_watts(row) ? watts_of_milliwatts(*value) : std::optional(static_cast<double>(*value) * row.scale);
  if (row.detail == D::kRecoveryAction && value && *value > kHighestRecoveryAction) number.reset();
  detail.set(row.detail, number);
}

}  // namespace aether::nvml
