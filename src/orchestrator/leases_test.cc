// Silent nodes, late starts and second agents, as the orchestrator judges them.
#include <gtest/gtest.h>

#include "orchestrator/orchestrator.h"

namespace aether {
namespace {

using std::chrono::seconds;

class LeasesTest : public testing::Test {
 protected:
  LeasesTest() { open(StoredState{}, 1); }

  void open(StoredState state, Epoch first_epoch) {
    OrchestratorOptions options;
    options.use_predictor = false;
    core_ = std::make_unique<Orchestrator>(options, std::move(state), first_epoch, 100000, 42, now_);
  }
  void step(std::vector<Input> inputs = {}, Duration advance = seconds(0)) {
    now_ += advance;
    mono_ += advance;
    Effects effects = core_->step(now_, mono_, inputs);
    for (Write& write : effects.writes) {
      if (auto* put = std::get_if<PutJob>(&write)) jobs_[put->job.id] = put->job;
      if (auto* put = std::get_if<PutAttempt>(&write)) attempts_[put->attempt.id] = put->attempt;
      if (auto* put = std::get_if<PutOutbox>(&write)) outbox_[{put->attempt, put->kind}] = {put->attempt, put->epoch, put->kind, put->subject, put->payload};
      if (auto* put = std::get_if<PutAudit>(&write); put != nullptr && put->record.action != "submit")
        audit_.push_back(put->record);
      if (auto* ack = std::get_if<AckOutbox>(&write)) outbox_.erase({ack->attempt, ack->kind});
    }
    for (Command& command : effects.commands) commands_.push_back(command);
    for (auto& reply : effects.replies) reply();
  }
  void run(int seconds_long) {
    for (int i = 0; i < seconds_long; ++i) step({}, seconds(1));
  }
  static GpuUuid gpu_of(const std::string& node) { return GpuUuid("GPU-" + node); }
  void join(const std::string& node, const std::string& agent = "a", const std::string& boot = "boot-1",
            GpuSource source = GpuSource::kSimulated) {
    NodeInventory inventory;
    inventory.node = NodeId(node);
    inventory.agent_incarnation = agent;
    inventory.boot_id = boot;
    inventory.exec_mode = "simulated";
    GpuInfo gpu;
    gpu.gpu_uuid = gpu_of(node);
    gpu.gpu_name = "test";
    gpu.memory_total_mb = 1000;
    gpu.source = source;
    inventory.gpus = {gpu};
    step({AgentInput{{NodeId(node), agent, HelloEvent{inventory}}}});
    heartbeat(node, {}, agent, boot);
  }
  Input sample(const std::string& node, std::optional<std::vector<GpuProcess>> processes = std::nullopt) {
    auto reading = std::make_shared<GpuSample>();
    reading->gpu_uuid = gpu_of(node);
    reading->node = NodeId(node);
    reading->sample_time = now_;
    reading->processes = std::move(processes);
    return SampleInput{reading};
  }
  void heartbeat(const std::string& node, std::vector<AttemptReport> attempts, const std::string& agent = "a",
                 const std::string& boot = "boot-1") {
    const auto boot_ms = std::chrono::duration_cast<std::chrono::milliseconds>(mono_.time_since_epoch()).count();
    step({AgentInput{{NodeId(node), agent, HeartbeatEvent{++seq_, 0, std::move(attempts), {boot, boot_ms}}}}, sample(node)});
  }
  JobId submit(OnPartition on_partition = OnPartition::kContinue) {
    SubmitRequest request;
    request.spec.argv = {"/bin/true"};
    request.spec.gpus = 1;
    request.spec.on_partition = on_partition;
    request.user = "ada";
    JobId id;
    step({SubmitInput{request, [&](Result<SubmitReply> r) { id = r ? r->job->id : JobId("refused"); }, std::nullopt}});
    return id;
  }
  AttemptReport running(int n = 0) {
    const auto starts = sent<StartCommand>();
    const StartCommand& start = starts.at(n);
    return {start.attempt, start.epoch, JobState::kRunning, now_, {}, {}};
  }
  template <class T>
  std::vector<T> sent() {
    std::vector<T> out;
    for (const Command& command : commands_)
      if (const T* body = std::get_if<T>(&command.body)) out.push_back(*body);
    return out;
  }
  bool alerts(const std::string& kind) {
    const auto view = core_->view(now_);
    for (const Alert& alert : view->alerts)
      if (alert.kind == kind && !alert.cleared_at) return true;
    return false;
  }
  Result<void> forget(const std::string& node, Unresolved unresolved = Unresolved::kLost) {
    Result<void> result;
    step({ForgetNodeInput{NodeId(node), [&](Result<void> r) { result = std::move(r); }, unresolved, "ada"}});
    return result;
  }

