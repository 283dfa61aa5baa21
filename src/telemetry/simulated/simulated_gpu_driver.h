#pragma once
// Adapter of GpuDriver without hardware: GPUs whose readings follow the jobs they are told of. docs/telemetry.md has
// the model. Deterministic: the same node, options, times and loads give the same samples.
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "telemetry/gpu_driver.h"
#include "telemetry/simulated/gpu_physics.h"
#include "telemetry/simulated/scenario.h"

namespace aether {

// Thread-safe as a LoadSink; the GpuDriver part belongs to the sampler's thread.
class SimulatedGpuDriver final : public GpuDriver, public LoadSink {
 public:
  // Options as parse_simulated() gives them; an unknown model or scenario is a bug. Time starts now.
  SimulatedGpuDriver(const SimulatedOptions& options, const NodeId& node, const Clock& clock);

  Result<std::vector<GpuInfo>> enumerate() override;
  Result<GpuSample> read(const GpuUuid& gpu_uuid) override;
  GpuSource source() const override { return GpuSource::kSimulated; }
  std::string driver_version() const override { return "simulated"; }

  // Loads of unknown GPUs are ignored.
  void set_loads(std::vector<GpuLoad> loads) override;

 private:
  struct Gpu {
    GpuInfo info;
    const SimulatedGpuType* type;
    GpuFaults faults;
    Rng answers;  // decides which reads stay unanswered
    GpuPhysics physics;
  };
  Duration age() const { return clock_.mono() - start_; }
  GpuSample sample_of(const Gpu& gpu) const;

  const Clock& clock_;
  const Mono start_;
  const Time start_time_;
  std::mutex mutex_;  // gpus_
  std::vector<Gpu> gpus_;
};

}  // namespace aether
