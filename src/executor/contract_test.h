#pragma once
// Starting, fences, results, logs and restarts: the first suite every ProcessRunner must pass.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "executor/contract.h"

namespace aether::executor_contract {

template <class Harness>
class ProcessRunnerContract : public RunnerContract<Harness> {};

TYPED_TEST_SUITE_P(ProcessRunnerContract);

TYPED_TEST_P(ProcessRunnerContract, AnExitCodeOf7IsReportedAs7) {
  const auto id = attempt_id(1);
  ASSERT_TRUE(this->harness_.runner().launch(make_launch(id, 5, {.exit_code = 7})));
  const auto end = this->wait_for_end(id);
  ASSERT_TRUE(end && end->exit);
  EXPECT_EQ(end->state, JobState::kFailed);
  EXPECT_EQ(end->exit->exit_code, 7);
  EXPECT_FALSE(end->exit->signal);
  EXPECT_EQ(end->exit->cause, ExitCause::kSelf);
  EXPECT_EQ(end->epoch, 5U);
  ASSERT_TRUE(end->started_at && end->ended_at);
  EXPECT_LE(*end->started_at, *end->ended_at);
}

TYPED_TEST_P(ProcessRunnerContract, StatesAreReportedInOrder) {
  const auto id = attempt_id(2);
  ASSERT_TRUE(this->harness_.runner().launch(make_launch(id, 5, {.duration_ms = 200})));
  ASSERT_TRUE(this->wait_for_end(id));
  std::vector<JobState> states;
  for (const auto& report : this->harness_.reports())
    if (report.attempt == id && report.state != JobState::kCompleting) states.push_back(report.state);
  EXPECT_EQ(states, (std::vector<JobState>{JobState::kStarting, JobState::kRunning, JobState::kCompleted}));
}

TYPED_TEST_P(ProcessRunnerContract, ARepeatedLaunchStartsNothingAndReportsAgain) {
  const auto id = attempt_id(3);
  const auto launch = make_launch(id, 5, {.exit_code = 3, .output = "once"});
  ASSERT_TRUE(this->harness_.runner().launch(launch));
  ASSERT_TRUE(this->harness_.runner().launch(launch));
  ASSERT_TRUE(this->wait_for_end(id));
  const int before = this->count(id, JobState::kFailed);
  ASSERT_TRUE(this->harness_.runner().launch(launch));
  EXPECT_TRUE(this->harness_.run_until([&] { return this->count(id, JobState::kFailed) > before; }));
  const auto log = this->harness_.runner().read_log(id, "stdout", 0, 100);
  ASSERT_TRUE(log);
  EXPECT_EQ(log->data, "once");
}

TYPED_TEST_P(ProcessRunnerContract, AStopBeforeTheLaunchLeavesATombstone) {
  const auto id = attempt_id(4);
  ASSERT_TRUE(this->harness_.runner().stop(id, 5, "user_cancel", 1));
  const auto end = this->wait_for_end(id);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->state, JobState::kCancelled);
  for (int round = 0; round < 2; ++round) {
    const auto launched = this->harness_.runner().launch(make_launch(id, 5, {}));
    ASSERT_FALSE(launched);
    EXPECT_EQ(launched.error().code, ErrorCode::kPermissionDenied);
    EXPECT_TRUE(launched.error().message.starts_with("CANCELLED"));
    this->harness_.restart();
    EXPECT_EQ(this->wait_for_end(id)->state, JobState::kCancelled);
  }
  this->harness_.runner().forget(id);
  this->harness_.restart();
  EXPECT_TRUE(this->harness_.runner().attempts().empty());
  EXPECT_FALSE(this->harness_.runner().launch(make_launch(id, 5, {})));
}

TYPED_TEST_P(ProcessRunnerContract, ALowerEpochIsRefusedForTheGpuAndForTheJob) {
  const GpuUuid gpu("GPU-a/../b");
  ASSERT_TRUE(this->harness_.runner().launch(make_launch(attempt_id(5), 9, {}, {gpu})));
  ASSERT_TRUE(this->wait_for_end(attempt_id(5)));
  this->harness_.restart();
  for (const auto& stale : {make_launch(attempt_id(6), 8, {}, {gpu}), make_launch(attempt_id(6), 9, {}, {gpu}),
                            make_launch(attempt_id(5, 2), 8, {})}) {
    const auto launched = this->harness_.runner().launch(stale);
    ASSERT_FALSE(launched);
    EXPECT_EQ(launched.error().code, ErrorCode::kConflict);
    EXPECT_TRUE(launched.error().message.starts_with("STALE_EPOCH"));
  }
  EXPECT_TRUE(this->harness_.runner().launch(make_launch(attempt_id(6), 10, {}, {gpu})));
  EXPECT_TRUE(this->wait_for_end(attempt_id(6)));
}

