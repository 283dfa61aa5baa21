#include "agent/agent_core.h"

#include <algorithm>

#include "base/log.h"

namespace aether {
namespace {
constexpr std::int64_t kMaxLogChunk = 32 * 1024;  // base64 of it fits a bus message
}

AgentCore::AgentCore(AgentCoreOptions options, ProcessRunner& runner, std::string incarnation)
    : options_(std::move(options)), runner_(runner), incarnation_(std::move(incarnation)) {}

std::vector<AgentEvent> AgentCore::step(Mono now, std::span<const Input> inputs) {
  out_.clear();
  for (const Input& input : inputs) std::visit([&](const auto& value) { apply(value); }, input);
  if (now >= next_heartbeat_) {
    // Before the GPUs are known a heartbeat would introduce a node without any.
    if (know_gpus_) say(HeartbeatEvent{++heartbeat_seq_, inventory_seq_, runner_.attempts()});
    next_heartbeat_ = now + (know_gpus_ ? options_.heartbeat_interval : std::chrono::milliseconds(50));
  }
  return std::move(out_);
}

void AgentCore::apply(const Command& command) {
  if (command.node != options_.node) return;
  if (!command.agent_incarnation.empty() && command.agent_incarnation != incarnation_) return;
  ++counters_.commands;
  std::visit([&](const auto& body) { obey(body); }, command.body);
}

void AgentCore::apply(const AttemptReport& report) {
  say(report);
  loads_changed_ = true;
}

void AgentCore::apply(const Inventory& inventory) {
  if (know_gpus_ && gpus_ == inventory.gpus) return;
  gpus_ = inventory.gpus;
  driver_version_ = inventory.driver_version;
  know_gpus_ = true;
  ++inventory_seq_;
  say_hello();
}

void AgentCore::obey(const StartCommand& command) {
  const bool all_here = std::all_of(command.gpu_uuids.begin(), command.gpu_uuids.end(), [&](const GpuUuid& uuid) {
    return std::any_of(gpus_.begin(), gpus_.end(), [&](const GpuInfo& gpu) { return gpu.gpu_uuid == uuid; });
  });
  if (!all_here)
    return refuse(command.attempt, command.epoch, "GPU_UNAVAILABLE", "this node does not list one of the GPUs now");
  const auto launched = runner_.launch(
      {command.attempt, command.epoch, command.job_number, command.user, command.spec, command.gpu_uuids});
  if (launched) {
    loads_changed_ = true;
    return;
  }
  const Error& error = launched.error();
  const char* code = "JOURNAL_READ_ONLY";
  if (error.code == ErrorCode::kConflict) code = "STALE_EPOCH";
  if (error.code == ErrorCode::kPermissionDenied) code = "CANCELLED";
  if (error.code == ErrorCode::kInvalidArgument) code = "WRONG_TARGET";
  refuse(command.attempt, command.epoch, code, error.message);
}

void AgentCore::obey(const StopCommand& command) {
  const auto stopped = runner_.stop(command.attempt, command.epoch, command.reason, command.grace_s);
  const auto known = runner_.attempts();
  const auto report = std::find_if(known.begin(), known.end(),
                                   [&](const AttemptReport& candidate) { return candidate.attempt == command.attempt; });
  if (report != known.end()) return say(*report);  // also when it had ended already
  if (stopped) return refuse(command.attempt, command.epoch, "CANCELLED", "stopped before it started");
  log::warn("agent", "stop failed", {{"attempt", to_string(command.attempt)}, {"why", stopped.error().message}});
}

void AgentCore::obey(const ResultAckCommand& command) { runner_.forget(command.attempt); }

void AgentCore::obey(const HeartbeatAckCommand& command) {
  if (command.send_inventory && know_gpus_) say_hello();
}

void AgentCore::obey(const ReadLogCommand& command) {
  LogEvent event;
  event.request_id = command.request_id;
  auto chunk = runner_.read_log(command.attempt, command.stream, command.offset, std::min(command.limit, kMaxLogChunk));
  if (chunk)
    event.chunk = std::move(*chunk);
  else
    event.error = chunk.error().message;
  say(std::move(event));
}

void AgentCore::obey(const SuspendCommand& command) {
  answer_order("suspend", command.attempt, runner_.suspend(command.attempt, command.epoch));
}

void AgentCore::obey(const ResumeCommand& command) {
  answer_order("resume", command.attempt, runner_.resume(command.attempt, command.epoch));
}

void AgentCore::obey(const SignalCommand& command) {
  const auto sent = runner_.signal(command.attempt, command.epoch, command.signal);
  if (!sent) log::warn("agent", "signal not sent", {{"attempt", to_string(command.attempt)}, {"why", sent.error().message}});
}

// The attempt's state is the answer, also to an order that comes again.
void AgentCore::answer_order(const char* order, const AttemptId& attempt, const Result<void>& done) {
  if (!done)
    log::warn("agent", "order not carried out", {{"order", order}, {"attempt", to_string(attempt)}, {"why", done.error().message}});
  for (const AttemptReport& report : runner_.attempts())
    if (report.attempt == attempt) return say(report);
}

void AgentCore::refuse(const AttemptId& attempt, Epoch epoch, std::string code, std::string message) {
  ++counters_.starts_refused;
  say(RefusedEvent{attempt, epoch, std::move(code), std::move(message)});
}

void AgentCore::say(decltype(AgentEvent::body) body) {
  out_.push_back({options_.node, incarnation_, std::move(body)});
}

void AgentCore::say_hello() {
  NodeInventory inventory;
  inventory.node = options_.node;
  inventory.host_name = options_.host_name;
  inventory.agent_version = options_.version;
  inventory.agent_incarnation = incarnation_;
  inventory.inventory_seq = inventory_seq_;
  inventory.boot_id = options_.boot_id;
  inventory.driver_version = driver_version_;
  inventory.exec_mode = runner_.exec_mode();
  inventory.run_as = runner_.run_as();
  inventory.source = options_.source;
  inventory.gpus = gpus_;
  say(HelloEvent{std::move(inventory)});
}

}  // namespace aether
