#include "telemetry/simulated/job_load.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace aether {
namespace {

constexpr double kWholeGpuShare = 0.88;   // what a job takes when it names no memory
constexpr double kFirstMemoryShare = 0.2;  // context and weights, before the first batches
constexpr double kMemoryRampS = 20;
constexpr double kWanderTimeS = 8;
constexpr double kUnevenJobs = 0.2;        // share of training jobs whose GPUs do not do equal work
constexpr double kGrowthStepS = 100, kGrowthSteps = 5;

}  // namespace

JobLoad::JobLoad(const GpuLoad& load, std::int64_t memory_available_mb, std::uint64_t job_seed, std::uint64_t own_seed)
    : load_(load), rng_(job_seed), noise_(own_seed) {
  const double available = static_cast<double>(memory_available_mb);
  memory_target_mb_ = load.memory_mb > 0 ? std::min(static_cast<double>(load.memory_mb), available)
                                         : kWholeGpuShare * available;
  const bool training = load.type == JobType::kTraining;
  warm_up_s_ = training ? rng_.uniform(4, 15) : rng_.uniform(2, 5);
  epoch_s_ = rng_.uniform(60, 240);
  level_ = training ? rng_.uniform(0.9, 0.99) : rng_.uniform(0.5, 0.9);
  intensity_ = training ? rng_.uniform(0.75, 1.08) : rng_.uniform(0.4, 0.75);
  bandwidth_per_compute_ = training ? rng_.uniform(0.35, 0.65) : rng_.uniform(0.5, 0.9);
  checkpoint_in_s_ = rng_.exponential(1800);
  growth_ = load.memory_mb == 0 && rng_.chance(0.3) ? rng_.uniform(0.002, 0.01) : 0;
  if (rng_.chance(kUnevenJobs) && training) share_ = noise_.uniform(0.8, 1);
}

Demand JobLoad::step(double dt_s) {
  age_s_ += dt_s;
  const double keep = std::exp(-dt_s / kWanderTimeS);
  wander_ = wander_ * keep + noise_.normal(0, 0.02) * std::sqrt(1 - keep * keep);
  const double ramp = std::min(1.0, kFirstMemoryShare + (1 - kFirstMemoryShare) * age_s_ / kMemoryRampS);
  const double grown = 1 + growth_ * std::min(std::floor(age_s_ / kGrowthStepS), kGrowthSteps);
  Demand demand{.intensity = intensity_ * share_, .memory_mb = memory_target_mb_ * ramp * grown};
  if (age_s_ < warm_up_s_)
    demand.compute = noise_.uniform(0.02, 0.12);
  else
    demand.compute = load_.type == JobType::kTraining ? training_compute(dt_s) : inference_compute(dt_s);
  demand.compute = std::clamp(demand.compute + wander_, 0.0, 1.0);
  demand.bandwidth = std::clamp(demand.compute * bandwidth_per_compute_, 0.0, 1.0);
  return demand;
}

double JobLoad::training_compute(double dt_s) {
  phase_left_s_ -= dt_s;
  checkpoint_in_s_ -= dt_s;
  if (checkpoint_in_s_ <= 0 && !saving_) {
    saving_ = true;
    busy_phase_ = false;
    phase_left_s_ = rng_.uniform(10, 40);
  }
  if (phase_left_s_ <= 0) {
    if (std::exchange(saving_, false)) checkpoint_in_s_ = rng_.exponential(1800);
    busy_phase_ = !busy_phase_;
    phase_left_s_ = busy_phase_ ? epoch_s_ * rng_.uniform(0.97, 1.03) : rng_.uniform(3, 9);
  }
  return busy_phase_ ? level_ : saving_ ? 0.02 : 0.3 * level_;
}

double JobLoad::inference_compute(double dt_s) {
  phase_left_s_ -= dt_s;
  if (phase_left_s_ <= 0) {
    busy_phase_ = !busy_phase_;
    phase_left_s_ = rng_.exponential(busy_phase_ ? 12 : 7);
    level_ = busy_phase_ ? rng_.uniform(0.45, 0.95) : rng_.uniform(0.03, 0.25);
  }
  return level_;
}

}  // namespace aether
