#include "executor/posix/posix_runner.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <set>

#include "base/files.h"
#include "executor/posix/attempt_files.h"
#include "executor/posix/identity.h"
#include "executor/posix/process_tree.h"
#include "executor/posix/test_support.h"

namespace aether {
namespace {

using namespace executor_test;
using executor_contract::attempt_id;

bool contains(const std::vector<std::string>& lines, const std::string& line) {
  return std::find(lines.begin(), lines.end(), line) != lines.end();
}

std::vector<std::string> split_lines(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = std::min(text.find('\n', start), text.size());
    lines.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  return lines;
}

ExitStatus run(PosixHarness& harness, const LaunchSpec& launch) {
  const auto launched = harness.runner().launch(launch);
  EXPECT_TRUE(launched) << launched.error().message;
  const auto end = harness.wait_for_end(launch.attempt);
  EXPECT_TRUE(end && end->exit);
  return end && end->exit ? *end->exit : ExitStatus{};
}

TEST(PosixRunner, ManyLaunchesAtOnceRunOnceEach) {
  PosixHarness harness;
  const std::string log = harness.directory().shared() + "/log";
  std::vector<LaunchSpec> launches;
  for (int i = 1; i <= 40; ++i) launches.push_back(shell(attempt_id(i), "echo " + std::to_string(i) + " >>" + log + "; exit " + std::to_string(i)));
  launches.push_back(launches.front());  // a command that came twice
  for (const auto& launched : harness.runner().launch_all(launches)) EXPECT_TRUE(launched) << launched.error().message;
  for (int i = 1; i <= 40; ++i) {
    const auto end = harness.wait_for_end(attempt_id(i));
    ASSERT_TRUE(end && end->exit) << i;
    EXPECT_EQ(end->exit->exit_code, i);
  }
  const auto lines = read_lines(log);
  EXPECT_EQ(lines.size(), 40u);
  EXPECT_EQ(std::set<std::string>(lines.begin(), lines.end()).size(), 40u);
}

TEST(PosixRunner, OfManyLaunchesABadOneIsRefusedAlone) {
  PosixHarness harness;
  AttemptId later = attempt_id(1), nameless = attempt_id(2);
  later.n = 2;
  nameless.job = JobId("../2");
  const std::vector<LaunchSpec> launches = {shell(later, "exit 3", 9), shell(nameless, "exit 4"), shell(attempt_id(1), "exit 5", 8),
                                            shell(attempt_id(3), "exit 6")};
  const auto launched = harness.runner().launch_all(launches);
  ASSERT_EQ(launched.size(), 4u);
  EXPECT_TRUE(launched[0]);
  EXPECT_EQ(launched[1].error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(launched[2].error().code, ErrorCode::kConflict);  // its job has been here with a higher epoch, a moment ago
  EXPECT_TRUE(launched[3]);
  EXPECT_EQ(harness.wait_for_end(later)->exit->exit_code, 3);
  EXPECT_EQ(harness.wait_for_end(attempt_id(3))->exit->exit_code, 6);
}

TEST(PosixRunner, ReportsTheSignalThatEndedTheJob) {
  PosixHarness harness;
  const auto exit = run(harness, shell(attempt_id(1), "kill -SEGV $$"));
  EXPECT_EQ(exit.signal, SIGSEGV);
  EXPECT_FALSE(exit.exit_code);
  EXPECT_EQ(exit.cause, ExitCause::kSelf);
}

TEST(PosixRunner, AnExitCodeOf125Or127IsTheJobsOwn) {
  PosixHarness harness;
  EXPECT_EQ(run(harness, shell(attempt_id(1), "exit 125")).exit_code, 125);
  EXPECT_EQ(run(harness, shell(attempt_id(2), "exit 127")).exit_code, 127);
  EXPECT_EQ(run(harness, shell(attempt_id(3), "exit 255")).exit_code, 255);
}

TEST(PosixRunner, WhatCannotBeExecutedIsALaunchFailureWithItsReason) {
  PosixHarness harness;
  const auto expect_failure = [&](const LaunchSpec& launch, const std::string& message) {
    const auto exit = run(harness, launch);
    EXPECT_EQ(exit.cause, ExitCause::kLaunch);
    EXPECT_EQ(exit.message, message);
    EXPECT_FALSE(exit.exit_code || exit.signal);
    EXPECT_EQ(harness.last(launch.attempt)->state, JobState::kLaunchFailed);
    EXPECT_FALSE(harness.last(launch.attempt)->started_at);
  };
  expect_failure(command(attempt_id(1), {"/no/such"}), "exec of /no/such: No such file or directory");
  auto not_on_path = command(attempt_id(2), {"no-such-program"});
  not_on_path.spec.env["PATH"] = "/usr/bin:/bin";
  expect_failure(not_on_path, "exec of no-such-program: No such file or directory");
  expect_failure(command(attempt_id(3), {"/etc/passwd"}), "exec of /etc/passwd: Permission denied");
  auto missing_directory = command(attempt_id(4), {"/bin/true"});
  missing_directory.spec.workdir = "/no/directory";
  expect_failure(missing_directory, "chdir to /no/directory: No such file or directory");
  auto bad_interpreter = command(attempt_id(5), {});
  bad_interpreter.spec.script = "#!/no/interpreter\n";
  const auto exit = run(harness, bad_interpreter);
  EXPECT_TRUE(exit.message.ends_with("script: No such file or directory")) << exit.message;
  if (geteuid() == 0) {
    auto closed_directory = command(attempt_id(6), {"/bin/true"});
    closed_directory.spec.workdir = harness.options().state_directory;
    expect_failure(closed_directory, "chdir to " + harness.options().state_directory + ": Permission denied");
  }
}

TEST(PosixRunner, AScriptRunsByItsFirstLineOrByTheShell) {
  PosixHarness harness;
  auto plain = command(attempt_id(1), {});
  plain.spec.script = "echo \"shell $0\" | sed 's,/.*/,,'; exit 4\n";
  EXPECT_EQ(run(harness, plain).exit_code, 4);
  EXPECT_EQ(harness.output(attempt_id(1)), "shell script\n");
  auto named = command(attempt_id(2), {});
  named.spec.script = "#!/bin/cat\nthe text itself\n";
  EXPECT_EQ(run(harness, named).exit_code, 0);
  EXPECT_EQ(harness.output(attempt_id(2)), "#!/bin/cat\nthe text itself\n");
}

TEST(PosixRunner, TheJobStartsInAPrivateDirectoryOrWhereItAsked) {
  PosixHarness harness;
  EXPECT_EQ(run(harness, shell(attempt_id(1), "touch here && touch $TMPDIR/there && pwd && stat -c %a . $TMPDIR")).exit_code, 0);
  const auto lines = split_lines(harness.output(attempt_id(1)));
  ASSERT_EQ(lines.size(), 3U) << harness.output(attempt_id(1), "stderr");
  EXPECT_TRUE(lines[0].ends_with("/work"));
  EXPECT_EQ(lines[1] + lines[2], "700700");
  auto elsewhere = shell(attempt_id(2), "pwd");
  elsewhere.spec.workdir = "/usr";
  run(harness, elsewhere);
  EXPECT_EQ(harness.output(attempt_id(2)), "/usr\n");
}

TEST(PosixRunner, TheEnvironmentHoldsNothingOfTheAgentAndNothingForged) {
  for (const char* name : {"NATS_URL", "DATABASE_URL", "AETHER_TOKEN", "LD_PRELOAD_X", "BASH_FUNC_f%%", "ANYTHING"})
    setenv(name, "canary-of-the-agent", 1);
  PosixHarness harness;
  auto launch = shell(attempt_id(1), "tr '\\0' '\\n' < /proc/$$/environ");
  launch.gpu_uuids = {};
  launch.spec.env = {{"MINE", "a b=c\n"}, {"AETHER_JOB_ID", "forged"}, {"AETHER_EXTRA", "forged"},
                     {"BASH_FUNC_g%%", "() { :; }"}, {"CUDA_VISIBLE_DEVICES", "0"}, {"LD_LIBRARY_PATH", "/opt/mine"}};
  run(harness, launch);
  for (const char* name : {"NATS_URL", "DATABASE_URL", "AETHER_TOKEN", "LD_PRELOAD_X", "BASH_FUNC_f%%", "ANYTHING"})
    unsetenv(name);
  const std::string text = harness.output(attempt_id(1));
  const auto lines = split_lines(text);
  EXPECT_EQ(text.find("canary"), std::string::npos) << text;
  EXPECT_EQ(text.find("forged"), std::string::npos) << text;
  EXPECT_EQ(text.find("BASH_FUNC"), std::string::npos) << text;
  for (const auto& line : {std::string("MINE=a b=c"), "AETHER_JOB_ID=" + attempt_id(1).job.str(), std::string("AETHER_ATTEMPT=1"),
                           std::string("CUDA_VISIBLE_DEVICES="), std::string("CUDA_DEVICE_ORDER=PCI_BUS_ID"),
                           std::string("NVIDIA_VISIBLE_DEVICES=void"), std::string("LD_LIBRARY_PATH=/opt/mine")})
    EXPECT_TRUE(contains(lines, line)) << line << " is missing in\n" << text;
  EXPECT_NE(text.find("AETHER_DEADLINE="), std::string::npos);
  int files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(harness.options().state_directory)) {
    if (!entry.is_regular_file()) continue;
    ++files;
    EXPECT_EQ(read_file(entry.path().string())->find("canary"), std::string::npos) << entry.path();
  }
  EXPECT_GT(files, 5);
}

TEST(PosixRunner, GpusAreNamedByUuidInTheirOrder) {
  PosixHarness harness;
  auto launch = shell(attempt_id(1), "echo $CUDA_VISIBLE_DEVICES $NVIDIA_VISIBLE_DEVICES $AETHER_GPU_UUIDS");
  launch.gpu_uuids = {GpuUuid("GPU-b"), GpuUuid("GPU-a")};
  run(harness, launch);
  EXPECT_EQ(harness.output(attempt_id(1)), "GPU-b,GPU-a GPU-b,GPU-a GPU-b,GPU-a\n");
}

TEST(PosixRunner, TheJobHasTheThreeStandardDescriptorsAndNoOther) {
  PosixHarness harness;
  ASSERT_TRUE(harness.runner().launch(command(attempt_id(1), {"sleep", "30"})));
  ASSERT_TRUE(harness.wait_for_state(attempt_id(1), JobState::kRunning));
  const auto note = executor::AttemptFiles(harness.attempt_directory(attempt_id(1))).read_running();
  ASSERT_TRUE(note);
  std::set<std::string> descriptors;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(note->pid) + "/fd"))
    descriptors.insert(entry.path().filename().string());
  EXPECT_EQ(descriptors, (std::set<std::string>{"0", "1", "2"}));
}

