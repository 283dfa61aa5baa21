#pragma once
// What an attempt that runs is told, and the ends it has by itself: the second suite every ProcessRunner must pass.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "executor/contract.h"

namespace aether::executor_contract {

template <class Harness>
class ProcessRunnerOrders : public RunnerContract<Harness> {};

TYPED_TEST_SUITE_P(ProcessRunnerOrders);

TYPED_TEST_P(ProcessRunnerOrders, AStopEndsTheAttemptAndItsReasonIsTheCause) {
  const auto id = attempt_id(7);
  ASSERT_TRUE(this->harness_.runner().launch(make_launch(id, 5, {.duration_ms = 30'000})));
  ASSERT_TRUE(this->wait_for_state(id, JobState::kRunning));
  const auto stale = this->harness_.runner().stop(id, 4, "user_cancel", 5);
  ASSERT_FALSE(stale);
  EXPECT_EQ(stale.error().code, ErrorCode::kConflict);
  ASSERT_TRUE(this->harness_.runner().stop(id, 5, "user_cancel", 5));
  ASSERT_TRUE(this->harness_.runner().stop(id, 5, "node_lost", 5));
  const auto end = this->wait_for_end(id);
  ASSERT_TRUE(end && end->exit);
  EXPECT_EQ(end->state, JobState::kCancelled);
  EXPECT_EQ(end->exit->cause, ExitCause::kUserCancel);
  EXPECT_EQ(end->exit->signal, 15);
  EXPECT_GE(this->count(id, JobState::kStopping), 1);
  EXPECT_TRUE(this->harness_.runner().stop(id, 5, "timeout", 5));
  EXPECT_EQ(this->wait_for_end(id)->exit->cause, ExitCause::kUserCancel);
}

TYPED_TEST_P(ProcessRunnerOrders, WhatIgnoresSigtermIsKilledAfterTheGrace) {
  const auto id = attempt_id(8);
  ASSERT_TRUE(this->harness_.runner().launch(make_launch(id, 5, {.duration_ms = 30'000, .ignore_term = true, .output = "set"})));
  ASSERT_TRUE(this->harness_.run_until([&] {
    const auto log = this->harness_.runner().read_log(id, "stdout", 0, 10);
    return log && log->data == "set";  // the trap is in place
  }));
  ASSERT_TRUE(this->harness_.runner().stop(id, 5, "user_cancel", 1));
  const auto end = this->wait_for_end(id);
  ASSERT_TRUE(end && end->exit);
  EXPECT_EQ(end->exit->signal, 9);
  EXPECT_EQ(end->exit->cause, ExitCause::kUserCancel);
}

TYPED_TEST_P(ProcessRunnerOrders, TheTimeLimitEndsAnAttempt) {
  const auto id = attempt_id(9);
  auto launch = make_launch(id, 5, {.duration_ms = 30'000});
  launch.spec.time_limit_s = 1;
  ASSERT_TRUE(this->harness_.runner().launch(launch));
  const auto end = this->wait_for_end(id);
  ASSERT_TRUE(end && end->exit);
  EXPECT_EQ(end->state, JobState::kTimeout);
  EXPECT_EQ(end->exit->cause, ExitCause::kTimeout);
}

TYPED_TEST_P(ProcessRunnerOrders, ASuspendedAttemptStandsStillUntilItIsResumed) {
  const auto id = attempt_id(17);
  auto& harness = this->harness_;
  ASSERT_TRUE(harness.runner().launch(make_launch(id, 5, {.exit_code = 4, .duration_ms = 400})));
  ASSERT_TRUE(this->wait_for_state(id, JobState::kRunning));
  EXPECT_EQ(harness.runner().suspend(id, 4).error().code, ErrorCode::kConflict);
  ASSERT_TRUE(harness.runner().suspend(id, 5));
  ASSERT_TRUE(this->wait_for_state(id, JobState::kSuspended));
  ASSERT_TRUE(harness.runner().suspend(id, 5)) << "a repetition changes nothing";
  harness.restart();
  ASSERT_TRUE(this->wait_for_state(id, JobState::kSuspended)) << "it stands still whoever comes and goes";
  EXPECT_EQ(harness.runner().running().size(), 1U) << "its GPUs stay its own";
  EXPECT_FALSE(harness.runner().processes(id).empty());
  harness.pause(800);
  EXPECT_EQ(this->last(id)->state, JobState::kSuspended);
  EXPECT_EQ(harness.runner().resume(id, 4).error().code, ErrorCode::kConflict);
  const int before = this->count(id, JobState::kRunning);
  ASSERT_TRUE(harness.runner().resume(id, 5));
  ASSERT_TRUE(harness.run_until([&] { return this->count(id, JobState::kRunning) > before; }));
  const auto end = this->wait_for_end(id);
  ASSERT_TRUE(end && end->exit);
  EXPECT_EQ(end->exit->exit_code, 4);
  EXPECT_TRUE(harness.runner().processes(id).empty());
  EXPECT_EQ(harness.runner().suspend(id, 5).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(harness.runner().resume(attempt_id(18), 5).error().code, ErrorCode::kNotFound);
}

TYPED_TEST_P(ProcessRunnerOrders, AStopAndTheTimeLimitEndASuspendedAttempt) {
  const auto stopped = attempt_id(19), limited = attempt_id(20);
  auto& harness = this->harness_;
  ASSERT_TRUE(harness.runner().launch(make_launch(stopped, 5, {.duration_ms = 30'000})));
  auto launch = make_launch(limited, 6, {.duration_ms = 30'000});
  launch.spec.time_limit_s = 1;
  ASSERT_TRUE(harness.runner().launch(launch));
  for (const auto& id : {stopped, limited}) {
    ASSERT_TRUE(this->wait_for_state(id, JobState::kRunning));
    ASSERT_TRUE(harness.runner().suspend(id, 6));
    ASSERT_TRUE(this->wait_for_state(id, JobState::kSuspended));
  }
  ASSERT_TRUE(harness.runner().stop(stopped, 5, "user_cancel", 5));
  const auto end = this->wait_for_end(stopped);
  ASSERT_TRUE(end && end->exit);
  EXPECT_EQ(end->exit->signal, 15) << "it goes on to end in its own way";
  EXPECT_EQ(end->exit->cause, ExitCause::kUserCancel);
  EXPECT_EQ(this->wait_for_end(limited)->state, JobState::kTimeout);
}

TYPED_TEST_P(ProcessRunnerOrders, ASignalReachesTheAttemptAndIsNoStopOrder) {
  const auto id = attempt_id(21);
  auto& runner = this->harness_.runner();
  ASSERT_TRUE(runner.launch(make_launch(id, 5, {.duration_ms = 30'000, .output = "set", .ends_on = 10})));
  ASSERT_TRUE(this->harness_.run_until([&] {
    const auto log = this->harness_.runner().read_log(id, "stdout", 0, 10);
    return log && log->data == "set";
  }));
  ASSERT_TRUE(this->wait_for_state(id, JobState::kRunning));
  for (const int signal : {0, 9, 19, 1000, -1})
    EXPECT_EQ(runner.signal(id, 5, signal).error().code, ErrorCode::kInvalidArgument) << signal;
  EXPECT_EQ(runner.signal(id, 4, 10).error().code, ErrorCode::kConflict);
  EXPECT_EQ(runner.signal(attempt_id(22), 5, 10).error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(runner.signal(id, 5, 12));
  this->harness_.pause(200);
  EXPECT_EQ(this->last(id)->state, JobState::kRunning) << "it ignores this one";
  ASSERT_TRUE(runner.signal(id, 5, 10));
  const auto end = this->wait_for_end(id);
  ASSERT_TRUE(end && end->exit);
  EXPECT_EQ(end->exit->signal, 10);
  EXPECT_EQ(end->exit->cause, ExitCause::kSelf);
  EXPECT_EQ(end->state, JobState::kFailed);
}

TYPED_TEST_P(ProcessRunnerOrders, AnAttemptWhoseLeaseRunsOutIsStopped) {
  const auto leased = attempt_id(23), free = attempt_id(24);
  auto launch = make_launch(leased, 5, {.duration_ms = 30'000});
  launch.spec.on_partition = OnPartition::kStopAfter;
  launch.spec.stop_after_s = 1;
  auto& harness = this->harness_;
  ASSERT_TRUE(harness.runner().launch(launch));
  ASSERT_TRUE(harness.runner().launch(make_launch(free, 6, {.duration_ms = 30'000})));
  for (const auto& id : {leased, free}) ASSERT_TRUE(this->wait_for_state(id, JobState::kRunning));
  harness.runner().renew_lease(free, Duration(0));  // it has none
  for (int i = 0; i < 3; ++i) {
    harness.runner().renew_lease(leased, std::chrono::milliseconds(1500));
    harness.runner().renew_lease(leased, std::chrono::milliseconds(1));  // never shortens
    harness.pause(500);
  }
  EXPECT_EQ(this->last(leased)->state, JobState::kRunning) << "renewed beyond its first second";
  const auto end = this->wait_for_end(leased);
  ASSERT_TRUE(end && end->exit);
  EXPECT_EQ(end->exit->cause, ExitCause::kNodeLost);
  EXPECT_EQ(end->state, JobState::kNodeFail);
  harness.runner().renew_lease(leased, std::chrono::hours(1));
  EXPECT_TRUE(is_terminal(this->last(leased)->state));
  EXPECT_EQ(this->last(free)->state, JobState::kRunning);
}

REGISTER_TYPED_TEST_SUITE_P(ProcessRunnerOrders, AStopEndsTheAttemptAndItsReasonIsTheCause,
                            WhatIgnoresSigtermIsKilledAfterTheGrace, TheTimeLimitEndsAnAttempt,
                            ASuspendedAttemptStandsStillUntilItIsResumed, AStopAndTheTimeLimitEndASuspendedAttempt,
                            ASignalReachesTheAttemptAndIsNoStopOrder, AnAttemptWhoseLeaseRunsOutIsStopped);

}  // namespace aether::executor_contract
