#pragma once
// A node: its clocks, its GPUs, the disk and the processes of its jobs, and an agent that may die while they go on.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/agent_core.h"
#include "executor/simulated/simulated_runner.h"
#include "simulation/referee.h"
#include "simulation/swarm.h"
#include "simulation/tally.h"
#include "simulation/world.h"

namespace aether::simulation {

class Machine {
 public:
  using Publish = std::function<void(std::string encoded_event)>;
  using Sample = std::function<void(std::shared_ptr<const GpuSample>)>;

  Machine(World& world, const Swarm& swarm, Tally& tally, NodeId node, Publish publish, Sample sample);

  void start_agent();
  void kill_agent();             // kill -9; started again after a moment. Jobs go on
  void pause_agent(Duration length);
  void reboot();                 // every process is gone; disks stay
  void lose_gpu(Duration length);
  void jump_wall(Duration by) { clock_.jump_wall(by); }
  void heal();

  void deliver(const std::string& encoded_command);
  const NodeId& node() const { return node_; }
  std::vector<Execution> executions();

 private:
  void tick(std::uint64_t life);
  void step();
  void send_samples(std::uint64_t life);
  void stop_process();
  // Lets the processes of the jobs run on to the clock's time while no agent looks.
  void settle();
  std::vector<GpuInfo> gpus_now() const;

  World& world_;
  const Swarm& swarm_;
  Tally& tally_;
  const NodeId node_;
  const Publish publish_;
  const Sample sample_;
  MachineClock clock_;
  std::vector<GpuInfo> gpus_;
  Duration gpu_lost_until_{0};
  std::shared_ptr<SimulatedJournal> journal_ = std::make_shared<SimulatedJournal>();
  std::unique_ptr<SimulatedRunner> runner_;
  std::unique_ptr<AgentCore> agent_;
  std::uint64_t life_ = 0;
  std::uint64_t sample_seq_ = 0;
  std::uint64_t leader_epoch_ = 0;  // on the node's disk
  bool healed_ = false;
  Duration paused_until_{0};
  std::vector<AgentCore::Input> inbox_;
};

}  // namespace aether::simulation
