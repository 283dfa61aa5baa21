#include "telemetry/simulated/simulated_gpu_driver.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/assert.h"

namespace aether {
namespace {

constexpr double kClockGridMhz = 15;

// Everything about one GPU follows from this: its uuid, the quality of its cooling, its errors.
std::uint64_t gpu_seed(const NodeId& node, std::uint64_t seed, int index) {
  std::uint64_t hash = 0xcbf29ce484222325ull;  // FNV-1a
  for (char c : node.str()) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  Rng mixed(hash ^ (seed * 0x9e3779b97f4a7c15ull));
  for (int i = 0; i < index; ++i) mixed.next();
  return mixed.next();
}

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

}  // namespace

SimulatedGpuDriver::SimulatedGpuDriver(const SimulatedOptions& options, const NodeId& node, const Clock& clock)
    : clock_(clock), start_(clock.mono()), start_time_(clock.now()) {
  const Scenario* scenario = find_scenario(options.scenario);
  AETHER_ASSERT(scenario != nullptr);
  gpus_.reserve(static_cast<std::size_t>(options.gpus));
  for (int index = 0; index < options.gpus; ++index) {
    const std::string key =
        options.models.empty() ? "h100" : options.models[static_cast<std::size_t>(index) % options.models.size()];
    const SimulatedGpuType* type = find_simulated_gpu_type(key);
    AETHER_ASSERT(type != nullptr);
    const std::uint64_t seed = gpu_seed(node, options.seed, index);
    const GpuFaults faults = scenario->faults(index);
    gpus_.push_back(Gpu{make_info(*type, make_uuid(seed), index), type, faults, Rng(seed ^ 0x616e73),
                        GpuPhysics(*type, seed, faults)});
  }
}

Result<std::vector<GpuInfo>> SimulatedGpuDriver::enumerate() {
  std::lock_guard lock(mutex_);
  std::vector<GpuInfo> out;
  for (Gpu& gpu : gpus_) {
    gpu.physics.advance(age());
    if (!gpu.physics.lost()) out.push_back(gpu.info);
  }
  return out;
}

Result<GpuSample> SimulatedGpuDriver::read(const GpuUuid& gpu_uuid) {
  std::lock_guard lock(mutex_);
  const auto found =
      std::find_if(gpus_.begin(), gpus_.end(), [&](const Gpu& gpu) { return gpu.info.gpu_uuid == gpu_uuid; });
  if (found == gpus_.end()) return fail(ErrorCode::kNotFound, fmt::format("no simulated GPU {}", gpu_uuid.str()));
  found->physics.advance(age());
  if (found->physics.lost())
    return fail(ErrorCode::kNotFound, fmt::format("GPU {} has fallen off the bus", gpu_uuid.str()));
  if (found->answers.chance(found->faults.unanswered_reads))
    return fail(ErrorCode::kUnavailable, fmt::format("GPU {} gives no reading", gpu_uuid.str()));
  return sample_of(*found);
}

void SimulatedGpuDriver::set_loads(std::vector<GpuLoad> loads) {
  std::lock_guard lock(mutex_);
  for (Gpu& gpu : gpus_) {
    std::vector<GpuLoad> own;
    for (const GpuLoad& load : loads)
      if (load.gpu_uuid == gpu.info.gpu_uuid) own.push_back(load);
    gpu.physics.advance(age());
    gpu.physics.set_loads(own);
  }
}

// Resolution as the NVIDIA driver gives it: whole degrees, percents and clock steps, power in milliwatts.
GpuSample SimulatedGpuDriver::sample_of(const Gpu& gpu) const {
  const GpuPhysics& physics = gpu.physics;
  const SimulatedGpuType& type = *gpu.type;
  const double clock_mhz = std::floor(physics.clock_mhz() / kClockGridMhz) * kClockGridMhz;
  GpuSample sample;
  sample.gpu_uuid = gpu.info.gpu_uuid;
  sample.gpu_index = gpu.info.gpu_index;
  sample.gpu_name = gpu.info.gpu_name;
  sample.temperature_c = std::round(physics.temperature_c());
  if (type.has_memory_temperature) sample.temperature_mem_c = std::round(physics.temperature_mem_c());
  sample.utilization_gpu = std::round(100 * physics.utilization());
  sample.utilization_memory_controller = std::round(100 * physics.utilization_memory_controller());
  sample.utilization_encoder_pct = 0;
  sample.utilization_decoder_pct = 0;
  sample.memory_used_mb = std::llround(physics.memory_used_mb());
  sample.memory_total_mb = type.memory_total_mb;
  sample.memory_reserved_mb = type.memory_reserved_mb;
  sample.power_draw_w = std::round(1000 * physics.power_draw_w()) / 1000;
  sample.power_limit_w = type.power_limit_w;
  sample.energy_total_mj = static_cast<std::uint64_t>(physics.energy_mj());
  sample.clock_gpu_mhz = clock_mhz;
  sample.clock_sm_mhz = clock_mhz;
  sample.clock_mem_mhz = type.idles_at_p8 && physics.idle() ? 405 : type.clock_mem_mhz;
  if (type.has_fan) sample.fan_speed_pct = std::round(physics.fan_speed_pct());
  sample.performance_state = type.idles_at_p8 && physics.idle() ? "P8" : "P0";
  sample.throttling_reasons_mask = physics.throttling_mask();
  sample.throttling_reasons = throttling_reasons_text(physics.throttling_mask());
  if (type.has_ecc) {
    sample.ecc_sbe_volatile_total = physics.single_bit_errors();
    sample.ecc_dbe_volatile_total = physics.double_bit_errors();
  }
  sample.pcie_replay_total = 0;
  if (physics.xid()) {
    sample.xid_last = physics.xid();
    sample.xid_last_time = start_time_ + physics.xid_age();
  }
  return sample;
}

}  // namespace aether
