#include "simulation/simulation.h"

#include <memory>

#include <fmt/format.h>

#include "codec/codec.h"
#include "simulation/control_plane.h"
#include "simulation/disk.h"
#include "simulation/machine.h"
#include "simulation/network.h"
#include "simulation/referee.h"
#include "simulation/users.h"
#include "simulation/world.h"

namespace aether::simulation {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Duration random_duration(Rng& rng, Duration mean) {
  return Duration(static_cast<std::int64_t>(rng.exponential(static_cast<double>(mean.count()))));
}

// The parts of one run and the faults that befall them.
class Run {
 public:
  Run(std::uint64_t seed, bool keep_trace)
      : seed_(seed),
        world_(seed, keep_trace),
        swarm_(draw_swarm(world_.rng())),
        network_(world_, swarm_, tally_),
        referee_(world_),
        orchestrator_(world_, swarm_, tally_, referee_, disk_,
                      [this](const NodeId& node, std::string payload) { to_node(node, std::move(payload)); }),
        users_(world_, swarm_, tally_, referee_, disk_, orchestrator_) {
    for (int index = 0; index < swarm_.nodes; ++index) {
      const NodeId node(fmt::format("n{}", index + 1));
      machines_.push_back(std::make_unique<Machine>(
          world_, swarm_, tally_, node, [this, node](std::string payload) { from_node(node, std::move(payload)); },
          [this, node](std::shared_ptr<const GpuSample> sample) {
            network_.send(node.str() + ">", [this, sample] { orchestrator_.deliver(SampleInput{sample}); });
          }));
    }
  }

  Outcome play() {
    orchestrator_.start();
    for (const auto& machine : machines_) machine->start_agent();
    users_.begin();
    trouble();
    world_.run_until(swarm_.fault_phase);
    heal();
    const bool settled = settle();
    std::vector<Execution> executions;
    for (const auto& machine : machines_)
      for (Execution& execution : machine->executions()) executions.push_back(std::move(execution));
    if (!settled) {
      referee_.blame("I4", "the system has not settled in its time");
      for (const auto& [id, job] : disk_.jobs())
        if (!is_terminal(job.state)) world_.trace("orchestrator", "says of " + id.str() + ": " + orchestrator_.why(id));
    }
    referee_.judge(disk_, executions, settled);
    tally_.executions = executions.size();
    for (const auto& [id, job] : disk_.jobs()) count_ends(job);
    return {seed_, swarm_, tally_, world_.digest(), world_.now(), referee_.failures(), world_.lines()};
  }

 private:
  void count_ends(const Job& job) {
    tally_.completed += job.state == JobState::kCompleted ? 1 : 0;
    for (const Attempt& attempt : job.attempts) {
      if (attempt.id.n > 1) tally_.count("job placed again");
      if (attempt.exit && attempt.exit->cause == ExitCause::kNodeLost) tally_.count("attempt given up");
    }
    for (const DependencyState state : job.dependencies)
      if (state == DependencyState::kNever) tally_.count("dependency never met");
  }

  void to_node(const NodeId& node, std::string payload) {
    for (const auto& machine : machines_)
      if (machine->node() == node)
        network_.send(">" + node.str(), [to = machine.get(), payload = std::move(payload)] { to->deliver(payload); });
  }

  void from_node(const NodeId& node, std::string payload) {
    network_.send(node.str() + ">", [this, payload = std::move(payload)] {
      auto event = codec::decode_event(payload);
      if (event) orchestrator_.deliver(AgentInput{std::move(*event)});
      else tally_.count("event not decoded");
    });
  }

  Machine& any_machine() { return *machines_[world_.rng().below(machines_.size())]; }

