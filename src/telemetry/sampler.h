#pragma once
// Reads every GPU once per interval and hands the samples on, at least as regularly as the driver answers.
// Owns one thread, which alone calls the driver.
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "telemetry/gpu_driver.h"

namespace aether {

struct SamplerOptions {
  std::chrono::milliseconds interval{1000};
  std::chrono::milliseconds enumerate_interval{30000};  // looks for GPUs that came or went
};

struct SamplerCounters {
  std::uint64_t samples = 0;
  std::uint64_t failed_reads = 0;
  std::uint64_t late_ticks = 0;   // a round took longer than the interval
  double last_round_s = 0;
};

class Sampler {
 public:
  using OnSample = std::function<void(GpuSample)>;
  using OnInventory = std::function<void(std::vector<GpuInfo>)>;

  // Callbacks come from the sampler's thread; they must only hand over.
  Sampler(NodeId node, GpuDriver& driver, const Clock& clock, SamplerOptions options, OnSample on_sample,
          OnInventory on_inventory);
  ~Sampler();

  void start();
  void stop();

  // One round on the caller's thread; what start() repeats. For tests and single steps, not beside start().
  void tick();

  SamplerCounters counters() const;

 private:
  void enumerate();
  void run();
  void read_all();

  const NodeId node_;
  GpuDriver& driver_;
  const Clock& clock_;
  const SamplerOptions options_;
  const OnSample on_sample_;
  const OnInventory on_inventory_;
  std::vector<GpuInfo> gpus_;
  std::map<GpuUuid, std::uint64_t> sequence_;
  Mono next_enumerate_{};
  mutable std::mutex mutex_;  // counters_
  SamplerCounters counters_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace aether
