// Retries, begin and deadline, dependencies, arrays: what keeps a job from the queue, what brings it back, and that
// another orchestrator over the same rows goes on in the same place.
#include <gtest/gtest.h>

#include "orchestrator/orchestrator.h"

namespace aether {
namespace {

using std::chrono::seconds;

class JobFeatures : public testing::Test {
 protected:
  JobFeatures() {
    options_.use_predictor = false;
    restart();
    step({hello()});
  }

  static Input hello() {
    NodeInventory inventory;
    inventory.node = NodeId("n1");
    inventory.agent_incarnation = "i1";
    inventory.exec_mode = "simulated";
    return AgentInput{{NodeId("n1"), "i1", HelloEvent{inventory}}};
  }

  void restart() {
    StoredState state;
    for (const auto& [id, job] : rows_) {
      (is_terminal(job.state) ? state.recent_jobs : state.live_jobs).push_back(job);
      state.last_job_number = std::max(state.last_job_number, job.number);
    }
    core_ = std::make_unique<Orchestrator>(options_, std::move(state), next_epoch_, 1000, next_epoch_, now_);
    next_epoch_ += 1000;
  }

  void step(std::vector<Input> inputs = {}, Duration advance = seconds(0)) {
    now_ += advance;
    if (advance > seconds(0)) inputs.push_back(hello());  // its node is there all the time
    Effects effects = core_->step(now_, inputs);
    for (const Write& write : effects.writes) {
      if (const auto* put = std::get_if<PutJob>(&write)) {
        auto attempts = std::move(rows_[put->job.id].attempts);
        rows_[put->job.id] = put->job;
        rows_[put->job.id].attempts = std::move(attempts);
      }
      if (const auto* put = std::get_if<PutAttempt>(&write)) {
        auto& attempts = rows_[put->attempt.id.job].attempts;
        attempts.resize(std::max(attempts.size(), static_cast<std::size_t>(put->attempt.id.n)));
        attempts[static_cast<std::size_t>(put->attempt.id.n) - 1] = put->attempt;
      }
    }
    for (const Command& command : effects.commands) commands_.push_back(command);
    for (auto& reply : effects.replies) reply();
  }

  // A job without GPUs, so that only what is tested here keeps it waiting.
  static JobSpec spec_of(std::vector<Dependency> depends_on = {}) {
    JobSpec spec;
    spec.argv = {"true"};
    spec.gpus = 0;
    spec.depends_on = std::move(depends_on);
    return spec;
  }
  static Dependency on(DependencyKind kind, const JobId& job) { return {kind, job.str()}; }

  Result<SubmitReply> try_submit(JobSpec spec, const std::string& key = "") {
    Result<SubmitReply> result = fail(ErrorCode::kInternal, "no reply");
    SubmitInput input{{std::move(spec), "ada", key, "body", false}, [&](auto reply) { result = std::move(reply); }, {}, {}};
    for (const Dependency& dependency : input.request.spec.depends_on) {
      FoundDependency& found = input.dependencies[dependency.job];
      for (const auto& [id, job] : rows_) {
        if (id.str() == dependency.job) found.job = std::make_shared<const Job>(job);
        if (job.array_parent.str() == dependency.job) found.tasks[job.array_index] = std::make_shared<const Job>(job);
      }
      if (!found.job) input.dependencies.erase(dependency.job);
    }
    step({input});
    return result;
  }
  JobId submit(JobSpec spec) {
    const auto reply = try_submit(std::move(spec));
    EXPECT_TRUE(reply) << reply.error().message;
    return reply ? reply->job->id : JobId();
  }

  const Job& job(const JobId& id) { return rows_.at(id); }
  std::string state(const JobId& id) { return std::string(to_string(job(id).state)); }
  std::string reason(const JobId& id) {
    const auto view = core_->view(now_);
    const auto wait = view->waiting.find(id);
    return wait == view->waiting.end() ? "" : wait->second->reasons.front().code;
  }
  JobId task(const JobId& array, int index) {
    for (const auto& [id, job] : rows_)
      if (job.array_parent == array && job.array_index == index) return id;
    return JobId();
  }