TYPED_TEST_P(ProcessRunnerContract, SharedStartsOfOneGpuArriveInAnyOrderAndTheWholeGpuKeepsThemOut) {
  auto& harness = this->harness_;
  const auto launch = [&](int job, Epoch epoch, std::vector<int> slots) {
    auto spec = make_launch(attempt_id(job), epoch, {}, {GpuUuid("GPU-s"), GpuUuid("GPU-t")});
    spec.gpu_slots = std::move(slots);
    return harness.runner().launch(spec);
  };
  ASSERT_TRUE(launch(25, 20, {2, 1}));
  ASSERT_TRUE(launch(26, 19, {1, 2})) << "older, on slots of its own";
  harness.restart();
  for (const auto& refused : {launch(27, 18, {1, 3}), launch(27, 18, {3, 2}), launch(27, 19, {0, 0}), launch(27, 19, {})}) {
    ASSERT_FALSE(refused);
    EXPECT_TRUE(refused.error().message.starts_with("STALE_EPOCH")) << refused.error().message;
  }
  ASSERT_TRUE(launch(28, 21, {0, 0}));
  harness.restart();
  EXPECT_FALSE(launch(29, 20, {7, 7})) << "older than what had the whole GPU";
  EXPECT_TRUE(launch(29, 22, {7, 7}));
  for (const int job : {25, 26, 28, 29}) EXPECT_TRUE(this->wait_for_end(attempt_id(job))->exit) << job;
}