  Time now_{seconds(1'700'000'000)};
  Mono mono_{seconds(1000)};
  std::uint64_t seq_ = 0;
  std::unique_ptr<Orchestrator> core_;
  std::map<JobId, Job> jobs_;
  std::map<AttemptId, Attempt> attempts_;
  std::map<std::pair<AttemptId, std::string>, OutboxRow> outbox_;
  std::vector<Command> commands_;
  std::vector<AuditRecord> audit_;
};

TEST_F(LeasesTest, AJobThatContinuesIsNeverGivenUpForSilence) {
  join("n1");
  const JobId id = submit();
  const auto report = running();
  heartbeat("n1", {report});
  join("n2");
  run(3600);
  EXPECT_EQ(jobs_[id].state, JobState::kRunning);
  EXPECT_EQ(sent<StartCommand>().size(), 1u);
  heartbeat("n1", {report});
  EXPECT_EQ(jobs_[id].state, JobState::kRunning);
}

TEST_F(LeasesTest, AJobThatMayBeReplacedStartsOnlyWhereItsStartCanGetTooOld) {
  NodeInventory inventory;
  inventory.node = NodeId("n1");
  inventory.agent_incarnation = "a";
  inventory.boot_id = "boot-1";
  inventory.exec_mode = "simulated";
  GpuInfo gpu;
  gpu.gpu_uuid = gpu_of("n1");
  gpu.source = GpuSource::kSimulated;
  inventory.gpus = {gpu};
  step({AgentInput{{NodeId("n1"), "a", HelloEvent{inventory}}}, sample("n1")});
  const JobId id = submit(OnPartition::kStopAfter);
  EXPECT_EQ(jobs_[id].state, JobState::kPending) << "nobody knows the node's clock yet";
  EXPECT_EQ(core_->view(now_)->waiting.at(id)->reasons.front().code, "NODE_STALE");
  heartbeat("n1", {});
  EXPECT_EQ(jobs_[id].state, JobState::kAssigned);
  EXPECT_TRUE(sent<StartCommand>().at(0).not_after);
}

TEST_F(LeasesTest, AJobThatStopsByItselfIsPlacedAgainOnlyAfterTheWholeBound) {
  join("n1");
  const JobId id = submit(OnPartition::kStopAfter);
  heartbeat("n1", {running()});
  run(120);
  EXPECT_EQ(jobs_[id].state, JobState::kRunning);
  run(1);
  EXPECT_EQ(jobs_[id].state, JobState::kPending);
  EXPECT_EQ(attempts_.at({id, 1}).exit->cause, ExitCause::kNodeLost);
  join("n2");
  run(1);
  ASSERT_EQ(sent<StartCommand>().size(), 2u);
  EXPECT_EQ(sent<StartCommand>()[1].attempt, (AttemptId{id, 2}));
}

TEST_F(LeasesTest, AfterARestartTheBoundStartsAnew) {
  join("n1");
  const JobId id = submit(OnPartition::kStopAfter);
  heartbeat("n1", {running()});
  run(100);
  StoredState state;
  state.live_jobs = {jobs_[id]};
  state.live_jobs[0].attempts = {attempts_.at({id, 1})};
  open(std::move(state), 200000);
  run(121);
  EXPECT_EQ(jobs_[id].state, JobState::kRunning) << "the first step only began to count";
  run(1);
  EXPECT_EQ(jobs_[id].state, JobState::kPending);
}

TEST_F(LeasesTest, AnAttemptThatWasGivenUpIsStoppedWhenItsNodeStillNamesIt) {
  join("n1");
  const JobId id = submit(OnPartition::kStopAfter);
  const auto report = running();
  heartbeat("n1", {report});
  run(125);
  ASSERT_EQ(jobs_[id].state, JobState::kPending);
  heartbeat("n1", {report});
  ASSERT_EQ(sent<StopCommand>().size(), 1u);
  EXPECT_EQ(sent<StopCommand>()[0].attempt, report.attempt);
}

TEST_F(LeasesTest, WhenMostNodesFallSilentAtOnceNothingIsGivenUp) {
  for (const char* node : {"n1", "n2", "n3"}) join(node);
  const JobId id = submit(OnPartition::kStopAfter);
  const StartCommand start = sent<StartCommand>().at(0);
  heartbeat(start.gpu_uuids[0].str().substr(4), {running()});
  run(600);
  EXPECT_EQ(jobs_[id].state, JobState::kRunning);
  EXPECT_TRUE(alerts("mass_loss"));
  for (const char* node : {"n1", "n2", "n3"})
    if (gpu_of(node) != start.gpu_uuids[0]) heartbeat(node, {});
  run(2);
  EXPECT_FALSE(alerts("mass_loss"));
  EXPECT_EQ(attempts_.at({id, 1}).exit->cause, ExitCause::kNodeLost);
}

TEST_F(LeasesTest, AStartCarriesItsLastMomentOnTheNodesClockAndTheLeadersEpoch) {
  join("n1");
  submit();
  const StartCommand start = sent<StartCommand>().at(0);
  EXPECT_EQ(start.not_after, (BootTime{"boot-1", 1'045'000}));
  for (const Command& command : commands_) EXPECT_EQ(command.leader_epoch, 1u);
}

TEST_F(LeasesTest, RowsOfAnEarlierOrchestratorLeaveUnderTheNewEpoch) {
  join("n1");
  const JobId id = submit();
  StoredState state;
  state.live_jobs = {jobs_[id]};
  state.live_jobs[0].attempts = {attempts_.at({id, 1})};
  for (const auto& [key, row] : outbox_) state.outbox.push_back(row);
  open(std::move(state), 200000);
  commands_.clear();
  run(2);
  ASSERT_FALSE(sent<StartCommand>().empty());
  EXPECT_EQ(sent<StartCommand>()[0].not_after, (BootTime{"boot-1", 1'045'000}));
  for (const Command& command : commands_) EXPECT_EQ(command.leader_epoch, 200000u);
}

TEST_F(LeasesTest, AStartThatNobodyTookIsPlacedAgainOnceTheNodeCanNoLongerTakeIt) {
  join("n1");
  const JobId id = submit();
  for (int i = 0; i < 45; ++i) {
    run(1);
    heartbeat("n1", {});
    ASSERT_EQ(jobs_[id].state, JobState::kAssigned);
  }
  run(1);
  heartbeat("n1", {});
  EXPECT_EQ(attempts_.at({id, 1}).exit->cause, ExitCause::kDispatchTimeout);
  EXPECT_EQ(sent<StartCommand>().back().attempt, (AttemptId{id, 2}));
}

TEST_F(LeasesTest, StartsThatNeverReachedTheirNodeAreNoMarkAgainstTheJob) {
  join("n1");
  const JobId id = submit();
  for (int n = 1; n <= 12; ++n) {
    const StartCommand start = sent<StartCommand>().back();
    ASSERT_EQ(start.attempt, (AttemptId{id, n}));
    if (n % 2 == 0) {
      step({AgentInput{{NodeId("n1"), "a", RefusedEvent{start.attempt, start.epoch, "EXPIRED", "too late"}}}});
      continue;
    }
    for (int i = 0; i < 46; ++i) {
      run(1);
      heartbeat("n1", {});
    }
  }
  EXPECT_EQ(jobs_[id].state, JobState::kAssigned);
  heartbeat("n1", {running(static_cast<int>(sent<StartCommand>().size()) - 1)});
  EXPECT_EQ(jobs_[id].state, JobState::kRunning);
}

TEST_F(LeasesTest, ANodesIntroductionIsEnoughForTheLastMomentOfAStart) {
  NodeInventory inventory;
  inventory.node = NodeId("n1");
  inventory.agent_incarnation = "a";
  inventory.boot_id = "boot-1";
  inventory.exec_mode = "simulated";
  GpuInfo gpu;
  gpu.gpu_uuid = gpu_of("n1");
  gpu.gpu_name = "test";
  gpu.memory_total_mb = 1000;
  inventory.gpus = {gpu};
  step({AgentInput{{NodeId("n1"), "a", HelloEvent{inventory, {"boot-1", 7000}}}}, sample("n1")});
  submit();
  const auto starts = sent<StartCommand>();
  ASSERT_EQ(starts.size(), 1u) << "no heartbeat was needed";
  ASSERT_TRUE(starts[0].not_after);
  EXPECT_EQ(*starts[0].not_after, (BootTime{"boot-1", 52'000}));
}

// Its database is new; its nodes have obeyed the orchestrator of an earlier one, which answers them no more.
TEST_F(LeasesTest, TheOrchestratorOfANewDatabaseRisesAboveWhatItsNodesHaveObeyed) {
  join("n1");
  EXPECT_FALSE(core_->needs_epochs());
  const auto tell = [&](std::uint64_t obeyed) {
    step({AgentInput{{NodeId("n1"), "a", HeartbeatEvent{++seq_, 0, {}, {"boot-1", 1000}, 1, 1, obeyed}}}, sample("n1")});
  };
  tell(1);
  EXPECT_FALSE(core_->needs_epochs()) << "that is its own";
  tell(5'000'000);
  ASSERT_TRUE(core_->needs_epochs());
  EXPECT_EQ(core_->epochs_above(), 5'000'000 + kEpochBlock) << "the fences of that orchestrator lie below";
  core_->add_epochs(core_->epochs_above() + 1, kEpochBlock);
  EXPECT_FALSE(core_->needs_epochs());
  commands_.clear();
  submit();
  ASSERT_EQ(sent<StartCommand>().size(), 1u);
  EXPECT_GT(sent<StartCommand>()[0].epoch, 5'000'000 + kEpochBlock);
  for (const Command& command : commands_) EXPECT_EQ(command.leader_epoch, 5'000'001 + kEpochBlock);
  tell(~std::uint64_t{0});
  EXPECT_FALSE(core_->needs_epochs()) << "nobody has obeyed that: the number is made up";
}

TEST_F(LeasesTest, WithoutAWordFromTheNodeAStartMayStillHaveBeenTaken) {
  join("n1");
  const JobId id = submit();
  run(600);
  EXPECT_EQ(jobs_[id].state, JobState::kAssigned);
  EXPECT_LE(sent<StartCommand>().size(), 20u) << "it is not sent for ever";
  heartbeat("n1", {running()});
  EXPECT_EQ(jobs_[id].state, JobState::kRunning);
}

TEST_F(LeasesTest, OnlyAWholeHeartbeatTellsThatAnAttemptIsMissing) {
  join("n1");
  const JobId id = submit();
  heartbeat("n1", {running()});
  for (int i = 0; i < 60; ++i)
    step({AgentInput{{NodeId("n1"), "a", HeartbeatEvent{++seq_, 0, {}, {"boot-1", 1}, 1, 2}}}}, seconds(1));
  EXPECT_EQ(jobs_[id].state, JobState::kRunning);
  for (int i = 0; i < 25; ++i) {
    run(1);
    heartbeat("n1", {});
  }
  EXPECT_EQ(jobs_[id].state, JobState::kLost);
}

TEST_F(LeasesTest, AnAttemptThatAnotherBootDoesNotKnowEndedWithItsMachine) {
  join("n1");
  const JobId id = submit();
  heartbeat("n1", {running()});
  run(15);
  join("n1", "b", "boot-2");
  for (int i = 0; i < 25; ++i) {
    run(1);
    heartbeat("n1", {}, "b", "boot-2");
  }
  EXPECT_EQ(jobs_[id].state, JobState::kNodeFail);
  EXPECT_EQ(attempts_.at({id, 1}).exit->cause, ExitCause::kNodeReboot);
}

TEST_F(LeasesTest, AfterALostJournalGpusAreGivenBackOnlyWhenTheirDriverShowsNoProcess) {
  join("n1", "a", "boot-1", GpuSource::kNvml);
  const JobId id = submit();
  heartbeat("n1", {running()});
  join("n1", "b", "boot-1", GpuSource::kNvml);
  for (int i = 0; i < 60; ++i) {
    run(1);
    heartbeat("n1", {}, "b");
    step({sample("n1", std::vector<GpuProcess>{{4711, 10}})});
  }
  EXPECT_EQ(jobs_[id].state, JobState::kRunning);
  run(1);
  step({sample("n1", std::vector<GpuProcess>{})});
  step({AgentInput{{NodeId("n1"), "b", HeartbeatEvent{++seq_, 0, {}, {"boot-1", 1}}}}});
  EXPECT_EQ(jobs_[id].state, JobState::kLost);
}

TEST_F(LeasesTest, ASecondMachineOfTheSameNameIsRefusedAndTold) {
  join("n1");
  NodeInventory clone;
  clone.node = NodeId("n1");
  clone.agent_incarnation = "clone";
  clone.boot_id = "boot-9";
  step({AgentInput{{NodeId("n1"), "clone", HelloEvent{clone}}}}, seconds(1));
  heartbeat("n1", {});
  run(1);
  EXPECT_TRUE(alerts("node_rival"));
  EXPECT_EQ(core_->view(now_)->nodes.at(NodeId("n1")).inventory.agent_incarnation, "a");
  EXPECT_EQ(core_->view(now_)->counters.agents_refused, 1u);
}

TEST_F(LeasesTest, AnOperatorsWordEndsTheAttemptsOfALostNode) {
  join("n1");
  const JobId id = submit();
  heartbeat("n1", {running()});
  EXPECT_EQ(forget("n1").error().code, ErrorCode::kConflict);
  EXPECT_EQ(forget("n9").error().code, ErrorCode::kNotFound);
  run(60);
  const auto refused = forget("n1", Unresolved::kRefuse);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kConflict);
  EXPECT_NE(refused.error().message.find("--lost"), std::string::npos) << refused.error().message;
  EXPECT_EQ(jobs_[id].state, JobState::kRunning);
  EXPECT_TRUE(audit_.empty()) << "what was refused was not done";
  ASSERT_TRUE(forget("n1"));
  EXPECT_EQ(jobs_[id].state, JobState::kNodeFail);
  EXPECT_EQ(attempts_.at({id, 1}).exit->message, "ada said that node n1 is gone for good");
  ASSERT_EQ(audit_.size(), 1u);
  EXPECT_EQ(audit_[0].actor, "ada");
  EXPECT_EQ(audit_[0].action, "forget");
  EXPECT_EQ(audit_[0].target, "n1");
  EXPECT_EQ(audit_[0].detail, "given up as lost: 1 attempts");
  EXPECT_TRUE(core_->view(now_)->nodes.empty());
  EXPECT_TRUE(core_->view(now_)->gpus.empty());
}

TEST_F(LeasesTest, ANodeWithoutAnythingUnresolvedIsForgottenWithoutMore) {
  join("n1");
  run(60);
  EXPECT_TRUE(forget("n1", Unresolved::kRefuse));
  EXPECT_TRUE(core_->view(now_)->nodes.empty());
}

TEST_F(LeasesTest, ARefusalForNowIsNoEnd) {
  join("n1");
  const JobId id = submit();
  const StartCommand start = sent<StartCommand>().at(0);
  for (const char* code : {"LEASE_EXPIRED", "STALE_LEADER", "GPU_UNAVAILABLE"})
    step({AgentInput{{NodeId("n1"), "a", RefusedEvent{start.attempt, start.epoch, code, ""}}}});
  step({AgentInput{{NodeId("n2"), "a", RefusedEvent{start.attempt, start.epoch, "EXPIRED", "not its node"}}}});
  EXPECT_EQ(jobs_[id].state, JobState::kAssigned);
  step({AgentInput{{NodeId("n1"), "a", RefusedEvent{start.attempt, start.epoch, "EXPIRED", ""}}}});
  EXPECT_EQ(attempts_.at({id, 1}).exit->cause, ExitCause::kDispatchTimeout);
}

}  // namespace
}  // namespace aether
