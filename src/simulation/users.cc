#include "simulation/users.h"

#include <signal.h>

#include <fmt/format.h>

namespace aether::simulation {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Duration uniform(Rng& rng, Duration bound) { return Duration(static_cast<std::int64_t>(rng.uniform() * static_cast<double>(bound.count()))); }

}  // namespace

Users::Submission Users::draw(int index) {
  Rng& rng = world_.rng();
  Submission made;
  made.key = fmt::format("key-{}", index);
  JobSpec& spec = made.spec;
  spec.argv = {"train"};
  spec.name = fmt::format("job-{}", index);
  spec.gpus = static_cast<int>(rng.below(static_cast<std::uint64_t>(swarm_.gpus_per_node) + 1));
  if (spec.gpus > 0 && rng.chance(0.2)) {
    spec.share = Share::kMemory;
    spec.gpu_mem_mb = 4096;
  }
  spec.priority = static_cast<int>(rng.below(101));
  spec.time_limit_s = rng.chance(0.2) ? 3 : 60;
  spec.grace_s = 1 + static_cast<std::int64_t>(rng.below(5));
  spec.hold = rng.chance(swarm_.hold);
  const std::int64_t duration_ms = rng.chance(0.3) ? static_cast<std::int64_t>(rng.below(200)) : static_cast<std::int64_t>(rng.exponential(5000));
  spec.env["AETHER_SIM_DURATION_MS"] = std::to_string(duration_ms);
  if (rng.chance(0.1)) spec.env["AETHER_SIM_IGNORE_TERM"] = "1";
  if (rng.chance(0.05)) {
    spec.env["AETHER_SIM_EXEC_ERROR"] = "No such file or directory";
    made.expected.exec_fails = true;
  } else if (rng.chance(0.1)) {
    made.expected.signal = SIGSEGV;
    spec.env["AETHER_SIM_SIGNAL"] = std::to_string(SIGSEGV);
  } else {
    made.expected.exit_code = rng.chance(0.3) ? static_cast<int>(rng.below(256)) : 0;
    spec.env["AETHER_SIM_EXIT_CODE"] = std::to_string(*made.expected.exit_code);
  }
  work_ += std::min<Duration>(milliseconds(duration_ms), seconds(spec.time_limit_s + spec.grace_s)) * std::max(1, spec.gpus);
  return made;
}

void Users::begin() {
  for (int index = 0; index < swarm_.jobs; ++index) {
    submissions_[index] = draw(index);
    world_.after(seconds(2) + uniform(world_.rng(), swarm_.fault_phase - seconds(5)), [this, index] { submit(index); });
  }
}

void Users::submit(int index) {
  const Submission& wanted = submissions_.at(index);
  if (wanted.answered) return;
  SubmitRequest request{wanted.spec, "ada", wanted.key, "sha256-of-" + wanted.key, false};
  std::optional<Job> known;
  if (const Job* job = disk_.find_by_key("ada", wanted.key)) known = *job;
  const bool lost = !healed_ && world_.rng().chance(swarm_.reply_lost);
  if (lost) tally_.count("reply lost");
  const auto reply = [this, index, lost](const Result<SubmitReply>& answer) {
    if (!lost) on_answer(index, answer);
  };
  orchestrator_.deliver(SubmitInput{std::move(request), reply, std::move(known)});
  world_.after(seconds(1) + uniform(world_.rng(), seconds(4)), [this, index] { submit(index); });
}

void Users::on_answer(int index, const Result<SubmitReply>& reply) {
  Submission& submission = submissions_.at(index);
  if (!reply && reply.error().code == ErrorCode::kUnavailable) return;  // it is asked again
  if (!reply) return referee_.blame("I1", "a sound job was refused: " + reply.error().message);
  const JobId job = reply->job->id;
  referee_.on_accepted(submission.key, job, submission.expected);
  if (submission.answered) return;
  submission.answered = true;
  ++answered_;
  ++tally_.accepted;
  Rng& rng = world_.rng();
  if (rng.chance(swarm_.cancel)) world_.after(uniform(rng, seconds(10)), [this, job] { act(job, JobAction::kCancel); });
  if (rng.chance(swarm_.hold)) {
    world_.after(uniform(rng, seconds(5)), [this, job] { act(job, JobAction::kHold); });
    world_.after(seconds(5) + uniform(rng, seconds(20)), [this, job] { act(job, JobAction::kRelease); });
  }
}

void Users::act(const JobId& job, JobAction action) {
  const auto reply = [this, job, action](const Result<std::shared_ptr<const Job>>& answer) {
    if (action == JobAction::kCancel && answer && (*answer)->state == JobState::kCancelled) referee_.on_cancelled(job);
  };
  orchestrator_.deliver(ActInput{job, action, std::nullopt, reply});
}

void Users::heal() {
  healed_ = true;
  for (const auto& [id, job] : disk_.jobs())
    if (job.state == JobState::kHeld) act(id, JobAction::kRelease);
}

}  // namespace aether::simulation
