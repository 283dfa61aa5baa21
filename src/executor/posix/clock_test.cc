// Time limits without an agent, and with a wall clock that is set by an hour under a running shim and its agent: nothing
// that is measured may notice.
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>

#include "executor/posix/attempt_files.h"
#include "executor/posix/test_support.h"

namespace aether {
namespace {

using namespace executor_test;
using executor_contract::attempt_id;
using std::chrono::milliseconds;

// The agent's clock; the shim's is a file in the attempt's directory (shim_clock_for_tests.cc).
class SettableClock final : public Clock {
 public:
  Time now() const override { return system_.now() + std::chrono::seconds(offset_s_.load()); }
  Mono mono() const override { return system_.mono(); }
  void set(int offset_s) { offset_s_ = offset_s; }

 private:
  SystemClock system_;
  std::atomic<int> offset_s_ = 0;
};

class WallClock : public ::testing::TestWithParam<int> {
 protected:
  void set_clocks(int offset_s) {
    clock_.set(offset_s);
    for (const auto& entry : std::filesystem::directory_iterator(harness_.options().state_directory + "/jobs")) {
      const std::string path = entry.path().string() + "/wall_clock_offset_s";
      std::ofstream(path + ".new") << offset_s;
      std::filesystem::rename(path + ".new", path);
    }
  }
  void launch(const LaunchSpec& spec) {
    launched_[spec.attempt] = clock_.mono();
    ASSERT_TRUE(harness_.runner().launch(spec));
    ASSERT_TRUE(harness_.wait_for_state(spec.attempt, JobState::kRunning));
  }
  // It ended after at least that time, by the boot clock and by its own stamps, which the set clock would move by an hour.
  ExitStatus expect_end_after(const AttemptId& id, milliseconds least) {
    const auto end = harness_.wait_for_end(id);
    EXPECT_TRUE(end && end->exit && end->started_at && end->ended_at);
    if (!end || !end->ended_at || !end->started_at) return {};
    EXPECT_GE(clock_.mono() - launched_[id], least);
    EXPECT_GE(*end->ended_at, *end->started_at);
    EXPECT_LT(*end->ended_at - *end->started_at, std::chrono::minutes(2));
    return *end->exit;
  }

  SettableClock clock_;
  PosixHarness harness_{[](PosixRunnerOptions& options) { options.shim_path = AETHER_SHIM_CLOCK_PATH; }, &clock_};
  std::map<AttemptId, Mono> launched_;
};

TEST_P(WallClock, NeitherEndsAnAttemptNorKeepsOneAlive) {
  auto limited = shell(attempt_id(1), "trap 'echo early' USR1; while :; do sleep 0.02; done");
  limited.spec.time_limit_s = 3;
  limited.spec.early_signal = EarlySignal{SIGUSR1, 2};
  auto leased = shell(attempt_id(2), "exec sleep 100");
  leased.spec.on_partition = OnPartition::kStopAfter;
  leased.spec.stop_after_s = 2;
  for (const auto& spec : {limited, leased, shell(attempt_id(3), "sleep 1; exit 7")}) launch(spec);
  set_clocks(GetParam());
  harness_.pause(300);
  harness_.restart();
  EXPECT_EQ(expect_end_after(attempt_id(3), milliseconds(1000)).exit_code, 7);
  EXPECT_EQ(expect_end_after(attempt_id(2), milliseconds(1900)).cause, ExitCause::kNodeLost);
  set_clocks(0);
  EXPECT_EQ(expect_end_after(attempt_id(1), milliseconds(2900)).cause, ExitCause::kTimeout);
  EXPECT_EQ(harness_.output(attempt_id(1)), "early\n") << "once";
}

// The way by which the clock is set in these tests is one: a shim that starts meanwhile has the other time.
TEST_P(WallClock, IsWhatAnAttemptIsStampedWith) {
  harness_.options().on_step = [&](std::string_view step) {
    if (step == "manifest") set_clocks(GetParam());
  };
  harness_.restart();
  const Time before = SystemClock().now();
  ASSERT_TRUE(harness_.runner().launch(shell(attempt_id(1), "exit 0")));
  const auto end = harness_.wait_for_end(attempt_id(1));
  ASSERT_TRUE(end && end->started_at && end->ended_at);
  EXPECT_GE(*end->started_at - before, std::chrono::seconds(GetParam()) - milliseconds(1));
  EXPECT_LT(*end->started_at - before, std::chrono::seconds(GetParam() + 120));
  EXPECT_GE(*end->ended_at, *end->started_at);
}

INSTANTIATE_TEST_SUITE_P(AnHour, WallClock, ::testing::Values(3600, -3600), [](const auto& test) {
  return test.param > 0 ? std::string("Forward") : std::string("Back");
});

TEST(TimeLimit, HoldsWithoutAnAgent) {
  PosixHarness harness;
  auto launch = shell(attempt_id(1), "exec sleep 100");
  launch.spec.time_limit_s = 1;
  ASSERT_TRUE(harness.runner().launch(launch));
  ASSERT_TRUE(harness.wait_for_state(attempt_id(1), JobState::kRunning));
  harness.close();
  const executor::AttemptFiles files(harness.attempt_directory(attempt_id(1)));
  ASSERT_TRUE(harness.run_until([&] { const auto record = files.read_exit(); return record && record->complete; }));
  harness.open();
  const auto end = harness.wait_for_end(attempt_id(1));
  ASSERT_TRUE(end && end->exit);
  EXPECT_EQ(end->state, JobState::kTimeout);
  EXPECT_EQ(end->exit->signal, SIGTERM);
}

}  // namespace
}  // namespace aether
