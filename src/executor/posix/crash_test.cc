// Kills the agent and the shim at every place and at random ones. The job appends its number to a file, so that what ran
// twice, or ran although it was declared not started, shows.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/rng.h"
#include "executor/posix/attempt_files.h"
#include "executor/posix/process_tree.h"
#include "executor/posix/test_support.h"

namespace aether {
namespace {

using namespace executor_test;
using executor_contract::attempt_id;

long number_from_environment(const char* name, long otherwise) {
  const char* text = std::getenv(name);
  return text ? std::strtol(text, nullptr, 10) : otherwise;
}

// An agent in a process of its own, which may be killed. Never returns.
[[noreturn]] void be_an_agent(const PosixRunnerOptions& options, const std::vector<LaunchSpec>& launches) {
  SystemClock clock;
  auto runner = PosixRunner::open(options, clock);
  if (!runner || !(*runner)->recover([](const AttemptReport&) {})) _exit(1);
  for (const auto& launch : launches)
    if (!(*runner)->launch(launch)) _exit(2);
  for (;;) pause();
}

// The status that the agent ended with. Without a lifetime it ends by itself.
int run_agent(const PosixRunnerOptions& options, const std::vector<LaunchSpec>& launches,
              std::optional<useconds_t> lifetime_us) {
  const pid_t agent = fork();
  if (agent == 0) {
    alarm(30);  // whatever goes wrong, this test ends
    be_an_agent(options, launches);
  }
  if (lifetime_us) {
    usleep(*lifetime_us);
    kill(agent, SIGKILL);
  }
  int status = 0;
  waitpid(agent, &status, 0);
  return status;
}

TEST(Crash, AnAgentKilledAtRandomMomentsLosesNothingAndRunsNothingTwice) {
  // A long run: AETHER_CRASH_ROUNDS=100 (and another AETHER_CRASH_SEED).
  const int rounds = static_cast<int>(number_from_environment("AETHER_CRASH_ROUNDS", 14));
  const int jobs = rounds <= 14 ? 24 : 50;
  PosixHarness harness;
  harness.close();
  std::vector<LaunchSpec> launches;
  for (int i = 1; i <= jobs; ++i) {
    const std::string end = i % 4 == 0 ? "kill -USR1 $$" : "exit " + std::to_string(i);
    launches.push_back(counted(harness, attempt_id(i), "sleep 0." + std::to_string(i % 7) + "; " + end));
  }
  Rng rng(static_cast<std::uint64_t>(number_from_environment("AETHER_CRASH_SEED", 20250115)));
  for (int round = 0; round < rounds; ++round) {
    const int status = run_agent(harness.options(), launches, static_cast<useconds_t>(5'000 + rng.below(120'000)));
    ASSERT_TRUE(WIFSIGNALED(status)) << "the agent ended by itself with " << WEXITSTATUS(status);
  }
  harness.open();
  for (const auto& launch : launches) ASSERT_TRUE(harness.runner().launch(launch));
  int not_started = 0;
  for (int i = 1; i <= jobs; ++i) {
    const auto end = harness.wait_for_end(attempt_id(i));
    ASSERT_TRUE(end && end->exit) << "job " << i << " is lost";
    if (end->state == JobState::kLaunchFailed) {
      ++not_started;
      EXPECT_EQ(end->exit->cause, ExitCause::kNotStarted) << "job " << i << ": " << end->exit->message;
      EXPECT_EQ(times_ran(harness, attempt_id(i)), 0) << "job " << i << ": " << end->exit->message;
      continue;
    }
    EXPECT_EQ(times_ran(harness, attempt_id(i)), 1) << "job " << i;
    EXPECT_EQ(end->exit->cause, ExitCause::kSelf) << "job " << i << ": " << to_string(end->state);
    if (i % 4 == 0) EXPECT_EQ(end->exit->signal, SIGUSR1) << "job " << i;
    else EXPECT_EQ(end->exit->exit_code, i) << "job " << i;
  }
  EXPECT_LE(not_started, rounds) << "a kill can catch one launch at most";
  EXPECT_EQ(harness.runner().attempts().size(), static_cast<std::size_t>(jobs));
}

struct KilledAgent {
  const char* step;
  bool acknowledged;  // the intent was durable
  bool ran;
};

class CrashAtStep : public ::testing::TestWithParam<KilledAgent> {};

TEST_P(CrashAtStep, TheJobRanIfAndOnlyIfTheGateOpened) {
  PosixHarness harness;
  harness.close();
  auto options = harness.options();
  options.on_step = [&](std::string_view step) {
    if (step == GetParam().step) kill(getpid(), SIGKILL);
  };
  auto launch = counted(harness, attempt_id(1), "exit 7");
  launch.gpu_uuids = {GpuUuid("GPU-1")};
  const int status = run_agent(options, {launch}, std::nullopt);
  ASSERT_TRUE(WIFSIGNALED(status));
  ASSERT_EQ(WTERMSIG(status), SIGKILL);
  harness.open();
  if (!GetParam().acknowledged) EXPECT_TRUE(harness.runner().attempts().empty());
  else EXPECT_EQ(harness.wait_for_end(attempt_id(1))->state,
                 GetParam().ran ? JobState::kFailed : JobState::kLaunchFailed);
  ASSERT_TRUE(harness.runner().launch(launch)) << "the command comes again";
  const auto end = harness.wait_for_end(attempt_id(1));
  ASSERT_TRUE(end && end->exit);
  const bool runs_now = !GetParam().acknowledged || GetParam().ran;
  EXPECT_EQ(times_ran(harness, attempt_id(1)), runs_now ? 1 : 0);
  if (runs_now) EXPECT_EQ(end->exit->exit_code, 7);
  else EXPECT_EQ(end->exit->cause, ExitCause::kNotStarted);
}

INSTANTIATE_TEST_SUITE_P(Agent, CrashAtStep,
                         ::testing::Values(KilledAgent{"fence", false, false}, KilledAgent{"manifest", true, false},
                                           KilledAgent{"spawned", true, false}, KilledAgent{"started", true, false},
                                           KilledAgent{"opened", true, true}),
                         [](const auto& test) { return std::string(test.param.step); });

struct KilledShim {
  const char* failpoint;
  int ran;
  ExitCause cause;
  std::optional<int> exit_code;
};

class ShimCrash : public ::testing::TestWithParam<KilledShim> {};

TEST_P(ShimCrash, TheExitCodeIsTheTrueOneOrUnknown) {
  PosixHarness harness([](PosixRunnerOptions& options) { options.shim_failpoint = GetParam().failpoint; });
  ASSERT_TRUE(harness.runner().launch(counted(harness, attempt_id(1), "sleep 0.1; exit 7")));
  const auto end = harness.wait_for_end(attempt_id(1));
  ASSERT_TRUE(end && end->exit);
  EXPECT_EQ(end->exit->cause, GetParam().cause);
  EXPECT_EQ(end->exit->exit_code, GetParam().exit_code);
  EXPECT_EQ(times_ran(harness, attempt_id(1)), GetParam().ran);
  EXPECT_TRUE(find_processes_mentioning("AETHER_JOB_ID=" + attempt_id(1).job.str()).empty());
  harness.restart();
  EXPECT_EQ(harness.wait_for_end(attempt_id(1))->exit, end->exit) << "asked again, it says the same";
}

INSTANTIATE_TEST_SUITE_P(Shim, ShimCrash,
                         ::testing::Values(KilledShim{"before_ready", 0, ExitCause::kNotStarted, {}},
                                           KilledShim{"before_fork", 0, ExitCause::kLostExit, {}},
                                           KilledShim{"before_release", 0, ExitCause::kLostExit, {}},
                                           KilledShim{"after_release", 1, ExitCause::kLostExit, {}},
                                           KilledShim{"before_exit_record", 1, ExitCause::kLostExit, {}},
                                           KilledShim{"after_exit_record", 1, ExitCause::kSelf, 7},
                                           KilledShim{"after_complete_record", 1, ExitCause::kSelf, 7}),
                         [](const auto& test) { return std::string(test.param.failpoint); });

TEST(Crash, AStopOrderOutlivesTheShimThatRecordedIt) {
  PosixHarness harness([](PosixRunnerOptions& options) { options.shim_failpoint = "after_stop_record"; });
  ASSERT_TRUE(harness.runner().launch(counted(harness, attempt_id(1), "exec sleep 100")));
  ASSERT_TRUE(harness.run_until([&] { return times_ran(harness, attempt_id(1)) == 1; }));
  ASSERT_TRUE(harness.runner().stop(attempt_id(1), 1, "user_cancel", 5));
  const auto end = harness.wait_for_end(attempt_id(1));
  ASSERT_TRUE(end && end->exit);
  EXPECT_EQ(end->state, JobState::kCancelled);
  EXPECT_FALSE(end->exit->exit_code);
}

TEST(Crash, WithoutItsShimAJobStillEndsWithItsMainProcess) {
  PosixHarness harness;
  ASSERT_TRUE(harness.runner().launch(counted(harness, attempt_id(1), "setsid sleep 100 & sleep 0.5; exit 7")));
  ASSERT_TRUE(harness.run_until([&] { return times_ran(harness, attempt_id(1)) == 1; }));
  const auto started = executor::AttemptFiles(harness.attempt_directory(attempt_id(1))).read_started();
  ASSERT_TRUE(started);
  ASSERT_TRUE(executor::signal_process({started->shim_pid, 0, 0, 0, 'S', started->shim_start_ticks}, SIGKILL));
  const auto end = harness.wait_for_end(attempt_id(1));
  ASSERT_TRUE(end && end->exit) << "the process that it left behind keeps nothing alive";
  EXPECT_EQ(end->exit->cause, ExitCause::kLostExit);
  EXPECT_FALSE(end->exit->exit_code);
  EXPECT_TRUE(find_processes_mentioning("AETHER_JOB_ID=" + attempt_id(1).job.str()).empty());
}

TEST(Crash, AnUnreadableManifestIsReportedLostUnderItsEpoch) {
  PosixHarness harness;
  auto launch = counted(harness, attempt_id(1), "exec sleep 100");
  launch.epoch = 42;
  launch.gpu_uuids = {GpuUuid("GPU-1")};
  ASSERT_TRUE(harness.runner().launch(launch));
  ASSERT_TRUE(harness.wait_for_state(attempt_id(1), JobState::kRunning));
  const executor::AttemptFiles files(harness.attempt_directory(attempt_id(1)));
  const auto started = files.read_started();
  ASSERT_TRUE(started);
  harness.close();
  std::ofstream(files.directory() + "/manifest.json") << "{\"v\":1,\"job\":";
  ASSERT_TRUE(executor::signal_process({started->shim_pid, 0, 0, 0, 'S', started->shim_start_ticks}, SIGKILL));
  ASSERT_TRUE(harness.run_until([&] { return !executor::is_running(started->shim_pid, started->shim_start_ticks); }));
  harness.open();
  EXPECT_TRUE(harness.reports().empty() || !is_terminal(harness.last(attempt_id(1))->state)) << "its process lives";
  const auto note = files.read_running();
  ASSERT_TRUE(note);
  ASSERT_TRUE(executor::signal_process({note->pid, 0, 0, 0, 'S', note->start_ticks}, SIGKILL));
  const auto end = harness.wait_for_end(attempt_id(1));
  ASSERT_TRUE(end && end->exit);
  EXPECT_EQ(end->state, JobState::kLost);
  EXPECT_EQ(end->epoch, 42U);
  EXPECT_EQ(times_ran(harness, attempt_id(1)), 1);
}

TEST(Crash, AProcessThatTookAnOldPidIsNeverSignalled) {
  PosixHarness harness;
  ASSERT_TRUE(harness.runner().launch(command(attempt_id(1), {"sleep", "100"})));
  ASSERT_TRUE(harness.wait_for_state(attempt_id(1), JobState::kRunning));
  const auto note = executor::AttemptFiles(harness.attempt_directory(attempt_id(1))).read_running();
  ASSERT_TRUE(note);
  harness.reboot();
  EXPECT_EQ(harness.wait_for_end(attempt_id(1))->state, JobState::kNodeFail);
  ASSERT_TRUE(harness.runner().stop(attempt_id(1), 1, "user_cancel", 0));
  EXPECT_TRUE(executor::is_running(note->pid, note->start_ticks));
  EXPECT_FALSE(executor::signal_process({note->pid, 0, 0, 0, 'S', note->start_ticks + 1}, SIGKILL));
  EXPECT_TRUE(executor::is_running(note->pid, note->start_ticks));
}

}  // namespace
}  // namespace aether
