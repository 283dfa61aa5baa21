// Two kills: of one agent after another, and of the agent and the shim, at every pair of their steps.
#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <string>
#include <tuple>

#include "executor/posix/test_support.h"

namespace aether {
namespace {

using namespace executor_test;
using executor_contract::attempt_id;
using Steps = std::tuple<const char*, const char*>;

std::string name_of(const testing::TestParamInfo<Steps>& test) {
  return std::string(std::get<0>(test.param)) + "_" + std::get<1>(test.param);
}

// The end that a command which comes again finds, whoever asks when.
ExitStatus expect_one_end(PosixHarness& harness, const LaunchSpec& launch) {
  harness.open();
  EXPECT_TRUE(harness.runner().launch(launch));
  const auto end = harness.wait_for_end(launch.attempt);
  EXPECT_TRUE(end && end->exit);
  if (!end || !end->exit) return {};
  EXPECT_TRUE(find_processes_mentioning("AETHER_JOB_ID=" + launch.attempt.job.str()).empty());
  harness.restart();
  EXPECT_EQ(harness.wait_for_end(launch.attempt)->exit, end->exit);
  return *end->exit;
}

class TwoKills : public ::testing::TestWithParam<Steps> {};

TEST_P(TwoKills, RunItAtMostOnceAndNeverAfterNotStarted) {
  PosixHarness harness;
  harness.close();
  const auto id = attempt_id(1);
  auto launch = counted(harness, id, "exit 7");
  launch.gpu_uuids = {GpuUuid("GPU-1")};
  run_agent_until(harness.options(), launch, std::get<0>(GetParam()));
  run_agent_until(harness.options(), launch, std::get<1>(GetParam()));
  const ExitStatus exit = expect_one_end(harness, launch);
  const bool never = exit.cause == ExitCause::kNotStarted;
  EXPECT_EQ(times_ran(harness, id), never ? 0 : 1);
  EXPECT_EQ(exit.exit_code, never ? std::nullopt : std::optional(7));
}

INSTANTIATE_TEST_SUITE_P(Agent, TwoKills, ::testing::Combine(::testing::ValuesIn(kLaunchSteps), ::testing::ValuesIn(kLaunchSteps)), name_of);

// In the order in which a shim comes to them.
constexpr std::array<const char*, 8> kShimSteps = {"before_ready", "at_gate", "before_fork", "before_release", "after_release",
                                                   "before_exit_record", "after_exit_record", "after_complete_record"};

class AgentAndShim : public ::testing::TestWithParam<Steps> {};

TEST_P(AgentAndShim, BothKilledItRanAtMostOnceAndItsExitCodeIsTrueOrUnknown) {
  const std::string shim_step = std::get<1>(GetParam());
  PosixHarness harness([&](PosixRunnerOptions& options) { options.shim_failpoint = shim_step; });
  harness.close();
  const auto id = attempt_id(1);
  auto launch = counted(harness, id, "exit 7");
  launch.gpu_uuids = {GpuUuid("GPU-1")};
  run_agent_until(harness.options(), launch, std::get<0>(GetParam()));
  const ExitStatus exit = expect_one_end(harness, launch);
  const int ran = times_ran(harness, id);
  EXPECT_LE(ran, 1);
  const bool never = exit.cause == ExitCause::kNotStarted || shim_step == "before_fork" || shim_step == "before_release";
  EXPECT_EQ(never ? ran : 0, 0);
  if (exit.cause == ExitCause::kSelf) {
    EXPECT_TRUE(shim_step == "after_exit_record" || shim_step == "after_complete_record") << shim_step;
    EXPECT_EQ(exit.exit_code, 7);
    EXPECT_EQ(ran, 1);
  } else {
    EXPECT_TRUE(exit.cause == ExitCause::kLostExit || exit.cause == ExitCause::kNotStarted) << to_string(exit.cause);
    EXPECT_FALSE(exit.exit_code);
  }
}

INSTANTIATE_TEST_SUITE_P(Steps, AgentAndShim, ::testing::Combine(::testing::ValuesIn(kLaunchSteps), ::testing::ValuesIn(kShimSteps)), name_of);

}  // namespace
}  // namespace aether