  void report(const JobId& id, JobState state, std::optional<ExitStatus> exit = std::nullopt) {
    const Attempt& attempt = job(id).attempts.back();
    AttemptReport body{attempt.id, attempt.epoch, state, now_, is_terminal(state) ? std::optional(now_) : std::nullopt, exit};
    step({AgentInput{{NodeId("n1"), "i1", body}}});
  }
  void end(const JobId& id, int exit_code, ExitCause cause = ExitCause::kSelf) {
    ExitStatus exit;
    exit.cause = cause;
    exit.exit_code = exit_code;
    report(id, JobState::kRunning);
    report(id, terminal_state(exit), exit);
  }
  Result<std::shared_ptr<const Job>> act(const JobId& id, JobAction action) {
    Result<std::shared_ptr<const Job>> result = fail(ErrorCode::kInternal, "no reply");
    step({ActInput{id, action, std::nullopt, [&](auto reply) { result = std::move(reply); }}});
    return result;
  }

  OrchestratorOptions options_;
  std::unique_ptr<Orchestrator> core_;
  std::map<JobId, Job> rows_;
  std::vector<Command> commands_;
  Time now_ = Time(std::chrono::hours(24 * 365 * 56));
  Epoch next_epoch_ = 1;
};

// ---- retries ----

TEST_F(JobFeatures, AFailureIsTriedAgainAfterAPauseAlsoByAnotherOrchestrator) {
  JobSpec spec = spec_of();
  spec.retries = 2;
  const JobId id = submit(spec);
  end(id, 7);
  EXPECT_EQ(state(id), "PENDING");
  EXPECT_EQ(reason(id), "RETRY_BACKOFF");
  EXPECT_EQ(job(id).restart, Restart::kRetry);
  step({}, seconds(1));
  EXPECT_EQ(state(id), "PENDING");
  restart();
  step({}, seconds(2));
  EXPECT_EQ(state(id), "ASSIGNED");
  EXPECT_EQ(job(id).retries_used, 1);
}

TEST_F(JobFeatures, APauseIsNoLongerWhenTheWallClockIsSetBackBeforeARestart) {
  JobSpec spec = spec_of();
  spec.retries = 1;
  const JobId id = submit(spec);
  end(id, 7);
  now_ -= std::chrono::minutes(30);
  restart();
  step({hello()});
  EXPECT_EQ(reason(id), "RETRY_BACKOFF");
  step({}, seconds(3));
  EXPECT_EQ(state(id), "ASSIGNED");
}

TEST_F(JobFeatures, ThePauseDoublesUntilTheRetriesAreUsedUp) {
  JobSpec spec = spec_of();
  spec.retries = 2;
  const JobId id = submit(spec);
  for (int pause : {2, 4}) {
    end(id, 7);
    step({}, seconds(pause - 1));
    EXPECT_EQ(state(id), "PENDING");
    step({}, seconds(2));
    EXPECT_EQ(state(id), "ASSIGNED");
  }
  end(id, 7);
  EXPECT_EQ(state(id), "FAILED");
  EXPECT_EQ(job(id).attempts.size(), 3u);
}

TEST_F(JobFeatures, OnlyTheEndsThatTheRulesNameAreTriedAgain) {
  JobSpec spec = spec_of();
  spec.retries = 5;
  spec.retry_on = {*parse_retry_rule("75"), *parse_retry_rule("10-19"), *parse_retry_rule("oom")};
  const auto state_after = [&](int code, ExitCause cause) {
    const JobId id = submit(spec);
    end(id, code, cause);
    return state(id);
  };
  EXPECT_EQ(state_after(75, ExitCause::kSelf), "PENDING");
  EXPECT_EQ(state_after(15, ExitCause::kSelf), "PENDING");
  EXPECT_EQ(state_after(1, ExitCause::kOomHost), "PENDING");
  EXPECT_EQ(state_after(20, ExitCause::kSelf), "FAILED");
  EXPECT_EQ(state_after(0, ExitCause::kSelf), "COMPLETED");
  EXPECT_EQ(state_after(75, ExitCause::kTimeout), "TIMEOUT");
  EXPECT_EQ(state_after(75, ExitCause::kNodeReboot), "NODE_FAIL");
}

TEST_F(JobFeatures, ACancelledJobIsNotTriedAgain) {
  JobSpec spec = spec_of();
  spec.retries = 5;
  spec.requeue = true;
  const JobId id = submit(spec);
  report(id, JobState::kRunning);
  ASSERT_TRUE(act(id, JobAction::kCancel));
  end(id, 143);  // it ended by itself just before the order reached it
  EXPECT_EQ(state(id), "FAILED");
}

TEST_F(JobFeatures, ANodeFailurePutsAJobBackOnlyWhenItAskedForThat) {
  JobSpec spec = spec_of();
  const JobId plain = submit(spec);
  spec.requeue = true;
  const JobId asked = submit(spec);
  end(plain, 1, ExitCause::kNodeReboot);
  end(asked, 1, ExitCause::kNodeReboot);
  EXPECT_EQ(state(plain), "NODE_FAIL");
  EXPECT_EQ(job(asked).restart, Restart::kRequeue);
  EXPECT_EQ(job(asked).attempts.size(), 2u);
  EXPECT_EQ(job(asked).retries_used, 0);
}

TEST_F(JobFeatures, RequeueStopsARunningJobAndQueuesItAgain) {
  const JobId id = submit(spec_of());
  report(id, JobState::kRunning);
  ASSERT_TRUE(act(id, JobAction::kRequeue));
  EXPECT_EQ(state(id), "STOPPING");
  ASSERT_TRUE(act(id, JobAction::kRequeue)) << "asking again is no conflict";
  end(id, 143, ExitCause::kPreempt);
  EXPECT_EQ(job(id).attempts.size(), 2u);
  EXPECT_EQ(job(id).restart, Restart::kRequeue);
  end(id, 0);
  EXPECT_EQ(state(id), "COMPLETED");
}

TEST_F(JobFeatures, ACancelDuringARequeueWins) {
  JobSpec spec = spec_of();
  spec.requeue = true;
  const JobId id = submit(spec);
  report(id, JobState::kRunning);
  ASSERT_TRUE(act(id, JobAction::kRequeue));
  ASSERT_TRUE(act(id, JobAction::kCancel));
  restart();
  end(id, 143, ExitCause::kPreempt);
  EXPECT_EQ(state(id), "CANCELLED");
  EXPECT_EQ(job(id).attempts.size(), 1u) << "it is not queued again";
  EXPECT_EQ(job(id).attempts[0].state, JobState::kPreempted) << "what ended the attempt stays told";
}

TEST_F(JobFeatures, AJobThatIsRequeuedBeforeItStartedIsQueuedAgain) {
  const JobId id = submit(spec_of());
  ASSERT_TRUE(act(id, JobAction::kRequeue));
  const Attempt first = job(id).attempts.back();
  step({AgentInput{{NodeId("n1"), "i1", RefusedEvent{first.id, first.epoch, "CANCELLED", "stopped before it started"}}}});
  EXPECT_EQ(job(id).attempts.size(), 2u);
  EXPECT_EQ(state(id), "ASSIGNED");
}

// ---- suspension and signals ----

TEST_F(JobFeatures, AJobIsSuspendedAndResumedOnceItsNodeSaysSo) {
  const JobId id = submit(spec_of());
  EXPECT_FALSE(act(id, JobAction::kSuspend)) << "it does not run yet";
  report(id, JobState::kRunning);
  ASSERT_TRUE(act(id, JobAction::kSuspend));
  EXPECT_TRUE(std::holds_alternative<SuspendCommand>(commands_.back().body));
  EXPECT_EQ(state(id), "RUNNING");
  commands_.clear();
  step({}, seconds(2));
  const auto is_suspend = [](const Command& command) { return std::holds_alternative<SuspendCommand>(command.body); };
  EXPECT_TRUE(std::any_of(commands_.begin(), commands_.end(), is_suspend)) << "sent again until it is answered";
  report(id, JobState::kSuspended);
  EXPECT_EQ(state(id), "SUSPENDED");
  EXPECT_TRUE(act(id, JobAction::kSuspend)) << "reached already";
  commands_.clear();
  step({}, seconds(40));
  EXPECT_FALSE(std::any_of(commands_.begin(), commands_.end(), is_suspend));
  ASSERT_TRUE(act(id, JobAction::kResume));
  report(id, JobState::kRunning);
  EXPECT_EQ(state(id), "RUNNING");
  ASSERT_TRUE(act(id, JobAction::kCancel));
  report(id, JobState::kSuspended);
  EXPECT_EQ(state(id), "STOPPING") << "a late report does not undo the stop";
}

TEST_F(JobFeatures, ASignalGoesToARunningJobOnce) {
  const JobId id = submit(spec_of());
  const auto signal = [&](std::int64_t number) {
    std::string result = "sent";
    step({ActInput{id, JobAction::kSignal, number, [&](auto reply) { result = reply ? "sent" : reply.error().field; }}});
    return result;
  };
  EXPECT_EQ(signal(10), "");
  report(id, JobState::kRunning);
  EXPECT_EQ(signal(10), "sent");
  EXPECT_EQ(std::get<SignalCommand>(commands_.back().body).signal, 10);
  commands_.clear();
  step({}, seconds(5));
  for (const Command& command : commands_) EXPECT_FALSE(std::holds_alternative<SignalCommand>(command.body));
  for (const int number : {0, 9, 19, 65}) EXPECT_EQ(signal(number), "/signal") << number;
}

// ---- begin and deadline ----

TEST_F(JobFeatures, AJobDoesNotStartBeforeItsBeginTime) {
  JobSpec spec = spec_of();
  spec.begin = now_ + seconds(60);
  const JobId id = submit(spec);
  EXPECT_EQ(reason(id), "BEGIN_TIME");
  step({}, seconds(59));
  EXPECT_EQ(state(id), "PENDING");
  step({}, seconds(2));
  EXPECT_EQ(state(id), "ASSIGNED");
}

TEST_F(JobFeatures, AJobThatCanNoLongerMeetItsDeadlineEndsWithoutStarting) {
  JobSpec spec = spec_of();
  spec.hold = true;
  spec.time_limit_s = 100;
  spec.deadline = now_ + seconds(150);
  const JobId id = submit(spec);
  step({}, seconds(49));
  EXPECT_EQ(state(id), "HELD");
  step({}, seconds(2));
  EXPECT_EQ(state(id), "DEADLINE");
  spec.time_limit_s = 1000;
  spec.deadline = now_ + seconds(150);
  EXPECT_EQ(try_submit(spec).error().field, "/deadline");
}

TEST_F(JobFeatures, ARunningJobIsStoppedAtItsDeadline) {
  JobSpec spec = spec_of();
  spec.deadline = now_ + seconds(150);
  const JobId id = submit(spec);
  report(id, JobState::kRunning);
  step({}, seconds(149));
  EXPECT_EQ(state(id), "RUNNING");
  step({}, seconds(2));
  EXPECT_EQ(state(id), "STOPPING");
  EXPECT_EQ(std::get<StopCommand>(commands_.back().body).reason, "deadline");
  end(id, 143, ExitCause::kDeadline);
  EXPECT_EQ(state(id), "DEADLINE");
}

// ---- dependencies ----

TEST_F(JobFeatures, EachKindOfDependencyWaitsForItsOwnEvent) {
  const JobId first = submit(spec_of());
  const JobId after = submit(spec_of({on(DependencyKind::kAfter, first)}));
  const JobId ok = submit(spec_of({on(DependencyKind::kAfterOk, first)}));
  const JobId any = submit(spec_of({on(DependencyKind::kAfterAny, first)}));
  const JobId not_ok = submit(spec_of({on(DependencyKind::kAfterNotOk, first)}));
  for (const JobId& id : {after, ok, any, not_ok}) EXPECT_EQ(reason(id), "DEPENDENCY");
  report(first, JobState::kRunning);
  EXPECT_EQ(state(after), "ASSIGNED");
  EXPECT_EQ(state(any), "PENDING");
  end(first, 0);
  EXPECT_EQ(state(ok), "ASSIGNED");
  EXPECT_EQ(state(any), "ASSIGNED");
  EXPECT_EQ(state(not_ok), "PENDING");
  EXPECT_EQ(reason(not_ok), "DEPENDENCY_NEVER");
}

TEST_F(JobFeatures, AnImpossibleDependencyCancelsAChainThatAskedForIt) {
  const JobId first = submit(spec_of());
  JobSpec spec = spec_of({on(DependencyKind::kAfterOk, first)});
  spec.kill_on_invalid_dep = true;
  const JobId second = submit(spec);
  spec.depends_on = {on(DependencyKind::kAfterOk, second)};
  const JobId third = submit(spec);
  end(first, 1);
  EXPECT_EQ(state(second), "CANCELLED");
  EXPECT_EQ(state(third), "CANCELLED");
  const JobId late = submit(spec_of({on(DependencyKind::kAfterNotOk, third)}));
  EXPECT_EQ(state(late), "ASSIGNED") << "a job that has ended is a dependency like any other";
}

TEST_F(JobFeatures, ADependencyOnAnUnknownJobIsRefused) {
  const auto refused = try_submit(spec_of({{DependencyKind::kAfterOk, "4711"}}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().field, "/depends_on/0");
}

TEST_F(JobFeatures, DependenciesSurviveARestartAndJobsThatLeaveMemory) {
  options_.max_recent = 1;
  restart();
  JobSpec held = spec_of();
  held.hold = true;
  const JobId first = submit(held), other = submit(held);
  const JobId waiting = submit(spec_of({on(DependencyKind::kAfterAny, first), on(DependencyKind::kAfterAny, other)}));
  restart();
  ASSERT_TRUE(act(first, JobAction::kCancel));
  EXPECT_EQ(job(waiting).dependencies, (std::vector<DependencyState>{DependencyState::kMet, DependencyState::kWaiting}));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(act(submit(held), JobAction::kCancel));
  rows_.erase(first);  // even its row may be gone
  restart();
  EXPECT_EQ(state(waiting), "PENDING");
  ASSERT_TRUE(act(other, JobAction::kCancel));
  EXPECT_EQ(job(waiting).dependencies[1], DependencyState::kMet);
}

TEST_F(JobFeatures, ASingletonWaitsForEarlierJobsOfItsName) {
  JobSpec spec = spec_of();
  spec.name = "nightly";
  const JobId first = submit(spec);
  spec.depends_on = {{DependencyKind::kSingleton, ""}};
  const JobId second = submit(spec), third = submit(spec);
  EXPECT_EQ(reason(second), "DEPENDENCY");
  end(first, 1);
  EXPECT_EQ(state(second), "ASSIGNED");
  EXPECT_EQ(state(third), "PENDING");
}

// ---- arrays ----

TEST_F(JobFeatures, AnArrayIsOneJobForEachIndexAndNoMoreRunAtOnceThanItsLimit) {
  JobSpec spec = spec_of();
  spec.array = "0-4%2";
  const JobId array = submit(spec);
  const auto running = [&] {
    return std::count_if(rows_.begin(), rows_.end(), [](const auto& row) { return row.second.state == JobState::kAssigned; });
  };
  ASSERT_EQ(rows_.size(), 5u);
  EXPECT_EQ(job(task(array, 0)).id, array);
  EXPECT_EQ(job(task(array, 4)).number, 5);
  EXPECT_EQ(job(task(array, 4)).array_number, 1);
  EXPECT_EQ(running(), 2);
  EXPECT_EQ(reason(task(array, 2)), "QUOTA");
  end(task(array, 0), 0);
  EXPECT_EQ(running(), 2);
  EXPECT_EQ(state(task(array, 2)), "ASSIGNED");
  const auto& start = std::get<StartCommand>(commands_.back().body);
  EXPECT_EQ(start.spec.env.at("AETHER_ARRAY_INDEX"), "2");
  ASSERT_TRUE(act(array, JobAction::kCancelArray)) << "also when its first task has ended";
  EXPECT_EQ(state(task(array, 4)), "CANCELLED");
  EXPECT_EQ(state(task(array, 1)), "STOPPING");
}

TEST_F(JobFeatures, AnArraySubmittedTwiceUnderOneKeyIsOneArray) {
  JobSpec spec = spec_of();
  spec.array = "1-3";
  const auto first = try_submit(spec, "key");
  const auto again = try_submit(spec, "key");
  ASSERT_TRUE(first && again);
  EXPECT_TRUE(again->replayed);
  EXPECT_EQ(again->job->id, first->job->id);
  EXPECT_EQ(rows_.size(), 3u);
  EXPECT_EQ(job(submit(spec_of())).number, 4) << "numbers go on behind the array";
}

TEST_F(JobFeatures, AJobWaitsForAWholeArrayAndTasksForTheTasksOfTheSameIndex) {
  JobSpec spec = spec_of();
  spec.array = "0-1";
  const JobId array = submit(spec);
  const JobId all = submit(spec_of({on(DependencyKind::kAfterOk, array)}));
  spec.depends_on = {on(DependencyKind::kAfterCorr, array)};
  const JobId pairs = submit(spec);
  restart();
  end(task(array, 0), 0);
  EXPECT_EQ(job(task(pairs, 0)).dependencies[0], DependencyState::kMet);
  EXPECT_EQ(job(task(pairs, 1)).dependencies[0], DependencyState::kWaiting);
  EXPECT_EQ(job(all).dependencies[0], DependencyState::kWaiting);
  end(task(array, 1), 1);
  EXPECT_EQ(job(task(pairs, 1)).dependencies[0], DependencyState::kNever);
  EXPECT_EQ(job(all).dependencies[0], DependencyState::kNever);
  spec.array = "0-2";
  EXPECT_EQ(try_submit(spec).error().field, "/depends_on/0") << "there is no task 2 to wait for";
}

// ---- update ----

TEST_F(JobFeatures, AnUpdateAppliesToWhatItsSenderHasSeen) {
  JobSpec spec = spec_of();
  spec.hold = true;
  const JobId id = submit(spec);
  const auto seen = std::make_shared<const Job>(job(id));
  const auto update = [&](JobUpdate change, std::shared_ptr<const Job> expected) {
    std::string field = "done";
    step({UpdateInput{id, change, std::move(expected), [&](auto reply) { field = reply ? "done" : reply.error().field; }}});
    return field;
  };
  EXPECT_EQ(update({.priority = 90, .time_limit_s = 60, .labels = {}}, seen), "done");
  EXPECT_EQ(job(id).spec.priority, 90);
  EXPECT_EQ(job(id).spec.time_limit_s, 60);
  EXPECT_EQ(update({.priority = 10, .time_limit_s = {}, .labels = {}}, seen), "etag");
  EXPECT_EQ(update({.priority = 101, .time_limit_s = {}, .labels = {}}, nullptr), "/priority");
  EXPECT_EQ(job(id).spec.priority, 90);
}

}  // namespace
}  // namespace aether
