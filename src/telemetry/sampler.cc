#include "telemetry/sampler.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/log.h"

namespace aether {

Sampler::Sampler(NodeId node, GpuDriver& driver, const Clock& clock, SamplerOptions options, OnSample on_sample,
                 OnInventory on_inventory)
    : node_(std::move(node)),
      driver_(driver),
      clock_(clock),
      options_(options),
      on_sample_(std::move(on_sample)),
      on_inventory_(std::move(on_inventory)) {
  AETHER_ASSERT(options_.interval.count() > 0);
  AETHER_ASSERT(options_.enumerate_interval >= options_.interval);
}

Sampler::~Sampler() { stop(); }

void Sampler::start() {
  AETHER_ASSERT(!thread_.joinable());
  {
    std::lock_guard lock(mutex_);
    stopping_ = false;
  }
  thread_ = std::thread([this] { run(); });
}

void Sampler::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

// Ticks lie on a grid, so a slow round shifts no later one; a round longer than the interval skips the ticks it
// covered.
void Sampler::run() {
  Mono next = clock_.mono();
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    lock.unlock();
    tick();
    const Mono now = clock_.mono();
    next += options_.interval;
    if (now > next) next += ((now - next) / options_.interval + 1) * Duration(options_.interval);
    lock.lock();
    for (Duration left = next - clock_.mono(); left.count() > 0 && !stopping_; left = next - clock_.mono())
      wake_.wait_for(lock, left);
  }
}

void Sampler::tick() {
  const Mono begin = clock_.mono();
  const bool due = begin >= next_enumerate_;
  if (due) enumerate(true);
  const Round round = read_all();
  if (round.found_lost) enumerate(false);
  plan_retry(listed_ && (round.answered > 0 || gpus_.empty()), due);
  const Duration took = clock_.mono() - begin;
  count([&](SamplerCounters& counters) {
    counters.last_round_s = std::chrono::duration<double>(took).count();
    if (took > options_.interval) ++counters.late_ticks;
  });
}

// A driver that does not answer is enumerated anew one interval later, then after ever longer pauses.
void Sampler::plan_retry(bool driver_answers, bool was_due) {
  if (driver_answers) {
    retry_delay_ = Duration(0);
  } else if (was_due || retry_delay_.count() == 0) {
    retry_delay_ = std::clamp<Duration>(2 * retry_delay_, options_.interval, options_.enumerate_interval);
    next_enumerate_ = std::min(next_enumerate_, clock_.mono() + retry_delay_);
  }
}

void Sampler::enumerate(bool try_lost_gpus) {
  next_enumerate_ = clock_.mono() + options_.enumerate_interval;
  Result<std::vector<GpuInfo>> listed = driver_.enumerate();
  listed_ = listed.has_value();
  if (!listed) {
    count([](SamplerCounters& counters) { ++counters.failed_enumerations; });
    log::debug("telemetry", "the GPU driver lists no GPUs", {{"error", listed.error().message}});
    return;
  }
  if (try_lost_gpus) std::erase_if(lost_, [&](const GpuUuid& uuid) { return driver_.read(uuid).has_value(); });
  std::erase_if(*listed, [&](const GpuInfo& gpu) { return lost_.contains(gpu.gpu_uuid); });
  publish_inventory(*std::move(listed));
}

void Sampler::publish_inventory(std::vector<GpuInfo> gpus) {
  const bool changed = !inventory_published_ || gpus != gpus_;
  gpus_ = std::move(gpus);
  inventory_published_ = true;
  if (!changed) return;
  log::info("telemetry", "GPU inventory", {{"gpus", gpus_.size()}, {"lost", lost_.size()}});
  on_inventory_(gpus_);
}

Sampler::Round Sampler::read_all() {
  Round round;
  for (const GpuInfo& gpu : gpus_) {
    if (lost_.contains(gpu.gpu_uuid)) continue;  // the enumeration after its loss failed
    if (read_one(gpu)) ++round.answered;
    if (lost_.contains(gpu.gpu_uuid)) round.found_lost = true;
  }
  return round;
}

bool Sampler::read_one(const GpuInfo& gpu) {
  const Time time = clock_.now();
  Result<GpuSample> sample = driver_.read(gpu.gpu_uuid);
  if (!sample) {
    count([](SamplerCounters& counters) { ++counters.failed_reads; });
    if (sample.error().code != ErrorCode::kNotFound) return false;
    lost_.insert(gpu.gpu_uuid);
    log::warn("telemetry", "GPU lost", {{"gpu", gpu.gpu_uuid.str()}, {"error", sample.error().message}});
    return false;
  }
  sample->node = node_;
  sample->sample_seq = ++sequence_[gpu.gpu_uuid];
  sample->sample_time = time;
  count([](SamplerCounters& counters) { ++counters.samples; });
  on_sample_(*std::move(sample));
  return true;
}

template <class Update>
void Sampler::count(Update update) {
  std::lock_guard lock(mutex_);
  update(counters_);
}

SamplerCounters Sampler::counters() const {
  std::lock_guard lock(mutex_);
  return counters_;
}

}  // namespace aether
