#pragma once
// Telemetry as a fleet gives it: simulated GPUs under jobs that come and go, read once a second by agents whose threads
// wake a little late. Deterministic per seed.
#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/rng.h"
#include "telemetry/simulated/simulated_gpu_driver.h"

namespace aether {

class SimulatedFleet {
 public:
  // Nodes of eight H100s; `gpus` is a multiple of eight.
  SimulatedFleet(int gpus, Time start, std::uint64_t seed);

  // One sample of each GPU, and a second passes.
  std::vector<GpuSample> tick();
  Time now() const { return clock_.now(); }

 private:
  struct Slot {
    GpuUuid gpu;
    bool busy = false;
    Time until;  // the job ends, or the next one begins
    int jobs = 0;
  };
  struct Node {
    NodeId name;
    Duration phase;
    std::unique_ptr<SimulatedGpuDriver> driver;
    std::vector<Slot> slots;
  };
  void move_jobs(Node& node);

  ManualClock clock_;
  Rng rng_;
  std::vector<Node> nodes_;
  std::uint64_t ticks_ = 0;
};

}  // namespace aether
