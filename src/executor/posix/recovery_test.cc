// Restarts in twos, stops at every moment, commands in every order, old pids, other clocks.
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
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

constexpr std::array<const char*, 5> kSteps = {"fence", "manifest", "spawned", "started", "opened"};

LaunchSpec counted(const PosixHarness& harness, const AttemptId& id, const std::string& then, Epoch epoch = 1) {
  return shell(id, "echo " + to_string(id) + " >> " + harness.directory().shared() + "/ran; " + then, epoch);
}

int times_ran(const PosixHarness& harness, const AttemptId& id) {
  const auto lines = read_lines(harness.directory().shared() + "/ran");
  return static_cast<int>(std::count(lines.begin(), lines.end(), to_string(id)));
}

// An agent that recovers, launches and is killed at the step; where that step does not come, it ends by itself.
void run_agent_until(const PosixRunnerOptions& options, const LaunchSpec& launch, const std::string& killed_at) {
  const pid_t agent = fork();
  if (agent == 0) {
    alarm(30);
    auto mine = options;
    mine.on_step = [&](std::string_view step) {
      if (step == killed_at) kill(getpid(), SIGKILL);
    };
    SystemClock clock;
    auto runner = PosixRunner::open(mine, clock);
    if (!runner || !(*runner)->recover([](const AttemptReport&) {})) _exit(1);
    (void)(*runner)->launch(launch);
    kill(getpid(), SIGKILL);
  }
  waitpid(agent, nullptr, 0);
}

class TwoKills : public ::testing::TestWithParam<std::tuple<const char*, const char*>> {};

TEST_P(TwoKills, RunItAtMostOnceAndNeverAfterNotStarted) {
  PosixHarness harness;
  harness.close();
  const auto id = attempt_id(1);
  auto launch = counted(harness, id, "exit 7");
  launch.gpu_uuids = {GpuUuid("GPU-1")};
  run_agent_until(harness.options(), launch, std::get<0>(GetParam()));
  run_agent_until(harness.options(), launch, std::get<1>(GetParam()));
  harness.open();
  ASSERT_TRUE(harness.runner().launch(launch));
  const auto end = harness.wait_for_end(id);
  ASSERT_TRUE(end && end->exit);
  if (end->exit->cause == ExitCause::kNotStarted) {
    EXPECT_EQ(times_ran(harness, id), 0);
  } else {
    EXPECT_EQ(times_ran(harness, id), 1);
    EXPECT_EQ(end->exit->exit_code, 7);
  }
  harness.restart();
  EXPECT_EQ(harness.wait_for_end(id)->exit, end->exit) << "one end, whoever asks when";
}

INSTANTIATE_TEST_SUITE_P(Agent, TwoKills, ::testing::Combine(::testing::ValuesIn(kSteps), ::testing::ValuesIn(kSteps)),
                         [](const auto& test) { return std::string(std::get<0>(test.param)) + "_" + std::get<1>(test.param); });

class StopAtStep : public ::testing::TestWithParam<const char*> {};

TEST_P(StopAtStep, EndsInOneStateAndNothingIsExecutedAfterIt) {
  std::thread canceller;
  ProcessRunner* runner = nullptr;
  const auto id = attempt_id(1);
  PosixHarness harness([&](PosixRunnerOptions& options) {
    options.on_step = [&](std::string_view step) {
      // From another thread, as a bus would; the start and the stop are taken one at a time.
      if (step == GetParam()) canceller = std::thread([&] { EXPECT_TRUE(runner->stop(id, 1, "user_cancel", 5)); });
    };
  });
  runner = &harness.runner();
  ASSERT_TRUE(harness.runner().launch(counted(harness, id, "exec sleep 100")));
  canceller.join();
  const auto end = harness.wait_for_end(id);
  ASSERT_TRUE(end && end->exit);
  EXPECT_EQ(end->state, JobState::kCancelled);
  const int ran = times_ran(harness, id);
  EXPECT_LE(ran, 1);
  for (int again = 0; again < 2; ++again) ASSERT_TRUE(harness.runner().stop(id, 1, "timeout", 0));
  ASSERT_TRUE(harness.runner().launch(counted(harness, id, "exec sleep 100")));
  PosixHarness::pause(50);
  EXPECT_EQ(times_ran(harness, id), ran);
  for (const auto& report : harness.reports()) EXPECT_TRUE(!is_terminal(report.state) || report.state == JobState::kCancelled);
}

INSTANTIATE_TEST_SUITE_P(Launch, StopAtStep, ::testing::ValuesIn(kSteps), [](const auto& test) { return std::string(test.param); });

// Five commands about one job in all 120 orders: start, the same again, stop, a signal, and a start of an older epoch.
TEST(Permutations, OfFiveCommandsRunItAtMostOnceAndEndInOneState) {
  PosixHarness harness;
  std::array<int, 5> order = {0, 1, 2, 3, 4};
  int number = 100;
  std::vector<AttemptId> all;
  do {
    const auto id = attempt_id(++number), older = AttemptId{id.job, 2};
    all.push_back(id);
    bool started = false, stopped = false;
    for (const int command : order) {
      const bool known = started || stopped;
      if (command <= 1) {
        const auto launched = harness.runner().launch(counted(harness, id, "exec sleep 100", 5));
        EXPECT_EQ(static_cast<bool>(launched), !stopped || started);
        EXPECT_TRUE(launched || launched.error().code == ErrorCode::kPermissionDenied);
        started = started || launched;
      } else if (command == 2) {
        EXPECT_TRUE(harness.runner().stop(id, 5, "user_cancel", 0));
        stopped = true;
      } else if (command == 3) {
        const auto sent = harness.runner().signal(id, 5, SIGWINCH);
        EXPECT_TRUE(known || (!sent && sent.error().code == ErrorCode::kNotFound));
      } else {
        const auto launched = harness.runner().launch(counted(harness, older, "exit 0", 4));
        if (started) {
          ASSERT_FALSE(launched);
          EXPECT_EQ(launched.error().code, ErrorCode::kConflict);
        }
      }
    }
  } while (std::next_permutation(order.begin(), order.end()));
  for (const auto& id : all) {
    const auto end = harness.wait_for_end(id);
    ASSERT_TRUE(end) << to_string(id);
    EXPECT_EQ(end->state, JobState::kCancelled);
    EXPECT_LE(times_ran(harness, id), 1);
    EXPECT_LE(times_ran(harness, {id.job, 2}), 1);
  }
}

