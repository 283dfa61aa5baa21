#include "orchestrator/orchestrator.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "codec/codec.h"

namespace aether {
namespace {

using std::chrono::seconds;

// What a store would hold after the commits, enough to start another orchestrator from.
struct Disk {
  std::map<JobId, Job> jobs;
  std::map<std::pair<GpuUuid, int>, AttemptId> allocations;
  std::map<std::pair<AttemptId, std::string>, OutboxRow> outbox;
  std::map<std::string, std::string> settings;
  std::vector<JobEvent> events;
  std::vector<AuditRecord> audit;

  void commit(const std::vector<Write>& writes) {
    for (const Write& write : writes) std::visit([&](const auto& value) { put(value); }, write);
  }
  void put(const PutJob& w) {
    auto attempts = jobs[w.job.id].attempts;
    jobs[w.job.id] = w.job;
    jobs[w.job.id].attempts = std::move(attempts);
  }
  void put(const PutAttempt& w) {
    auto& attempts = jobs[w.attempt.id.job].attempts;
    const auto it = std::find_if(attempts.begin(), attempts.end(), [&](const Attempt& a) { return a.id == w.attempt.id; });
    if (it == attempts.end())
      attempts.push_back(w.attempt);
    else
      *it = w.attempt;
  }
  void put(const PutAllocation& w) {
    EXPECT_TRUE(allocations.emplace(std::pair(w.gpu_uuid, w.slot), w.attempt).second) << "a GPU given twice";
  }
  void put(const DeleteAllocations& w) {
    std::erase_if(allocations, [&](const auto& entry) { return entry.second == w.attempt; });
  }
  void put(const PutOutbox& w) { outbox[{w.attempt, w.kind}] = {w.attempt, w.epoch, w.kind, w.subject, w.payload}; }
  void put(const AckOutbox& w) { outbox.erase({w.attempt, w.kind}); }
  void put(const PutEvent& w) { events.push_back(w.event); }
  void put(const PutSetting& w) {
    settings.erase(w.key);
    if (w.value) settings[w.key] = *w.value;
  }
  void put(const PutPlacement&) {}
  void put(const PutAudit& w) { audit.push_back(w.record); }
  void put(const PutAlert&) {}

  StoredState load() const {
    StoredState state;
    for (const auto& [id, job] : jobs) {
      (is_terminal(job.state) ? state.recent_jobs : state.live_jobs).push_back(job);
      state.last_job_number = std::max(state.last_job_number, job.number);
    }
    for (const auto& [key, row] : outbox) state.outbox.push_back(row);
    for (const auto& [key, attempt] : allocations) state.allocations.push_back({key.first, key.second, attempt, 0});
    state.settings = settings;
    return state;
  }
};

class OrchestratorTest : public testing::Test {
 protected:
  OrchestratorTest() { restart(); }

  void restart() {
    OrchestratorOptions options;
    options.use_predictor = use_predictor_;
    options.unpaused_work = unpaused_work_;
    core_ = std::make_unique<Orchestrator>(options, disk_.load(), next_epoch_, 100000, 42, now_);
    next_epoch_ += 100000;
  }

  // One step; replies run, writes reach the disk, commands are kept for the test to look at.
  void step(std::vector<Input> inputs, Duration advance = seconds(0)) {
    now_ += advance;
    Effects effects = core_->step(now_, inputs);
    disk_.commit(effects.writes);
    for (Command& command : effects.commands) commands_.push_back(command);
    for (auto& reply : effects.replies) reply();
    if (effects.predictions) {
      PredictionsInput answer{effects.predictions->cycle, {}};
      for (auto& [job, request] : effects.predictions->requests) {
        PredictionOutcome& outcome = answer.outcomes[job];
        outcome.model = ModelVersion{"test", "1"};
        for (const auto& candidate : request.candidates) outcome.scores[candidate.gpu_uuid] = 0.5;
      }
      step({answer});
    }
  }

