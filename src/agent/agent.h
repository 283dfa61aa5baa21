#pragma once
// One node's side of Aether: readings out, commands in, results until acknowledged. One thread owns the agent's state;
// the sampler has its own and publishes by itself. Queues: commands 1,000 (drop oldest: they are sent again), reports
// 10,000 (drop oldest: heartbeats repeat them), spool of readings while the bus is away (drop oldest, counted).
#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "agent/agent_core.h"
#include "base/bounded_queue.h"
#include "base/clock.h"
#include "base/result.h"
#include "bus/bus.h"
#include "executor/process_runner.h"
#include "model/message.h"
#include "telemetry/gpu_driver.h"
#include "telemetry/sampler.h"

namespace aether {

struct AgentOptions {
  NodeId node;
  std::string host_name;
  std::string version;
  std::string boot_id;
  SamplerOptions sampler;
  std::chrono::milliseconds heartbeat_interval{2000};
  std::size_t spool_samples = 20000;
  GpuCheckOptions gpu_check;            // of real GPUs; nothing is left on a simulated one
  LeaseOptions lease;
  std::string leader_file;  // where the highest leader epoch seen is kept; empty = in memory only
};

struct AgentCounters {
  SamplerCounters sampler;
  std::uint64_t published = 0, spooled = 0, spool_dropped = 0;
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

 private:
  void on_sample(GpuSample sample);
  void flush_spool();
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

  mutable std::mutex mutex_;            // spool_, latest_, counters_
  std::deque<GpuSample> spool_;
  std::map<GpuUuid, GpuSample> latest_;
  AgentCounters counters_;

  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace aether