TEST(PosixRunner, AsRootTheJobHasExactlyTheIdentityOfItsAccount) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  PosixHarness harness;
  const auto account = executor::resolve_account("nobody");
  ASSERT_TRUE(account);
  run(harness, shell(attempt_id(1),
                     "grep -E '^(Uid|Gid|Groups|CapPrm|CapEff|NoNewPrivs)' /proc/self/status; umask; "
                     "cat " + harness.options().state_directory + "/executor.lock || echo closed"));
  std::string groups;
  for (const gid_t group : account->groups) groups += std::to_string(group) + " ";
  const std::string uid = std::to_string(account->uid), gid = std::to_string(account->gid);
  const auto lines = split_lines(harness.output(attempt_id(1)));
  ASSERT_EQ(lines.size(), 8U) << harness.output(attempt_id(1));
  EXPECT_EQ(lines[0], "Uid:\t" + uid + "\t" + uid + "\t" + uid + "\t" + uid);
  EXPECT_EQ(lines[1], "Gid:\t" + gid + "\t" + gid + "\t" + gid + "\t" + gid);
  EXPECT_EQ(lines[2], "Groups:\t" + groups);
  EXPECT_EQ(lines[3], "CapPrm:\t0000000000000000");
  EXPECT_EQ(lines[4], "CapEff:\t0000000000000000");
  EXPECT_EQ(lines[5], "NoNewPrivs:\t1");
  EXPECT_EQ(lines[6], "0022");
  EXPECT_EQ(lines[7], "closed");
  EXPECT_EQ(harness.runner().run_as(), "nobody");
}

