#pragma once
// How much of a GPU one job asks for over time. Deterministic per seed: the same steps give the same demand.
#include "base/clock.h"
#include "base/rng.h"
#include "telemetry/gpu_driver.h"

namespace aether {

// What a job wants in one step; the GPU decides what it gets.
struct Demand {
  double compute = 0;    // share of time that kernels run, at full clock
  double intensity = 0;  // power these kernels draw, as a share of the board's dynamic power
  double bandwidth = 0;  // share of time the memory is busy
  double memory_mb = 0;
};

// Training: some seconds of loading, then epochs of steady high use; each ends with a dip for validation, and about
// every half hour the job stops to write a checkpoint. Inference: bursts and lulls of requests. Both reserve their memory
// soon after the start; in the first minutes the allocator may take a little more in steps.
class JobLoad {
 public:
  // The same `job_seed` gives the same course of work: the GPUs of a job go in step. `own_seed` adds this GPU's noise.
  JobLoad(const GpuLoad& load, std::int64_t memory_available_mb, std::uint64_t job_seed, std::uint64_t own_seed);

  const GpuLoad& load() const { return load_; }
  Demand step(double dt_s);

 private:
  double training_compute(double dt_s);
  double inference_compute(double dt_s);

  GpuLoad load_;
  Rng rng_;                 // drawn from once per phase, so that the GPUs of a job stay in step
  Rng noise_;
  double share_ = 1;        // of the work, in a job that divides it unevenly
  double memory_target_mb_;
  double age_s_ = 0;
  double warm_up_s_;
  double level_;            // of compute in an epoch, or of the present burst
  double intensity_;
  double bandwidth_per_compute_;
  double phase_left_s_ = 0; // of the epoch, validation, burst or lull
  double epoch_s_;
  bool busy_phase_ = false, saving_ = false;
  double wander_ = 0;       // slow noise around the level
  double checkpoint_in_s_;
  double growth_;           // of memory, by steps
};

}  // namespace aether
