// Submission and the users' and operators' actions.
#include <algorithm>

#include <fmt/format.h>

#include "base/log.h"
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
  event.from = to == job.state && job.attempts.empty() ? "" : std::string(to_string(job.state));
  event.to = std::string(to_string(to));
  event.actor = actor;
  event.reason = reason;
  if (const Attempt* attempt = job.last_attempt()) {
    event.epoch = attempt->epoch;
    event.attempt = attempt->id.n;
  }
  job.state = to;
  if (is_terminal(to)) job.ended_at = now;
  Job row = job;
  row.attempts.clear();
  effects.writes.push_back(PutJob{std::move(row)});
  effects.writes.push_back(PutEvent{std::move(event)});
  effects.view_changed = true;
  touch(job);
}

void Orchestrator::finish(Job& job, Time) {
  const JobId id = job.id;
  ++counters_.jobs_finished;
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

Result<Job*> Orchestrator::accept(SubmitInput& input, Time now, Effects& effects) {
  SubmitRequest& request = input.request;
  AETHER_TRY(validate(request.spec));
  if (request.spec.unique)
    for (const auto& [id, job] : live_)
      if (job.spec.unique && job.spec.name == request.spec.name)
        return fail(ErrorCode::kConflict,
                    fmt::format("job {} with the unique name '{}' is still {}; cancel it or choose another name",
                                job.number, job.spec.name, to_string(job.state)),
                    "/name");
  const auto pending = std::count_if(live_.begin(), live_.end(), [](const auto& entry) { return !holds_gpus(entry.second.state); });
  if (static_cast<std::size_t>(pending) >= options_.max_pending)
    return fail(ErrorCode::kResourceExhausted, fmt::format("{} jobs are waiting, the most this queue holds", pending));
  Job job;
  job.id = JobId(make_ulid(now, rng_.next(), rng_.next()));
  job.number = ++last_number_;
  job.spec = std::move(request.spec);
  job.spec.name = default_name(job.spec);
  if (job.spec.time_limit_s == 0) job.spec.time_limit_s = options_.default_time_limit_s;
  job.user = request.user;
  job.submitted_at = now;
  job.idempotency_key = request.idempotency_key;
  job.body_sha256 = request.body_sha256;
  const JobState first = job.spec.hold ? JobState::kHeld : JobState::kPending;
  job.state = first;
  if (!job.idempotency_key.empty()) by_key_[{job.user, job.idempotency_key}] = job.id;
  const JobId id = job.id;
  Job& stored = live_.emplace(id, std::move(job)).first->second;
  set_job_state(stored, first, "user", "submitted", now, effects);
  ++counters_.jobs_submitted;
  needs_plan_ = true;
  return &stored;
}

void Orchestrator::apply(SubmitInput& input, Time now, Effects& effects) {
  const SubmitRequest& request = input.request;
  const auto answer = [&](Result<SubmitReply> result) {
    effects.replies.push_back([reply = std::move(input.reply), result = std::move(result)] { reply(result); });
  };
  if (request.dry_run) {
    const auto valid = validate(request.spec);
    return answer(valid ? Result<SubmitReply>(SubmitReply{}) : fail(valid.error()));
  }
  if (!request.idempotency_key.empty()) {
    std::shared_ptr<const Job> known;
    if (const auto it = by_key_.find({request.user, request.idempotency_key}); it != by_key_.end()) {
      if (const Job* live = find_live(it->second))
        known = std::make_shared<const Job>(*live);
      else if (const auto shown = shown_.find(it->second); shown != shown_.end())
        known = shown->second;
    } else if (input.known) {
      known = std::make_shared<const Job>(*input.known);
    }
    if (known && known->body_sha256 != request.body_sha256)
      return answer(fail(ErrorCode::kConflict,
                         fmt::format("the key '{}' was used for job {} with another body; use a new key",
                                     request.idempotency_key, known->number),
                         "idempotency_key"));
    if (known) return answer(SubmitReply{known, true});
  }
  auto accepted = accept(input, now, effects);
  if (!accepted) return answer(fail(accepted.error()));
  answer(SubmitReply{std::make_shared<const Job>(**accepted), false});
}

void Orchestrator::cancel(Job& job, std::optional<std::int64_t> grace_s, Time now, Effects& effects) {
  if (!holds_gpus(job.state)) {
    set_job_state(job, JobState::kCancelled, "user", "user_cancel", now, effects);
    finish(job, now);
    return;
  }
  if (job.state == JobState::kStopping || job.state == JobState::kCompleting) return;
  Attempt& attempt = job.attempts.back();
  attempt.stop_reason = std::string(to_string(ExitCause::kUserCancel));
  attempt.state = JobState::kStopping;
  effects.writes.push_back(PutAttempt{attempt});
  set_job_state(job, JobState::kStopping, "user", "user_cancel", now, effects);
  send_stop(job, attempt, grace_s.value_or(job.spec.grace_s), now, effects);
}

void Orchestrator::apply(ActInput& input, Time now, Effects& effects) {
  using Shown = std::shared_ptr<const Job>;
  const auto answer = [&](Result<Shown> result) {
    effects.replies.push_back([reply = std::move(input.reply), result = std::move(result)] { reply(result); });
  };
  Job* job = find_live(input.job);
  if (job == nullptr) {
    const auto shown = shown_.find(input.job);
    if (shown == shown_.end()) return answer(fail(ErrorCode::kNotFound, "no job " + input.job.str()));
    const bool already = input.action == JobAction::kCancel && shown->second->state == JobState::kCancelled;
    if (already) return answer(shown->second);
    return answer(fail(ErrorCode::kConflict, fmt::format("job {} has ended: {}", shown->second->number,
                                                         to_string(shown->second->state))));
  }
  switch (input.action) {
    case JobAction::kCancel: cancel(*job, input.grace_s, now, effects); break;
    case JobAction::kHold:
      if (holds_gpus(job->state))
        return answer(fail(ErrorCode::kConflict, fmt::format("job {} is {}; only a waiting job can be held", job->number,
                                                             to_string(job->state))));
      if (job->state != JobState::kHeld) set_job_state(*job, JobState::kHeld, "user", "hold", now, effects);
      break;
    case JobAction::kRelease:
      if (job->state == JobState::kHeld) set_job_state(*job, JobState::kPending, "user", "release", now, effects);
      break;
  }
  needs_plan_ = true;
  if (job = find_live(input.job); job != nullptr) return answer(std::make_shared<const Job>(*job));
  answer(shown_.at(input.job));
}

void Orchestrator::apply(QuarantineInput& input, Time, Effects& effects) {
  const bool known = cluster_.find_gpu(input.gpu) != nullptr;
  if (known) {
    cluster_.set_quarantine(input.gpu, input.reason);
    effects.writes.push_back(PutSetting{"quarantine/" + input.gpu.str(), input.reason});
    needs_plan_ = effects.view_changed = true;
    log::info("orchestrator", input.reason ? "GPU quarantined" : "GPU back in service",
              {{"gpu", input.gpu.str()}, {"reason", input.reason.value_or("")}});
  }
  effects.replies.push_back([reply = std::move(input.reply), known, gpu = input.gpu] {
    reply(known ? Result<void>() : fail(ErrorCode::kNotFound, "no GPU " + gpu.str()));
  });
}

void Orchestrator::apply(DrainInput& input, Time, Effects& effects) {
  const bool known = cluster_.find_node(input.node) != nullptr;
  if (known) {
    cluster_.set_drain(input.node, input.reason);
    effects.writes.push_back(PutSetting{"drain/" + input.node.str(), input.reason});
    needs_plan_ = effects.view_changed = true;
    log::info("orchestrator", input.reason ? "node drained" : "node back in service",
              {{"node", input.node.str()}, {"reason", input.reason.value_or("")}});
  }
  effects.replies.push_back([reply = std::move(input.reply), known, node = input.node] {
    reply(known ? Result<void>() : fail(ErrorCode::kNotFound, "no node " + node.str()));
  });
}

void Orchestrator::apply(AcknowledgeInput& input, Time, Effects& effects) {
  const bool known = alerts_.acknowledge(input.alert);
  if (known) {
    effects.writes.push_back(PutAlert{*alerts_.find(input.alert)});
    effects.view_changed = true;
  }
  effects.replies.push_back([reply = std::move(input.reply), known, alert = input.alert] {
    reply(known ? Result<void>() : fail(ErrorCode::kNotFound, "no alert " + alert.str()));
  });
}

}  // namespace aether