TEST(PosixRunner, NoJobEverRunsAsRoot) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  SystemClock clock;
  TemporaryDirectory directory;
  auto options = options_in(directory);
  for (const char* account : {"", "root"}) {
    options.run_as = account;
    const auto opened = PosixRunner::open(options, clock);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, ErrorCode::kPermissionDenied);
    EXPECT_EQ(opened.error().field, "executor.run_as");
    EXPECT_NE(opened.error().message.find("aether-job"), std::string::npos);
  }
  options.run_as = "no-such-account";
  EXPECT_EQ(PosixRunner::open(options, clock).error().code, ErrorCode::kNotFound);
}

TEST(PosixRunner, AProcessThatEndsDuringTheGraceKeepsItsExitCode) {
  PosixHarness harness;
  ASSERT_TRUE(harness.runner().launch(shell(attempt_id(1), "trap 'exit 9' TERM; echo set; while :; do sleep 0.05; done")));
  ASSERT_TRUE(harness.run_until([&] { return harness.output(attempt_id(1)) == "set\n"; }));
  ASSERT_TRUE(harness.runner().stop(attempt_id(1), 1, "user_cancel", 10));
  const auto end = harness.wait_for_end(attempt_id(1));
  ASSERT_TRUE(end && end->exit);
  EXPECT_EQ(end->exit->exit_code, 9);
  EXPECT_EQ(end->exit->cause, ExitCause::kUserCancel);
}