  // Draws the faults of the next second, then of the one after it.
  void trouble() {
    if (world_.now() >= swarm_.fault_phase) return;
    Rng& rng = world_.rng();
    const auto strike = [&](double per_s, const char* name, const std::function<void()>& fault) {
      if (!rng.chance(per_s)) return;
      world_.after(Duration(static_cast<std::int64_t>(rng.uniform() * 1e6)), [this, name, fault] {
        if (world_.now() >= swarm_.fault_phase) return;
        tally_.count(name);
        fault();
      });
    };
    strike(swarm_.orchestrator_crash_per_s, "orchestrator killed", [this] { orchestrator_.kill(); });
    strike(swarm_.orchestrator_pause_per_s, "orchestrator stopped",
           [this] { orchestrator_.pause(random_duration(world_.rng(), seconds(8))); });
    const double nodes = static_cast<double>(machines_.size());
    strike(swarm_.agent_crash_per_s * nodes, "agent killed", [this] { any_machine().kill_agent(); });
    strike(swarm_.agent_pause_per_s * nodes, "agent stopped",
           [this] { any_machine().pause_agent(random_duration(world_.rng(), seconds(15))); });
    strike(swarm_.reboot_per_s * nodes, "node rebooted", [this] { any_machine().reboot(); });
    strike(swarm_.gpu_loss_per_s * nodes, "GPU lost",
           [this] { any_machine().lose_gpu(random_duration(world_.rng(), seconds(15))); });
    strike(swarm_.wall_jump_per_s, "wall clock jumped", [this] { jump_a_wall_clock(); });
    strike(swarm_.clog_per_s * nodes, "link clogged",
           [this] { network_.clog(any_link(), random_duration(world_.rng(), swarm_.clog_mean)); });
    strike(swarm_.partition_per_s * nodes, "node cut off", [this] { cut_off(any_machine().node()); });
    strike(swarm_.drain_per_s * nodes, "node drained", [this] { drain(any_machine().node()); });
    world_.after(seconds(1), [this] { trouble(); });
  }

  std::string any_link() {
    const NodeId& node = any_machine().node();
    return world_.rng().chance(0.5) ? ">" + node.str() : node.str() + ">";
  }

  void cut_off(const NodeId& node) {
    Rng& rng = world_.rng();
    const std::uint64_t ways = rng.below(4);  // 0: it hears only, 1: it is heard only, 2 and 3: neither
    const Duration length = random_duration(rng, swarm_.partition_mean);
    for (const auto& [link, is_cut] : {std::pair(node.str() + ">", ways != 1), std::pair(">" + node.str(), ways != 0)}) {
      if (!is_cut) continue;
      network_.cut(link, true);
      world_.after(length, [this, link = link] { network_.cut(link, false); });
    }
  }

  void jump_a_wall_clock() {
    Rng& rng = world_.rng();
    const Duration by(static_cast<std::int64_t>(rng.uniform(-3600e6, 3600e6)));
    if (rng.chance(0.5)) orchestrator_.jump_wall(by);
    else any_machine().jump_wall(by);
  }

  void drain(const NodeId& node) {
    orchestrator_.deliver(DrainInput{node, "maintenance", [](const Result<void>&) {}});
    world_.after(random_duration(world_.rng(), seconds(10)), [this, node] { undrain(node); });
  }
  void undrain(const NodeId& node) { orchestrator_.deliver(DrainInput{node, std::nullopt, [](const Result<void>&) {}}); }

  void heal() {
    world_.trace("world", "heals");
    network_.heal();
    orchestrator_.heal();
    for (const auto& machine : machines_) machine->heal();
    users_.heal();
  }

  // True when every job has ended and nothing is owed any more. The bound: 150 s, and twice the time that the work takes;
  // what waits for each other can't share it among nodes.
  bool settle() {
    const int side_by_side = swarm_.depend > 0 || swarm_.array > 0 ? 1 : swarm_.nodes;
    const Duration end = world_.now() + seconds(150) + users_.work() * 2 / side_by_side;
    while (world_.now() < end) {
      world_.run_until(world_.now() + seconds(2));
      const auto& jobs = disk_.jobs();
      const bool ended = std::all_of(jobs.begin(), jobs.end(), [](const auto& entry) { return is_terminal(entry.second.state); });
      if (ended && users_.all_answered() && disk_.outbox_rows() == 0 && disk_.allocations().empty()) return true;
      users_.heal();
      for (const auto& machine : machines_) undrain(machine->node());
    }
    return false;
  }

  const std::uint64_t seed_;
  Tally tally_;
  World world_;
  const Swarm swarm_;
  Network network_;
  Referee referee_;
  Disk disk_;
  ControlPlane orchestrator_;
  Users users_;
  std::vector<std::unique_ptr<Machine>> machines_;
};

}  // namespace

Outcome run(std::uint64_t seed, bool keep_trace) { return Run(seed, keep_trace).play(); }

}  // namespace aether::simulation
