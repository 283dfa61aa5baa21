#pragma once
// What an agent decides: commands and reports in, events out. No thread, clock, bus or lock of its own, so that the same
// code runs in an agent and in a simulation. Drive it so: collect inputs until next_heartbeat() at the latest, call
// step() with them, publish what it returns in that order. One owner thread.
#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "executor/process_runner.h"
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
};

class AgentCore {
 public:
  struct Inventory {
    std::vector<GpuInfo> gpus;
    std::string driver_version;
  };
  using Input = std::variant<Command, AttemptReport, Inventory>;

  struct Counters {
    std::uint64_t commands = 0, starts_refused = 0;
  };

  // `runner` has recovered. `incarnation` is new with each start of the agent.
  AgentCore(AgentCoreOptions options, ProcessRunner& runner, std::string incarnation);

  // `now` is the node's boot clock; it never goes back.
  std::vector<AgentEvent> step(Mono now, std::span<const Input> inputs);

  // When step() wants to be called even without an input.
  Mono next_heartbeat() const { return next_heartbeat_; }
  // True once after each change of what runs here.
  bool take_loads_changed() { return std::exchange(loads_changed_, false); }

  const Counters& counters() const { return counters_; }
  const std::string& incarnation() const { return incarnation_; }

 private:
  void apply(const Command& command);
  void apply(const AttemptReport& report);
  void apply(const Inventory& inventory);
  void obey(const StartCommand& command);
  void obey(const StopCommand& command);
  void obey(const ResultAckCommand& command);
  void obey(const HeartbeatAckCommand& command);
  void obey(const ReadLogCommand& command);
  void obey(const SuspendCommand& command);
  void obey(const ResumeCommand& command);
  void obey(const SignalCommand& command);
  void answer_order(const char* order, const AttemptId& attempt, const Result<void>& done);
  void refuse(const AttemptId& attempt, Epoch epoch, std::string code, std::string message);
  void say(decltype(AgentEvent::body) body);
  void say_hello();

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
  Counters counters_;
  std::vector<AgentEvent> out_;  // of the step that runs
};

}  // namespace aether
