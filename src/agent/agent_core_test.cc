#include "agent/agent_core.h"

#include <gtest/gtest.h>

#include <set>

#include "executor/simulated/simulated_runner.h"

namespace aether {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class AgentCoreTest : public testing::Test {
 protected:
  AgentCoreTest() : runner_({}, clock_, std::make_shared<SimulatedJournal>()), core_(options(), runner_, "first") {
    EXPECT_TRUE(runner_.recover([this](const AttemptReport& report) { inputs_.push_back(report); }));
  }

  static AgentCoreOptions options() {
    AgentCoreOptions options;
    options.node = NodeId("n1");
    options.boot_id = "boot-1";
    options.heartbeat_interval = milliseconds(100);
    options.max_heartbeat_bytes = 1000;
    return options;
  }
  static Command start(std::string gpu) {
    StartCommand command;
    command.attempt = {JobId("01J00000000000000000000001"), 1};
    command.epoch = 7;
    command.spec.argv = {"true"};
    command.spec.time_limit_s = 60;
    command.gpu_uuids = {GpuUuid(std::move(gpu))};
    return {NodeId("n1"), "", std::move(command)};
  }
  static AgentCore::Inventory inventory() {
    GpuInfo gpu;
    gpu.gpu_uuid = GpuUuid("GPU-1");
    return {{gpu}, "550"};
  }
  static Command ack(std::uint64_t heartbeat) { return {NodeId("n1"), "first", HeartbeatAckCommand{heartbeat, false}}; }
  std::string refusal(const std::vector<AgentEvent>& events) {
    for (const AgentEvent& event : events)
      if (const auto* refused = std::get_if<RefusedEvent>(&event.body)) return refused->code;
    return "";
  }
  std::uint64_t last_heartbeat(const std::vector<AgentEvent>& events) {
    std::uint64_t seq = 0;
    for (const AgentEvent& event : events)
      if (const auto* heartbeat = std::get_if<HeartbeatEvent>(&event.body)) seq = heartbeat->heartbeat_seq;
    return seq;
  }
  std::int64_t boot_ms() { return std::chrono::duration_cast<milliseconds>(clock_.mono().time_since_epoch()).count(); }

  std::vector<AgentEvent> step(std::vector<AgentCore::Input> inputs = {}) { return core_.step(clock_.mono(), inputs); }

