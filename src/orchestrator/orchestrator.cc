#include "orchestrator/orchestrator.h"

#include <algorithm>

#include "base/log.h"
#include "base/mutant.h"
#include "codec/codec.h"
#include "orchestrator/retry_pause.h"

namespace aether {
namespace {
constexpr std::chrono::seconds kReplanEvery{1};     // while somebody waits: heat and readings change

// What is shown and no longer there.
template <class Shown, class Present>
void drop_others(Shown& shown, const Present& present) {
  if (shown.size() == present.size()) return;  // everything present has just been shown
  std::vector<typename Present::key_type> gone;
  for (const auto& [key, value] : shown)
    if (!present.contains(key)) gone.push_back(key);
  for (const auto& key : gone) shown.erase(key);
}
}  // namespace

Orchestrator::Orchestrator(OrchestratorOptions options, StoredState state, Epoch first_epoch, std::uint64_t epochs,
                           std::uint64_t seed, Time now)
    : options_(std::move(options)),
      rng_(seed),
      next_epoch_(first_epoch),
      epochs_left_(epochs),
      cluster_(options_.cluster),
      alerts_(options_.alerts),
      anomalies_(options_.anomalies),
      last_number_(state.last_job_number),
      last_request_id_(rng_.next() >> 16),
      leases_(options_.lease),
      leader_epoch_(first_epoch) {
  for (const auto& [key, value] : state.settings) {
    if (key.starts_with("quarantine/")) cluster_.set_quarantine(GpuUuid(key.substr(11)), value);
    if (key.starts_with("drain/")) cluster_.set_drain(NodeId(key.substr(6)), value);
    if (const auto until = parse_rfc3339(value); until && key.starts_with(kSnooze))
      snoozed_[AlertId(key.substr(kSnooze.size()))] = *until;
  }
  std::sort(state.recent_jobs.begin(), state.recent_jobs.end(),
            [](const Job& a, const Job& b) { return a.number < b.number; });
  for (Job& job : state.recent_jobs) {
    if (!job.idempotency_key.empty()) by_key_[{job.user, job.idempotency_key}] = job.id;
    const JobId id = AETHER_MUTANT("moved_job_id") ? JobId() : job.id;
    recent_.push_back(id);
    shown_[id] = std::make_shared<const Job>(std::move(job));
  }
  std::map<AttemptId, std::map<GpuUuid, int>> slots;
  for (const AllocationRow& row : state.allocations) slots[row.attempt][row.gpu_uuid] = row.slot;
  for (Job& job : state.live_jobs) {
    if (!job.idempotency_key.empty()) by_key_[{job.user, job.idempotency_key}] = job.id;
    if (!job.attempts.empty() && holds_gpus(job.attempts.back().state) && !AETHER_MUTANT("allocations_forgotten"))
      cluster_.allocate(job.attempts.back(), slots[AETHER_MUTANT("slots_renumbered") ? AttemptId() : job.attempts.back().id]);
    // The wall clock may have been set back meanwhile: a pause is never longer than it was meant to be.
    if (job.not_before && !AETHER_MUTANT("pause_on_wall_clock"))
      job.not_before = std::min<Time>(*job.not_before, now + retry_pause(options_, job.retries_used - 1));
    touch(job);
    const JobId id = job.id;
    if (holds_gpus(job.state)) ++holding_;
    index_job(live_.emplace(id, std::move(job)).first->second);
  }
  for (const auto& [id, job] : live_) watch_dependencies(job);
  for (PlacementRecord& record : state.placements) {
    const JobId id = record.job;
    placements_[id] = std::make_shared<const PlacementRecord>(std::move(record));
  }
  for (const OutboxRow& row : state.outbox)
    if (auto command = codec::decode_command(row.payload); command && !AETHER_MUTANT("outbox_not_loaded")) {
      count_unanswered_start(*command, 1);
      outstanding_[{row.attempt, row.kind}] = {std::move(*command), now, options_.resend_first};
    }
  anomalies_.restore(state.open_alerts);
  alerts_.restore(std::move(state.open_alerts));
}

void Orchestrator::add_epochs(Epoch first, std::uint64_t count) {
  next_epoch_ = leader_epoch_ = first;
  epochs_left_ = count;
}

void Orchestrator::inherit(Orchestrator& before, Time now) {
  leases_.inherit(before.leases_);
  anomalies_ = std::move(before.anomalies_);
  for (const auto& [id, node] : before.cluster_.nodes())
    if (!node.inventory.agent_incarnation.empty()) cluster_.apply_inventory(node.inventory, node.last_seen);
  for (const auto& [uuid, gpu] : before.cluster_.gpus())
    if (gpu.sample) cluster_.apply_sample(gpu.sample, gpu.sample_received);
  cluster_.refresh(now);
  homes_ = before.homes_;
  pending_logs_ = std::move(before.pending_logs_);
  state_since_ = before.state_since_;
  last_charged_ = before.last_charged_;
  carbon_ = before.carbon_;
  model_ = before.model_;
  history_ = before.history_;
  counters_ = before.counters_;
  view_version_ = before.view_version_;
  last_request_id_ = before.last_request_id_;
  last_second_ = before.last_second_;
  last_minute_ = before.last_minute_;
}

// Texts as the log has them anywhere: what a database would repair would break the seal.
void Effects::audit(Time time, std::string actor, std::string action, std::string target, std::string detail) {
  writes.push_back(PutAudit{{time, log::sanitise(actor), std::move(action), log::sanitise(target), log::sanitise(detail)}});
}

bool refuse(Input& input, const Error& error) {
  return std::visit(
      [&](auto& value) {
        if constexpr (requires { value.reply; }) {
          value.reply(fail(error));
          return true;
        }
        return false;
      },
      input);
}

Effects Orchestrator::step(Time now, Mono mono, std::span<Input> inputs) {
  Effects effects;
  mono_ = mono;
  if (!std::exchange(watches_placed_, true)) watch_placed();
  for (Input& input : inputs) std::visit([&](auto& value) { apply(value, now, effects); }, input);
  if (now - last_second_ >= std::chrono::seconds(1)) {
    last_second_ = now;
    cluster_.refresh(now);
    check_leases(now, effects);
    judge_alerts(now, effects);
    effects.view_changed = refresh_fleet_ = true;  // ages and states move with time
    if (now - last_minute_ >= std::chrono::minutes(1)) {
      last_minute_ = now;
      record_history(now);
    }
  }
  expire_deadlines(now, effects);
  cancel_doomed(now, effects);
  expire_logs(now, effects);
  resend(now, effects);
  if (now - last_plan_ >= kReplanEvery && !live_.empty()) needs_plan_ = true;
  plan(now, effects);
  for (Command& command : effects.commands) command.leader_epoch = leader_epoch_;
  if (!effects.writes.empty()) ++counters_.commits;
  return effects;
}

std::shared_ptr<const ClusterView> Orchestrator::view(Time now) {
  for (const JobId& id : changed_jobs_)
    if (const auto it = live_.find(id); it != live_.end()) shown_[id] = std::make_shared<const Job>(it->second);
  changed_jobs_.clear();

  show_fleet(now);
  auto view = std::make_shared<ClusterView>();
  view->at = now;
  view->version = ++view_version_;
  view->nodes = shown_nodes_;
  view->gpus = shown_gpus_;
  view->jobs = shown_;
  view->waiting = waiting_;
  view->behind = behind_;
  view->placements = placements_;
  view->alerts = alerts_.current(now);
  view->snoozed = snoozed_;
  view->carbon = carbon_;
  view->history = history_;
  view->model = model_;
  view->counters = counters_;
  return view;
}

// Between full looks only the GPUs that something happened to: a view is wanted for every reply.
void Orchestrator::show_fleet(Time now) {
  if (!std::exchange(refresh_fleet_, false)) {
    for (const GpuUuid& uuid : touched_gpus_)
      if (const GpuRecord* gpu = cluster_.find_gpu(uuid)) show_gpu(*gpu, now);
    touched_gpus_.clear();
    return;
  }
  touched_gpus_.clear();
  for (const auto& [id, node] : cluster_.nodes()) {
    NodeView shown{node.inventory, node.state, node.drain.value_or(""), node.last_seen};
    if (const auto old = shown_nodes_.find(id); old == shown_nodes_.end() || old->second != shown)
      shown_nodes_[id] = std::move(shown);
  }
  for (const auto& [uuid, gpu] : cluster_.gpus()) show_gpu(gpu, now);
  drop_others(shown_nodes_, cluster_.nodes());
  drop_others(shown_gpus_, cluster_.gpus());
}

void Orchestrator::show_gpu(const GpuRecord& gpu, Time now) {
  const GpuUuid& uuid = gpu.info.gpu_uuid;
  GpuView shown;
  shown.info = gpu.info;
  shown.node = gpu.node;
  shown.gpu_id = gpu_display_id(gpu.node, gpu.info.gpu_index);
  const auto state = cluster_.gpu_state(gpu, alerts_.is_idle(uuid), now);
  shown.state = state.state;
  shown.state_reason = state.reason;
  const auto since = state_since_.try_emplace(uuid, state.state, now).first;
  if (since->second.first != state.state) since->second = {state.state, now};
  shown.state_since = since->second.second;
  shown.allocated_mb = gpu.reserved_mb();
  for (const Allocation& allocation : gpu.allocations)
    if (const auto it = live_.find(allocation.attempt.job); it != live_.end())
      shown.jobs.push_back({it->first, it->second.number, it->second.spec.name});
  if (cluster_.has_current_sample(gpu, now)) shown.sample = gpu.sample;
  if (const auto old = shown_gpus_.find(uuid); old == shown_gpus_.end() || old->second != shown)
    shown_gpus_[uuid] = std::move(shown);
}

}  // namespace aether
