#include "telemetry/simulated/simulated_gpu.h"

#include <cmath>

#include <fmt/format.h>

namespace aether {
namespace {

constexpr double kClockGridMhz = 15;
constexpr double kFlapShare = 0.15;  // of readings that jump while a sensor flaps

GpuUuid make_uuid(std::uint64_t seed) {
  Rng rng(seed ^ 0x75756964);
  const std::uint64_t a = rng.next(), b = rng.next();
  return GpuUuid(fmt::format("GPU-sim{:05x}-{:04x}-{:04x}-{:04x}-{:012x}", a & 0xfffff, (a >> 20) & 0xffff,
                             (a >> 36) & 0xffff, b & 0xffff, b >> 16));
}

GpuInfo make_info(const SimulatedGpuType& type, const GpuUuid& uuid, int index) {
  GpuInfo info;
  info.gpu_uuid = uuid;
  info.gpu_index = index;
  info.gpu_name = type.name;
  info.gpu_pci_bus_id = fmt::format("00000000:{:02X}:00.0", 0x10 + index);
  info.source = GpuSource::kSimulated;
  info.memory_total_mb = type.memory_total_mb;
  info.power_limit_w = type.power_limit_w;
  info.temperature_slowdown_c = static_cast<int>(type.temperature_slowdown_c);
  info.temperature_shutdown_c = static_cast<int>(type.temperature_shutdown_c);
  info.clock_gpu_max_mhz = static_cast<int>(type.clock_max_mhz);
  info.clock_mem_max_mhz = static_cast<int>(type.clock_mem_mhz);
  info.gpu_architecture = std::string(type.architecture);
  info.gpu_compute_capability = std::string(type.compute_capability);
  return info;
}

// The same sample without the metrics of these bits; reasons go with their mask.
GpuSample without(const GpuSample& sample, std::uint64_t missing) {
  GpuSample left;
  left.gpu_uuid = sample.gpu_uuid;
  left.gpu_index = sample.gpu_index;
  left.gpu_name = sample.gpu_name;
  left.performance_state = sample.performance_state;
  for (std::size_t i = 0; i < gpu_metrics().size(); ++i) {
    const GpuMetric& metric = gpu_metrics()[i];
    if ((missing >> i & 1) == 0)
      if (const auto value = metric.get(sample)) metric.set(left, *value);
  }
  if (left.throttling_reasons_mask) left.throttling_reasons = sample.throttling_reasons;
  if (left.xid_last) left.xid_last_time = sample.xid_last_time;
  return left;
}

}  // namespace

std::uint64_t simulated_gpu_seed(const NodeId& node, std::uint64_t seed, int index) {
  std::uint64_t hash = 0xcbf29ce484222325ull;  // FNV-1a
  for (char c : node.str()) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  Rng mixed(hash ^ (seed * 0x9e3779b97f4a7c15ull));
  for (int i = 0; i < index; ++i) mixed.next();
  return mixed.next();
}

SimulatedGpu::SimulatedGpu(const SimulatedGpuType& type, int index, std::uint64_t seed, const Scenario& scenario, Time start)
    : type_(type),
      start_(start),
      info_(make_info(type, make_uuid(seed), index)),
      answers_(seed ^ 0x616e73),
      physics_(type, seed, FaultPlan(scenario.faults, index)) {}

Result<GpuSample> SimulatedGpu::read() {
  const FaultState& faults = physics_.faults();
  const std::string& uuid = info_.gpu_uuid.str();
  if (physics_.lost()) return fail(ErrorCode::kNotFound, fmt::format("GPU {} has fallen off the bus", uuid));
  if (faults.driver_gone) {
    reloading_ = true;
    return fail(ErrorCode::kUnavailable, "the driver is being reloaded");
  }
  if (std::exchange(reloading_, false)) {
    energy_base_mj_ = static_cast<std::uint64_t>(physics_.energy_mj());
    single_bit_base_ = physics_.single_bit_errors();
    double_bit_base_ = physics_.double_bit_errors();
  }
  if (faults.hangs || answers_.chance(faults.unanswered))
    return fail(ErrorCode::kUnavailable, fmt::format("GPU {} gives no reading", uuid));
  GpuSample out = sample();
  distort(out);
  return out;
}

void SimulatedGpu::distort(GpuSample& sample) {
  const FaultState& faults = physics_.faults();
  if (faults.sensor_flap_c > 0 && answers_.chance(kFlapShare))
    *sample.temperature_c += std::round(answers_.chance(0.5) ? faults.sensor_flap_c : -faults.sensor_flap_c);
  if (!faults.sensor_stuck) held_temperature_c_.reset();
  else sample.temperature_c = held_temperature_c_ = held_temperature_c_.value_or(*sample.temperature_c);
  if (!faults.values_stuck) held_.reset();
  else if (held_) sample = *held_;
  else held_ = sample;
  if (faults.missing != 0) sample = without(sample, faults.missing);
}

// Resolution as the NVIDIA driver gives it: whole degrees, percents and clock steps, power in milliwatts.
GpuSample SimulatedGpu::sample() const {
  const double clock_mhz = std::floor(physics_.clock_mhz() / kClockGridMhz) * kClockGridMhz;
  const bool deep_idle = type_.idles_at_p8 && physics_.idle();
  GpuSample sample;
  sample.gpu_uuid = info_.gpu_uuid;
  sample.gpu_index = info_.gpu_index;
  sample.gpu_name = info_.gpu_name;
  sample.temperature_c = std::round(physics_.temperature_c());
  if (type_.has_memory_temperature) sample.temperature_mem_c = std::round(physics_.temperature_mem_c());
  sample.utilization_gpu = std::round(100 * physics_.utilization());
  sample.utilization_memory_controller = std::round(100 * physics_.utilization_memory_controller());
  sample.utilization_encoder_pct = 0;
  sample.utilization_decoder_pct = 0;
  sample.memory_used_mb = std::llround(physics_.memory_used_mb());
  sample.memory_total_mb = type_.memory_total_mb;
  sample.memory_reserved_mb = type_.memory_reserved_mb;
  sample.power_draw_w = std::round(1000 * physics_.power_draw_w()) / 1000;
  sample.power_limit_w = std::round(physics_.power_limit_w());
  sample.energy_total_mj = static_cast<std::uint64_t>(physics_.energy_mj()) - energy_base_mj_;
  sample.clock_gpu_mhz = clock_mhz;
  sample.clock_sm_mhz = clock_mhz;
  sample.clock_mem_mhz = deep_idle ? 405 : type_.clock_mem_mhz;
  if (type_.has_fan) sample.fan_speed_pct = std::round(physics_.fan_speed_pct());
  sample.performance_state = deep_idle ? "P8" : "P0";
  sample.throttling_reasons_mask = physics_.throttling_mask();
  sample.throttling_reasons = throttling_reasons_text(physics_.throttling_mask());
  if (type_.has_ecc) {
    sample.ecc_sbe_volatile_total = physics_.single_bit_errors() - single_bit_base_;
    sample.ecc_dbe_volatile_total = physics_.double_bit_errors() - double_bit_base_;
  }
  sample.pcie_replay_total = physics_.pcie_replays();
  if (physics_.xid()) {
    sample.xid_last = physics_.xid();
    sample.xid_last_time = start_ + physics_.xid_age();
  }
  return sample;
}

GpuDetail SimulatedGpu::detail() const {
  const FaultState& faults = physics_.faults();
  GpuDetail detail;
  detail.set(GpuDetailField::kPcieLinkWidth, faults.pcie_width);
  detail.set(GpuDetailField::kPcieLinkWidthMax, 16);
  if (type_.has_ecc) {
    detail.set(GpuDetailField::kRemappedRowsPending, faults.remap_pending);
    detail.set(GpuDetailField::kRemappedRowsFailure, faults.remap_failed);
  }
  if (type_.has_memory_temperature)  // the boards with HBM have NVLink too
    detail.set(GpuDetailField::kNvlinkCrcFlitErrors, static_cast<double>(physics_.nvlink_errors()));
  return detail;
}

}  // namespace aether
