// Commands to agents and what comes back. Every command is kept in the outbox until the agent's own acknowledgement;
// every result is acknowledged only after it is durable here.
#include <algorithm>

#include <fmt/format.h>

#include "base/assert.h"
#include "base/log.h"
#include "codec/codec.h"
#include "orchestrator/orchestrator.h"

namespace aether {
namespace {

constexpr std::chrono::seconds kFaultRepeats{60};

bool is_cancel(const std::optional<std::string>& stop_reason) {
  return stop_reason == to_string(ExitCause::kUserCancel) || stop_reason == to_string(ExitCause::kAdminCancel);
}

}  // namespace

void Orchestrator::put_outstanding(const AttemptId& id, Epoch epoch, const std::string& kind, Command command, Time now,
                                   Effects& effects) {
  effects.writes.push_back(
      PutOutbox{id, epoch, kind, "aether.commands." + command.node.str(), codec::encode_command(command)});
  effects.commands.push_back(command);
  count_unanswered_start(command, 1);
  outstanding_[{id, kind}] = {std::move(command), now + options_.resend_first, options_.resend_first};
}

// A node that is asked for more at once than it can start takes longer than `resend_first`, and is asked again for all.
void Orchestrator::count_unanswered_start(const Command& command, int by) {
  if (!std::holds_alternative<StartCommand>(command.body)) return;
  const int left = unanswered_starts_[command.node] += by;
  if (left <= options_.max_unanswered_starts / 2 && starting_fully_.erase(command.node) > 0) needs_plan_ = true;
  if (left == 0) unanswered_starts_.erase(command.node);
}

void Orchestrator::acknowledge_outstanding(const AttemptId& id, const std::string& kind, Effects& effects) {
  const auto found = outstanding_.find({id, kind});
  if (found == outstanding_.end()) return;
  count_unanswered_start(found->second.command, -1);
  outstanding_.erase(found);
  effects.writes.push_back(AckOutbox{id, kind});
}

void Orchestrator::resend(Time now, Effects& effects) {
  for (auto& [key, waiting] : outstanding_) {
    if (now < waiting.next_at) continue;
    if (const auto* start = std::get_if<StartCommand>(&waiting.command.body)) {
      const bool over = start_is_over(*start, leases_.clock(waiting.command.node));
      if (over || (start->not_after && waiting.sends >= options_.max_start_sends)) continue;
      ++waiting.sends;
      ++counters_.starts_resent;
    }
    effects.commands.push_back(waiting.command);
    waiting.delay = std::min(waiting.delay * 2, options_.resend_last);
    waiting.next_at = now + waiting.delay;
  }
}

const Allocation& Orchestrator::allocation_of(const AttemptId& attempt, const GpuUuid& gpu) const {
  const auto& allocations = cluster_.find_gpu(gpu)->allocations;
  const auto own = std::find_if(allocations.begin(), allocations.end(), [&](const Allocation& a) { return a.attempt == attempt; });
  AETHER_ASSERT(own != allocations.end());
  return *own;
}

std::vector<int> Orchestrator::slots_of(const Attempt& attempt) const {
  std::vector<int> slots;
  for (const GpuUuid& gpu : attempt.placement.gpu_uuids) slots.push_back(allocation_of(attempt.id, gpu).slot);
  return slots;
}

void Orchestrator::send_start(const Job& job, const Attempt& attempt, Time now, Effects& effects) {
  Command command{attempt.placement.node, "", StartCommand{attempt.id, attempt.epoch, job.number, job.user,
                                                           spec_of_attempt(job, attempt),
                                                           attempt.placement.gpu_uuids,
                                                           leases_.start_limit(attempt.placement.node), slots_of(attempt)}};
  put_outstanding(attempt.id, attempt.epoch, "start", std::move(command), now, effects);
}

void Orchestrator::send_stop(const Job&, const Attempt& attempt, std::int64_t grace_s, Time now, Effects& effects) {
  Command command{attempt.placement.node, "",
                  StopCommand{attempt.id, attempt.epoch, attempt.stop_reason.value_or("user_cancel"), grace_s}};
  put_outstanding(attempt.id, attempt.epoch, "stop", std::move(command), now, effects);
}

void Orchestrator::start(Job& job, PlacementRecord record, Time now, Effects& effects) {
  Attempt attempt;
  attempt.id = {job.id, static_cast<int>(job.attempts.size()) + 1};
  attempt.epoch = next_epoch_++;
  --epochs_left_;
  attempt.placement = record.placement;
  attempt.assigned_at = now;
  attempt.state = JobState::kAssigned;
  cluster_.allocate(attempt);
  touch_gpus(attempt);
  for (const GpuUuid& uuid : attempt.placement.gpu_uuids) {
    const Allocation& own = allocation_of(attempt.id, uuid);
    effects.writes.push_back(PutAllocation{uuid, own.slot, attempt.id, own.memory_mb});
  }
  effects.writes.push_back(PutAttempt{attempt});
  record.attempt = attempt.id.n;
  effects.writes.push_back(PutPlacement{record});
  placements_[job.id] = std::make_shared<const PlacementRecord>(std::move(record));
  waiting_.erase(job.id);
  job.attempts.push_back(attempt);
  placed_[attempt.placement.node].insert(job.id);
  set_job_state(job, JobState::kAssigned, "scheduler", placements_[job.id]->summary, now, effects);
  send_start(job, attempt, now, effects);
  ++counters_.placements;
}

void Orchestrator::apply(AgentInput& input, Time now, Effects& effects) {
  AgentEvent& event = input.event;
  if (const auto* hello = std::get_if<HelloEvent>(&event.body)) return on_hello(*hello, now, effects);
  if (const auto* heartbeat = std::get_if<HeartbeatEvent>(&event.body)) return on_heartbeat(event, *heartbeat, now, effects);
  if (const auto* report = std::get_if<AttemptReport>(&event.body)) return on_report(event.node, *report, now, effects);
  if (const auto* refused = std::get_if<RefusedEvent>(&event.body)) return on_refused(event.node, *refused, now, effects);
  if (const auto* fault = std::get_if<GpuFaultEvent>(&event.body)) return on_gpu_fault(event.node, *fault, now, effects);
  if (const auto* recovered = std::get_if<GpuRecoveredEvent>(&event.body)) return on_gpu_recovered(event.node, *recovered, now, effects);
  on_log(std::get<LogEvent>(event.body), effects);
}

void Orchestrator::on_hello(const HelloEvent& hello, Time now, Effects& effects) {
  const NodeInventory& inventory = hello.inventory;
  const NodeRecord* before = cluster_.find_node(inventory.node);
  const bool overtaken = before != nullptr && before->inventory.agent_incarnation == inventory.agent_incarnation &&
                         before->inventory.inventory_seq > inventory.inventory_seq;
  if (overtaken) return;
  const auto admission = leases_.admit(inventory, mono_, hello.sent_at);
  if (admission == NodeLeases::Admission::kRefused) {
    ++counters_.agents_refused;
    log::warn("orchestrator", "an agent was refused: another one has this node's name", {{"node", inventory.node.str()}});
    return;
  }
  if (admission == NodeLeases::Admission::kNew || before == nullptr)
    log::info("orchestrator", "node joined", {{"node", inventory.node.str()}, {"gpus", inventory.gpus.size()},
                                              {"source", to_string(inventory.source)}});
  else if (admission != NodeLeases::Admission::kSame)
    log::info("orchestrator", admission == NodeLeases::Admission::kRebooted ? "node was started again" : "agent was started again",
              {{"node", inventory.node.str()}});
  cluster_.apply_inventory(inventory, now);
  needs_plan_ = effects.view_changed = refresh_fleet_ = true;
}

// Its node has obeyed an orchestrator that was there before this database was, and that has not answered for a lease. One
// that was overtaken in its own database can't rise: it gets no epochs from it. Whatever that node has seen lies within
// one block above what it obeyed.
void Orchestrator::rise_above(const NodeId& node, std::uint64_t obeyed_epoch) {
  constexpr std::uint64_t kHighest = std::uint64_t{1} << 61;  // no such number was ever reached in earnest
  if (obeyed_epoch <= leader_epoch_ || obeyed_epoch > kHighest) return;
  if (epochs_above_ >= obeyed_epoch + kEpochBlock) return;
  epochs_above_ = obeyed_epoch + kEpochBlock;
  log::warn("orchestrator", "a node has obeyed the orchestrator of another database; this one takes higher epochs",
            {{"node", node.str()}, {"obeyed", obeyed_epoch}, {"own", leader_epoch_}});
}

void Orchestrator::on_heartbeat(const AgentEvent& event, const HeartbeatEvent& heartbeat, Time now, Effects& effects) {
  const auto heard = leases_.hear(event.node, event.agent_incarnation, heartbeat, mono_);
  if (heard.sender == NodeLeases::Admission::kRefused) {
    ++counters_.agents_refused;
    return;
  }
  const NodeRecord* node = cluster_.find_node(event.node);
  const bool known = node != nullptr && heard.sender == NodeLeases::Admission::kSame;
  const bool current = known && node->inventory.inventory_seq >= heartbeat.inventory_seq;  // else its hello was lost
  // The acknowledgement renews the node's lease: only for what is counted here too.
  if (!known || heard.whole)
    effects.commands.push_back({event.node, event.agent_incarnation, HeartbeatAckCommand{heartbeat.heartbeat_seq, !current}});
  if (!known) return;
  rise_above(event.node, heartbeat.obeyed_epoch);
  for (const AttemptReport& report : heartbeat.attempts) on_report(event.node, report, now, effects);
  if (!heard.whole) return;
  if (node->state != NodeState::kUp) needs_plan_ = refresh_fleet_ = true;
  cluster_.apply_heartbeat(event.node, now);
  find_lost(event.node, heartbeat.sent_at, heard.listed, now, effects);
}

// The node still runs what has been given up here; something else may run in its place.
void Orchestrator::stop_superseded(const NodeId& node, const AttemptReport& report, const Job& job, Effects& effects) {
  ++counters_.attempts_superseded;
  effects.commands.push_back({node, "", StopCommand{report.attempt, report.epoch,
                                                    std::string(to_string(ExitCause::kNodeLost)), job.spec.grace_s}});
}

void Orchestrator::on_report(const NodeId& node, const AttemptReport& report, Time now, Effects& effects) {
  const auto acknowledge_result = [&] {
    if (is_terminal(report.state)) effects.commands.push_back({node, "", ResultAckCommand{report.attempt, report.epoch}});
  };
  Job* job = find_live(report.attempt.job);
  Attempt* attempt = nullptr;
  if (job != nullptr)
    for (Attempt& candidate : job->attempts)
      if (candidate.id == report.attempt && candidate.epoch == report.epoch) attempt = &candidate;
  if (attempt != nullptr && attempt->placement.node != node) {
    ++counters_.reports_stale;
    return;  // not that node's to tell
  }
  if (attempt == nullptr || is_terminal(attempt->state)) {
    ++counters_.reports_stale;
    const auto shown = shown_.find(report.attempt.job);
    const Job* given_up = attempt != nullptr ? job : nullptr;
    if (job == nullptr && shown != shown_.end() && is_terminal(shown->second->state)) given_up = shown->second.get();
    if (given_up != nullptr && !is_terminal(report.state)) stop_superseded(node, report, *given_up, effects);
    return acknowledge_result();
  }
  acknowledge_outstanding(attempt->id, "start", effects);
  homes_[attempt->id] = {leases_.incarnation(node), leases_.boot_id(node)};
  if (is_terminal(report.state)) {
    const ExitStatus exit = report.exit.value_or(ExitStatus{std::nullopt, std::nullopt, false, ExitCause::kLostExit, ""});
    if (report.started_at) attempt->started_at = report.started_at;
    // A short job's end may overtake the report of its start; its history still shows that it ran.
    if (report.started_at && attempt->state < JobState::kRunning) {
      attempt->state = JobState::kRunning;
      set_job_state(*job, JobState::kRunning, "agent", "", *report.started_at, effects);
    }
    end_attempt(*job, *attempt, exit, report.ended_at.value_or(now), now, effects);
    return acknowledge_result();
  }
  if (report.state >= JobState::kStopping) acknowledge_outstanding(attempt->id, "stop", effects);
  const bool resumed = report.state == JobState::kRunning && attempt->state == JobState::kSuspended;
  if (report.state == JobState::kSuspended) acknowledge_outstanding(attempt->id, "suspend", effects);
  if (report.state == JobState::kRunning) acknowledge_outstanding(attempt->id, "resume", effects);
  const bool newer = report.state > attempt->state || resumed || (report.started_at && !attempt->started_at);
  if (!newer) return;
  if (report.started_at) attempt->started_at = report.started_at;
  if (report.state > attempt->state || resumed) {
    attempt->state = report.state;
    set_job_state(*job, report.state, "agent", "", now, effects);
  }
  effects.writes.push_back(PutAttempt{*attempt});
  touch(*job);
  effects.view_changed = true;
}

// One GPU, not its node, unless processes there can't be ended. It stays out of service until somebody clears it.
void Orchestrator::on_gpu_fault(const NodeId& node, const GpuFaultEvent& fault, Time now, Effects& effects) {
  const GpuRecord* gpu = cluster_.find_gpu(fault.gpu_uuid);
  if (gpu == nullptr || gpu->node != node || gpu->quarantine) return;
  const std::string reason = fmt::format("{}: {}", fault.fault, fault.message);
  // Nodes say a fault several times: after somebody has released the GPU, the same words within a while are no news, also
  // when others were said in between.
  auto& said = gpu_faults_[fault.gpu_uuid];
  std::erase_if(said, [&](const auto& entry) { return now - entry.second >= kFaultRepeats; });
  if (!said.try_emplace(reason, now).second) return;
  cluster_.set_quarantine(fault.gpu_uuid, reason);
  effects.writes.push_back(PutSetting{"quarantine/" + fault.gpu_uuid.str(), reason});
  effects.audit(now, "agent", "quarantine", fault.gpu_uuid.str(), reason);
  if (fault.fault == "unkillable") {  // only a restart of the node helps
    cluster_.set_drain(node, reason);
    effects.writes.push_back(PutSetting{"drain/" + node.str(), reason});
    effects.audit(now, "agent", "drain", node.str(), reason);
  }
  needs_plan_ = effects.view_changed = refresh_fleet_ = true;
  log::warn("orchestrator", "GPU quarantined by its node", {{"node", node.str()}, {"gpu", fault.gpu_uuid.str()}, {"reason", reason}});
}

// Ends the quarantine for that fault. One that a person ordered, or for another fault, stays.
void Orchestrator::on_gpu_recovered(const NodeId& node, const GpuRecoveredEvent& recovered, Time now, Effects& effects) {
  const GpuRecord* gpu = cluster_.find_gpu(recovered.gpu_uuid);
  if (gpu == nullptr || gpu->node != node || !gpu->quarantine || !gpu->quarantine->starts_with(recovered.fault + ": ")) return;
  cluster_.set_quarantine(recovered.gpu_uuid, std::nullopt);
  effects.writes.push_back(PutSetting{"quarantine/" + recovered.gpu_uuid.str(), std::nullopt});
  effects.audit(now, "agent", "clear", recovered.gpu_uuid.str(), recovered.message);
  needs_plan_ = effects.view_changed = refresh_fleet_ = true;
  log::info("orchestrator", "GPU back in service", {{"node", node.str()}, {"gpu", recovered.gpu_uuid.str()}, {"reason", recovered.message}});
}

void Orchestrator::on_refused(const NodeId& node, const RefusedEvent& refused, Time now, Effects& effects) {
  Job* job = find_live(refused.attempt.job);
  if (job == nullptr || job->attempts.empty()) return;
  Attempt& attempt = job->attempts.back();
  if (attempt.id != refused.attempt || attempt.epoch != refused.epoch || is_terminal(attempt.state)) return;
  if (attempt.placement.node != node) return;
  ++counters_.starts_refused;
  static const std::set<std::string> kForNow = {"GPU_UNAVAILABLE", "FOREIGN_PROCESS", "INSUFFICIENT_VRAM",
                                                "JOURNAL_READ_ONLY", "LEASE_EXPIRED", "STALE_LEADER"};
  if (kForNow.contains(refused.code)) {
    log::warn("orchestrator", "start refused for now",
              {{"node", node.str()}, {"attempt", to_string(attempt.id)}, {"code", refused.code}, {"why", refused.message}});
    return;  // temporary: the outbox sends it again
  }
  ExitStatus exit;
  exit.cause = refused.code == "EXPIRED" ? ExitCause::kDispatchTimeout : ExitCause::kNotStarted;
  if (refused.code == "CANCELLED")
    exit.cause = parse_exit_cause(attempt.stop_reason.value_or("")).value_or(ExitCause::kUserCancel);
  exit.message = fmt::format("{}: {}", refused.code, refused.message);
  end_attempt(*job, attempt, exit, now, now, effects);
}

void Orchestrator::end_attempt(Job& job, Attempt& attempt, const ExitStatus& exit, Time ended_at, Time now,
                               Effects& effects) {
  acknowledge_outstanding(attempt.id, "start", effects);
  for (const char* kind : {"stop", "suspend", "resume"}) acknowledge_outstanding(attempt.id, kind, effects);
  missing_since_.erase(attempt.id);
  homes_.erase(attempt.id);
  placed_[attempt.placement.node].erase(job.id);
  attempt.exit = exit;
  attempt.ended_at = ended_at;
  attempt.state = terminal_state(exit);
  cluster_.release(attempt.id, now);
  touch_gpus(attempt);
  effects.writes.push_back(DeleteAllocations{attempt.id});
  effects.writes.push_back(PutAttempt{attempt});
  needs_plan_ = true;

  const bool never_taken = exit.cause == ExitCause::kDispatchTimeout;  // not the job's fault, however often
  const bool never_ran = never_taken || exit.cause == ExitCause::kNotStarted;
  const bool cancelled = attempt.stop_reason.has_value();
  const auto launches = std::count_if(job.attempts.begin(), job.attempts.end(), [](const Attempt& tried) {
    return tried.exit && tried.exit->cause == ExitCause::kNotStarted;
  });
  if (never_ran && !cancelled && (never_taken || launches < options_.max_launch_tries))
    return set_job_state(job, JobState::kPending, "orchestrator", exit.message, now, effects);
  if ((!never_ran || job.requeue_asked) && plan_restart(job, attempt, now))
    return set_job_state(job, JobState::kPending, "scheduler", "attempt ended " + std::string(to_string(attempt.state)), now, effects);
  // Its node has ended it by itself, as the user chose, so that this is safe.
  if (exit.cause == ExitCause::kNodeLost && job.spec.on_partition == OnPartition::kStopAfter && !cancelled)
    return set_job_state(job, JobState::kPending, "orchestrator", exit.message, now, effects);
  // Its user gave it up while it was being stopped for another's sake.
  const bool given_up = is_cancel(attempt.stop_reason) && attempt.state == JobState::kPreempted;
  const JobState end = given_up || (never_ran && cancelled) ? JobState::kCancelled : attempt.state;
  set_job_state(job, end, "agent", exit.message.empty() ? std::string(to_string(exit.cause)) : exit.message, now, effects);
  finish(job, now);
}

void Orchestrator::apply(ReadLogInput& input, Time now, Effects& effects) {
  const auto refuse = [&](ErrorCode code, std::string message) {
    effects.answer<LogChunk>(std::move(input.reply), fail(code, std::move(message)));
  };
  const Job* job = find_live(input.job);
  if (job == nullptr)
    if (const auto it = shown_.find(input.job); it != shown_.end()) job = it->second.get();
  if (job == nullptr && input.known) job = &*input.known;
  if (job == nullptr) return refuse(ErrorCode::kNotFound, "no job " + input.job.str());
  const Attempt* attempt = job->last_attempt();
  if (attempt == nullptr)
    return refuse(ErrorCode::kConflict, fmt::format("job {} has not started, so it has no output yet", job->number));
  const std::uint64_t id = ++last_request_id_;
  pending_logs_[id] = {std::move(input.reply), now + options_.log_timeout};
  effects.commands.push_back({attempt->placement.node, "",
                              ReadLogCommand{id, attempt->id, input.stream, input.offset, input.limit}});
}

void Orchestrator::on_log(const LogEvent& log, Effects& effects) {
  const auto it = pending_logs_.find(log.request_id);
  if (it == pending_logs_.end()) return;
  effects.answer(std::move(it->second.reply),
                 log.chunk ? Result<LogChunk>(*log.chunk) : fail(ErrorCode::kNotFound, log.error));
  pending_logs_.erase(it);
}

void Orchestrator::expire_logs(Time now, Effects& effects) {
  std::erase_if(pending_logs_, [&](auto& entry) {
    if (now < entry.second.deadline) return false;
    effects.answer<LogChunk>(
        std::move(entry.second.reply),
        fail(ErrorCode::kTimeout, "the node that holds this output does not answer; it may be down"));
    return true;
  });
}

}  // namespace aether