  void join(int gpus) {
    NodeInventory inventory;
    inventory.node = NodeId("n1");
    inventory.agent_incarnation = "i1";
    inventory.exec_mode = "simulated";
    std::vector<Input> inputs;
    for (int i = 0; i < gpus; ++i) {
      GpuInfo info;
      info.gpu_uuid = GpuUuid("GPU-" + std::to_string(i));
      info.gpu_index = i;
      info.gpu_name = "test";
      info.memory_total_mb = 1000;
      inventory.gpus.push_back(info);
    }
    inputs.push_back(AgentInput{{NodeId("n1"), "i1", HelloEvent{inventory}}});
    for (int i = 0; i < gpus; ++i) inputs.push_back(sample(i));
    step(std::move(inputs));
  }
  Input sample(int gpu, double power_draw_w = 100) {
    auto reading = std::make_shared<GpuSample>();
    reading->gpu_uuid = GpuUuid("GPU-" + std::to_string(gpu));
    reading->node = NodeId("n1");
    reading->gpu_index = gpu;
    reading->sample_time = now_;
    reading->temperature_c = 40;
    reading->utilization_gpu = 0;
    reading->power_draw_w = power_draw_w;
    return SampleInput{reading};
  }
  Result<SubmitReply> submit(JobSpec spec, const std::string& key = "", const std::string& body = "b") {
    Result<SubmitReply> result = fail(ErrorCode::kInternal, "no reply");
    SubmitRequest request{std::move(spec), "admin", key, body, false};
    step({SubmitInput{request, [&](Result<SubmitReply> r) { result = std::move(r); }, std::nullopt}});
    return result;
  }
  Result<std::shared_ptr<const Job>> act(const JobId& job, JobAction action) {
    Result<std::shared_ptr<const Job>> result = fail(ErrorCode::kInternal, "no reply");
    step({ActInput{job, action, std::nullopt, [&](auto r) { result = std::move(r); }}});
    return result;
  }
  void report(const AttemptId& attempt, Epoch epoch, JobState state, std::optional<ExitStatus> exit = std::nullopt) {
    AttemptReport body{attempt, epoch, state, now_, is_terminal(state) ? std::optional(now_) : std::nullopt, exit};
    step({AgentInput{{NodeId("n1"), "i1", body}}});
  }
  NodeInventory cluster_inventory() { return core_->view(now_)->nodes.at(NodeId("n1")).inventory; }
  static JobSpec spec_of(int gpus = 1) {
    JobSpec spec;
    spec.argv = {"/bin/true"};
    spec.gpus = gpus;
    return spec;
  }
  static ExitStatus exit_with(int code) {
    ExitStatus exit;
    exit.exit_code = code;
    return exit;
  }
  template <class T>
  std::vector<T> sent() {
    std::vector<T> out;
    for (const Command& command : commands_)
      if (const T* body = std::get_if<T>(&command.body)) out.push_back(*body);
    return out;
  }
  const Job& job(const JobId& id) { return disk_.jobs.at(id); }

