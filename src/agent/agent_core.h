#pragma once
// What an agent decides: commands and reports in, events out. No thread, clock, bus or lock of its own, so that the same
// code runs in an agent and in a simulation. Drive it so: collect inputs until next_heartbeat() at the latest, call
// step() with them, publish what it returns in that order. One owner thread.
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "agent/gpu_guard.h"
#include "base/clock.h"
#include "executor/process_runner.h"
#include "model/lease.h"
#include "model/message.h"
#include "model/node.h"

namespace aether {

struct AgentCoreOptions {
  NodeId node;
  std::string host_name;
  std::string version;
  std::string boot_id;
  GpuSource source = GpuSource::kSimulated;
  std::chrono::milliseconds heartbeat_interval{2000};
  // GPUs are measured before a start and after an end; absent: what the runner says is believed.
  std::optional<GpuCheckOptions> gpu_check;
  LeaseOptions lease;
  std::size_t max_heartbeat_bytes = 48 * 1024;  // of one part, so that a bus message holds it
  // The highest leader epoch seen, and how a higher one becomes durable before its first command is obeyed.
  std::uint64_t leader_epoch = 0;
  std::function<Result<void>(std::uint64_t)> remember_leader = {};
};

class AgentCore {
 public:
  struct Inventory {
    std::vector<GpuInfo> gpus;
    std::string driver_version;
  };
  // The last two are told as they are; a fault again with the next heartbeats.
  using Input = std::variant<Command, AttemptReport, Inventory, GpuSample, GpuFaultEvent, GpuRecoveredEvent>;

  struct Counters {
    std::uint64_t commands = 0, starts_refused = 0;
    std::uint64_t stale_leader = 0;     // commands of an orchestrator that is no longer the one
    std::uint64_t leases_expired = 0;   // times that nobody answered for as long as the lease
  };

  // `runner` has recovered. `incarnation` is new with each start of the agent.
  AgentCore(AgentCoreOptions options, ProcessRunner& runner, std::string incarnation);

  // `now` is the node's boot clock; it never goes back.
  std::vector<AgentEvent> step(Mono now, std::span<const Input> inputs);

  // When step() wants to be called even without an input.
  Mono next_heartbeat() const { return next_heartbeat_; }
  // The same, while ended attempts wait for their GPUs; next_heartbeat() otherwise.
  Mono next_step(Mono now) const;
  // True once after each change of what runs here.
  bool take_loads_changed() { return std::exchange(loads_changed_, false); }

  // Starts are taken while this holds. A new agent has a lease of its own until somebody answers.
  bool lease_valid(Mono now) const { return lease_from_ && now - *lease_from_ < options_.lease.lease; }
  const Counters& counters() const { return counters_; }
  // Processes on real GPUs that Aether did not start; of GPUs whose processes are known.
  std::map<GpuUuid, std::size_t> foreign_processes() const { return guard_ ? guard_->foreign() : std::map<GpuUuid, std::size_t>(); }
  const std::string& incarnation() const { return incarnation_; }

 private:
  void apply(const Command& command);
  void apply(const AttemptReport& report);
  void apply(const Inventory& inventory);
  void apply(const GpuSample& sample);
  void apply(const GpuFaultEvent& fault);
  void apply(const GpuRecoveredEvent& recovered);
  void obey(const StartCommand& command);
  void launch_accepted();
  void obey(const StopCommand& command);
  void obey(const ResultAckCommand& command);
  void obey(const HeartbeatAckCommand& command);
  void obey(const ReadLogCommand& command);
  bool accept_leader(const Command& command);
  bool knows(const AttemptId& attempt) const;
  void check_lease();
  void renew_leases();
  void say_heartbeat();
  void obey(const SuspendCommand& command);
  void obey(const ResumeCommand& command);
  void obey(const SignalCommand& command);
  void answer_order(const char* order, const AttemptId& attempt, const Result<void>& done);
  void refuse(const AttemptId& attempt, Epoch epoch, std::string code, std::string message);
  void say(decltype(AgentEvent::body) body);
  void say_hello();
  BootTime boot_time() const;
  void say_gpu_news();
  void say_faults();
  AttemptReport shown(const AttemptReport& report);
  std::vector<AttemptReport> shown_attempts();

  const AgentCoreOptions options_;
  ProcessRunner& runner_;
  const std::string incarnation_;
  std::vector<GpuInfo> gpus_;
  std::string driver_version_;
  bool know_gpus_ = false;
  std::uint64_t inventory_seq_ = 0;
  bool loads_changed_ = true;
  std::uint64_t heartbeat_seq_ = 0;
  Mono next_heartbeat_{};
  Mono now_{};                           // of the step that runs
  std::optional<GpuGuard> guard_;
  std::vector<StartCommand> accepted_;   // starts that passed the checks, in order, not launched yet
  std::vector<LaunchSpec> launches_;     // the same
  std::vector<std::pair<GpuFaultEvent, int>> faults_;  // with how often they are still to be said
  std::optional<Mono> lease_from_;       // when the last acknowledged heartbeat was sent
  bool lease_was_valid_ = true;
  std::map<std::uint64_t, Mono> sent_;   // heartbeats without an answer
  std::uint64_t leader_epoch_ = 0;
  Counters counters_;
  std::vector<AgentEvent> out_;  // of the step that runs
};

}  // namespace aether
