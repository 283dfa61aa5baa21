#pragma once
// The orchestrator's process: what OrchestratorService does with its threads, done here by the world's clock. Writes
// become durable first, then commands and replies leave. kill -9, SIGSTOP and a failing store happen to it.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "orchestrator/orchestrator.h"
#include "simulation/disk.h"
#include "simulation/referee.h"
#include "simulation/swarm.h"
#include "simulation/tally.h"
#include "simulation/world.h"

namespace aether::simulation {

class ControlPlane {
 public:
  // Takes the encoded command to its node.
  using Publish = std::function<void(const NodeId&, std::string payload)>;

  ControlPlane(World& world, const Swarm& swarm, Tally& tally, Referee& referee, Disk& disk, Publish publish);

  void start();
  void kill();                    // the process is gone; it is started again after a moment
  void pause(Duration length);    // SIGSTOP, then SIGCONT
  void jump_wall(Duration by) { clock_.jump_wall(by); }
  void heal();

  bool alive() const { return core_ != nullptr; }
  // What the orchestrator itself says about a job that waits; empty when it says nothing.
  std::string why(const JobId& job);
  // From the bus and from users. False when no process is there to take it.
  bool deliver(Input input);

 private:
  void tick(std::uint64_t life);
  void schedule_step(Duration delay);
  void step(std::uint64_t life);
  void finish_step(std::uint64_t life, std::shared_ptr<Effects> effects);
  // True when `effects` are durable and the process still lives.
  bool commit(const std::vector<Write>& writes);
  std::unique_ptr<Orchestrator> make_core();
  void start_over(Effects& effects);
  void carry_out(Effects& effects);
  void send(Effects& effects);
  void answer(Effects& effects);
  void ask_predictor(const PredictionsAsked& asked);

  World& world_;
  const Swarm& swarm_;
  Tally& tally_;
  Referee& referee_;
  Disk& disk_;
  const Publish publish_;
  MachineClock clock_;
  std::optional<SteadyWallClock> steady_;
  std::unique_ptr<Orchestrator> core_;
  std::uint64_t life_ = 0;        // grows with each process; actions of an earlier one do nothing
  bool busy_ = false;             // a commit is under way
  bool step_scheduled_ = false;
  bool healed_ = false;
  Duration paused_until_{0};
  std::vector<Input> inbox_;
};

}  // namespace aether::simulation
