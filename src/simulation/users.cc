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
  if (rng.chance(swarm_.stop_after)) spec.on_partition = OnPartition::kStopAfter, spec.stop_after_s = 1;
  spec.requeue = rng.chance(swarm_.requeue);
  if (rng.chance(swarm_.retry)) spec.retries = 1 + static_cast<int>(rng.below(2));
  if (rng.chance(swarm_.array)) {
    made.tasks = 2 + static_cast<int>(rng.below(3));
    spec.array = fmt::format("0-{}%{}", made.tasks - 1, 1 + rng.below(2));
  }
  draw_behaviour(made);
  return made;
}

// What its process does when nobody stops it.
void Users::draw_behaviour(Submission& made) {
  Rng& rng = world_.rng();
  JobSpec& spec = made.spec;
  const double mean_ms = spec.on_partition == OnPartition::kStopAfter ? 20'000 : 5000;
  const std::int64_t duration_ms = rng.chance(0.3) ? static_cast<std::int64_t>(rng.below(200)) : static_cast<std::int64_t>(rng.exponential(mean_ms));
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
  Duration longest = seconds(spec.time_limit_s + spec.grace_s);
  if (swarm_.suspend == 0) longest = std::min<Duration>(longest, milliseconds(duration_ms));
  work_ += longest * std::max(1, spec.gpus) * (1 + spec.retries) * made.tasks;
}

void Users::begin() {
  for (int index = 0; index < swarm_.jobs; ++index) {
    submissions_[index] = draw(index);
    world_.after(seconds(2) + uniform(world_.rng(), swarm_.fault_phase - seconds(5)), [this, index] { submit(index); });
  }
}

void Users::submit(int index) {
  Submission& wanted = submissions_.at(index);
  if (wanted.answered) return;
  auto dependencies = choose_dependency(wanted);
  SubmitRequest request{wanted.spec, "ada", wanted.key, "sha256-of-" + wanted.key, false};
  std::optional<Job> known;
  if (const Job* job = disk_.find_by_key("ada", wanted.key)) known = *job;
  const bool lost = !healed_ && world_.rng().chance(swarm_.reply_lost);
  if (lost) tally_.count("reply lost");
  const auto reply = [this, index, lost](const Result<SubmitReply>& answer) {
    if (!lost) on_answer(index, answer);
  };
  orchestrator_.deliver(SubmitInput{std::move(request), reply, std::move(known), std::move(dependencies)});
  world_.after(seconds(1) + uniform(world_.rng(), seconds(4)), [this, index] { submit(index); });
}

// After a job that its user knows; the same one when it is asked for again, since the key stands for the whole body.
std::map<std::string, FoundDependency> Users::choose_dependency(Submission& wanted) {
  Rng& rng = world_.rng();
  if (wanted.spec.depends_on.empty() && !wanted.is_drawn && rng.chance(swarm_.depend)) {
    std::vector<JobId> known;
    for (const auto& [index, other] : submissions_)
      if (other.job) known.push_back(*other.job);
    static constexpr DependencyKind kKinds[] = {DependencyKind::kAfter, DependencyKind::kAfterAny, DependencyKind::kAfterOk,
                                                DependencyKind::kAfterNotOk};
    if (!known.empty()) wanted.spec.depends_on.push_back(Dependency{kKinds[rng.below(4)], known[rng.below(known.size())].str()});
    wanted.spec.kill_on_invalid_dep = true;
  }
  wanted.is_drawn = true;
  std::map<std::string, FoundDependency> found;
  for (const Dependency& dependency : wanted.spec.depends_on)
    if (const Job* job = disk_.find_job(JobId(dependency.job))) {
      found[dependency.job].job = std::make_shared<const Job>(*job);
      for (const Job* task : disk_.tasks_of(job->id))
        if (is_terminal(task->state) && task->state != JobState::kCompleted) found[dependency.job].any_failed = true;
    }
  return found;
}

// All tasks of an array were stored before its user was told of the first.
void Users::accept(const Submission& submission, const JobId& job) {
  referee_.on_accepted(submission.key, job, submission.expected);
  if (submission.tasks == 1) return;
  const auto tasks = disk_.tasks_of(job);
  if (static_cast<int>(tasks.size()) != submission.tasks)
    referee_.blame("I1", fmt::format("array {} was stored with {} of {} tasks", job.str(), tasks.size(), submission.tasks));
  for (const Job* task : tasks)
    if (task->id != job) referee_.on_accepted(fmt::format("{}_{}", submission.key, task->array_index), task->id, submission.expected);
}

void Users::on_answer(int index, const Result<SubmitReply>& reply) {
  Submission& submission = submissions_.at(index);
  if (!reply && reply.error().code == ErrorCode::kUnavailable) return;  // it is asked again
  if (!reply) return referee_.blame("I1", "a sound job was refused: " + reply.error().message);
  const JobId job = reply->job->id;
  accept(submission, job);
  if (submission.answered) return;
  submission.answered = true;
  submission.job = job;
  ++answered_;
  ++tally_.accepted;
  Rng& rng = world_.rng();
  if (rng.chance(swarm_.cancel)) world_.after(uniform(rng, seconds(10)), [this, job] { act(job, JobAction::kCancel); });
  if (submission.tasks > 1 && rng.chance(swarm_.cancel))
    world_.after(uniform(rng, seconds(10)), [this, job] { act(job, JobAction::kCancelArray); });
  if (rng.chance(swarm_.hold)) {
    world_.after(uniform(rng, seconds(5)), [this, job] { act(job, JobAction::kHold); });
    world_.after(seconds(5) + uniform(rng, seconds(20)), [this, job] { act(job, JobAction::kRelease); });
  }
  if (rng.chance(swarm_.suspend)) {
    world_.after(uniform(rng, seconds(10)), [this, job] { act(job, JobAction::kSuspend); });
    world_.after(seconds(2) + uniform(rng, seconds(20)), [this, job] { act(job, JobAction::kResume); });
  }
  if (rng.chance(swarm_.requeue * 0.2)) world_.after(uniform(rng, seconds(10)), [this, job] { act(job, JobAction::kRequeue); });
}

void Users::act(const JobId& job, JobAction action) {
  const auto reply = [this, job, action](const Result<std::shared_ptr<const Job>>& answer) {
    if (!answer) return;
    if (action == JobAction::kCancel && (*answer)->state == JobState::kCancelled) referee_.on_cancelled(job);
    if (action == JobAction::kSuspend) tally_.count("job suspended");
    if (action == JobAction::kRequeue && (*answer)->requeue_asked) tally_.count("job queued again");
  };
  orchestrator_.deliver(ActInput{job, action, std::nullopt, reply});
}

void Users::heal() {
  healed_ = true;
  for (const auto& [id, job] : disk_.jobs())
    if (job.state == JobState::kHeld) act(id, JobAction::kRelease);
    else if (job.state == JobState::kRunning || job.state == JobState::kSuspended) act(id, JobAction::kResume);
}

}  // namespace aether::simulation
