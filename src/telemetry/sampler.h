#pragma once
// Reads every GPU once per interval and hands the samples on, at least as regularly as the driver answers.
// Owns one thread, which alone calls the driver.
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "telemetry/gpu_driver.h"

namespace aether {

struct SamplerOptions {
  std::chrono::milliseconds interval{1000};
  std::chrono::milliseconds enumerate_interval{30000};  // looks for GPUs that came or went
  std::chrono::milliseconds fast_interval{0};           // of the fast tier in between; 0 = none
  // The numbers of samples begin behind this. An agent whose numbers go on where an earlier one's ended (the time does)
  // lets a receiver tell what that one left in its spool from what is new.
  std::uint64_t last_sequence = 0;
};

struct SamplerCounters {
  std::uint64_t samples = 0;
  std::uint64_t failed_reads = 0;
  std::uint64_t failed_enumerations = 0;
  std::uint64_t late_ticks = 0;   // a round took longer than the interval
  double last_round_s = 0;
  std::uint64_t fast_readings = 0;
  std::uint64_t fast_missed = 0;  // rounds of the fast tier that fell out
  double fast_period_s = 0;       // as it is now: longer than asked for while the driver is slow; 0 = none
};

class Sampler {
 public:
  using OnSample = std::function<void(GpuSample)>;
  using OnInventory = std::function<void(std::vector<GpuInfo>)>;
  // A reading of either tier, with what the driver knows beyond the sample. Samples of the fast tier come here alone.
  using OnReading = std::function<void(const GpuSample&, const GpuDetail&, ReadTier)>;

  // Callbacks come from the sampler's thread; they must only hand over. The inventory is handed on when it changed: at
  // the first round, when a GPU came or was lost, and when the driver came back different.
  Sampler(NodeId node, GpuDriver& driver, const Clock& clock, SamplerOptions options, OnSample on_sample,
          OnInventory on_inventory);
  ~Sampler();
  // Before start().
  void set_on_reading(OnReading on_reading) { on_reading_ = std::move(on_reading); }

  void start();
  void stop();

  // One round on the caller's thread; what start() repeats. For tests and single steps, not beside start().
  // A GPU that answers kNotFound leaves the inventory at once and is tried again every enumerate_interval. When no GPU
  // answers, the driver is enumerated anew, first at the next round, then ever more rarely up to enumerate_interval.
  void tick();

  // One round of the fast tier. The period doubles while rounds take more than a fifth of it, up to `interval`, and comes
  // back when they don't: nothing is asked more often of a driver that has trouble.
  void tick_fast();

  SamplerCounters counters() const;

 private:
  struct Round {
    int answered = 0;
    bool found_lost = false;
  };
  void run();
  void enumerate(bool try_lost_gpus);
  void plan_retry(bool driver_answers, bool was_due);
  void publish_inventory(std::vector<GpuInfo> gpus);
  Round read_all();
  bool read_one(const GpuInfo& gpu);
  void adapt_fast_period(Duration took);
  bool has_fast_tier() const { return options_.fast_interval.count() > 0; }
  template <class Update>
  void count(Update update);

  const NodeId node_;
  GpuDriver& driver_;
  const Clock& clock_;
  const SamplerOptions options_;
  const OnSample on_sample_;
  const OnInventory on_inventory_;

  // Of the sampling thread alone.
  std::vector<GpuInfo> gpus_;
  std::set<GpuUuid> lost_;
  std::map<GpuUuid, std::uint64_t> sequence_;
  bool listed_ = false;  // the last enumeration succeeded
  bool inventory_published_ = false;
  Mono next_enumerate_{};
  Duration retry_delay_{0};
  OnReading on_reading_;
  Duration fast_period_{0};
  int slow_rounds_ = 0, good_rounds_ = 0;  // in a row, of the fast tier

  mutable std::mutex mutex_;  // counters_, stopping_
  std::condition_variable wake_;
  SamplerCounters counters_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace aether
