#pragma once
// One node's side of Aether: readings out, commands in, results until acknowledged. One thread owns the agent's state;
// the sampler has its own and publishes by itself. Queues: commands 1,000 (drop oldest: they are sent again), reports
// 10,000 (drop oldest: heartbeats repeat them), spool of readings while nobody takes them (drop oldest, counted).
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "agent/agent_core.h"
#include "agent/health_watch.h"
#include "agent/recent_readings.h"
#include "base/bounded_queue.h"
#include "base/clock.h"
#include "base/result.h"
#include "bus/bus.h"
#include "executor/process_runner.h"
#include "model/message.h"
#include "telemetry/gpu_driver.h"
#include "telemetry/sampler.h"
#include "telemetry/spool.h"

namespace aether {

struct AgentOptions {
  NodeId node;
  std::string host_name;
  std::string version;
  std::string boot_id;
  SamplerOptions sampler;
  std::chrono::milliseconds heartbeat_interval{2000};
  SpoolOptions spool;
  // Readings count as undelivered while the orchestrator has not answered a heartbeat for so long, and are kept; 0: while
  // the bus is away only.
  std::chrono::milliseconds answer_timeout{0};
  std::size_t spool_burst = 250;    // sent from the spool with each reading, so that a backlog drowns nobody
  HealthOptions health;
  GpuCheckOptions gpu_check;            // of real GPUs; nothing is left on a simulated one
  LeaseOptions lease;
  std::string health_file;  // of the open faults of GPUs, for the next agent; empty = in memory only
  std::string leader_file;  // where the highest leader epoch seen is kept; empty = in memory only
};

struct AgentCounters {
  SamplerCounters sampler;
  std::uint64_t published = 0;   // readings that went to the bus, from the spool too
  std::uint64_t sent_again = 0;  // of them, since the connection broke soon after
  SpoolCounters spool;
  std::uint64_t commands = 0, commands_rejected = 0, starts_refused = 0, stale_leader = 0, leases_expired = 0;
};

class Agent {
 public:
  // `loads` may be null: real GPUs feel their jobs by themselves.
  Agent(AgentOptions options, GpuDriver& driver, LoadSink* loads, ProcessRunner& runner, Bus& bus, const Clock& clock);
  ~Agent();

  // Re-adopts what runs on this node, then joins the bus.
  Result<void> start();
  // Leaves the bus. Running jobs go on.
  void stop();

  AgentCounters counters() const;
  const std::string& incarnation() const { return core_.incarnation(); }
  // Newest reading of each GPU, for the agent's own /metrics.
  std::vector<GpuSample> latest() const;
  // The same of both tiers, with what the driver knows beyond it; `at` is when it was read.
  struct Reading {
    GpuSample sample;
    GpuDetail detail;
    Mono at{};
  };
  std::vector<Reading> readings() const;
  // Every GPU since the start; one that left the inventory is not `present`.
  struct KnownGpu {
    GpuInfo info;
    bool present = true;
  };
  std::vector<KnownGpu> known_gpus() const;
  std::string driver_version() const;
  std::vector<HealthWatch::XidCount> xids() const;
  // See AgentCore.
  std::map<GpuUuid, std::size_t> foreign_processes() const;
  GpuDriverHealth driver_health() const { return driver_.health(); }

 private:
  void on_sample(GpuSample sample);
  void on_reading(const GpuSample& sample, const GpuDetail& detail, ReadTier tier);
  void on_event(const GpuEvent& event);
  void on_inventory(std::vector<GpuInfo> gpus);
  void say_health_news(HealthWatch::News news);
  void remember_faults();
  void send_recent_again();
  void flush_spool();
  bool is_delivering() const;
  void note_answers(const std::vector<AgentCore::Input>& inputs);
  void run();
  void publish(const AgentEvent& event);
  void update_loads();

  const AgentOptions options_;
  GpuDriver& driver_;
  LoadSink* const loads_;
  ProcessRunner& runner_;
  Bus& bus_;
  const Clock& clock_;

  // Shared with the runner's report callback, which may still run while the agent goes.
  std::shared_ptr<BoundedQueue<AgentCore::Input>> inputs_ =
      std::make_shared<BoundedQueue<AgentCore::Input>>(10000, WhenFull::kDropOldest);
  std::unique_ptr<Bus::Subscription> subscription_;
  std::unique_ptr<Sampler> sampler_;
  AgentCore core_;                      // run()'s

  // Of the sampler's thread.
  std::unique_ptr<Spool> spool_;
  std::unique_ptr<RecentReadings> recent_;
  std::uint64_t reconnects_seen_ = 0;
  bool was_delivering_ = true;
  std::string remembered_faults_;       // as in the file, without the energy that only grows

  mutable std::mutex mutex_;            // latest_, readings_, health_, counters_
  std::map<GpuUuid, GpuSample> latest_;
  std::map<GpuUuid, Reading> readings_;
  std::map<GpuUuid, KnownGpu> known_gpus_;
  std::string driver_version_;
  HealthWatch health_;
  AgentCounters counters_;
  std::map<GpuUuid, std::size_t> foreign_processes_;
  std::atomic<bool> asked_again_{false};       // the orchestrator has missed something since this agent began
  std::atomic<Duration::rep> answered_us_{0};  // boot time of the last heartbeat that was answered; 0 = never

  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace aether
