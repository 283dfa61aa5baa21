// Orders to a running attempt that do not end it.
#include <fmt/format.h>

#include "orchestrator/orchestrator.h"

namespace aether {

Result<void> Orchestrator::suspend(Job& job, Time now, Effects& effects) {
  if (job.state == JobState::kSuspended && !outstanding_.contains({job.attempts.back().id, "resume"})) return {};
  if (job.state != JobState::kRunning && job.state != JobState::kSuspended)
    return fail(ErrorCode::kConflict, fmt::format("job {} is {}; only a running job can be suspended", job.number, to_string(job.state)));
  const Attempt& attempt = job.attempts.back();
  acknowledge_outstanding(attempt.id, "resume", effects);
  put_outstanding(attempt.id, attempt.epoch, "suspend", {attempt.placement.node, "", SuspendCommand{attempt.id, attempt.epoch}},
                  now, effects);
  return {};
}

Result<void> Orchestrator::resume(Job& job, Time now, Effects& effects) {
  if (job.state != JobState::kRunning && job.state != JobState::kSuspended)
    return fail(ErrorCode::kConflict, fmt::format("job {} is {}; only a suspended job can be resumed", job.number, to_string(job.state)));
  const Attempt& attempt = job.attempts.back();
  if (job.state == JobState::kRunning && !outstanding_.contains({attempt.id, "suspend"})) return {};
  acknowledge_outstanding(attempt.id, "suspend", effects);
  put_outstanding(attempt.id, attempt.epoch, "resume", {attempt.placement.node, "", ResumeCommand{attempt.id, attempt.epoch}}, now,
                  effects);
  return {};
}

Result<void> Orchestrator::send_signal(const Job& job, std::int64_t signal, Effects& effects) const {
  if (job.state != JobState::kRunning && job.state != JobState::kSuspended)
    return fail(ErrorCode::kConflict, fmt::format("job {} is {}; only a running job takes signals", job.number, to_string(job.state)));
  if (signal < 1 || signal > 64) return fail(ErrorCode::kInvalidArgument, "no signal's number", "/signal");
  const std::string name = signal_name(static_cast<int>(signal));
  if (name == "KILL" || name == "STOP")
    return fail(ErrorCode::kInvalidArgument,
                name == "KILL" ? "cancel ends a job, with a grace of 0 at once" : "suspend stops a job", "/signal");
  const Attempt& attempt = job.attempts.back();
  effects.commands.push_back(
      {attempt.placement.node, "", SignalCommand{attempt.id, attempt.epoch, static_cast<int>(signal)}});
  return {};
}

}  // namespace aether