TEST(PosixRunner, AStopAtAnyMomentEndsInOneState) {
  PosixHarness harness;
  for (int i = 1; i <= 8; ++i) {
    ASSERT_TRUE(harness.runner().launch(shell(attempt_id(i), "echo ran >> " + harness.directory().shared() + "/" + std::to_string(i) + "; exec sleep 100")));
    usleep(static_cast<useconds_t>(i - 1) * 1500);
    ASSERT_TRUE(harness.runner().stop(attempt_id(i), 1, "user_cancel", 5));
  }
  for (int i = 1; i <= 8; ++i) {
    const auto end = harness.wait_for_end(attempt_id(i));
    ASSERT_TRUE(end);
    EXPECT_EQ(end->state, JobState::kCancelled);
    int terminal = 0;
    for (const auto& report : harness.reports()) terminal += report.attempt == attempt_id(i) && is_terminal(report.state);
    EXPECT_EQ(terminal, 1);
    EXPECT_LE(read_lines(harness.directory().shared() + "/" + std::to_string(i)).size(), 1U);
  }
}

TEST(PosixRunner, AForgottenAttemptIsRemovedAfterItsRetentionAndNeverStartsAgain) {
  PosixHarness harness([](PosixRunnerOptions& options) { options.retention = std::chrono::hours(0); });
  const auto launch = shell(attempt_id(1), "exit 0");
  run(harness, launch);
  harness.runner().forget(attempt_id(1));
  harness.restart();
  EXPECT_FALSE(std::filesystem::exists(harness.attempt_directory(attempt_id(1))));
  EXPECT_EQ(harness.runner().read_log(attempt_id(1), "stdout", 0, 1).error().code, ErrorCode::kNotFound);
  const auto again = harness.runner().launch(launch);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::kPermissionDenied);
  EXPECT_TRUE(harness.runner().attempts().empty());
}

