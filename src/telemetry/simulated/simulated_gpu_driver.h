#pragma once
// Adapter of GpuDriver without hardware: GPUs whose readings follow the jobs they are told of. docs/telemetry.md has
// the model, docs/scenarios.md what can go wrong. Deterministic: the same node, options, times and loads give the same
// samples.
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "telemetry/gpu_driver.h"
#include "telemetry/simulated/scenario.h"
#include "telemetry/simulated/simulated_gpu.h"

namespace aether {

// Thread-safe as a LoadSink; the GpuDriver part belongs to the sampler's thread.
class SimulatedGpuDriver final : public GpuDriver, public LoadSink {
 public:
  // What a slow reading does while it takes its time; the default sleeps.
  using Wait = std::function<void(Duration)>;

  // Options as parse_simulated() gives them; an unknown model is a bug. Time starts now.
  SimulatedGpuDriver(const SimulatedOptions& options, const NodeId& node, const Clock& clock, Wait wait = {});

  Result<std::vector<GpuInfo>> enumerate() override;
  Result<GpuSample> read(const GpuUuid& gpu_uuid) override;
  std::optional<GpuDetail> detail(const GpuUuid& gpu_uuid) const override;
  GpuSource source() const override { return GpuSource::kSimulated; }
  std::string driver_version() const override { return "simulated"; }

  // Loads of unknown GPUs are ignored.
  void set_loads(std::vector<GpuLoad> loads) override;

 private:
  Duration age() const { return clock_.mono() - start_; }
  Duration read_takes(const GpuUuid& gpu_uuid);

  const Clock& clock_;
  const Mono start_;
  const Wait wait_;
  mutable std::mutex mutex_;  // gpus_
  std::vector<SimulatedGpu> gpus_;
};

}  // namespace aether
