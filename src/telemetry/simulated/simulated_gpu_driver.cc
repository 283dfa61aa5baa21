#include "telemetry/simulated/simulated_gpu_driver.h"

#include <algorithm>
#include <thread>

#include <fmt/format.h>

#include "base/assert.h"

namespace aether {
namespace {

template <class Gpus>
auto find_gpu(Gpus& gpus, const GpuUuid& uuid) {
  return std::find_if(gpus.begin(), gpus.end(), [&](const SimulatedGpu& gpu) { return gpu.info().gpu_uuid == uuid; });
}

}  // namespace

SimulatedGpuDriver::SimulatedGpuDriver(const SimulatedOptions& options, const NodeId& node, const Clock& clock, Wait wait)
    : clock_(clock),
      start_(clock.mono()),
      wait_(wait ? std::move(wait) : [](Duration time) { std::this_thread::sleep_for(time); }) {
  gpus_.reserve(static_cast<std::size_t>(options.gpus));
  const Time start_time = clock.now();
  for (int index = 0; index < options.gpus; ++index) {
    const std::string key =
        options.models.empty() ? "h100" : options.models[static_cast<std::size_t>(index) % options.models.size()];
    const SimulatedGpuType* type = find_simulated_gpu_type(key);
    AETHER_ASSERT(type != nullptr);
    gpus_.emplace_back(*type, index, simulated_gpu_seed(node, options.seed, index), options.scenario, start_time);
  }
}

Result<std::vector<GpuInfo>> SimulatedGpuDriver::enumerate() {
  std::lock_guard lock(mutex_);
  std::vector<GpuInfo> out;
  for (SimulatedGpu& gpu : gpus_) {
    gpu.physics().advance(age());
    if (gpu.physics().faults().driver_gone) return fail(ErrorCode::kUnavailable, "the driver is being reloaded");
    if (!gpu.physics().lost()) out.push_back(gpu.info());
  }
  return out;
}

Result<GpuSample> SimulatedGpuDriver::read(const GpuUuid& gpu_uuid) {
  if (const Duration takes = read_takes(gpu_uuid); takes.count() > 0) wait_(takes);
  std::lock_guard lock(mutex_);
  const auto found = find_gpu(gpus_, gpu_uuid);
  if (found == gpus_.end()) return fail(ErrorCode::kNotFound, fmt::format("no simulated GPU {}", gpu_uuid.str()));
  found->physics().advance(age());
  return found->read();
}

Duration SimulatedGpuDriver::read_takes(const GpuUuid& gpu_uuid) {
  std::lock_guard lock(mutex_);
  const auto found = find_gpu(gpus_, gpu_uuid);
  if (found == gpus_.end()) return Duration(0);
  found->physics().advance(age());
  return found->physics().faults().read_takes;
}

std::optional<GpuDetail> SimulatedGpuDriver::detail(const GpuUuid& gpu_uuid) const {
  std::lock_guard lock(mutex_);
  const auto found = find_gpu(gpus_, gpu_uuid);
  if (found == gpus_.end()) return std::nullopt;
  GpuDetail detail = found->detail();
  detail.fast_at = detail.state_at = detail.slow_at = clock_.mono();
  return detail;
}

void SimulatedGpuDriver::set_loads(std::vector<GpuLoad> loads) {
  std::lock_guard lock(mutex_);
  for (SimulatedGpu& gpu : gpus_) {
    std::vector<GpuLoad> own;
    for (const GpuLoad& load : loads)
      if (load.gpu_uuid == gpu.info().gpu_uuid) own.push_back(load);
    gpu.physics().advance(age());
    gpu.physics().set_loads(own);
  }
}

}  // namespace aether
