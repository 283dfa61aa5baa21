#pragma once
// One simulated board as a library would show it: the physics, and what its sensors and its driver make of them.
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/rng.h"
#include "model/gpu.h"
#include "telemetry/gpu_detail.h"
#include "telemetry/simulated/gpu_physics.h"
#include "telemetry/simulated/scenario_file.h"

namespace aether {

// Everything about one GPU follows from this: its uuid, the quality of its cooling, its errors.
std::uint64_t simulated_gpu_seed(const NodeId& node, std::uint64_t seed, int index);

class SimulatedGpu {
 public:
  // Ages count from `start`.
  SimulatedGpu(const SimulatedGpuType& type, int index, std::uint64_t seed, const Scenario& scenario, Time start);

  const GpuInfo& info() const { return info_; }
  GpuPhysics& physics() { return physics_; }
  const GpuPhysics& physics() const { return physics_; }
  const SimulatedGpuType& type() const { return type_; }

  // As the sensors show it now, before anything is advanced again. Errors as GpuDriver::read().
  Result<GpuSample> read();
  GpuDetail detail() const;

 private:
  GpuSample sample() const;
  void distort(GpuSample& sample);

  const SimulatedGpuType& type_;
  const Time start_;
  GpuInfo info_;
  Rng answers_;  // which reads stay unanswered, which readings jump
  GpuPhysics physics_;
  bool reloading_ = false;
  std::uint64_t energy_base_mj_ = 0, single_bit_base_ = 0, double_bit_base_ = 0;  // counters since the driver was loaded
  std::optional<double> held_temperature_c_;
  std::optional<GpuSample> held_;
};

}  // namespace aether
