// An agent was upgraded while a shim of the version before keeps a job.
#include <gtest/gtest.h>
#include <signal.h>

#include "base/files.h"
#include "executor/posix/test_support.h"

namespace aether {
namespace {

using namespace executor_test;
using executor_contract::attempt_id;

// Either the program of the version before itself, or the present one, which speaks and obeys what its arguments say.
class OlderShim : public ::testing::TestWithParam<const char*> {
 protected:
  void start(const std::string& text) {
    auto launch = shell(id_, text);
    launch.spec.on_partition = OnPartition::kStopAfter;
    launch.spec.stop_after_s = 3;
    ASSERT_TRUE(harness_.runner().launch(launch));
    ASSERT_TRUE(harness_.wait_for_state(id_, JobState::kRunning));
    harness_.options().shim_version = 0;
    harness_.options().shim_path = AETHER_SHIM_PATH;
    harness_.restart();
    ASSERT_TRUE(harness_.wait_for_state(id_, JobState::kRunning)) << "re-adopted";
  }

  PosixHarness harness_{[](PosixRunnerOptions& options) {
    options.shim_version = 1;
    options.shim_path = GetParam();
  }};
  const AttemptId id_ = attempt_id(1);
};

TEST_P(OlderShim, IsAdoptedItsLogsGoOnAndStopWorks) {
  start("i=0; while :; do echo $i; i=$((i+1)); sleep 0.02; done");
  const auto size = harness_.output(id_).size();
  EXPECT_TRUE(harness_.run_until([&] { return harness_.output(id_).size() > size + 5; }));
  ASSERT_TRUE(harness_.runner().stop(id_, 1, "user_cancel", 5));
  const auto end = harness_.wait_for_end(id_);
  ASSERT_TRUE(end && end->exit);
  EXPECT_EQ(end->state, JobState::kCancelled);
  EXPECT_EQ(end->exit->signal, SIGTERM);
}

TEST_P(OlderShim, IsSuspendedResumedAndSignalledByTheAgent) {
  start("trap 'exit 5' USR1; echo ready; while :; do sleep 0.02; done");
  ASSERT_TRUE(harness_.run_until([&] { return harness_.output(id_) == "ready\n"; }));
  ASSERT_TRUE(harness_.runner().suspend(id_, 1));
  ASSERT_TRUE(harness_.wait_for_state(id_, JobState::kSuspended));
  ASSERT_TRUE(harness_.runner().resume(id_, 1));
  ASSERT_TRUE(harness_.wait_for_state(id_, JobState::kRunning));
  ASSERT_TRUE(harness_.runner().signal(id_, 1, SIGUSR1));
  EXPECT_EQ(harness_.wait_for_end(id_)->exit->exit_code, 5);
}

TEST_P(OlderShim, HasItsLeaseKeptByTheAgent) {
  start("exec sleep 100");
  const auto end = harness_.wait_for_end(id_);
  ASSERT_TRUE(end && end->exit);
  EXPECT_EQ(end->exit->cause, ExitCause::kNodeLost);
}

TEST_P(OlderShim, WritesAResultThatTheAgentReads) {
  start("sleep 0.5; echo out; exit 7");
  const auto end = harness_.wait_for_end(id_);
  ASSERT_TRUE(end && end->exit);
  EXPECT_EQ(end->exit->exit_code, 7);
  EXPECT_EQ(harness_.output(id_), "out\n");
}

INSTANTIATE_TEST_SUITE_P(Shims, OlderShim, ::testing::Values(AETHER_SHIM_BEFORE_PATH, AETHER_SHIM_PATH), [](const auto& test) {
  return test.param == std::string(AETHER_SHIM_PATH) ? std::string("Protocol") : std::string("Program");
});

TEST(OlderShimProgram, IsAnotherProgram) {
  PosixHarness harness([](PosixRunnerOptions& options) { options.shim_path = AETHER_SHIM_BEFORE_PATH; });
  ASSERT_TRUE(harness.runner().launch(shell(attempt_id(1), "exit 7")));
  EXPECT_EQ(harness.wait_for_end(attempt_id(1))->exit->cause, ExitCause::kNotStarted) << "it takes no arguments of a version after its own";
  harness.options().shim_version = 1;
  harness.restart();
  ASSERT_TRUE(harness.runner().launch(shell(attempt_id(2), "exit 7")));
  EXPECT_EQ(harness.wait_for_end(attempt_id(2))->exit->exit_code, 7);
  const auto record = read_file(harness.attempt_directory(attempt_id(2)) + "/exit.json");
  ASSERT_TRUE(record);
  EXPECT_TRUE(record->starts_with("{\"v\":1,")) << *record;
  EXPECT_EQ(record->find("checkpoint"), std::string::npos);
}

}  // namespace
}  // namespace aether