  bool use_predictor_ = true;
  std::size_t unpaused_work_ = OrchestratorOptions{}.unpaused_work;
  Time now_ = Time(seconds(1'700'000'000));
  Disk disk_;
  Epoch next_epoch_ = 1;
  std::unique_ptr<Orchestrator> core_;
  std::vector<Command> commands_;
};

TEST_F(OrchestratorTest, AJobGoesFromSubmissionToItsExitCode) {
  join(2);
  const auto reply = submit(spec_of());
  ASSERT_TRUE(reply);
  const JobId id = reply->job->id;
  ASSERT_EQ(sent<StartCommand>().size(), 1u);
  const StartCommand start = sent<StartCommand>()[0];
  EXPECT_EQ(start.attempt, (AttemptId{id, 1}));
  EXPECT_EQ(job(id).state, JobState::kAssigned);
  EXPECT_EQ(disk_.allocations.size(), 1u);
  report(start.attempt, start.epoch, JobState::kStarting);
  report(start.attempt, start.epoch, JobState::kRunning);
  EXPECT_EQ(job(id).state, JobState::kRunning);
  EXPECT_TRUE(disk_.outbox.empty());
  report(start.attempt, start.epoch, JobState::kFailed, exit_with(7));
  EXPECT_EQ(job(id).state, JobState::kFailed);
  EXPECT_EQ(job(id).attempts[0].exit->exit_code, 7);
  EXPECT_TRUE(disk_.allocations.empty());
  EXPECT_EQ(sent<ResultAckCommand>().size(), 1u);
  const auto view = core_->view(now_);
  EXPECT_EQ(view->jobs.at(id)->state, JobState::kFailed);
  EXPECT_EQ(view->placements.at(id)->policy, "model");
}

TEST_F(OrchestratorTest, AResultReportedAgainIsAcknowledgedAgainAndChangesNothing) {
  join(1);
  const JobId id = submit(spec_of())->job->id;
  const StartCommand start = sent<StartCommand>()[0];
  report(start.attempt, start.epoch, JobState::kCompleted, exit_with(0));
  const auto events = disk_.events.size();
  report(start.attempt, start.epoch, JobState::kFailed, exit_with(1));
  EXPECT_EQ(job(id).state, JobState::kCompleted);
  EXPECT_EQ(disk_.events.size(), events);
  EXPECT_EQ(sent<ResultAckCommand>().size(), 2u);
}

TEST_F(OrchestratorTest, AnEndThatOvertakesItsStartStillShowsThatTheJobRan) {
  join(1);
  submit(spec_of());
  const StartCommand start = sent<StartCommand>()[0];
  report(start.attempt, start.epoch, JobState::kCompleted, exit_with(0));
  std::vector<std::string> states;
  for (const JobEvent& event : disk_.events) states.push_back(event.to);
  EXPECT_EQ(states, (std::vector<std::string>{"PENDING", "ASSIGNED", "RUNNING", "COMPLETED"}));
}

TEST_F(OrchestratorTest, AnUnacknowledgedStartIsSentAgainAlsoAfterARestart) {
  join(1);
  const JobId id = submit(spec_of())->job->id;
  step({}, seconds(2));
  EXPECT_EQ(sent<StartCommand>().size(), 2u);
  commands_.clear();
  restart();
  step({}, seconds(1));
  ASSERT_EQ(sent<StartCommand>().size(), 1u);
  const StartCommand again = sent<StartCommand>()[0];
  EXPECT_EQ(again.attempt, (AttemptId{id, 1}));
  report(again.attempt, again.epoch, JobState::kRunning);
  commands_.clear();
  step({}, seconds(60));
  EXPECT_TRUE(sent<StartCommand>().empty());
}

TEST_F(OrchestratorTest, ARestartKeepsAllocationsSoNoGpuIsGivenTwice) {
  join(1);
  submit(spec_of());
  const StartCommand start = sent<StartCommand>()[0];
  report(start.attempt, start.epoch, JobState::kRunning);
  const JobId second = submit(spec_of())->job->id;
  restart();
  join(1);
  step({sample(0)}, seconds(5));
  EXPECT_EQ(job(second).state, JobState::kPending);
  report(start.attempt, start.epoch, JobState::kCompleted, exit_with(0));
  step({sample(0)}, seconds(1));
  EXPECT_EQ(job(second).state, JobState::kAssigned);
  EXPECT_GT(sent<StartCommand>().back().epoch, start.epoch);
}

TEST_F(OrchestratorTest, ARestartKeepsTheSlotsOfSharedGpus) {
  join(1);
  JobSpec shared = spec_of();
  shared.share = Share::kMemory;
  shared.gpu_mem_mb = 100;
  std::vector<JobId> jobs;
  for (int i = 0; i < 3; ++i) jobs.push_back(submit(shared)->job->id);
  ASSERT_EQ(disk_.allocations.size(), 3U);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(sent<StartCommand>().at(static_cast<std::size_t>(i)).gpu_slots, std::vector<int>{i + 1});
  report({jobs[0], 1}, disk_.jobs.at(jobs[0]).attempts[0].epoch, JobState::kCompleted, exit_with(0));
  ASSERT_EQ(disk_.allocations.size(), 2U);
  restart();
  join(1);
  submit(shared);  // the disk refuses a slot that is taken
  EXPECT_EQ(disk_.allocations.size(), 3U);
}

TEST_F(OrchestratorTest, CancellingAWaitingJobEndsItAtOnce) {
  const JobId id = submit(spec_of())->job->id;
  const auto cancelled = act(id, JobAction::kCancel);
  ASSERT_TRUE(cancelled);
  EXPECT_EQ((*cancelled)->state, JobState::kCancelled);
  EXPECT_EQ((*act(id, JobAction::kCancel))->state, JobState::kCancelled);
  EXPECT_EQ(act(JobId("none"), JobAction::kCancel).error().code, ErrorCode::kNotFound);
}

TEST_F(OrchestratorTest, CancellingARunningJobStopsItAndWaitsForItsEnd) {
  join(1);
  const JobId id = submit(spec_of())->job->id;
  const StartCommand start = sent<StartCommand>()[0];
  report(start.attempt, start.epoch, JobState::kRunning);
  EXPECT_EQ((*act(id, JobAction::kCancel))->state, JobState::kStopping);
  ASSERT_EQ(sent<StopCommand>().size(), 1u);
  EXPECT_EQ(disk_.allocations.size(), 1u);
  ExitStatus exit;
  exit.signal = 15;
  exit.cause = ExitCause::kUserCancel;
  report(start.attempt, start.epoch, JobState::kCancelled, exit);
  EXPECT_EQ(job(id).state, JobState::kCancelled);
  EXPECT_TRUE(disk_.allocations.empty());
  EXPECT_TRUE(disk_.outbox.empty());
}

TEST_F(OrchestratorTest, ACancelThatOvertakesTheStartEndsAsCancelled) {
  join(1);
  const JobId id = submit(spec_of())->job->id;
  const StartCommand start = sent<StartCommand>()[0];
  act(id, JobAction::kCancel);
  step({AgentInput{{NodeId("n1"), "i1", RefusedEvent{start.attempt, start.epoch, "CANCELLED", "stopped before it started"}}}});
  EXPECT_EQ(job(id).state, JobState::kCancelled);
  EXPECT_TRUE(disk_.outbox.empty());
}

TEST_F(OrchestratorTest, AnAttemptThatNeverRanIsTriedAgainButNotForEver) {
  join(1);
  const JobId id = submit(spec_of())->job->id;
  for (int i = 1; i <= 5; ++i) {
    const StartCommand start = sent<StartCommand>().back();
    EXPECT_EQ(start.attempt.n, i);
    ExitStatus exit;
    exit.cause = ExitCause::kNotStarted;
    exit.message = "the agent was restarted before the gate opened";
    report(start.attempt, start.epoch, JobState::kLaunchFailed, exit);
    step({sample(0)}, seconds(2));
  }
  EXPECT_EQ(job(id).state, JobState::kLaunchFailed);
  EXPECT_EQ(job(id).attempts.size(), 5u);
}

TEST_F(OrchestratorTest, AGpuThatIsWellAgainComesBackOnlyFromTheQuarantineForThatFault) {
  join(2);
  const auto say = [&](auto body) { step({AgentInput{{NodeId("n1"), "i1", std::move(body)}}}); };
  const GpuUuid gpu("GPU-1");
  say(GpuFaultEvent{gpu, "hung", "a call did not return"});
  say(GpuRecoveredEvent{gpu, "xid", "clean"});
  EXPECT_TRUE(disk_.settings.contains("quarantine/GPU-1"));
  say(GpuRecoveredEvent{gpu, "hung", "clean"});
  EXPECT_FALSE(disk_.settings.contains("quarantine/GPU-1"));
  say(GpuFaultEvent{gpu, "hung", "a call did not return"});
  EXPECT_FALSE(disk_.settings.contains("quarantine/GPU-1")) << "old words, said again";
  say(GpuFaultEvent{gpu, "hung", "another call did not return"});
  EXPECT_EQ(disk_.settings.at("quarantine/GPU-1"), "hung: another call did not return");
  say(GpuRecoveredEvent{gpu, "hung", "clean"});
  say(GpuFaultEvent{gpu, "hung", "a call did not return"});
  EXPECT_FALSE(disk_.settings.contains("quarantine/GPU-1")) << "old words after newer ones";
  step({}, seconds(120));
  say(GpuFaultEvent{gpu, "hung", "another call did not return"});
  EXPECT_TRUE(disk_.settings.contains("quarantine/GPU-1")) << "it happened again";
}

TEST_F(OrchestratorTest, AFaultThatANodeMeasuredTakesThatOneGpuOutOfService) {
  join(2);
  const auto fault = [](const std::string& gpu, const std::string& kind) {
    return AgentInput{{NodeId("n1"), "i1", GpuFaultEvent{GpuUuid(gpu), kind, "4200 MiB are in use"}}};
  };
  step({fault("GPU-1", "leak"), fault("GPU-1", "leak"), fault("GPU-9", "leak")});
  EXPECT_EQ(disk_.settings.size(), 1u) << "said again it changes nothing, and a GPU of nobody is ignored";
  EXPECT_EQ(disk_.settings.at("quarantine/GPU-1"), "leak: 4200 MiB are in use");
  submit(spec_of());
  const JobId second = submit(spec_of())->job->id;
  ASSERT_EQ(sent<StartCommand>().size(), 1u);
  EXPECT_EQ(sent<StartCommand>()[0].gpu_uuids, std::vector<GpuUuid>{GpuUuid("GPU-0")});
  EXPECT_EQ(job(second).state, JobState::kPending);
  restart();
  EXPECT_EQ(sent<StartCommand>().size(), 1u) << "nor after a restart";
  step({fault("GPU-0", "unkillable")});
  EXPECT_TRUE(disk_.settings.contains("drain/n1")) << "the node needs a person";
}

TEST_F(OrchestratorTest, AnExecErrorIsFinal) {
  join(1);
  const JobId id = submit(spec_of())->job->id;
  const StartCommand start = sent<StartCommand>()[0];
  ExitStatus exit;
  exit.cause = ExitCause::kLaunch;
  exit.message = "exec of /bin/nonsense: No such file or directory";
  report(start.attempt, start.epoch, JobState::kLaunchFailed, exit);
  EXPECT_EQ(job(id).state, JobState::kLaunchFailed);
}

TEST_F(OrchestratorTest, TheSameKeyReturnsTheSameJobAndAnotherBodyIsAConflict) {
  const auto first = submit(spec_of(), "k1", "body");
  const auto again = submit(spec_of(), "k1", "body");
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->replayed);
  EXPECT_EQ(again->job->id, first->job->id);
  EXPECT_EQ(submit(spec_of(), "k1", "other").error().field, "idempotency_key");
  restart();
  EXPECT_TRUE(submit(spec_of(), "k1", "body")->replayed);
  EXPECT_EQ(disk_.jobs.size(), 1u);
}

TEST_F(OrchestratorTest, AKeyOfAFinishedJobIsKnownAfterARestart) {
  const auto first = submit(spec_of(), "k1", "b");
  ASSERT_TRUE(first);
  ASSERT_TRUE(act(first->job->id, JobAction::kCancel));
  restart();
  const auto shown = core_->view(now_)->jobs;
  ASSERT_TRUE(shown.contains(first->job->id));
  const auto again = submit(spec_of(), "k1", "b");
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->replayed);
  EXPECT_EQ(again->job->id, first->job->id);
}

TEST_F(OrchestratorTest, AUniqueNameIsTakenWhileItsJobLives) {
  JobSpec spec = spec_of();
  spec.name = "nightly";
  spec.unique = true;
  const JobId id = submit(spec)->job->id;
  EXPECT_EQ(submit(spec).error().code, ErrorCode::kConflict);
  act(id, JobAction::kCancel);
  EXPECT_TRUE(submit(spec));
}

TEST_F(OrchestratorTest, AnAttemptItsNodeNoLongerKnowsIsLostNotInvented) {
  join(1);
  const JobId id = submit(spec_of())->job->id;
  const StartCommand start = sent<StartCommand>()[0];
  report(start.attempt, start.epoch, JobState::kRunning);
  for (std::uint64_t i = 1; i <= 30; ++i) step({AgentInput{{NodeId("n1"), "i1", HeartbeatEvent{i, 0, {}}}}}, seconds(1));
  EXPECT_EQ(job(id).state, JobState::kLost);
  EXPECT_FALSE(job(id).attempts[0].exit->exit_code);
}

TEST_F(OrchestratorTest, AnInventoryThatWasLostIsAskedForAndAnOlderOneChangesNothing) {
  join(2);
  std::uint64_t heartbeats = 0;
  const auto heartbeat = [&](std::uint64_t inventory_seq) {
    commands_.clear();
    step({AgentInput{{NodeId("n1"), "i1", HeartbeatEvent{++heartbeats, inventory_seq, {}}}}});
    return std::get<HeartbeatAckCommand>(commands_.at(0).body).send_inventory;
  };
  EXPECT_FALSE(heartbeat(0));
  EXPECT_TRUE(heartbeat(1));
  NodeInventory inventory = cluster_inventory();
  inventory.inventory_seq = 1;
  inventory.gpus.resize(1);
  step({AgentInput{{NodeId("n1"), "i1", HelloEvent{inventory}}}});
  EXPECT_FALSE(heartbeat(1));
  inventory.inventory_seq = 0;
  inventory.gpus.clear();
  step({AgentInput{{NodeId("n1"), "i1", HelloEvent{inventory}}}});
  EXPECT_EQ(cluster_inventory().gpus.size(), 1U);
}

TEST_F(OrchestratorTest, ASilentNodeKeepsItsJobs) {
  join(1);
  const JobId id = submit(spec_of())->job->id;
  const StartCommand start = sent<StartCommand>()[0];
  report(start.attempt, start.epoch, JobState::kRunning);
  for (int i = 0; i < 600; ++i) step({}, seconds(1));
  EXPECT_EQ(job(id).state, JobState::kRunning);
  EXPECT_EQ(core_->view(now_)->nodes.at(NodeId("n1")).state, NodeState::kDown);
}

TEST_F(OrchestratorTest, WithoutAPredictorPlacementGoesOnAndSaysSo) {
  use_predictor_ = false;
  restart();
  join(1);
  const JobId id = submit(spec_of())->job->id;
  EXPECT_EQ(core_->view(now_)->placements.at(id)->policy, "heuristic");
}

TEST_F(OrchestratorTest, EnergyOfTheGpuIsBookedOnItsJob) {
  join(1);
  step({CarbonInput{{"typical", "test", "test", true, 360, now_, now_, {}}}});
  const JobId id = submit(spec_of())->job->id;
  const StartCommand start = sent<StartCommand>()[0];
  report(start.attempt, start.epoch, JobState::kRunning);
  for (int i = 0; i < 10; ++i) {
    now_ += seconds(1);
    step({sample(0, 200)});
  }
  report(start.attempt, start.epoch, JobState::kCompleted, exit_with(0));
  EXPECT_NEAR(*job(id).attempts[0].energy_j, 1950, 100);  // ten seconds at 200 W, the first from 100 W
  EXPECT_NEAR(*job(id).attempts[0].carbon_g, *job(id).attempts[0].energy_j / 3.6e6 * 360, 1e-6);
}

TEST_F(OrchestratorTest, QuarantineAndDrainOutliveARestart) {
  join(1);
  step({QuarantineInput{GpuUuid("GPU-0"), "smells", [](Result<void> r) { EXPECT_TRUE(r); }}});
  restart();
  join(1);
  const JobId id = submit(spec_of())->job->id;
  EXPECT_EQ(job(id).state, JobState::kPending);
  EXPECT_NE(core_->view(now_)->waiting.at(id)->summary, "");
  step({QuarantineInput{GpuUuid("GPU-0"), std::nullopt, [](Result<void> r) { EXPECT_TRUE(r); }}});
  EXPECT_EQ(job(id).state, JobState::kAssigned);
}

TEST_F(OrchestratorTest, EveryOrderIsInTheAuditLogWithWhoGaveIt) {
  join(1);
  const JobId id = submit(spec_of())->job->id;
  const auto job_reply = [](auto) {};
  const auto reply = [](Result<void>) {};
  step({ActInput{id, JobAction::kSignal, 10, job_reply, "ada"}});  // it does not run yet: refused
  const StartCommand start = sent<StartCommand>()[0];
  report(start.attempt, start.epoch, JobState::kRunning);
  step({ActInput{id, JobAction::kSignal, 10, job_reply, "ada"}});
  JobUpdate urgent;
  urgent.priority = 70;
  step({UpdateInput{id, urgent, nullptr, job_reply, "bob"}});
  step({ActInput{id, JobAction::kCancel, std::nullopt, job_reply, "bob"}});
  step({QuarantineInput{GpuUuid("GPU-0"), "smells\nbadly", reply, "carol"}});
  step({QuarantineInput{GpuUuid("GPU-0"), std::nullopt, reply, "carol"}});
  step({QuarantineInput{GpuUuid("GPU-7"), "not here", reply, "carol"}});
  step({DrainInput{NodeId("n1"), "fan", reply, "carol"}});
  step({AgentInput{{NodeId("n1"), "i1", GpuFaultEvent{GpuUuid("GPU-0"), "leak", "12 MiB"}}}});
  std::vector<std::string> lines;
  for (const AuditRecord& record : disk_.audit)
    lines.push_back(record.actor + " " + record.action + " " + (record.target == id.str() ? "job" : record.target) + ": " + record.detail);
  EXPECT_EQ(lines, (std::vector<std::string>{"admin submit job: true", "ada signal job: 10", "bob update job: priority 70",
                                             "bob cancel job: ", "carol quarantine GPU-0: smells\\x0abadly",
                                             "carol clear GPU-0: ", "carol drain n1: fan",
                                             "agent quarantine GPU-0: leak: 12 MiB"}));
}

TEST_F(OrchestratorTest, LogRequestsAreAnsweredOrTimeOut) {
  join(1);
  const JobId id = submit(spec_of())->job->id;
  Result<LogChunk> result = fail(ErrorCode::kInternal, "no reply");
  step({ReadLogInput{id, std::nullopt, "stdout", 0, 100, [&](Result<LogChunk> r) { result = std::move(r); }}});
  ASSERT_EQ(sent<ReadLogCommand>().size(), 1u);
  step({AgentInput{{NodeId("n1"), "i1", LogEvent{sent<ReadLogCommand>()[0].request_id, LogChunk{0, "hi", 2, false}, ""}}}});
  EXPECT_EQ(result->data, "hi");
  step({ReadLogInput{id, std::nullopt, "stdout", 0, 100, [&](Result<LogChunk> r) { result = std::move(r); }}});
  step({}, seconds(3));
  EXPECT_EQ(result.error().code, ErrorCode::kTimeout);
}

TEST_F(OrchestratorTest, AViewShowsWhatHappenedToAGpuInTheSameStep) {
  join(2);
  const auto before = core_->view(now_);
  const JobId id = submit(spec_of(1))->job->id;
  const auto held = core_->view(now_);
  const Attempt attempt = held->jobs.at(id)->attempts.back();
  const GpuUuid gpu = attempt.placement.gpu_uuids.front();
  ASSERT_EQ(held->gpus.at(gpu).jobs.size(), 1u);
  EXPECT_EQ(held->gpus.at(gpu).state, GpuState::kBusy);
  EXPECT_TRUE(before->gpus.at(gpu).jobs.empty()) << "a published view stays as it was";
  report(attempt.id, attempt.epoch, JobState::kRunning);
  report(attempt.id, attempt.epoch, JobState::kCompleted, exit_with(0));
  EXPECT_TRUE(core_->view(now_)->gpus.at(gpu).jobs.empty());
  EXPECT_EQ(core_->view(now_)->gpus.at(gpu).state, GpuState::kFree);
  step({sample(1, 250)});
  EXPECT_EQ(core_->view(now_)->gpus.at(GpuUuid("GPU-1")).sample->power_draw_w, 250);
  step({DrainInput{NodeId("n1"), "maintenance", [](Result<void>) {}}});
  EXPECT_EQ(core_->view(now_)->gpus.at(GpuUuid("GPU-0")).state, GpuState::kOut);
  EXPECT_EQ(core_->view(now_)->nodes.at(NodeId("n1")).drain_reason, "maintenance");
}

TEST_F(OrchestratorTest, ANodeIsNotAskedForMoreStartsThanItAnswers) {
  join(1);
  const auto most = static_cast<std::size_t>(OrchestratorOptions{}.max_unanswered_starts);
  for (std::size_t i = 0; i < most + 10; ++i) ASSERT_TRUE(submit(spec_of(0)));
  const auto first = sent<StartCommand>();
  ASSERT_EQ(first.size(), most);
  const JobId late = submit(spec_of(0))->job->id;
  const auto view = core_->view(now_);
  ASSERT_NE(view->wait_of(*view->jobs.at(late)), nullptr);
  EXPECT_EQ(view->wait_of(*view->jobs.at(late))->reasons.front().code, "NODE_STARTING");
  const auto answer = [&](std::size_t from, std::size_t to) {
    for (std::size_t i = from; i < to; ++i) report(first[i].attempt, first[i].epoch, JobState::kStarting);
  };
  answer(0, most / 2 - 1);
  EXPECT_EQ(sent<StartCommand>().size(), most) << "not one by one: the next go together";
  answer(most / 2 - 1, most / 2);
  EXPECT_EQ(sent<StartCommand>().size(), most + 11);
  for (const StartCommand& start : sent<StartCommand>()) report(start.attempt, start.epoch, JobState::kCompleted, exit_with(0));
  restart();
  join(1);
  ASSERT_TRUE(submit(spec_of(0)));
  EXPECT_EQ(sent<StartCommand>().size(), most + 12) << "what was answered counts no more, also not after a restart";
}

TEST_F(OrchestratorTest, AfterALongCycleTheNextOneWaits) {
  unpaused_work_ = 1000;
  restart();
  join(1);
  const auto submit_many = [&](int count) {
    std::vector<Input> inputs;
    for (int i = 0; i < count; ++i)
      inputs.push_back(SubmitInput{{spec_of(1), "admin", "", "b", false}, [](Result<SubmitReply>) {}, std::nullopt});
    step(std::move(inputs));
  };
  submit_many(3000);
  const auto cycles = core_->view(now_)->counters.cycles;
  const JobId late = submit(spec_of(1))->job->id;
  EXPECT_EQ(core_->view(now_)->counters.cycles, cycles);
  EXPECT_EQ(core_->view(now_)->jobs.at(late)->state, JobState::kPending);
  step({}, seconds(1));
  const auto view = core_->view(now_);
  EXPECT_EQ(view->counters.cycles, cycles + 1);
  ASSERT_NE(view->wait_of(*view->jobs.at(late)), nullptr);
  EXPECT_EQ(view->wait_of(*view->jobs.at(late))->reasons.front().code, "PRIORITY");
}

TEST_F(OrchestratorTest, ASnoozeOutlivesARestartAndEndsByItselfOrByWord) {
  const auto snooze = [&](const char* alert, std::optional<Time> until) {
    Result<void> result = fail(ErrorCode::kInternal, "no reply");
    step({SnoozeInput{AlertId(alert), until, [&](Result<void> r) { result = std::move(r); }}});
    return result;
  };
  join(2);
  EXPECT_FALSE(snooze("no_data/GPU-0", now_ + seconds(600))) << "no such alert is open yet";
  EXPECT_TRUE(disk_.settings.empty());
  step({}, seconds(20));
  step({}, seconds(20));
  ASSERT_TRUE(snooze("no_data/GPU-0", now_ + seconds(600)));
  ASSERT_TRUE(snooze("no_data/GPU-1", now_ + seconds(60)));
  EXPECT_EQ(core_->view(now_)->snoozed.size(), 2u);
  restart();
  EXPECT_EQ(core_->view(now_)->snoozed.at(AlertId("no_data/GPU-0")), now_ + seconds(600));
  join(2);
  step({}, seconds(20));
  step({}, seconds(60));
  ASSERT_TRUE(snooze("no_data/GPU-0", now_ + seconds(900)));
  EXPECT_EQ(disk_.settings.size(), 1u) << "the one that is over went with the next word";
  ASSERT_TRUE(snooze("no_data/GPU-0", std::nullopt));
  EXPECT_TRUE(core_->view(now_)->snoozed.empty());
  EXPECT_TRUE(disk_.settings.empty());
  EXPECT_EQ(disk_.audit.back().action, "wake");
}

}  // namespace
}  // namespace aether
