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
  fast_period_ = options_.fast_interval;
  counters_.fast_period_s = std::chrono::duration<double>(fast_period_).count();
}

Sampler::~Sampler() { stop(); }

template <class Update>
void Sampler::count(Update update) {
  std::lock_guard lock(mutex_);
  update(counters_);
}

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

namespace {

// The next moment of the grid after `now`; how many were jumped over.
std::uint64_t step_grid(Mono& next, Duration period, Mono now) {
  next += period;
  if (now <= next) return 0;
  const auto missed = (now - next) / period + 1;
  next += missed * period;
  return static_cast<std::uint64_t>(missed);
}

}  // namespace

// Ticks lie on a grid, so a slow round shifts no later one; a round longer than the interval skips the ticks it
// covered.
void Sampler::run() {
  Mono next = clock_.mono();
  Mono next_fast = next + fast_period_;
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    lock.unlock();
    const bool whole = clock_.mono() >= next;
    if (whole) {
      tick();
      step_grid(next, options_.interval, clock_.mono());
    }
    if (has_fast_tier() && clock_.mono() >= next_fast) {
      if (!whole) tick_fast();  // a whole round stands for the fast one at its moment
      const auto missed = step_grid(next_fast, fast_period_, clock_.mono());
      count([&](SamplerCounters& counters) { counters.fast_missed += missed; });
    }
    lock.lock();
    const Mono wake = has_fast_tier() ? std::min(next, next_fast) : next;
    for (Duration left = wake - clock_.mono(); left.count() > 0 && !stopping_; left = wake - clock_.mono())
      wake_.wait_for(lock, left);
  }
}

void Sampler::tick_fast() {
  const Mono begin = clock_.mono();
  for (const GpuInfo& gpu : gpus_) {
    if (lost_.contains(gpu.gpu_uuid)) continue;
    const Time time = clock_.now();
    Result<GpuSample> sample = driver_.read_fast(gpu.gpu_uuid);
    if (!sample) continue;  // the next whole round finds out what it means
    sample->node = node_;
    sample->sample_time = time;
    count([](SamplerCounters& counters) { ++counters.fast_readings; });
    if (on_reading_) on_reading_(*sample, driver_.detail(gpu.gpu_uuid).value_or(GpuDetail{}), ReadTier::kFast);
  }
  adapt_fast_period(clock_.mono() - begin);
}

void Sampler::adapt_fast_period(Duration took) {
  constexpr int kSlowRounds = 10, kGoodRounds = 600;
  const bool slow = took > fast_period_ / 5;
  slow_rounds_ = slow ? slow_rounds_ + 1 : 0;
  good_rounds_ = took > fast_period_ / 20 ? 0 : good_rounds_ + 1;
  Duration period = fast_period_;
  if (slow_rounds_ >= kSlowRounds) period = std::min<Duration>(2 * period, options_.interval);
  if (good_rounds_ >= kGoodRounds) period = std::max<Duration>(period / 2, options_.fast_interval);
  if (period == fast_period_) return;
  fast_period_ = period;
  slow_rounds_ = good_rounds_ = 0;
  count([&](SamplerCounters& counters) { counters.fast_period_s = std::chrono::duration<double>(period).count(); });
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
  sample->sample_seq = ++sequence_.try_emplace(gpu.gpu_uuid, options_.last_sequence).first->second;
  sample->sample_time = time;
  count([](SamplerCounters& counters) { ++counters.samples; });
  if (on_reading_) on_reading_(*sample, driver_.detail(gpu.gpu_uuid).value_or(GpuDetail{}), ReadTier::kState);
  on_sample_(*std::move(sample));
  return true;
}

SamplerCounters Sampler::counters() const {
  std::lock_guard lock(mutex_);
  return counters_;
}

}  // namespace aether
