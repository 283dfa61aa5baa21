#include "agent/agent_core.h"

#include <gtest/gtest.h>

#include "executor/simulated/simulated_runner.h"

namespace aether {
namespace {

using std::chrono::milliseconds;

class AgentCoreTest : public testing::Test {
 protected:
  AgentCoreTest() : runner_({}, clock_, std::make_shared<SimulatedJournal>()), core_(options(), runner_, "first") {
    EXPECT_TRUE(runner_.recover([this](const AttemptReport& report) { inputs_.push_back(report); }));
  }

  static AgentCoreOptions options() {
    AgentCoreOptions options;
    options.node = NodeId("n1");
    options.heartbeat_interval = milliseconds(100);
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

}  // namespace
}  // namespace aether
