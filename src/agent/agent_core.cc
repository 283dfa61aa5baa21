#include "agent/agent_core.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/log.h"
#include "base/mutant.h"

namespace aether {
namespace {
constexpr std::int64_t kMaxLogChunk = 32 * 1024;  // base64 of it fits a bus message
constexpr int kFaultRepeats = 3;
}

AgentCore::AgentCore(AgentCoreOptions options, ProcessRunner& runner, std::string incarnation)
    : options_(std::move(options)),
      runner_(runner),
      incarnation_(std::move(incarnation)),
      leader_epoch_(options_.leader_epoch) {
  if (options_.gpu_check) guard_.emplace(*options_.gpu_check, runner_);
}

Mono AgentCore::next_step(Mono now) const {
  const auto poll = guard_ ? guard_->next_poll(now) : std::nullopt;
  return poll ? std::min(*poll, next_heartbeat_) : next_heartbeat_;
}

std::vector<AgentEvent> AgentCore::step(Mono now, std::span<const Input> inputs) {
  out_.clear();
  now_ = now;
  if (!lease_from_) lease_from_ = now;
  check_lease();  // first: after a pause the queue is older than the lease
  for (const Input& input : inputs) std::visit([&](const auto& value) { apply(value); }, input);
  launch_accepted();
  if (guard_) say_gpu_news();
  if (now >= next_heartbeat_) {
    if (know_gpus_) say_faults();
    // Before the GPUs are known a heartbeat would introduce a node without any.
    if (know_gpus_) say_heartbeat();
    next_heartbeat_ = now + (know_gpus_ ? options_.heartbeat_interval : std::chrono::milliseconds(50));
  }
  return std::move(out_);
}

void AgentCore::apply(const Command& command) {
  if (command.node != options_.node) return;
  if (!command.agent_incarnation.empty() && command.agent_incarnation != incarnation_) return;
  ++counters_.commands;
  if (!accept_leader(command)) return;
  if (!std::holds_alternative<StartCommand>(command.body)) launch_accepted();  // orders are obeyed in their order
  std::visit([&](const auto& body) { obey(body); }, command.body);
}

void AgentCore::apply(const AttemptReport& report) {
  say(shown(report));
  loads_changed_ = true;
  if (AETHER_MUTANT("forgotten_early")) runner_.forget(report.attempt);
}

void AgentCore::apply(const GpuSample& sample) {
  if (guard_) guard_->observe(sample, now_);
}

void AgentCore::apply(const GpuFaultEvent& fault) {
  say(fault);
  faults_.emplace_back(fault, kFaultRepeats);
}

// What was still to be said of the fault is no longer true.
void AgentCore::apply(const GpuRecoveredEvent& recovered) {
  std::erase_if(faults_, [&](const auto& entry) {
    return entry.first.gpu_uuid == recovered.gpu_uuid && entry.first.fault == recovered.fault;
  });
  say(recovered);
}

AttemptReport AgentCore::shown(const AttemptReport& report) { return guard_ ? guard_->shown(report, now_) : report; }

std::vector<AttemptReport> AgentCore::shown_attempts() {
  auto attempts = runner_.attempts();
  for (AttemptReport& report : attempts) report = shown(report);
  return attempts;
}

void AgentCore::say_gpu_news() {
  auto news = guard_->poll(now_);
  for (GpuFinding& finding : news.findings)
    apply(GpuFaultEvent{finding.gpu_uuid, std::string(to_string(finding.kind)), std::move(finding.message)});
  for (AttemptReport& end : news.ends) say(std::move(end));
}

void AgentCore::say_faults() {
  for (auto& [fault, repeats] : faults_) {
    say(fault);
    --repeats;
  }
  std::erase_if(faults_, [](const auto& fault) { return fault.second <= 0; });
}

void AgentCore::apply(const Inventory& inventory) {
  if (know_gpus_ && gpus_ == inventory.gpus) return;
  gpus_ = inventory.gpus;
  driver_version_ = inventory.driver_version;
  know_gpus_ = true;
  ++inventory_seq_;
  say_hello();
}

bool AgentCore::accept_leader(const Command& command) {
  const auto* start = std::get_if<StartCommand>(&command.body);
  if (command.leader_epoch < leader_epoch_) {
    ++counters_.stale_leader;
    if (start != nullptr)
      refuse(start->attempt, start->epoch, "STALE_LEADER",
             fmt::format("epoch {} of the orchestrator; this node has obeyed {}", command.leader_epoch, leader_epoch_));
    return false;
  }
  if (command.leader_epoch == leader_epoch_) return true;
  if (options_.remember_leader)
    if (const auto stored = options_.remember_leader(command.leader_epoch); !stored) {
      if (start != nullptr) refuse(start->attempt, start->epoch, "JOURNAL_READ_ONLY", stored.error().message);
      return false;
    }
  leader_epoch_ = command.leader_epoch;
  return true;
}

bool AgentCore::knows(const AttemptId& attempt) const {
  const auto known = runner_.attempts();
  return std::any_of(known.begin(), known.end(), [&](const AttemptReport& report) { return report.attempt == attempt; });
}

void AgentCore::check_lease() {
  const bool valid = lease_valid(now_);
  if (valid == lease_was_valid_) return;
  lease_was_valid_ = valid;
  if (valid) {
    log::info("agent", "the orchestrator answers again");
    return;
  }
  ++counters_.leases_expired;
  log::warn("agent", "no answer from the orchestrator; nothing new is started here until it answers");
}

// What may not outlive its lease is kept alive by this and by nothing else; its keeper ends it, agent or no agent.
void AgentCore::renew_leases() {
  for (const LaunchSpec& running : runner_.running()) {
    if (running.spec.on_partition != OnPartition::kStopAfter) continue;
    const Duration remaining =
        options_.lease.stop_after(std::chrono::seconds(running.spec.stop_after_s)) - (now_ - *lease_from_);
    if (remaining > Duration(0)) runner_.renew_lease(running.attempt, remaining);
  }
}

void AgentCore::obey(const StartCommand& command) {
  LaunchSpec launch{command.attempt, command.epoch, command.job_number, command.user, command.spec, command.gpu_uuids};
  launch.gpu_slots = command.gpu_slots;
  launch.lease_remaining =
      options_.lease.stop_after(std::chrono::seconds(command.spec.stop_after_s)) - (now_ - *lease_from_);
  const bool repeated = knows(command.attempt);
  if (!repeated) {  // what is known gets its answer again, however late
    if (!lease_valid(now_))
      return refuse(command.attempt, command.epoch, "LEASE_EXPIRED", "the orchestrator has not answered this node for too long");
    const BootTime here = boot_time();
    if (command.not_after && !AETHER_MUTANT("not_after_ignored") &&
        (command.not_after->boot_id != here.boot_id || here.boot_ms > command.not_after->boot_ms))
      return refuse(command.attempt, command.epoch, "EXPIRED", "the order to start came too late");
  }
  const bool all_here = std::all_of(command.gpu_uuids.begin(), command.gpu_uuids.end(), [&](const GpuUuid& uuid) {
    return std::any_of(gpus_.begin(), gpus_.end(), [&](const GpuInfo& gpu) { return gpu.gpu_uuid == uuid; });
  });
  if (!all_here && !repeated)
    return refuse(command.attempt, command.epoch, "GPU_UNAVAILABLE", "this node does not list one of the GPUs now");
  if (const auto refusal = guard_ ? guard_->refuse_start(command, now_) : std::nullopt)
    return refuse(command.attempt, command.epoch, refusal->code, refusal->message);
  accepted_.push_back(command);
  launches_.push_back(std::move(launch));
  if (guard_) launch_accepted();  // what it says about the next start depends on this one
}

// Starts that came together: their journalling and their spawns overlap.
void AgentCore::launch_accepted() {
  if (launches_.empty()) return;
  const auto results = runner_.launch_all(launches_);
  for (std::size_t i = 0; i < results.size(); ++i) {
    const StartCommand& command = accepted_[i];
    if (results[i]) {
      if (guard_) guard_->started(command);
      loads_changed_ = true;
      continue;
    }
    const Error& error = results[i].error();
    const char* code = "JOURNAL_READ_ONLY";
    if (error.code == ErrorCode::kConflict) code = "STALE_EPOCH";
    if (error.code == ErrorCode::kPermissionDenied) code = "CANCELLED";
    if (error.code == ErrorCode::kInvalidArgument) code = "WRONG_TARGET";
    refuse(command.attempt, command.epoch, code, error.message);
  }
  accepted_.clear();
  launches_.clear();
}

void AgentCore::obey(const StopCommand& command) {
  const auto stopped = runner_.stop(command.attempt, command.epoch, command.reason, command.grace_s);
  const auto known = runner_.attempts();
  const auto report = std::find_if(known.begin(), known.end(),
                                   [&](const AttemptReport& candidate) { return candidate.attempt == command.attempt; });
  if (report != known.end()) return say(shown(*report));  // also when it had ended already
  if (stopped) return refuse(command.attempt, command.epoch, "CANCELLED", "stopped before it started");
  log::warn("agent", "stop failed", {{"attempt", to_string(command.attempt)}, {"why", stopped.error().message}});
}

void AgentCore::obey(const ResultAckCommand& command) { runner_.forget(command.attempt); }

void AgentCore::obey(const HeartbeatAckCommand& command) {
  // An orchestrator that does not know this agent yet does not count its heartbeats either: no lease from those.
  if (command.send_inventory) {
    if (know_gpus_) say_hello();
    return;
  }
  const auto sent = sent_.find(command.heartbeat_seq);
  if (sent == sent_.end()) return;
  const bool newer = sent->second > *lease_from_;
  if (newer) lease_from_ = sent->second;
  sent_.erase(sent_.begin(), std::next(sent));
  if (!newer) return;
  check_lease();
  renew_leases();
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

// In parts that fit a message; the receiver believes that an attempt is missing only when it has them all.
void AgentCore::say_heartbeat() {
  ++heartbeat_seq_;
  sent_[heartbeat_seq_] = now_;
  if (AETHER_MUTANT("lease_renewed_by_sending")) lease_from_ = now_, renew_leases();
  while (!sent_.empty() && now_ - sent_.begin()->second > options_.lease.lease) sent_.erase(sent_.begin());
  std::vector<std::vector<AttemptReport>> parts(1);
  std::size_t bytes = 0;
  for (AttemptReport& report : shown_attempts()) {
    const std::size_t size = 300 + (report.exit ? 6 * report.exit->message.size() : 0);  // as JSON, escaped
    if (bytes > 0 && bytes + size > options_.max_heartbeat_bytes) {
      parts.emplace_back();
      bytes = 0;
    }
    bytes += size;
    parts.back().push_back(std::move(report));
  }
  // While somebody answers, his epoch is the highest: no other orchestrator may be led to rise above it.
  const std::uint64_t obeyed_epoch = lease_valid(now_) ? 0 : leader_epoch_;
  for (std::size_t i = 0; i < parts.size(); ++i)
    say(HeartbeatEvent{heartbeat_seq_, inventory_seq_, std::move(parts[i]), boot_time(), static_cast<int>(i) + 1,
                       static_cast<int>(parts.size()), obeyed_epoch});
}

BootTime AgentCore::boot_time() const {
  return {options_.boot_id, std::chrono::duration_cast<std::chrono::milliseconds>(now_.time_since_epoch()).count()};
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
  inventory.limits = runner_.limits();
  inventory.source = options_.source;
  inventory.gpus = gpus_;
  say(HelloEvent{std::move(inventory), boot_time()});
}

}  // namespace aether
