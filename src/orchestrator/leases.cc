// What is concluded from silence: when an attempt is missing, when one may be replaced, and when to conclude nothing.
#include <algorithm>

#include <fmt/format.h>

#include "base/log.h"
#include "base/mutant.h"
#include "orchestrator/orchestrator.h"

namespace aether {

// Nobody knows when the nodes of an earlier orchestrator's attempts were last heard: their time starts now.
void Orchestrator::watch_placed() {
  for (const auto& [id, job] : live_)
    if (const Attempt* attempt = job.last_attempt(); attempt != nullptr && holds_gpus(attempt->state)) {
      placed_[attempt->placement.node].insert(id);
      leases_.expect(attempt->placement.node, mono_);
    }
}

// True when a node whose clock is at `clock` can no longer take this start.
bool Orchestrator::start_is_over(const StartCommand& start, const std::optional<BootTime>& clock) const {
  if (!start.not_after || !clock || clock->boot_id.empty()) return false;
  return clock->boot_id != start.not_after->boot_id || clock->boot_ms > start.not_after->boot_ms;
}

// After a whole heartbeat: starts that can provably not be executed any more, and attempts that the node once
// acknowledged and does not list any more.
void Orchestrator::find_lost(const NodeId& node, const BootTime& sent_at, const std::set<AttemptId>& listed, Time now,
                             Effects& effects) {
  const auto placed = placed_.find(node);
  if (placed == placed_.end()) return;
  std::vector<std::pair<JobId, ExitStatus>> ended;
  for (const JobId& id : placed->second) {
    const Job& job = live_.at(id);
    const Attempt& attempt = job.attempts.back();
    if (listed.contains(attempt.id)) {
      missing_since_.erase(attempt.id);
      continue;
    }
    if (const auto start = outstanding_.find({attempt.id, "start"}); start != outstanding_.end()) {
      if (!start_is_over(std::get<StartCommand>(start->second.command.body), sent_at)) continue;
      ++counters_.starts_expired;
      ExitStatus exit;
      exit.cause = ExitCause::kDispatchTimeout;
      exit.message = fmt::format("node {} did not take it in time", node.str());
      ended.emplace_back(id, std::move(exit));
      continue;
    }
    if (attempt.state == JobState::kAssigned || outstanding_.contains({attempt.id, "stop"})) continue;
    if (const Time since = missing_since_.try_emplace(attempt.id, now).first->second;
        now - since < options_.lost_after && !AETHER_MUTANT("lost_at_once"))
      continue;
    if (auto exit = judge_missing(job, attempt, now)) ended.emplace_back(id, std::move(*exit));
  }
  for (const auto& [id, exit] : ended) {
    Job& job = live_.at(id);
    end_attempt(job, job.attempts.back(), exit, now, now, effects);
  }
}

// Nothing while the attempt may still be running: an agent that has lost its journal knows none of its processes.
std::optional<ExitStatus> Orchestrator::judge_missing(const Job&, const Attempt& attempt, Time now) const {
  const NodeId& node = attempt.placement.node;
  ExitStatus exit;
  exit.cause = ExitCause::kLostExit;
  exit.message = "its node no longer knows it; the exit code is unknown";
  const auto home = homes_.find(attempt.id);
  const bool known = home != homes_.end();
  if (known && home->second.incarnation == leases_.incarnation(node)) return exit;
  if (known && !home->second.boot_id.empty() && home->second.boot_id != leases_.boot_id(node)) {
    exit.cause = ExitCause::kNodeReboot;
    exit.message = "its node was started again";
    return exit;
  }
  // GPUs are given back only once their driver says that no process is on them.
  const auto& gpus = attempt.placement.gpu_uuids;
  const bool free = std::all_of(gpus.begin(), gpus.end(), [&](const GpuUuid& uuid) {
    const GpuRecord* gpu = cluster_.find_gpu(uuid);
    if (gpu == nullptr || !gpu->present) return false;
    if (gpu->info.source == GpuSource::kSimulated) return true;  // holds no processes
    return cluster_.has_current_sample(*gpu, now) && gpu->sample->processes && gpu->sample->processes->empty();
  });
  if (!free) return std::nullopt;
  exit.message = "its node lost its records of it, and nothing runs on its GPUs; the exit code is unknown";
  return exit;
}

void Orchestrator::set_alert(Alert alert, bool bad, Time now, Effects& effects) {
  if (auto changed = alerts_.set(alert, bad, now)) {
    effects.writes.push_back(PutAlert{std::move(*changed)});
    effects.view_changed = true;
  }
}

// Once a second. An attempt that stops by itself is given up once its node must have ended it; any other waits for its
// node, or for an operator's word.
void Orchestrator::check_leases(Time now, Effects& effects) {
  const bool mass_loss = leases_.mass_loss(mono_);
  std::vector<JobId> fenced;
  for (const auto& [node, jobs] : placed_) {
    const auto silence = leases_.silence(node, mono_);
    if (mass_loss || !silence) continue;
    for (const JobId& id : jobs) {
      const JobSpec& spec = live_.at(id).spec;
      if (spec.on_partition != OnPartition::kStopAfter) continue;
      const Duration bound = options_.lease.replacement_bound(options_.lease.stop_after(std::chrono::seconds(spec.stop_after_s)));
      if (*silence >= (AETHER_MUTANT("replaced_too_soon") ? options_.lease.lease : bound)) fenced.push_back(id);
    }
  }
  for (const JobId& id : fenced) {
    Job& job = live_.at(id);
    ++counters_.attempts_fenced;
    ExitStatus exit;
    exit.cause = ExitCause::kNodeLost;
    exit.message = fmt::format("node {} is silent for so long that the attempt has ended itself there",
                               job.attempts.back().placement.node.str());
    end_attempt(job, job.attempts.back(), exit, now, now, effects);
  }
  Alert alert;
  alert.id = AlertId("mass_loss/fleet");
  alert.severity = Severity::kCritical;
  alert.kind = "mass_loss";
  alert.title = "Most of the nodes fell silent at once";
  alert.detail = "Perhaps this side is cut off. Nothing is given up or placed again until they answer or are forgotten.";
  set_alert(std::move(alert), mass_loss, now, effects);
  for (const auto& [node, record] : cluster_.nodes()) {
    Alert rival;
    rival.id = AlertId("node_rival/" + node.str());
    rival.severity = Severity::kCritical;
    rival.kind = "node_rival";
    rival.title = "Two agents call themselves " + node.str();
    rival.detail = "One of them is refused. Give each machine a name of its own (node.name in its configuration).";
    rival.node = node;
    set_alert(std::move(rival), leases_.has_rival(node, mono_), now, effects);
  }
  show_silence(effects);
}

// Jobs of a node that falls silent or comes back are shown again: their flags changed.
void Orchestrator::show_silence(Effects& effects) {
  for (const auto& [node, jobs] : placed_) {
    const NodeRecord* record = cluster_.find_node(node);
    const bool silent = record == nullptr || record->state == NodeState::kStale || record->state == NodeState::kDown;
    if (silent == silent_.contains(node)) continue;
    if (silent)
      silent_.insert(node);
    else
      silent_.erase(node);
    for (const JobId& id : jobs) touch(live_.at(id));
    effects.view_changed = true;
  }
}

void Orchestrator::apply(ForgetNodeInput& input, Time now, Effects& effects) {
  const NodeId& node = input.node;
  const auto answer = [&](Result<void> result) {
    effects.answer(std::move(input.reply), std::move(result));
  };
  const auto placed = placed_.find(node);
  const bool known = cluster_.find_node(node) != nullptr || (placed != placed_.end() && !placed->second.empty());
  if (!known) return answer(fail(ErrorCode::kNotFound, "no node " + node.str()));
  if (const auto silence = leases_.silence(node, mono_); silence && *silence < options_.lease.incumbent)
    return answer(fail(ErrorCode::kConflict,
                       fmt::format("node {} answers; drain it and stop its agent before forgetting it", node.str())));
  const std::set<JobId> jobs = placed == placed_.end() ? std::set<JobId>{} : placed->second;
  if (!jobs.empty() && input.unresolved == Unresolved::kRefuse)
    return answer(fail(ErrorCode::kConflict,
                       fmt::format("nobody knows what became of {} on node {}; only when it is certain that nothing runs "
                                   "there any more, forget it with --lost: they end as NODE_FAIL",
                                   jobs.size() == 1 ? fmt::format("job {}", live_.at(*jobs.begin()).number)
                                                    : fmt::format("{} jobs", jobs.size()),
                                   node.str())));
  for (const JobId& id : jobs) {
    Job& job = live_.at(id);
    ExitStatus exit;
    exit.cause = ExitCause::kNodeLost;
    exit.message = fmt::format("{} said that node {} is gone for good", log::sanitise(input.actor), node.str());
    end_attempt(job, job.attempts.back(), exit, now, now, effects);
  }
  if (const NodeRecord* record = cluster_.find_node(node))
    for (const GpuUuid& gpu : record->gpus) {
      alerts_.forget(gpu);
      anomalies_.forget(gpu);
      state_since_.erase(gpu);
      last_charged_.erase(gpu);
    }
  cluster_.forget(node);
  leases_.forget(node);
  placed_.erase(node);
  silent_.erase(node);
  effects.writes.push_back(PutSetting{"drain/" + node.str(), std::nullopt});
  effects.audit(now, input.actor, "forget", node.str(),
                jobs.empty() ? "" : fmt::format("given up as lost: {} attempts", jobs.size()));
  needs_plan_ = effects.view_changed = refresh_fleet_ = true;
  log::info("orchestrator", "node forgotten", {{"node", node.str()}, {"attempts_ended", jobs.size()}});
  answer({});
}

}  // namespace aether