TYPED_TEST_P(ProcessRunnerContract, ARunningAttemptIsReadoptedAndCanBeStopped) {
  const auto id = attempt_id(10);
  const GpuUuid gpu("GPU-1");
  auto launch = make_launch(id, 5, {.duration_ms = 30'000}, {gpu});
  launch.gpu_slots = {3};
  ASSERT_TRUE(this->harness_.runner().launch(launch));
  ASSERT_TRUE(this->wait_for_state(id, JobState::kRunning));
  this->harness_.restart();
  ASSERT_TRUE(this->wait_for_state(id, JobState::kRunning));
  const auto running = this->harness_.runner().running();
  ASSERT_EQ(running.size(), 1U);
  EXPECT_EQ(running[0].attempt, id);
  EXPECT_EQ(running[0].gpu_uuids, std::vector<GpuUuid>{gpu});
  EXPECT_EQ(running[0].slot_of(0), 3);
  EXPECT_EQ(running[0].spec.time_limit_s, 60);
  ASSERT_TRUE(this->harness_.runner().stop(id, 5, "user_cancel", 5));
  const auto end = this->wait_for_end(id);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->state, JobState::kCancelled);
  EXPECT_TRUE(this->harness_.runner().running().empty());
}

TYPED_TEST_P(ProcessRunnerContract, AResultIsReportedAgainUntilItIsForgotten) {
  const auto id = attempt_id(11);
  const auto launch = make_launch(id, 5, {.exit_code = 7, .output = "kept"});
  ASSERT_TRUE(this->harness_.runner().launch(launch));
  ASSERT_TRUE(this->wait_for_end(id));
  this->harness_.restart();
  const auto again = this->wait_for_end(id);
  ASSERT_TRUE(again && again->exit);
  EXPECT_EQ(again->exit->exit_code, 7);
  ASSERT_EQ(this->harness_.runner().attempts().size(), 1U);
  this->harness_.runner().forget(id);
  EXPECT_TRUE(this->harness_.runner().attempts().empty());
  this->harness_.restart();
  EXPECT_TRUE(this->harness_.runner().attempts().empty());
  const auto log = this->harness_.runner().read_log(id, "stdout", 0, 10);
  ASSERT_TRUE(log);
  EXPECT_EQ(log->data, "kept");
  ASSERT_TRUE(this->harness_.runner().launch(launch)) << "known, so it starts nothing";
  const auto repeated = this->wait_for_end(id);
  ASSERT_TRUE(repeated && repeated->exit);
  EXPECT_EQ(repeated->exit->exit_code, 7);
  EXPECT_EQ(this->harness_.runner().read_log(id, "stdout", 0, 10)->data, "kept");
}

TYPED_TEST_P(ProcessRunnerContract, ARunningAttemptIsNotForgotten) {
  const auto id = attempt_id(12);
  ASSERT_TRUE(this->harness_.runner().launch(make_launch(id, 5, {.duration_ms = 300})));
  ASSERT_TRUE(this->wait_for_state(id, JobState::kRunning));
  this->harness_.runner().forget(id);
  EXPECT_EQ(this->harness_.runner().attempts().size(), 1U);
  EXPECT_EQ(this->wait_for_end(id)->state, JobState::kCompleted);
}

TYPED_TEST_P(ProcessRunnerContract, ARestartOfTheMachineIsANodeFailure) {
  const auto running = attempt_id(13), ended = attempt_id(14);
  ASSERT_TRUE(this->harness_.runner().launch(make_launch(ended, 5, {.exit_code = 7})));
  ASSERT_TRUE(this->wait_for_end(ended));
  ASSERT_TRUE(this->harness_.runner().launch(make_launch(running, 6, {.duration_ms = 30'000})));
  ASSERT_TRUE(this->wait_for_state(running, JobState::kRunning));
  this->harness_.reboot();
  const auto end = this->wait_for_end(running);
  ASSERT_TRUE(end && end->exit);
  EXPECT_EQ(end->state, JobState::kNodeFail);
  EXPECT_EQ(end->exit->cause, ExitCause::kNodeReboot);
  EXPECT_FALSE(end->exit->exit_code);
  EXPECT_EQ(this->wait_for_end(ended)->exit->exit_code, 7) << "a result that is on record stays what it was";
}

TYPED_TEST_P(ProcessRunnerContract, LogsAreReadByOffset) {
  const auto id = attempt_id(15);
  ASSERT_TRUE(this->harness_.runner().launch(make_launch(id, 5, {.output = "0123456789"})));
  ASSERT_TRUE(this->wait_for_end(id));
  auto& runner = this->harness_.runner();
  const auto whole = runner.read_log(id, "stdout", 0, 100);
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->data, "0123456789");
  EXPECT_EQ(whole->size, 10);
  EXPECT_TRUE(whole->complete);
  const auto part = runner.read_log(id, "stdout", 3, 4);
  EXPECT_EQ(part->data, "3456");
  EXPECT_EQ(part->offset, 3);
  EXPECT_FALSE(part->complete);
  const auto tail = runner.read_log(id, "stdout", -2, 100);
  EXPECT_EQ(tail->data, "89");
  EXPECT_EQ(tail->offset, 8);
  EXPECT_TRUE(tail->complete);
  EXPECT_EQ(runner.read_log(id, "stdout", -50, 3)->data, "012");
  const auto beyond = runner.read_log(id, "stdout", 99, 10);
  EXPECT_EQ(beyond->data, "");
  EXPECT_EQ(beyond->offset, 10);
  EXPECT_EQ(runner.read_log(id, "stderr", 0, 10)->size, 0);
  EXPECT_EQ(runner.read_log(attempt_id(16), "stdout", 0, 10).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(runner.read_log(id, "stdin", 0, 10).error().code, ErrorCode::kInvalidArgument);
}

REGISTER_TYPED_TEST_SUITE_P(ProcessRunnerContract, AnExitCodeOf7IsReportedAs7, StatesAreReportedInOrder,
                            ARepeatedLaunchStartsNothingAndReportsAgain, AStopBeforeTheLaunchLeavesATombstone,
                            ALowerEpochIsRefusedForTheGpuAndForTheJob,
                            SharedStartsOfOneGpuArriveInAnyOrderAndTheWholeGpuKeepsThemOut,
                            ARunningAttemptIsReadoptedAndCanBeStopped, AResultIsReportedAgainUntilItIsForgotten,
                            ARunningAttemptIsNotForgotten, ARestartOfTheMachineIsANodeFailure, LogsAreReadByOffset);

}  // namespace aether::executor_contract