// Every mode must end what a process group does not hold.
class PosixRunnerModes : public ::testing::TestWithParam<bool> {
 protected:
  PosixHarness harness_{[](PosixRunnerOptions& options) {
    options.use_cgroups = GetParam();
    options.leftover_grace = std::chrono::milliseconds(300);
  }};
  void SetUp() override {
    if (GetParam() && harness_.runner().exec_mode() != "cgroup2-delegated")
      GTEST_SKIP() << "no delegated cgroup v2 on this machine";
  }
  // A session of its own, a stopped process, and one that ignores SIGTERM.
  const std::string escapees_ =
      "setsid -f sleep 1001; (sh -c 'kill -STOP $$; sleep 1002' &); "
      "setsid -f sh -c 'trap \"\" TERM; sleep 1003; sleep 1003'; sleep 0.2; echo ready; ";
  std::vector<pid_t> left(const AttemptId& id) { return find_processes_mentioning("AETHER_JOB_ID=" + id.job.str()); }
};

TEST_P(PosixRunnerModes, AStopEndsDaemonsStoppedAndStubbornProcesses) {
  const auto id = attempt_id(1);
  ASSERT_TRUE(harness_.runner().launch(shell(id, escapees_ + "exec sleep 1000")));
  ASSERT_TRUE(harness_.run_until([&] { return harness_.output(id) == "ready\n"; }));
  ASSERT_GE(left(id).size(), 4U);
  ASSERT_TRUE(harness_.runner().stop(id, 1, "user_cancel", 1));
  const auto end = harness_.wait_for_end(id);
  ASSERT_TRUE(end && end->exit);
  EXPECT_EQ(left(id), std::vector<pid_t>{}) << "reported ended means that no process of it exists";
  EXPECT_EQ(end->state, JobState::kCancelled);
}

TEST_P(PosixRunnerModes, WhatTheMainProcessLeavesBehindEndsToo) {
  const auto id = attempt_id(2);
  const auto exit = run(harness_, shell(id, escapees_ + "exit 7"));
  EXPECT_EQ(left(id), std::vector<pid_t>{});
  EXPECT_EQ(exit.exit_code, 7);
  EXPECT_EQ(exit.cause, ExitCause::kSelf);
}

TEST_P(PosixRunnerModes, NoChildOfTheAgentIsLeft) {
  run(harness_, shell(attempt_id(3), "exit 0"));
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), 0) << "the zygote lives, and nobody else is there to be waited for";
  harness_.close();
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST_P(PosixRunnerModes, AJobWhoseKeeperIsKilledIsWatchedAndCanBeStopped) {
  const auto id = attempt_id(4);
  ASSERT_TRUE(harness_.runner().launch(shell(id, "setsid -f sleep 1001; sleep 0.1; echo ready; exec sleep 1000")));
  ASSERT_TRUE(harness_.run_until([&] { return harness_.output(id) == "ready\n"; }));
  const auto started = executor::AttemptFiles(harness_.attempt_directory(id)).read_started();
  ASSERT_TRUE(started);
  ASSERT_TRUE(executor::signal_process({started->shim_pid, 0, 0, 0, 'S', started->shim_start_ticks}, SIGKILL));
  ASSERT_TRUE(harness_.run_until([&] { return !executor::is_running(started->shim_pid, started->shim_start_ticks); }));
  harness_.restart();
  EXPECT_FALSE(is_terminal(harness_.last(id)->state)) << "its processes live, so it has not ended";
  EXPECT_EQ(left(id).size(), 2U);
  ASSERT_TRUE(harness_.runner().stop(id, 1, "user_cancel", 1));
  const auto end = harness_.wait_for_end(id);
  ASSERT_TRUE(end && end->exit);
  EXPECT_EQ(left(id), std::vector<pid_t>{});
  EXPECT_EQ(end->state, JobState::kCancelled);
  EXPECT_FALSE(end->exit->exit_code) << "nobody could wait for it";
}

INSTANTIATE_TEST_SUITE_P(Modes, PosixRunnerModes, ::testing::Bool(), [](const auto& test) {
  return test.param ? std::string("Cgroup") : std::string("ProcessGroup");
});

}  // namespace
}  // namespace aether