pid_t make_sleeper() {
  const pid_t pid = fork();
  if (pid == 0) {
    alarm(30);
    for (;;) pause();
  }
  return pid;
}

// As the first process of a pid namespace, where the next pid can be chosen. 0: the pid came back and its new owner was
// spared; 77: not possible here.
int reuse_a_pid() {
  alarm(30);
  mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
  if (mount("proc", "/proc", "proc", 0, nullptr) != 0) return 77;
  const pid_t old_pid = make_sleeper();
  const auto recorded = executor::read_process(old_pid);
  if (!recorded || !executor::signal_process(*recorded, SIGKILL)) return 2;
  waitpid(old_pid, nullptr, 0);
  usleep(30'000);  // a start time has 10 ms
  std::ofstream("/proc/sys/kernel/ns_last_pid") << old_pid - 1 << std::flush;
  const pid_t new_pid = make_sleeper();
  if (new_pid != old_pid) return 77;
  const bool spared = !executor::signal_process(*recorded, SIGKILL) &&
                      !executor::is_running(recorded->pid, recorded->start_ticks) && waitpid(new_pid, nullptr, WNOHANG) == 0;
  const auto now = executor::read_process(new_pid);
  const bool reachable = now && executor::signal_process(*now, SIGKILL);  // under its own name it is
  waitpid(new_pid, nullptr, 0);
  return spared && reachable ? 0 : 3;
}

TEST(PidReuse, AProcessWithARecordedPidOfAnotherIsNeverSignalled) {
  const pid_t child = fork();
  if (child == 0) {
    if (unshare(CLONE_NEWPID | CLONE_NEWNS) != 0) _exit(77);
    const pid_t first = fork();
    if (first == 0) _exit(reuse_a_pid());
    int status = 0;
    _exit(first > 0 && waitpid(first, &status, 0) == first && WIFEXITED(status) ? WEXITSTATUS(status) : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status)) << status;
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "no pid namespace, or no pid came back, here";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

// The agent and its shim in a time namespace where the boot clock says an hour more or less. 77: not possible here.
int run_in_other_time(const PosixRunnerOptions& options, const LaunchSpec& launch, int offset_s) {
  if (unshare(CLONE_NEWTIME) != 0) return 77;
  std::ofstream offsets("/proc/self/timens_offsets");
  offsets << "boottime " << offset_s << " 0\n" << std::flush;
  if (!offsets) return 77;
  offsets.close();
  const pid_t inside = fork();  // children enter the namespace, their maker does not
  if (inside == 0) {
    alarm(30);
    SystemClock clock;
    auto runner = PosixRunner::open(options, clock);
    if (!runner || !(*runner)->recover([](const AttemptReport&) {}) || !(*runner)->launch(launch)) _exit(1);
    for (;;) {
      const auto attempts = (*runner)->attempts();
      if (!attempts.empty() && is_terminal(attempts[0].state)) _exit(attempts[0].state == JobState::kTimeout ? 0 : 2);
      usleep(10'000);
    }
  }
  int status = 0;
  waitpid(inside, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 3;
}

class OtherTime : public ::testing::TestWithParam<int> {};

TEST_P(OtherTime, TheLimitIsCountedFromTheStartOnTheBootClock) {
  PosixHarness harness;
  harness.close();
  auto launch = shell(attempt_id(1), "exec sleep 100");
  launch.spec.time_limit_s = 1;
  const pid_t child = fork();
  if (child == 0) _exit(run_in_other_time(harness.options(), launch, GetParam()));
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "no time namespace here";
  ASSERT_EQ(WEXITSTATUS(status), 0);
  harness.open();
  const auto end = harness.wait_for_end(attempt_id(1));
  ASSERT_TRUE(end && end->started_at && end->ended_at);
  EXPECT_GE(*end->ended_at - *end->started_at, std::chrono::milliseconds(900));
  EXPECT_LE(*end->ended_at - *end->started_at, std::chrono::milliseconds(2000)) << "no late kill beyond a second";
}

INSTANTIATE_TEST_SUITE_P(AnHour, OtherTime, ::testing::Values(3600, -60), [](const auto& test) {
  return test.param > 0 ? std::string("Later") : std::string("Earlier");
});

TEST(Identity, ResourceLimitsAreTheAgentsOwn) {
  PosixHarness harness([](PosixRunnerOptions& options) {
    options.use_cgroups = false;
    options.pids_max = 0;  // sets none
  });
  ASSERT_TRUE(harness.runner().launch(shell(attempt_id(1), "cat /proc/self/limits")));
  ASSERT_EQ(harness.wait_for_end(attempt_id(1))->exit->exit_code, 0);
  std::string own;
  for (const auto& line : read_lines("/proc/self/limits")) own += line + "\n";
  EXPECT_EQ(harness.output(attempt_id(1)), own);
}

}  // namespace
}  // namespace aether
