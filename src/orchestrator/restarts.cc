// When a job runs again, when it is too late for it, and what its attempt is told about itself.
#include <algorithm>

#include <fmt/format.h>

#include "orchestrator/orchestrator.h"
#include "orchestrator/retry_pause.h"

namespace aether {
namespace {

bool is_node_failure(ExitCause cause) { return cause == ExitCause::kNodeLost || cause == ExitCause::kNodeReboot; }
bool is_preemption(ExitCause cause) { return cause == ExitCause::kPreempt || cause == ExitCause::kDrain; }
bool is_out_of_memory(ExitCause cause) { return cause == ExitCause::kOomHost || cause == ExitCause::kOomGpu; }

bool matches(const RetryRule& rule, const ExitStatus& exit) {
  const bool by_itself = exit.cause == ExitCause::kSelf;
  switch (rule.kind) {
    case RetryRule::Kind::kExitCodes:
      return by_itself && exit.exit_code && *exit.exit_code >= rule.first && *exit.exit_code <= rule.last;
    case RetryRule::Kind::kSignal: return by_itself && exit.signal.has_value();
    case RetryRule::Kind::kOom: return is_out_of_memory(exit.cause);
    case RetryRule::Kind::kNode: return is_node_failure(exit.cause) || exit.cause == ExitCause::kGpuLost;
    case RetryRule::Kind::kPreempt: return is_preemption(exit.cause);
  }
  return false;
}

bool is_tried_again(const JobSpec& spec, const ExitStatus& exit) {
  if (spec.retry_on.empty()) {
    const bool failed = exit.cause == ExitCause::kSelf && (exit.signal || exit.exit_code.value_or(1) != 0);
    return failed || is_out_of_memory(exit.cause) || is_node_failure(exit.cause) || exit.cause == ExitCause::kGpuLost;
  }
  return std::any_of(spec.retry_on.begin(), spec.retry_on.end(), [&](const RetryRule& rule) { return matches(rule, exit); });
}

}  // namespace

Time Orchestrator::latest_start(const Job& job) {
  return job.time_limit_given ? *job.spec.deadline - std::chrono::seconds(job.spec.time_limit_s) : *job.spec.deadline;
}

// True when the job goes back into the queue after this end of its last attempt; then it knows why and from when.
bool Orchestrator::plan_restart(Job& job, const Attempt& attempt, Time now) {
  const ExitStatus& exit = *attempt.exit;
  const bool asked = std::exchange(job.requeue_asked, false);
  job.not_before.reset();
  const std::string stop = attempt.stop_reason.value_or("");
  if (stop == to_string(ExitCause::kUserCancel) || stop == to_string(ExitCause::kAdminCancel)) return false;
  const bool lost_its_place = is_preemption(exit.cause) || is_node_failure(exit.cause);
  if ((asked && exit.cause != ExitCause::kSelf) || (lost_its_place && job.spec.requeue)) {
    job.restart = Restart::kRequeue;
    return true;
  }
  if (job.retries_used >= job.spec.retries || !is_tried_again(job.spec, exit)) return false;
  job.restart = Restart::kRetry;
  job.not_before = now + retry_pause(options_, job.retries_used);
  ++job.retries_used;
  return true;
}

void Orchestrator::expire_deadlines(Time now, Effects& effects) {
  while (!deadlines_.empty() && deadlines_.begin()->first < now) {
    Job* job = find_live(deadlines_.begin()->second);
    deadlines_.erase(deadlines_.begin());
    if (job == nullptr || !job->spec.deadline) continue;
    if (!holds_gpus(job->state)) {
      set_job_state(*job, JobState::kDeadline, "scheduler",
                    "no start can meet the deadline " + format_rfc3339(*job->spec.deadline) + " any more", now, effects);
      finish(*job, now);
    } else if (now > *job->spec.deadline) {
      order_stop(*job, ExitCause::kDeadline, "scheduler", job->spec.grace_s, now, effects);
    } else {
      deadlines_.emplace(*job->spec.deadline, job->id);
    }
  }
}

// The specification as its node gets it: with what only this attempt can know.
JobSpec Orchestrator::spec_of_attempt(const Job& job, const Attempt& attempt) {
  JobSpec spec = job.spec;
  const auto set = [&](const char* name, const auto& value) { spec.env[name] = fmt::format("{}", value); };
  if (job.is_array_task()) {
    set("AETHER_ARRAY_ID", job.array_number);
    set("AETHER_ARRAY_INDEX", job.array_index);
  }
  if (!spec.slurm_env) return spec;
  set("SLURM_JOB_ID", job.number);
  set("SLURM_JOB_NAME", spec.name);
  set("SLURM_RESTART_COUNT", attempt.id.n - 1);
  set("SLURM_NODEID", 0);
  const auto tasks = spec.env.find("AETHER_NTASKS");
  set("SLURM_NTASKS", tasks == spec.env.end() ? "1" : tasks->second);
  if (job.is_array_task()) {
    set("SLURM_ARRAY_JOB_ID", job.array_number);
    set("SLURM_ARRAY_TASK_ID", job.array_index);
  }
  return spec;
}

}  // namespace aether
