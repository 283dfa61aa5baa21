#include "executor/simulated/simulated_runner.h"

#include <gtest/gtest.h>

#include "executor/contract_orders_test.h"
#include "executor/contract_test.h"

namespace aether {
namespace {

using namespace executor_contract;

class SimulatedHarness {
 public:
  SimulatedHarness() { open(); }
  ProcessRunner& runner() { return *runner_; }
  void restart() {
    runner_.reset();
    open();
  }
  void reboot() {
    runner_.reset();
    journal_->reboot(clock_.mono());
    open();
  }
  bool run_until(const std::function<bool()>& condition) {
    for (int steps = 0; steps < 10'000; ++steps) {
      runner_->poll();
      if (condition()) return true;
      clock_.advance(std::chrono::milliseconds(10));
    }
    return false;
  }
  void pause(int milliseconds) {
    clock_.advance(std::chrono::milliseconds(milliseconds));
    runner_->poll();
  }
  std::vector<AttemptReport> reports() const { return reports_; }
  ManualClock& clock() { return clock_; }

 private:
  void open() {
    reports_.clear();
    runner_ = std::make_unique<SimulatedRunner>(SimulatedRunnerOptions{}, clock_, journal_);
    ASSERT_TRUE(runner_->recover([this](const AttemptReport& report) { reports_.push_back(report); }));
    runner_->poll();
  }

  ManualClock clock_;
  std::shared_ptr<SimulatedJournal> journal_ = std::make_shared<SimulatedJournal>();
  std::vector<AttemptReport> reports_;
  std::unique_ptr<SimulatedRunner> runner_;
};

INSTANTIATE_TYPED_TEST_SUITE_P(Simulated, ProcessRunnerContract, SimulatedHarness);
INSTANTIATE_TYPED_TEST_SUITE_P(Simulated, ProcessRunnerOrders, SimulatedHarness);

TEST(SimulatedRunner, AVirtualProcessRunsOnWhileNoRunnerIsThere) {
  SimulatedHarness harness;
  const auto id = attempt_id(1);
  ASSERT_TRUE(harness.runner().launch(make_launch(id, 1, {.exit_code = 4, .duration_ms = 1000})));
  harness.run_until([&] { return harness.runner().running().size() == 1; });
  const Time launched = harness.clock().now();
  harness.clock().advance(std::chrono::hours(1));
  harness.restart();
  ASSERT_TRUE(harness.run_until([&] { return is_terminal(harness.reports().back().state); }));
  EXPECT_EQ(harness.reports().back().exit->exit_code, 4);
  EXPECT_LT(*harness.reports().back().ended_at, launched + std::chrono::seconds(2)) << "it ended in its own time";
}

TEST(SimulatedRunner, AnExecErrorIsALaunchFailure) {
  SimulatedHarness harness;
  auto launch = make_launch(attempt_id(1), 1, {});
  launch.spec.script.reset();
  launch.spec.argv = {"/no/such"};
  launch.spec.env["AETHER_SIM_EXEC_ERROR"] = "No such file or directory";
  ASSERT_TRUE(harness.runner().launch(launch));
  ASSERT_TRUE(harness.run_until([&] { return is_terminal(harness.reports().back().state); }));
  EXPECT_EQ(harness.reports().back().state, JobState::kLaunchFailed);
  EXPECT_EQ(harness.reports().back().exit->message, "exec of /no/such: No such file or directory");
}

TEST(SimulatedRunner, AnUnkillableAttemptIsListedUntilTheMachineRestarts) {
  SimulatedHarness harness;
  const auto id = attempt_id(1);
  auto launch = make_launch(id, 1, {.duration_ms = 1000}, {GpuUuid("GPU-1")});
  launch.spec.env["AETHER_SIM_UNKILLABLE"] = "1";
  ASSERT_TRUE(harness.runner().launch(launch));
  ASSERT_TRUE(harness.run_until([&] { return harness.runner().running().size() == 1; }));
  ASSERT_TRUE(harness.runner().stop(id, 1, "user_cancel", 1));
  EXPECT_TRUE(harness.runner().unkillable().empty());
  harness.pause(62'000);
  ASSERT_EQ(harness.runner().unkillable().size(), 1U);
  EXPECT_EQ(harness.runner().unkillable()[0].gpu_uuids, launch.gpu_uuids);
  EXPECT_EQ(harness.reports().back().state, JobState::kStopping) << "it has not ended";
  harness.reboot();
  EXPECT_EQ(harness.reports().back().state, JobState::kNodeFail);
  EXPECT_TRUE(harness.runner().unkillable().empty());
}

TEST(SimulatedRunner, AStartGateDoesNotOpenAfterTheLease) {
  SimulatedHarness harness;
  auto launch = make_launch(attempt_id(1), 1, {.duration_ms = 1000});
  launch.spec.on_partition = OnPartition::kStopAfter;
  launch.lease_remaining = std::chrono::seconds(8);
  ASSERT_TRUE(harness.runner().launch(launch));
  harness.pause(8'000);  // its agent stands still between intent and start
  ASSERT_TRUE(is_terminal(harness.reports().back().state));
  EXPECT_EQ(harness.reports().back().exit->cause, ExitCause::kNotStarted);
  EXPECT_FALSE(harness.reports().back().started_at) << "nothing was executed";
}

TEST(SimulatedRunner, PollsByItselfWhenAsked) {
  SystemClock clock;
  std::mutex mutex;
  std::condition_variable ended;
  bool done = false;
  SimulatedRunner runner({.start_delay = Duration(1), .poll_interval = std::chrono::milliseconds(1)}, clock,
                         std::make_shared<SimulatedJournal>());
  ASSERT_TRUE(runner.recover([&](const AttemptReport& report) {
    std::lock_guard lock(mutex);
    done = done || is_terminal(report.state);
    ended.notify_all();
  }));
  ASSERT_TRUE(runner.launch(make_launch(attempt_id(1), 1, {.duration_ms = 5})));
  std::unique_lock lock(mutex);
  EXPECT_TRUE(ended.wait_for(lock, std::chrono::seconds(20), [&] { return done; }));
}

}  // namespace
}  // namespace aether