  ManualClock clock_;
  std::vector<AgentCore::Input> inputs_;
  SimulatedRunner runner_;
  AgentCore core_;
};

TEST_F(AgentCoreTest, SaysNothingBeforeItKnowsItsGpus) {
  EXPECT_TRUE(step().empty());
  clock_.advance(milliseconds(500));
  EXPECT_TRUE(step().empty());
  const auto events = step({inventory()});
  ASSERT_EQ(events.size(), 1U);
  EXPECT_TRUE(std::holds_alternative<HelloEvent>(events[0].body));
  EXPECT_EQ(events[0].agent_incarnation, "first");
}

TEST_F(AgentCoreTest, HeartbeatsAreNumberedAndKeepTheirInterval) {
  const auto first = step({inventory()});
  ASSERT_EQ(first.size(), 2U);
  EXPECT_EQ(std::get<HeartbeatEvent>(first[1].body).heartbeat_seq, 1U);
  clock_.advance(milliseconds(99));
  EXPECT_TRUE(step().empty());
  clock_.advance(milliseconds(1));
  EXPECT_EQ(std::get<HeartbeatEvent>(step().at(0).body).heartbeat_seq, 2U);
}

TEST_F(AgentCoreTest, RefusesAGpuThatItDoesNotHaveAndSaysSo) {
  step({inventory()});
  const auto events = step({start("GPU-elsewhere")});
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(std::get<RefusedEvent>(events[0].body).code, "GPU_UNAVAILABLE");
  EXPECT_TRUE(runner_.attempts().empty());
  EXPECT_EQ(core_.counters().starts_refused, 1U);
}

TEST_F(AgentCoreTest, PassesOnWhatItsAttemptsReport) {
  step({inventory(), start("GPU-1")});
  runner_.poll();
  ASSERT_FALSE(inputs_.empty());
  const auto events = step(inputs_);
  ASSERT_FALSE(events.empty());
  EXPECT_EQ(std::get<AttemptReport>(events[0].body).state, JobState::kStarting);
  EXPECT_TRUE(core_.take_loads_changed());
  EXPECT_FALSE(core_.take_loads_changed());
}

TEST_F(AgentCoreTest, IgnoresCommandsForOthers) {
  step({inventory()});
  Command elsewhere = start("GPU-1");
  elsewhere.node = NodeId("n2");
  Command earlier = start("GPU-1");
  earlier.agent_incarnation = "an earlier one";
  EXPECT_TRUE(step({elsewhere, earlier}).empty());
  EXPECT_EQ(core_.counters().commands, 0U);
}

TEST_F(AgentCoreTest, WithoutAnAnswerForALeaseNothingNewIsStarted) {
  step({inventory()});
  clock_.advance(seconds(30));
  EXPECT_EQ(refusal(step({start("GPU-1")})), "LEASE_EXPIRED");
  EXPECT_TRUE(runner_.attempts().empty());
  clock_.advance(seconds(1));
  const auto seq = last_heartbeat(step());
  EXPECT_EQ(refusal(step({ack(seq), start("GPU-1")})), "");
  EXPECT_EQ(runner_.attempts().size(), 1U);
}

TEST_F(AgentCoreTest, AnAnswerCountsFromWhenItsHeartbeatWasSent) {
  const auto seq = last_heartbeat(step({inventory()}));
  clock_.advance(seconds(29));
  step({ack(seq)});
  EXPECT_TRUE(core_.lease_valid(clock_.mono()));
  clock_.advance(seconds(2));
  EXPECT_EQ(refusal(step({start("GPU-1")})), "LEASE_EXPIRED");
}

TEST_F(AgentCoreTest, AfterAPauseTheLeaseIsCheckedBeforeTheQueue) {
  const auto seq = last_heartbeat(step({inventory()}));
  step({ack(seq)});
  clock_.advance(seconds(60));  // SIGSTOP
  EXPECT_EQ(refusal(step({ack(seq), start("GPU-1")})), "LEASE_EXPIRED");
  EXPECT_EQ(core_.counters().leases_expired, 1U);
}

// Only then may the orchestrator of a new database rise above: the one that was obeyed is not there any more.
TEST_F(AgentCoreTest, TheObeyedEpochIsToldOnlyWhileNobodyAnswers) {
  const auto told = [](const std::vector<AgentEvent>& events) {
    std::optional<std::uint64_t> epoch;
    for (const AgentEvent& event : events)
      if (const auto* heartbeat = std::get_if<HeartbeatEvent>(&event.body)) epoch = heartbeat->obeyed_epoch;
    return epoch;
  };
  auto events = step({inventory()});
  Command answer = ack(last_heartbeat(events));
  answer.leader_epoch = 900;
  step({answer});
  Command lower = ack(0);
  for (int i = 0; i < 20; ++i) {  // the old one answers, the new one tries
    clock_.advance(seconds(10));
    events = step();
    EXPECT_EQ(told(events), 0U);
    std::get<HeartbeatAckCommand>(answer.body).heartbeat_seq = last_heartbeat(events);
    std::get<HeartbeatAckCommand>(lower.body).heartbeat_seq = last_heartbeat(events);
    lower.leader_epoch = 7;
    step({lower, answer});
  }
  clock_.advance(seconds(31));
  EXPECT_EQ(told(step()), 900U);
  clock_.advance(seconds(1));
  events = step();
  std::get<HeartbeatAckCommand>(answer.body).heartbeat_seq = last_heartbeat(events);
  answer.leader_epoch = 2'000'000;
  step({answer});
  clock_.advance(seconds(1));
  EXPECT_EQ(told(step()), 0U) << "the one that rose is obeyed";
}

TEST_F(AgentCoreTest, AnIntroductionCarriesTheBootClock) {
  clock_.advance(seconds(5));
  const auto events = step({inventory()});
  const auto hello = std::find_if(events.begin(), events.end(), [](const AgentEvent& event) {
    return std::holds_alternative<HelloEvent>(event.body);
  });
  ASSERT_NE(hello, events.end());
  EXPECT_EQ(std::get<HelloEvent>(hello->body).sent_at, (BootTime{"boot-1", boot_ms()}));
}

TEST_F(AgentCoreTest, AnOrchestratorThatDoesNotKnowThisAgentGrantsNoLease) {
  const auto seq = last_heartbeat(step({inventory()}));
  clock_.advance(seconds(20));
  const auto later = last_heartbeat(step());
  ASSERT_GT(later, seq);
  step({Command{NodeId("n1"), "first", HeartbeatAckCommand{later, true}}});
  clock_.advance(seconds(15));
  EXPECT_FALSE(core_.lease_valid(clock_.mono()));
}

TEST_F(AgentCoreTest, OnlyAnswersKeepAStopAfterAttemptAlive) {
  auto command = start("GPU-1");
  auto& spec = std::get<StartCommand>(command.body).spec;
  spec.on_partition = OnPartition::kStopAfter;
  spec.time_limit_s = 3600;
  spec.env["AETHER_SIM_DURATION_MS"] = "3600000";
  step({inventory(), command});
  for (int i = 0; i < 50; ++i) {
    clock_.advance(seconds(1));
    runner_.poll();
    step({ack(last_heartbeat(step()))});
  }
  EXPECT_EQ(runner_.running().size(), 1U) << "answers come";
  for (int i = 0; i < 62; ++i) {
    clock_.advance(seconds(1));
    runner_.poll();
    step();
  }
  EXPECT_TRUE(runner_.running().empty()) << "heartbeats alone renew nothing";
  ASSERT_EQ(runner_.attempts().size(), 1U);
  EXPECT_EQ(runner_.attempts()[0].exit->cause, ExitCause::kNodeLost);
}

TEST_F(AgentCoreTest, AStartThatComesTooLateOrForAnotherBootIsRefused) {
  step({inventory()});
  auto late = start("GPU-1");
  std::get<StartCommand>(late.body).not_after = BootTime{"boot-1", boot_ms() - 1};
  EXPECT_EQ(refusal(step({late})), "EXPIRED");
  std::get<StartCommand>(late.body).not_after = BootTime{"boot-0", boot_ms() + 1000};
  EXPECT_EQ(refusal(step({late})), "EXPIRED");
  std::get<StartCommand>(late.body).not_after = BootTime{"boot-1", boot_ms() + 1000};
  EXPECT_EQ(refusal(step({late})), "");
  EXPECT_EQ(runner_.attempts().size(), 1U);
}

TEST_F(AgentCoreTest, AKnownAttemptIsReportedAgainHoweverLateItsStartComesAgain) {
  auto command = start("GPU-1");
  std::get<StartCommand>(command.body).not_after = BootTime{"boot-1", boot_ms() + 1000};
  step({inventory(), command});
  runner_.poll();
  inputs_.clear();
  clock_.advance(seconds(60));
  EXPECT_EQ(refusal(step({command})), "");
  runner_.poll();
  EXPECT_FALSE(inputs_.empty());
  EXPECT_EQ(runner_.attempts().size(), 1U);
}

TEST_F(AgentCoreTest, AFormerOrchestratorIsNotObeyed) {
  std::vector<std::uint64_t> stored;
  auto with_memory = options();
  with_memory.leader_epoch = 5;
  with_memory.remember_leader = [&](std::uint64_t epoch) -> Result<void> {
    stored.push_back(epoch);
    return {};
  };
  AgentCore core(with_memory, runner_, "second");
  core.step(clock_.mono(), std::vector<AgentCore::Input>{inventory()});
  auto command = start("GPU-1");
  command.leader_epoch = 4;
  EXPECT_EQ(refusal(core.step(clock_.mono(), std::vector<AgentCore::Input>{command})), "STALE_LEADER");
  EXPECT_TRUE(stored.empty());
  command.leader_epoch = 6;
  EXPECT_EQ(refusal(core.step(clock_.mono(), std::vector<AgentCore::Input>{command})), "");
  EXPECT_EQ(stored, std::vector<std::uint64_t>{6});
  EXPECT_EQ(runner_.attempts().size(), 1U);
  command.leader_epoch = 5;
  EXPECT_EQ(refusal(core.step(clock_.mono(), std::vector<AgentCore::Input>{command})), "STALE_LEADER");
}

TEST_F(AgentCoreTest, AnEpochThatCannotBeStoredIsNotObeyed) {
  auto forgetful = options();
  forgetful.remember_leader = [](std::uint64_t) -> Result<void> { return fail(ErrorCode::kIo, "disk full"); };
  AgentCore core(forgetful, runner_, "second");
  auto command = start("GPU-1");
  command.leader_epoch = 1;
  EXPECT_EQ(refusal(core.step(clock_.mono(), std::vector<AgentCore::Input>{inventory(), command})), "JOURNAL_READ_ONLY");
  EXPECT_TRUE(runner_.attempts().empty());
}

TEST_F(AgentCoreTest, TwoSharedStartsOnOneGpuAreTakenInAnyOrder) {
  Command first = start("GPU-1"), second = start("GPU-1");
  std::get<StartCommand>(first.body).gpu_slots = {1};
  auto& later = std::get<StartCommand>(second.body);
  later.attempt = {JobId("01J00000000000000000000002"), 1};
  later.epoch = 8;
  later.gpu_slots = {2};
  EXPECT_EQ(refusal(step({inventory(), second, first})), "");
  EXPECT_EQ(runner_.attempts().size(), 2U);
  Command stale = start("GPU-1");
  auto& old = std::get<StartCommand>(stale.body);
  old.attempt = {JobId("01J00000000000000000000003"), 1};
  old.epoch = 7;
  old.gpu_slots = {2};
  EXPECT_EQ(refusal(step({stale})), "STALE_EPOCH");
}

TEST_F(AgentCoreTest, ManyAttemptsTravelInPartsOfOneHeartbeat) {
  std::vector<AgentCore::Input> inputs{inventory()};
  for (int i = 1; i <= 10; ++i) {
    StartCommand command = std::get<StartCommand>(start("GPU-1").body);
    command.attempt = {JobId("J" + std::to_string(i)), 1};
    command.gpu_uuids.clear();
    inputs.push_back(Command{NodeId("n1"), "", command});
  }
  std::set<AttemptId> listed;
  std::set<int> parts;
  for (const AgentEvent& event : step(inputs))
    if (const auto* heartbeat = std::get_if<HeartbeatEvent>(&event.body)) {
      EXPECT_EQ(heartbeat->parts, 4);
      EXPECT_EQ(heartbeat->heartbeat_seq, 1U);
      EXPECT_EQ(heartbeat->sent_at.boot_id, "boot-1");
      EXPECT_EQ(heartbeat->sent_at.boot_ms, boot_ms());
      parts.insert(heartbeat->part);
      for (const AttemptReport& report : heartbeat->attempts) listed.insert(report.attempt);
    }
  EXPECT_EQ(parts, (std::set<int>{1, 2, 3, 4}));
  EXPECT_EQ(listed.size(), 10U);
}

}  // namespace
}  // namespace aether
