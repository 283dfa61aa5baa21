// Stops at every moment, commands in every order, old pids, other clocks.
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <thread>

#include "executor/posix/attempt_files.h"
#include "executor/posix/process_tree.h"
#include "executor/posix/test_support.h"

namespace aether {
namespace {

using namespace executor_test;
using executor_contract::attempt_id;

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

INSTANTIATE_TEST_SUITE_P(Launch, StopAtStep, ::testing::ValuesIn(kLaunchSteps), [](const auto& test) { return std::string(test.param); });

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

constexpr int kImpossible = 77;

// One process after another under the same pid. False when the kernel gives another one.
struct TwoOfOnePid {
  std::optional<executor::ProcessStat> first;
  pid_t second = 0;

  // Not by fork(), which takes longer than a clock tick under a sanitizer.
  static pid_t make_sleeper() {
    char name[] = "sleep", seconds[] = "30";
    char* const argv[] = {name, seconds, nullptr};
    char* const env[] = {nullptr};
    pid_t pid = 0;
    return posix_spawnp(&pid, name, nullptr, nullptr, argv, env) == 0 ? pid : -1;
  }
  bool make(useconds_t apart_us) {
    const pid_t pid = make_sleeper();
    first = executor::read_process(pid);
    if (!first) return false;
    first->serial = executor::read_serial(pid);
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    usleep(apart_us);
    std::ofstream("/proc/sys/kernel/ns_last_pid") << pid - 1 << std::flush;
    second = make_sleeper();
    return second == pid;
  }
  // True when the second was spared although the first was meant, and could be reached under its own name.
  bool spares_the_second() const {
    const bool spared = !executor::signal_process(*first, SIGKILL) &&
                        !executor::is_running(first->pid, first->start_ticks, first->serial) &&
                        waitpid(second, nullptr, WNOHANG) == 0;
    const auto now = executor::read_process(second);
    return spared && now && executor::signal_process(*now, SIGKILL) && waitpid(second, nullptr, 0) == second;
  }
};

int reuse_a_pid() {
  TwoOfOnePid two;
  if (!two.make(30'000)) return kImpossible;  // a start time has 10 ms
  return two.spares_the_second() ? 0 : 3;
}

int reuse_a_pid_within_one_tick() {
  for (int tries = 0; tries < 200; ++tries) {
    TwoOfOnePid two;
    if (!two.make(0) || two.first->serial == 0) return kImpossible;
    const auto second = executor::read_process(two.second);
    if (second && second->start_ticks == two.first->start_ticks) return two.spares_the_second() ? 0 : 3;
    kill(two.second, SIGKILL);
    waitpid(two.second, nullptr, 0);
  }
  return kImpossible;
}

// As the first process of a pid namespace, where the next pid can be chosen. 0: the pid came back and its new owner was
// spared.
int in_pid_namespace(int (*test)()) {
  const pid_t child = fork();
  if (child == 0) {
    if (unshare(CLONE_NEWPID | CLONE_NEWNS) != 0) _exit(kImpossible);
    const pid_t first = fork();
    if (first == 0) {
      alarm(30);
      mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
      _exit(mount("proc", "/proc", "proc", 0, nullptr) == 0 ? test() : kImpossible);
    }
    int status = 0;
    _exit(first > 0 && waitpid(first, &status, 0) == first && WIFEXITED(status) ? WEXITSTATUS(status) : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST(PidReuse, AProcessWithARecordedPidOfAnotherIsNeverSignalled) {
  const int result = in_pid_namespace(reuse_a_pid);
  if (result == kImpossible) GTEST_SKIP() << "no pid namespace, or no pid came back, here";
  EXPECT_EQ(result, 0);
}

TEST(PidReuse, NorIsOneThatStartedWithinTheSameClockTick) {
  const int result = in_pid_namespace(reuse_a_pid_within_one_tick);
  if (result == kImpossible) GTEST_SKIP() << "no pid namespace, no serial (before Linux 6.9), or never within one tick, here";
  EXPECT_EQ(result, 0);
}

TEST(PidReuse, TheRecordsOfAnAttemptCarryTheSerials) {
  PosixHarness harness;
  ASSERT_TRUE(harness.runner().launch(shell(attempt_id(1), "exec sleep 100")));
  ASSERT_TRUE(harness.wait_for_state(attempt_id(1), JobState::kRunning));
  const executor::AttemptFiles files(harness.attempt_directory(attempt_id(1)));
  EXPECT_EQ(files.read_started()->shim_serial, executor::read_serial(files.read_started()->shim_pid));
  EXPECT_EQ(files.read_running()->serial, executor::read_serial(files.read_running()->pid));
}

// The agent and its shim in a time namespace where the boot clock says an hour more or less. kImpossible: not here.
int run_in_other_time(const PosixRunnerOptions& options, const LaunchSpec& launch, int offset_s) {
  if (unshare(CLONE_NEWTIME) != 0) return kImpossible;
  std::ofstream offsets("/proc/self/timens_offsets");
  offsets << "boottime " << offset_s << " 0\n" << std::flush;
  if (!offsets) return kImpossible;
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
  if (WEXITSTATUS(status) == kImpossible) GTEST_SKIP() << "no time namespace here";
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

TEST(PosixRunner, AStateDirectoryHasOneRunner) {
  PosixHarness harness;
  SystemClock clock;
  const auto second = PosixRunner::open(harness.options(), clock);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kConflict);
}

}  // namespace
}  // namespace aether
