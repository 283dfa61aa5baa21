// The process that forks the keepers: killed, left by its agent, looked at.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "base/files.h"
#include "executor/posix/attempt_files.h"
#include "executor/posix/process_tree.h"
#include "executor/posix/test_support.h"

namespace aether {
namespace {

using namespace executor_test;
using executor_contract::attempt_id;

std::string command_line_of(pid_t pid) {
  auto text = read_file("/proc/" + std::to_string(pid) + "/cmdline").value_or("");
  return text.substr(0, text.find('\0'));
}

// Of this process; 0 when it has none.
pid_t find_zygote() {
  for (const auto& process : executor::read_processes())
    if (process.parent == getpid() && !process.zombie() && command_line_of(process.pid) == "aether-shim") return process.pid;
  return 0;
}

TEST(ShimZygote, OneForAllAttemptsOfAnAgent) {
  PosixHarness harness;
  EXPECT_EQ(find_zygote(), 0) << "not before it is needed";
  ASSERT_TRUE(harness.runner().launch(shell(attempt_id(1), "exit 3")));
  const pid_t zygote = find_zygote();
  ASSERT_GT(zygote, 0);
  ASSERT_TRUE(harness.runner().launch(shell(attempt_id(2), "exit 4")));
  EXPECT_EQ(find_zygote(), zygote);
  EXPECT_EQ(harness.wait_for_end(attempt_id(1))->exit->exit_code, 3);
  EXPECT_EQ(harness.wait_for_end(attempt_id(2))->exit->exit_code, 4);
}

TEST(ShimZygote, AKilledOneIsReplacedAndItsKeepersGoOn) {
  PosixHarness harness;
  ASSERT_TRUE(harness.runner().launch(shell(attempt_id(1), "sleep 1; exit 3")));
  const pid_t zygote = find_zygote();
  ASSERT_GT(zygote, 0);
  ASSERT_EQ(kill(zygote, SIGKILL), 0);
  ASSERT_TRUE(harness.run_until([&] { return find_zygote() == 0; }));
  ASSERT_TRUE(harness.runner().launch(shell(attempt_id(2), "exit 4")));
  EXPECT_EQ(harness.wait_for_end(attempt_id(2))->exit->exit_code, 4);
  EXPECT_EQ(harness.wait_for_end(attempt_id(1))->exit->exit_code, 3);
}

TEST(ShimZygote, EndsWithItsAgentAndLeavesTheKeepers) {
  PosixHarness harness;
  ASSERT_TRUE(harness.runner().launch(shell(attempt_id(1), "sleep 1; exit 3")));
  const pid_t zygote = find_zygote();
  const auto started = executor::AttemptFiles(harness.attempt_directory(attempt_id(1))).read_started();
  ASSERT_TRUE(started);
  harness.close();
  EXPECT_FALSE(executor::read_process(zygote));
  EXPECT_TRUE(executor::is_running(started->shim_pid, started->shim_start_ticks, started->shim_serial));
  harness.open();
  EXPECT_EQ(harness.wait_for_end(attempt_id(1))->exit->exit_code, 3);
}

TEST(ShimZygote, AKeepersCommandLineNamesItsAttempt) {
  PosixHarness harness;
  ASSERT_TRUE(harness.runner().launch(shell(attempt_id(1), "sleep 100")));
  const auto started = executor::AttemptFiles(harness.attempt_directory(attempt_id(1))).read_started();
  ASSERT_TRUE(started);
  EXPECT_EQ(command_line_of(started->shim_pid), "aether-shim " + harness.attempt_directory(attempt_id(1)));
  EXPECT_EQ(executor::read_process(started->shim_pid)->session, started->shim_pid) << "not in a terminal's reach";
}

}  // namespace
}  // namespace aether
