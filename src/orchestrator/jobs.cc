// Submission and the users' and operators' actions.
#include <algorithm>

#include <fmt/format.h>

#include "base/log.h"
#include "base/mutant.h"
#include "base/ulid.h"
#include "orchestrator/orchestrator.h"

namespace aether {
namespace {

std::string default_name(const JobSpec& spec) {
  if (!spec.name.empty()) return spec.name;
  if (spec.script || spec.argv.empty()) return "script";
  const std::string& command = spec.argv.front();
  return command.substr(command.find_last_of('/') + 1).substr(0, 128);
}

std::string name_of(JobAction action) {
  switch (action) {
    case JobAction::kCancel: return "cancel";
    case JobAction::kCancelArray: return "cancel_array";
    case JobAction::kHold: return "hold";
    case JobAction::kRelease: return "release";
    case JobAction::kRequeue: return "requeue";
    case JobAction::kSuspend: return "suspend";
    case JobAction::kResume: return "resume";
    case JobAction::kSignal: return "signal";
  }
  return "";
}

std::string describe(const JobUpdate& update) {
  std::vector<std::string> parts;
  if (update.priority) parts.push_back(fmt::format("priority {}", *update.priority));
  if (update.time_limit_s) parts.push_back(fmt::format("time limit {} s", *update.time_limit_s));
  if (update.labels) parts.push_back(fmt::format("{} labels", update.labels->size()));
  return fmt::format("{}", fmt::join(parts, ", "));
}

// Readings and energy go on all the time; what a person decides on is the rest.
bool looks_same(const Job& seen, const Job& now) {
  return seen.spec == now.spec && seen.state == now.state && seen.attempts.size() == now.attempts.size();
}

}  // namespace

Job* Orchestrator::find_live(const JobId& id) {
  const auto it = live_.find(id);
  return it == live_.end() ? nullptr : &it->second;
}

void Orchestrator::set_job_state(Job& job, JobState to, const std::string& actor, const std::string& reason, Time now,
                                 Effects& effects) {
  JobEvent event;
  event.job = job.id;
  event.time = now;
  event.from = reason == "submitted" ? "" : std::string(to_string(job.state));
  event.to = std::string(to_string(to));
  event.actor = actor;
  event.reason = reason;
  if (const Attempt* attempt = job.last_attempt()) {
    event.epoch = attempt->epoch;
    event.attempt = attempt->id.n;
  }
  const bool moved = job.state != to;
  holding_ += static_cast<std::size_t>(holds_gpus(to)) - static_cast<std::size_t>(holds_gpus(job.state));
  job.state = to;
  if (is_terminal(to)) job.ended_at = now;
  put_row(job, effects);
  effects.writes.push_back(PutEvent{std::move(event)});
  if (moved && (is_terminal(to) || to == JobState::kRunning)) tell_dependents(job, effects);
}

void Orchestrator::put_row(const Job& job, Effects& effects) {
  Job row = job;
  row.attempts.clear();
  effects.writes.push_back(PutJob{std::move(row)});
  effects.view_changed = true;
  touch(job);
}

void Orchestrator::finish(Job& job, Time) {
  const JobId id = job.id;
  ++counters_.jobs_finished;
  unindex_job(job);
  waiting_.erase(id);
  shown_[id] = std::make_shared<const Job>(job);
  changed_jobs_.erase(id);
  recent_.push_back(id);
  live_.erase(id);
  while (recent_.size() > options_.max_recent) {
    const JobId old = recent_.front();
    recent_.pop_front();
    if (const auto it = shown_.find(old); it != shown_.end()) {
      by_key_.erase({it->second->user, it->second->idempotency_key});
      shown_.erase(it);
    }
    placements_.erase(old);
  }
}

Result<void> Orchestrator::check_admission(const JobSpec& spec, std::size_t tasks, Time now) const {
  if (spec.unique)
    for (const auto& [id, job] : live_)
      if (job.spec.unique && job.spec.name == spec.name)
        return fail(ErrorCode::kConflict,
                    fmt::format("job {} with the unique name '{}' is still {}; cancel it or choose another name",
                                job.number, job.spec.name, to_string(job.state)),
                    "/name");
  const std::size_t pending = live_.size() - holding_;
  if (pending + tasks > options_.max_pending)
    return fail(ErrorCode::kResourceExhausted, fmt::format("{} jobs are waiting, the queue holds {}", pending, options_.max_pending));
  const Time begin = std::max(now, spec.begin.value_or(now));
  if (spec.deadline && begin + std::chrono::seconds(std::max<std::int64_t>(spec.time_limit_s, 1)) > *spec.deadline)
    return fail(ErrorCode::kInvalidArgument, "with this time limit it can't end by the deadline", "/deadline");
  return {};
}

// One job, or one for each index of its array.
Result<std::vector<Job>> Orchestrator::make_jobs(SubmitInput& input, Time now) {
  SubmitRequest& request = input.request;
  ArrayRange range;
  if (!request.spec.array.empty()) range = *parse_array_range(request.spec.array);
  const std::size_t tasks = std::max<std::size_t>(1, range.indices.size());
  AETHER_TRY(check_admission(request.spec, tasks, now));
  Job job;
  job.time_limit_given = request.spec.time_limit_s != 0;
  job.spec = std::move(request.spec);
  job.spec.name = default_name(job.spec);
  if (!job.time_limit_given) job.spec.time_limit_s = options_.default_time_limit_s;
  job.user = request.user;
  job.submitted_at = now;
  job.state = job.spec.hold ? JobState::kHeld : JobState::kPending;
  std::vector<Job> jobs;
  for (std::size_t i = 0; i < tasks; ++i) {
    Job& made = jobs.emplace_back(job);
    made.id = JobId(make_ulid(now, rng_.next(), rng_.next()));
    made.number = last_number_ + 1 + static_cast<std::int64_t>(i);
    if (!range.indices.empty()) {
      made.array_parent = jobs.front().id;
      made.array_number = last_number_ + 1;
      made.array_index = range.indices[i];
    }
    AETHER_TRY(resolve_dependencies(made, input));
  }
  // The key belongs to the submission, which is found again by its first job.
  jobs.front().idempotency_key = request.idempotency_key;
  jobs.front().body_sha256 = request.body_sha256;
  return jobs;
}

Result<Job*> Orchestrator::accept(SubmitInput& input, Time now, Effects& effects) {
  AETHER_TRY(validate(input.request.spec));
  auto jobs = make_jobs(input, now);
  if (!jobs) return fail(jobs.error());
  last_number_ += static_cast<std::int64_t>(jobs->size());
  const JobId first = jobs->front().id;
  if (!jobs->front().idempotency_key.empty()) by_key_[{jobs->front().user, jobs->front().idempotency_key}] = first;
  for (Job& job : *jobs) {
    const JobId id = job.id;
    Job& stored = live_.emplace(id, std::move(job)).first->second;
    index_job(stored);
    watch_dependencies(stored);
    set_job_state(stored, stored.state, "user", "submitted", now, effects);
    ++counters_.jobs_submitted;
  }
  needs_plan_ = true;
  return &live_.at(first);
}

void Orchestrator::apply(SubmitInput& input, Time now, Effects& effects) {
  const SubmitRequest& request = input.request;
  const auto answer = [&](Result<SubmitReply> result) {
    effects.answer(std::move(input.reply), std::move(result));
  };
  if (request.dry_run) {
    const auto valid = validate(request.spec);
    return answer(valid ? Result<SubmitReply>(what_if(request, now)) : fail(valid.error()));
  }
  if (!request.idempotency_key.empty() && !AETHER_MUTANT("key_ignored")) {
    std::shared_ptr<const Job> known;
    if (const auto it = by_key_.find({request.user, request.idempotency_key}); it != by_key_.end()) {
      if (const Job* live = find_live(it->second))
        known = std::make_shared<const Job>(*live);
      else if (const auto shown = shown_.find(it->second); shown != shown_.end())
        known = shown->second;
    }
    if (!known && input.known && !AETHER_MUTANT("store_not_asked")) known = std::make_shared<const Job>(*input.known);
    if (known && known->body_sha256 != request.body_sha256)
      return answer(fail(ErrorCode::kConflict,
                         fmt::format("the key '{}' was used for job {} with another body; use a new key",
                                     request.idempotency_key, known->number),
                         "idempotency_key"));
    if (known) return answer(SubmitReply{known, true});
  }
  auto accepted = accept(input, now, effects);
  if (!accepted) return answer(fail(accepted.error()));
  effects.audit(now, (*accepted)->user, "submit", (*accepted)->id.str(), (*accepted)->spec.name);
  answer(SubmitReply{std::make_shared<const Job>(**accepted), false});
}

void Orchestrator::cancel(Job& job, std::optional<std::int64_t> grace_s, Time now, Effects& effects) {
  if (job.state == JobState::kStopping || job.state == JobState::kCompleting) {
    // It stops already, perhaps to be queued again: a job that its user gave up is not.
    Attempt& attempt = job.attempts.back();
    attempt.stop_reason = std::string(to_string(ExitCause::kUserCancel));
    effects.writes.push_back(PutAttempt{attempt});
    job.requeue_asked = false;
    return put_row(job, effects);
  }
  if (holds_gpus(job.state))
    return order_stop(job, ExitCause::kUserCancel, "user", grace_s.value_or(job.spec.grace_s), now, effects);
  set_job_state(job, JobState::kCancelled, "user", "user_cancel", now, effects);
  if (AETHER_MUTANT("cancel_not_stored")) effects.writes.clear();
  finish(job, now);
}

void Orchestrator::order_stop(Job& job, ExitCause cause, const std::string& actor, std::int64_t grace_s, Time now,
                              Effects& effects) {
  if (job.state == JobState::kStopping || job.state == JobState::kCompleting) return;
  Attempt& attempt = job.attempts.back();
  attempt.stop_reason = std::string(to_string(cause));
  attempt.state = JobState::kStopping;
  effects.writes.push_back(PutAttempt{attempt});
  set_job_state(job, JobState::kStopping, actor, *attempt.stop_reason, now, effects);
  send_stop(job, attempt, grace_s, now, effects);
  if (AETHER_MUTANT("released_at_stop")) cluster_.release(attempt.id, now), effects.writes.push_back(DeleteAllocations{attempt.id});
}

void Orchestrator::apply(ActInput& input, Time now, Effects& effects) {
  using Shown = std::shared_ptr<const Job>;
  const auto answer = [&](Result<Shown> result) {
    effects.answer(std::move(input.reply), std::move(result));
  };
  const auto shown = shown_.find(input.job);
  if (input.action == JobAction::kCancelArray) {
    const JobId told = cancel_array(input, now, effects);
    effects.audit(now, input.actor, "cancel_array", input.job.str(), "");
    if (const Job* job = find_live(told)) return answer(std::make_shared<const Job>(*job));
    if (const auto it = shown_.find(told); it != shown_.end()) return answer(it->second);
    return answer(fail(ErrorCode::kConflict, "every task of array " + input.job.str() + " has ended long ago"));
  }
  Job* job = find_live(input.job);
  if (job == nullptr) {
    if (shown == shown_.end()) return answer(fail(ErrorCode::kNotFound, "no job " + input.job.str()));
    const bool already = input.action == JobAction::kCancel && shown->second->state == JobState::kCancelled;
    if (already) return answer(shown->second);
    return answer(fail(ErrorCode::kConflict, fmt::format("job {} has ended: {}", shown->second->number,
                                                         to_string(shown->second->state))));
  }
  if (const auto done = act_on(*job, input, now, effects); !done) return answer(fail(done.error()));
  effects.audit(now, input.actor, name_of(input.action), input.job.str(),
                input.argument ? fmt::format("{}", *input.argument) : "");
  needs_plan_ = true;
  if (job = find_live(input.job); job != nullptr) return answer(std::make_shared<const Job>(*job));
  answer(shown_.at(input.job));
}

// Returns a task to show: the last one cancelled, or the first of the array.
JobId Orchestrator::cancel_array(const ActInput& input, Time now, Effects& effects) {
  JobId told = input.job;
  const auto array = array_tasks_.find(input.job);
  if (array == array_tasks_.end()) return told;
  for (const auto& [index, id] : std::map<int, JobId>(array->second)) {
    if (Job* task = find_live(id)) cancel(*task, input.argument, now, effects);
    told = id;
  }
  needs_plan_ = true;
  return told;
}

Result<void> Orchestrator::act_on(Job& job, const ActInput& input, Time now, Effects& effects) {
  const auto refuse = [&](std::string_view what) -> Result<void> {
    return fail(ErrorCode::kConflict, fmt::format("job {} is {}; {}", job.number, to_string(job.state), what));
  };
  switch (input.action) {
    case JobAction::kCancelArray:
    case JobAction::kCancel: cancel(job, input.argument, now, effects); break;
    case JobAction::kHold:
      if (holds_gpus(job.state)) return refuse("only a waiting job can be held");
      if (job.state != JobState::kHeld) set_job_state(job, JobState::kHeld, "user", "hold", now, effects);
      break;
    case JobAction::kRelease:
      if (job.state == JobState::kHeld) set_job_state(job, JobState::kPending, "user", "release", now, effects);
      break;
    case JobAction::kRequeue:
      if (!holds_gpus(job.state)) break;
      if (job.state >= JobState::kStopping && !job.requeue_asked) return refuse("it can't be queued again any more");
      job.requeue_asked = true;
      order_stop(job, ExitCause::kPreempt, "user", job.spec.grace_s, now, effects);
      break;
    case JobAction::kSuspend: return suspend(job, now, effects);
    case JobAction::kResume: return resume(job, now, effects);
    case JobAction::kSignal: return send_signal(job, input.argument.value_or(0), effects);
  }
  return {};
}

void Orchestrator::apply(UpdateInput& input, Time now, Effects& effects) {
  const auto answer = [&](Result<std::shared_ptr<const Job>> result) {
    effects.answer(std::move(input.reply), std::move(result));
  };
  Job* job = find_live(input.job);
  if (job == nullptr) {
    const auto shown = shown_.find(input.job);
    if (shown == shown_.end()) return answer(fail(ErrorCode::kNotFound, "no job " + input.job.str()));
    return answer(fail(ErrorCode::kConflict, fmt::format("job {} has ended: {}", shown->second->number,
                                                         to_string(shown->second->state))));
  }
  if (input.expected && !looks_same(*input.expected, *job))
    return answer(fail(ErrorCode::kConflict, fmt::format("job {} has changed meanwhile", job->number), "etag"));
  JobSpec spec = job->spec;
  if (input.update.priority) spec.priority = *input.update.priority;
  if (input.update.time_limit_s) spec.time_limit_s = *input.update.time_limit_s;
  if (input.update.labels) spec.labels = *input.update.labels;
  if (const auto valid = validate(spec); !valid) return answer(fail(valid.error()));
  if (input.update.time_limit_s && (holds_gpus(job->state) || spec.time_limit_s == 0))
    return answer(fail(ErrorCode::kConflict, fmt::format("job {} is {}; only a waiting job's time limit can change, to at least 1 s",
                                                         job->number, to_string(job->state)), "/time_limit_s"));
  if (input.update.time_limit_s) job->time_limit_given = true;
  job->spec = std::move(spec);
  if (job->spec.deadline) deadlines_.emplace(latest_start(*job), job->id);
  set_job_state(*job, job->state, "user", "update", now, effects);
  effects.audit(now, input.actor, "update", job->id.str(), describe(input.update));
  needs_plan_ = true;
  answer(std::make_shared<const Job>(*job));
}

void Orchestrator::apply(QuarantineInput& input, Time now, Effects& effects) {
  const bool known = cluster_.find_gpu(input.gpu) != nullptr;
  if (known) {
    cluster_.set_quarantine(input.gpu, input.reason);
    effects.writes.push_back(PutSetting{"quarantine/" + input.gpu.str(), input.reason});
    effects.audit(now, input.actor, input.reason ? "quarantine" : "clear", input.gpu.str(), input.reason.value_or(""));
    needs_plan_ = effects.view_changed = refresh_fleet_ = true;
    log::info("orchestrator", input.reason ? "GPU quarantined" : "GPU back in service",
              {{"gpu", input.gpu.str()}, {"reason", input.reason.value_or("")}});
  }
  effects.answer(std::move(input.reply),
                 known ? Result<void>() : fail(ErrorCode::kNotFound, "no GPU " + input.gpu.str()));
}

void Orchestrator::apply(DrainInput& input, Time now, Effects& effects) {
  const bool known = cluster_.find_node(input.node) != nullptr;
  if (known) {
    cluster_.set_drain(input.node, input.reason);
    effects.writes.push_back(PutSetting{"drain/" + input.node.str(), input.reason});
    effects.audit(now, input.actor, input.reason ? "drain" : "undrain", input.node.str(), input.reason.value_or(""));
    needs_plan_ = effects.view_changed = refresh_fleet_ = true;
    log::info("orchestrator", input.reason ? "node drained" : "node back in service",
              {{"node", input.node.str()}, {"reason", input.reason.value_or("")}});
  }
  effects.answer(std::move(input.reply),
                 known ? Result<void>() : fail(ErrorCode::kNotFound, "no node " + input.node.str()));
}

void Orchestrator::apply(AcknowledgeInput& input, Time now, Effects& effects) {
  const bool known = alerts_.acknowledge(input.alert);
  if (known) {
    effects.writes.push_back(PutAlert{*alerts_.find(input.alert)});
    effects.audit(now, input.actor, "acknowledge", input.alert.str(), "");
    effects.view_changed = true;
  }
  effects.answer(std::move(input.reply),
                 known ? Result<void>() : fail(ErrorCode::kNotFound, "no alert " + input.alert.str()));
}

// An alert that is open has at most one; those that are over are forgotten here, so there are never many.
void Orchestrator::apply(SnoozeInput& input, Time now, Effects& effects) {
  const Alert* alert = alerts_.find(input.alert);
  const bool known = alert != nullptr && !alert->cleared_at;
  if (known) {
    const auto setting = [](const AlertId& id) { return std::string(kSnooze) + id.str(); };
    std::erase_if(snoozed_, [&](const auto& entry) {
      const bool is_over = entry.second <= now || entry.first == input.alert;
      if (is_over) effects.writes.push_back(PutSetting{setting(entry.first), std::nullopt});
      return is_over;
    });
    if (input.until) {
      snoozed_[input.alert] = *input.until;
      effects.writes.push_back(PutSetting{setting(input.alert), format_rfc3339(*input.until)});
    }
    effects.audit(now, input.actor, input.until ? "snooze" : "wake", input.alert.str(),
                  input.until ? "until " + format_rfc3339(*input.until) : "");
    effects.view_changed = true;
  }
  effects.answer(std::move(input.reply),
                 known ? Result<void>() : fail(ErrorCode::kNotFound, "no open alert " + input.alert.str()));
}

}  // namespace aether
