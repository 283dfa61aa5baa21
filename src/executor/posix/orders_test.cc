// Orders to attempts that run, and what holds when nobody gives any: leases, warnings, checkpoints.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <thread>

#include "executor/posix/attempt_files.h"
#include "executor/posix/process_tree.h"
#include "executor/posix/test_support.h"

namespace aether {
namespace {

using namespace executor_test;
using executor_contract::attempt_id;

constexpr const char* kForever = "while :; do sleep 0.05; done";

double uptime_s() {
  double seconds = 0;
  std::ifstream("/proc/uptime") >> seconds;
  return seconds;
}

void kill_shim(PosixHarness& harness, const AttemptId& id) {
  const auto started = executor::AttemptFiles(harness.attempt_directory(id)).read_started();
  ASSERT_TRUE(started);
  ASSERT_TRUE(executor::signal_process({started->shim_pid, 0, 0, 0, 'S', started->shim_start_ticks}, SIGKILL));
  ASSERT_TRUE(harness.run_until([&] { return !executor::is_running(started->shim_pid, started->shim_start_ticks); }));
}

LaunchSpec leased(const AttemptId& id, const std::string& text, std::int64_t stop_after_s) {
  auto launch = shell(id, text);
  launch.spec.on_partition = OnPartition::kStopAfter;
  launch.spec.stop_after_s = stop_after_s;
  launch.spec.grace_s = 1;
  return launch;
}

TEST(Lease, AGateThatOpensTooLateStartsNothing) {
  PosixHarness harness([](PosixRunnerOptions& options) {
    options.on_step = [](std::string_view step) {
      if (step == "started") std::this_thread::sleep_for(std::chrono::milliseconds(1200));  // longer than the lease
    };
  });
  const auto id = attempt_id(1);
  ASSERT_TRUE(harness.runner().launch(leased(id, "echo ran", 1)));
  const auto end = harness.wait_for_end(id);
  ASSERT_TRUE(end && end->exit);
  EXPECT_EQ(end->exit->cause, ExitCause::kNotStarted) << end->exit->message;
  EXPECT_EQ(harness.output(id), "");
}

bool record_is_complete(const PosixHarness& harness, const AttemptId& id) {
  const auto record = executor::AttemptFiles(harness.attempt_directory(id)).read_exit();
  return record && record->complete;
}

TEST(Lease, HoldsWithoutAnAgent) {
  PosixHarness harness;
  const auto id = attempt_id(1);
  const std::string beats = harness.directory().shared() + "/beats";
  const double launched_s = uptime_s();
  ASSERT_TRUE(harness.runner().launch(
      leased(id, "trap '' TERM; while :; do cut -d' ' -f1 /proc/uptime >> " + beats + "; sleep 0.05; done", 1)));
  ASSERT_TRUE(harness.wait_for_state(id, JobState::kRunning));
  harness.close();
  ASSERT_TRUE(harness.run_until([&] { return record_is_complete(harness, id); }));
  harness.open();
  const auto end = harness.wait_for_end(id);
  ASSERT_TRUE(end && end->exit);
  EXPECT_EQ(end->exit->cause, ExitCause::kNodeLost);
  EXPECT_EQ(end->state, JobState::kNodeFail);
  const auto lines = read_lines(beats);
  ASSERT_FALSE(lines.empty());
  const double last_s = std::strtod(lines.back().c_str(), nullptr);
  EXPECT_GE(last_s, launched_s + 1) << "it had its whole lease";
  EXPECT_LE(last_s, launched_s + 1 + 1 + 1) << "lease, grace, and a second: when a replacement may start, it is over";
}

// An agent that renews every 50 ms for 400 ms. Never returns.
[[noreturn]] void be_a_renewing_agent(const PosixRunnerOptions& options, const LaunchSpec& launch) {
  SystemClock clock;
  auto runner = PosixRunner::open(options, clock);
  if (!runner || !(*runner)->recover([](const AttemptReport&) {}) || !(*runner)->launch(launch)) _exit(1);
  for (;;) {
    (*runner)->renew_lease(launch.attempt, std::chrono::milliseconds(400));
    usleep(50'000);
  }
}

TEST(Lease, HoldsWhileTheAgentIsStoppedAndIsNotRevivedAfterwards) {
  PosixHarness harness;
  harness.close();
  const auto id = attempt_id(1);
  const pid_t agent = fork();
  if (agent == 0) {
    alarm(30);
    be_a_renewing_agent(harness.options(), leased(id, kForever, 1));
  }
  const executor::AttemptFiles files(harness.attempt_directory(id));
  ASSERT_TRUE(harness.run_until([&] { return files.read_running().has_value(); }));
  PosixHarness::pause(1500);
  EXPECT_FALSE(record_is_complete(harness, id)) << "renewed beyond its first second";
  ASSERT_EQ(kill(agent, SIGSTOP), 0);
  EXPECT_TRUE(harness.run_until([&] { return record_is_complete(harness, id); }));
  kill(agent, SIGCONT);
  PosixHarness::pause(200);
  kill(agent, SIGKILL);
  waitpid(agent, nullptr, 0);
  harness.open();
  const auto end = harness.wait_for_end(id);
  ASSERT_TRUE(end && end->exit);
  EXPECT_EQ(end->exit->cause, ExitCause::kNodeLost);
}

TEST(Lease, IsKeptByTheAgentWhenTheShimIsGone) {
  PosixHarness harness;
  const auto id = attempt_id(1);
  ASSERT_TRUE(harness.runner().launch(leased(id, kForever, 1)));
  ASSERT_TRUE(harness.wait_for_state(id, JobState::kRunning));
  harness.runner().renew_lease(id, std::chrono::milliseconds(2500));
  const executor::AttemptFiles files(harness.attempt_directory(id));
  ASSERT_TRUE(harness.run_until([&] { return files.read_lease() > 0; }));
  kill_shim(harness, id);
  harness.restart();
  PosixHarness::pause(800);
  EXPECT_FALSE(is_terminal(harness.last(id)->state)) << "what the shim knew of the lease is on record";
  const auto end = harness.wait_for_end(id);
  ASSERT_TRUE(end && end->exit);
  EXPECT_EQ(end->exit->cause, ExitCause::kNodeLost);
}

TEST(EarlySignal, ReachesOnlyWhoListensAndTheLimitHolds) {
  PosixHarness harness;
  const auto id = attempt_id(1);
  auto launch = shell(id, std::string("trap 'echo early' USR1; trap 'echo term; exit 3' TERM; ") + kForever);
  launch.spec.time_limit_s = 2;
  launch.spec.early_signal = EarlySignal{SIGUSR1, 1};
  ASSERT_TRUE(harness.runner().launch(launch));
  const auto end = harness.wait_for_end(id);
  ASSERT_TRUE(end && end->exit);
  EXPECT_EQ(harness.output(id), "early\nterm\n") << "its children, which do not listen, were not ended by it";
  EXPECT_EQ(end->state, JobState::kTimeout);
  EXPECT_EQ(end->exit->exit_code, 3);
  EXPECT_EQ(end->exit->message, "its early signal reached 1 processes");
}

struct CheckpointCase {
  const char* name;
  std::vector<std::string> argv;
  std::int64_t timeout_s;
  std::string output;
  std::string message;
};

class Checkpoint : public ::testing::TestWithParam<CheckpointCase> {};

TEST_P(Checkpoint, ComesBeforeSigtermAndItsOutcomeIsOnRecord) {
  PosixHarness harness;
  const auto id = attempt_id(1);
  auto launch = shell(id, std::string("trap 'echo term; exit 3' TERM; echo ready; ") + kForever);
  launch.spec.checkpoint_argv = GetParam().argv;
  launch.spec.checkpoint_timeout_s = GetParam().timeout_s;
  ASSERT_TRUE(harness.runner().launch(launch));
  ASSERT_TRUE(harness.run_until([&] { return harness.output(id) == "ready\n"; }));
  ASSERT_TRUE(harness.runner().stop(id, 1, "user_cancel", 5));
  const auto end = harness.wait_for_end(id);
  ASSERT_TRUE(end && end->exit);
  EXPECT_EQ(harness.output(id), "ready\n" + GetParam().output);
  EXPECT_EQ(end->exit->exit_code, 3);
  EXPECT_EQ(end->exit->cause, ExitCause::kUserCancel);
  EXPECT_EQ(end->exit->message, GetParam().message);
  EXPECT_TRUE(find_processes_mentioning("AETHER_JOB_ID=" + id.job.str()).empty());
}

INSTANTIATE_TEST_SUITE_P(
    Command, Checkpoint,
    ::testing::Values(CheckpointCase{"InTime", {"/bin/sh", "-c", "kill -0 $AETHER_MAIN_PID && echo saved"}, 20,
                                     "saved\nterm\n", "its checkpoint command succeeded"},
                      CheckpointCase{"TooSlow", {"/bin/sh", "-c", "echo begun; sleep 100; echo never"}, 1,
                                     "begun\nterm\n", "its checkpoint command took too long"},
                      CheckpointCase{"Failing", {"/bin/sh", "-c", "exit 9"}, 20, "term\n",
                                     "its checkpoint command failed with 9"},
                      CheckpointCase{"Missing", {"/no/such"}, 20, "term\n", "its checkpoint command failed with 127"}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(CheckpointOrder, TheTimeLimitHoldsWhateverTheCheckpointDoes) {
  PosixHarness harness;
  const auto id = attempt_id(1);
  auto launch = shell(id, std::string("trap 'echo term; exit 3' TERM; ") + kForever);
  launch.spec.time_limit_s = 2;
  launch.spec.checkpoint_argv = {"/bin/sh", "-c", "echo begun; sleep 100"};
  ASSERT_TRUE(harness.runner().launch(launch));
  const auto end = harness.wait_for_end(id);
  ASSERT_TRUE(end && end->exit);
  EXPECT_EQ(harness.output(id), "begun\nterm\n");
  EXPECT_EQ(end->exit->cause, ExitCause::kTimeout);
  EXPECT_EQ(end->exit->message, "its checkpoint command took too long");
  EXPECT_LT(*end->ended_at - *end->started_at, std::chrono::milliseconds(3500)) << "the limit holds";
}

TEST(CheckpointOrder, ARepeatedOrderWithoutGraceEndsACheckpoint) {
  PosixHarness harness;
  const auto id = attempt_id(1);
  auto launch = shell(id, std::string("echo ready; ") + kForever);
  launch.spec.checkpoint_argv = {"/bin/sh", "-c", "echo begun; sleep 100"};
  ASSERT_TRUE(harness.runner().launch(launch));
  ASSERT_TRUE(harness.run_until([&] { return harness.output(id) == "ready\n"; }));
  ASSERT_TRUE(harness.runner().stop(id, 1, "user_cancel", 50));
  ASSERT_TRUE(harness.run_until([&] { return harness.output(id) == "ready\nbegun\n"; }));
  EXPECT_TRUE(harness.wait_for_state(id, JobState::kStopping));
  ASSERT_TRUE(harness.runner().stop(id, 1, "user_cancel", 0));
  const auto end = harness.wait_for_end(id);
  ASSERT_TRUE(end && end->exit);
  EXPECT_EQ(end->exit->message, "its checkpoint command took too long");
}

TEST(CheckpointOrder, ANodeOnItsOwnMakesNone) {
  PosixHarness harness;
  const auto id = attempt_id(1);
  auto launch = leased(id, kForever, 1);
  launch.spec.checkpoint_argv = {"/bin/sh", "-c", "echo saved"};
  ASSERT_TRUE(harness.runner().launch(launch));
  EXPECT_EQ(harness.wait_for_end(id)->exit->cause, ExitCause::kNodeLost);
  EXPECT_EQ(harness.output(id), "");
}

TEST(Unkillable, IsReportedWithItsGpusAndEndsWhenItCan) {
  PosixHarness harness([](PosixRunnerOptions& options) {
    options.shim_failpoint = "unkillable";
    options.unkillable_after = std::chrono::milliseconds(200);
  });
  const auto id = attempt_id(1);
  auto launch = shell(id, std::string("trap '' TERM; echo ready; ") + kForever);
  launch.gpu_uuids = {GpuUuid("GPU-1")};
  ASSERT_TRUE(harness.runner().launch(launch));
  ASSERT_TRUE(harness.run_until([&] { return harness.output(id) == "ready\n"; }));
  EXPECT_TRUE(harness.runner().unkillable().empty());
  ASSERT_TRUE(harness.runner().stop(id, 1, "user_cancel", 0));
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE(harness.run_until([&] { return !harness.runner().unkillable().empty(); }));
    const auto found = harness.runner().unkillable()[0];
    EXPECT_EQ(found.attempt, id);
    EXPECT_EQ(found.gpu_uuids, launch.gpu_uuids);
    EXPECT_FALSE(found.pids.empty());
    EXPECT_TRUE(harness.wait_for_state(id, JobState::kStopping)) << "it has not ended";
    if (round == 0) harness.restart();
  }
  std::ofstream(harness.attempt_directory(id) + "/killable") << "1";
  const auto end = harness.wait_for_end(id);
  ASSERT_TRUE(end && end->exit);
  EXPECT_EQ(end->exit->signal, SIGKILL);
  EXPECT_EQ(end->state, JobState::kCancelled);
  EXPECT_TRUE(harness.runner().unkillable().empty());
}

class Suspension : public ::testing::TestWithParam<bool> {
 protected:
  PosixHarness harness_{[](PosixRunnerOptions& options) { options.use_cgroups = GetParam(); }};
  void SetUp() override {
    if (GetParam() && harness_.runner().exec_mode() != "cgroup2-delegated")
      GTEST_SKIP() << "no delegated cgroup v2 on this machine";
  }
  std::size_t beats() const { return read_lines(harness_.directory().shared() + "/beats").size(); }
  // Two loops, one in a session of its own.
  std::string beating() const {
    const std::string beat = "while :; do echo x >> " + harness_.directory().shared() + "/beats; sleep 0.01; done";
    return "setsid -f sh -c '" + beat + "'; " + beat;
  }
  void expect_pause_and_go(const AttemptId& id) {
    ASSERT_TRUE(harness_.run_until([&] { return beats() > 4; }));
    ASSERT_TRUE(harness_.runner().suspend(id, 1));
    ASSERT_TRUE(harness_.wait_for_state(id, JobState::kSuspended));
    PosixHarness::pause(100);
    const std::size_t standing = beats();
    PosixHarness::pause(200);
    EXPECT_EQ(beats(), standing) << "every process stands still";
    ASSERT_TRUE(harness_.runner().resume(id, 1));
    EXPECT_TRUE(harness_.run_until([&] { return beats() > standing + 4; }));
    EXPECT_TRUE(harness_.wait_for_state(id, JobState::kRunning));
  }
};

TEST_P(Suspension, HoldsEveryProcess) {
  ASSERT_TRUE(harness_.runner().launch(shell(attempt_id(1), beating())));
  expect_pause_and_go(attempt_id(1));
}

TEST_P(Suspension, HoldsEveryProcessWithoutAShim) {
  const auto id = attempt_id(2);
  ASSERT_TRUE(harness_.runner().launch(shell(id, beating())));
  ASSERT_TRUE(harness_.run_until([&] { return beats() > 4; }));
  kill_shim(harness_, id);
  expect_pause_and_go(id);
  ASSERT_TRUE(harness_.runner().signal(id, 1, SIGUSR1));
  const auto end = harness_.wait_for_end(id);
  ASSERT_TRUE(end && end->exit);
  EXPECT_EQ(end->exit->cause, ExitCause::kLostExit);
}

TEST_P(Suspension, ASuspendedAttemptWithoutAShimCanBeStopped) {
  const auto id = attempt_id(3);
  ASSERT_TRUE(harness_.runner().launch(shell(id, beating())));
  ASSERT_TRUE(harness_.wait_for_state(id, JobState::kRunning));
  kill_shim(harness_, id);
  ASSERT_TRUE(harness_.runner().suspend(id, 1));
  ASSERT_TRUE(harness_.wait_for_state(id, JobState::kSuspended));
  ASSERT_TRUE(harness_.runner().stop(id, 1, "user_cancel", 5));
  EXPECT_EQ(harness_.wait_for_end(id)->state, JobState::kCancelled);
}

INSTANTIATE_TEST_SUITE_P(Modes, Suspension, ::testing::Bool(), [](const auto& test) {
  return test.param ? std::string("Cgroup") : std::string("ProcessGroup");
});

}  // namespace
}  // namespace aether
