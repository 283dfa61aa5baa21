#include "telemetry/nvml/mig.h"

#include <algorithm>
#include <array>
#include <set>

#include <fmt/format.h>

#include "telemetry/nvml/return_code.h"
#include "telemetry/nvml/values.h"

namespace aether::nvml {
namespace {
constexpr std::uint32_t kMostInstances = 64;
constexpr std::uint32_t kMigOn = 1;
}  // namespace

bool MigReader::enabled() const {
  std::uint32_t current = 0, pending = 0;
  return functions_.mig_mode && functions_.mig_max_count && functions_.mig_device_by_index &&
         functions_.gpu_instance_id && functions_.mig_mode(device_, &current, &pending) == kSuccess && current == kMigOn;
}

std::vector<MigInstance> MigReader::read(Mono now) {
  std::vector<MigInstance> found;
  std::uint32_t count = 0;
  if (enabled() && functions_.mig_max_count(device_, &count) == kSuccess)
    for (std::uint32_t index = 0; index < std::min(count, kMostInstances); ++index)
      if (auto instance = read_instance(index, now)) found.push_back(*std::move(instance));
  std::set<std::uint32_t> present;
  for (const MigInstance& instance : found) present.insert(static_cast<std::uint32_t>(instance.gpu_instance));
  std::erase_if(gpm_, [&](const auto& entry) { return !present.contains(entry.first); });
  return found;
}

// Nothing for an empty slot.
std::optional<MigInstance> MigReader::read_instance(std::uint32_t index, Mono now) {
  DeviceHandle handle = nullptr;
  std::uint32_t gpu_instance = 0, compute_instance = 0;
  if (functions_.mig_device_by_index(device_, index, &handle) != kSuccess ||
      functions_.gpu_instance_id(handle, &gpu_instance) != kSuccess || gpu_instance > 255)
    return std::nullopt;
  MigInstance instance;
  instance.gpu_instance = static_cast<int>(gpu_instance);
  if (functions_.compute_instance_id && functions_.compute_instance_id(handle, &compute_instance) == kSuccess &&
      compute_instance <= 255)
    instance.compute_instance = static_cast<int>(compute_instance);
  std::array<char, 96> uuid{};
  if (functions_.uuid(handle, uuid.data(), static_cast<std::uint32_t>(uuid.size() - 1)) == kSuccess)
    instance.uuid = uuid.data();
  DeviceAttributes attributes{};
  if (functions_.attributes && functions_.attributes(handle, &attributes) == kSuccess)
    instance.profile = fmt::format("{}g.{}gb", attributes.gpu_instance_slices, (attributes.memory_mb + 512) / 1024);
  MemoryV2 memory{.version = kMemoryV2Version, .total = 0, .reserved = 0, .free = 0, .used = 0};
  if (functions_.memory_v2 && functions_.memory_v2(handle, &memory) == kSuccess && memory.used <= memory.total) {
    instance.memory_used_mb = mebibytes_of_bytes(memory.used);
    instance.memory_total_mb = mebibytes_of_bytes(memory.total);
  }
  auto [gpm, is_new] = gpm_.try_emplace(gpu_instance);
  if (is_new) gpm->second = GpmReader::open_instance(functions_, device_, gpu_instance);
  if (gpm->second) {
    GpuDetail active;
    gpm->second->read(now, active);
    instance.engine_active_pct = active.get(GpuDetailField::kEngineActivePct);
    instance.sm_active_pct = active.get(GpuDetailField::kSmActivePct);
    instance.tensor_active_pct = active.get(GpuDetailField::kTensorActivePct);
    instance.dram_active_pct = active.get(GpuDetailField::kDramActivePct);
  }
  return instance;
}

}  // namespace aether::nvml
