#pragma once
// The suite every ProcessRunner must pass. An adapter's test gives a Harness:
//   ProcessRunner& runner();            recovered, reports collected
//   void restart();                     the runner object is lost and a second one recovers
//   void reboot();                      the same with a restart of the machine in between
//   void pause(milliseconds)            lets that time pass
//   bool run_until(condition, what)     lets time pass; false when the condition never came true
//   std::vector<AttemptReport> reports();  all since the last restart
// Specs carry both a real command and the variables of the simulated one.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "executor/process_runner.h"

namespace aether::executor_contract {

// Different in each test process: two that run at once must not take each other's processes for their own.
inline AttemptId attempt_id(int job, int n = 1) {
  char name[32];
  std::snprintf(name, sizeof name, "01J%017d%06d", static_cast<int>(getpid()), job);
  return {JobId(name), n};
}

struct Behaviour {
  int exit_code = 0;
  int duration_ms = 0;
  bool ignore_term = false;
  std::string output = {};
  int ends_on = 0;  // a signal that ends it; USR2 it survives in any case
};

inline LaunchSpec make_launch(const AttemptId& id, Epoch epoch, const Behaviour& behaviour,
                              std::vector<GpuUuid> gpus = {}) {
  LaunchSpec launch;
  launch.attempt = id;
  launch.epoch = epoch;
  launch.job_number = 7;
  launch.user = "ada";
  launch.gpu_uuids = std::move(gpus);
  launch.spec.gpus = static_cast<int>(launch.gpu_uuids.size());
  launch.spec.time_limit_s = 60;
  launch.spec.grace_s = 5;
  launch.spec.script = (behaviour.ignore_term ? "trap '' TERM\n" : "") + std::string("trap '' USR2\nprintf '%s' '") +
                       behaviour.output + "'\n" +
                       (behaviour.duration_ms > 0 ? "sleep " + std::to_string(behaviour.duration_ms / 1000.0) + "\n" : "") +
                       "exit " + std::to_string(behaviour.exit_code) + "\n";
  launch.spec.env = {{"AETHER_SIM_DURATION_MS", std::to_string(behaviour.duration_ms)},
                     {"AETHER_SIM_EXIT_CODE", std::to_string(behaviour.exit_code)},
                     {"AETHER_SIM_IGNORE_TERM", behaviour.ignore_term ? "1" : "0"},
                     {"AETHER_SIM_ENDS_ON", std::to_string(behaviour.ends_on)},
                     {"AETHER_SIM_STDOUT", behaviour.output}};
  return launch;
}

template <class Harness>
class ProcessRunnerContract : public ::testing::Test {
 protected:
  std::optional<AttemptReport> last(const AttemptId& id) {
    std::optional<AttemptReport> found;
    for (const auto& report : harness_.reports())
      if (report.attempt == id) found = report;
    return found;
  }
  bool wait_for_state(const AttemptId& id, JobState state) {
    return harness_.run_until([&] { const auto report = last(id); return report && report->state == state; });
  }
  std::optional<AttemptReport> wait_for_end(const AttemptId& id) {
    harness_.run_until([&] { const auto report = last(id); return report && is_terminal(report->state); });
    return last(id);
  }
  int count(const AttemptId& id, JobState state) {
    const auto reports = harness_.reports();
    return static_cast<int>(std::count_if(reports.begin(), reports.end(), [&](const AttemptReport& report) {
      return report.attempt == id && report.state == state;
    }));
  }

  Harness harness_;
};

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

TYPED_TEST_P(ProcessRunnerContract, AStopEndsTheAttemptAndItsReasonIsTheCause) {
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

TYPED_TEST_P(ProcessRunnerContract, WhatIgnoresSigtermIsKilledAfterTheGrace) {
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

TYPED_TEST_P(ProcessRunnerContract, TheTimeLimitEndsAnAttempt) {
  const auto id = attempt_id(9);
  auto launch = make_launch(id, 5, {.duration_ms = 30'000});
  launch.spec.time_limit_s = 1;
  ASSERT_TRUE(this->harness_.runner().launch(launch));
  const auto end = this->wait_for_end(id);
  ASSERT_TRUE(end && end->exit);
  EXPECT_EQ(end->state, JobState::kTimeout);
  EXPECT_EQ(end->exit->cause, ExitCause::kTimeout);
}

TYPED_TEST_P(ProcessRunnerContract, ARunningAttemptIsReadoptedAndCanBeStopped) {
  const auto id = attempt_id(10);
  const GpuUuid gpu("GPU-1");
  ASSERT_TRUE(this->harness_.runner().launch(make_launch(id, 5, {.duration_ms = 30'000}, {gpu})));
  ASSERT_TRUE(this->wait_for_state(id, JobState::kRunning));
  this->harness_.restart();
  ASSERT_TRUE(this->wait_for_state(id, JobState::kRunning));
  const auto running = this->harness_.runner().running();
  ASSERT_EQ(running.size(), 1U);
  EXPECT_EQ(running[0].attempt, id);
  EXPECT_EQ(running[0].gpu_uuids, std::vector<GpuUuid>{gpu});
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

TYPED_TEST_P(ProcessRunnerContract, ASuspendedAttemptStandsStillUntilItIsResumed) {
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

TYPED_TEST_P(ProcessRunnerContract, AStopAndTheTimeLimitEndASuspendedAttempt) {
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

TYPED_TEST_P(ProcessRunnerContract, ASignalReachesTheAttemptAndIsNoStopOrder) {
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

TYPED_TEST_P(ProcessRunnerContract, AnAttemptWhoseLeaseRunsOutIsStopped) {
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
                            ALowerEpochIsRefusedForTheGpuAndForTheJob, AStopEndsTheAttemptAndItsReasonIsTheCause,
                            WhatIgnoresSigtermIsKilledAfterTheGrace, TheTimeLimitEndsAnAttempt,
                            ARunningAttemptIsReadoptedAndCanBeStopped, AResultIsReportedAgainUntilItIsForgotten,
                            ARunningAttemptIsNotForgotten, ARestartOfTheMachineIsANodeFailure, LogsAreReadByOffset,
                            ASuspendedAttemptStandsStillUntilItIsResumed, AStopAndTheTimeLimitEndASuspendedAttempt,
                            ASignalReachesTheAttemptAndIsNoStopOrder, AnAttemptWhoseLeaseRunsOutIsStopped);

}  // namespace aether::executor_contract
