// Jobs that write more than anybody keeps, as fast as they can, and one that writes on when its keeper is gone.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "executor/posix/attempt_files.h"
#include "executor/posix/log_reader.h"
#include "executor/posix/process_tree.h"
#include "executor/posix/shim/log_writer.h"
#include "executor/posix/test_support.h"

namespace aether {
namespace {

using namespace executor;
using namespace executor_test;
using executor_contract::attempt_id;

constexpr std::int64_t kMiB = 1 << 20;

void keep_four_mib(PosixRunnerOptions& options) {
  options.log_segment_bytes = kMiB;
  options.log_segments = 4;
}

std::int64_t stored_bytes(const PosixHarness& harness, const AttemptId& id) {
  std::int64_t stored = 0;
  std::error_code gone;  // a segment may go while we look
  for (const auto& entry : std::filesystem::directory_iterator(harness.attempt_directory(id) + "/log"))
    if (!entry.path().filename().string().starts_with("gaps."))
      if (const auto size = entry.file_size(gone); !gone) stored += static_cast<std::int64_t>(size);
  return stored;
}

// The most memory that the shim ever had; 0 when it has ended.
long peak_memory_kib(pid_t shim) {
  for (const auto& line : read_lines("/proc/" + std::to_string(shim) + "/status"))
    if (line.starts_with("VmHWM:")) return std::strtol(line.c_str() + 6, nullptr, 10);
  return 0;
}

TEST(LogSpam, LeavesItsBeginningAndItsEnd) {
  PosixHarness harness(keep_four_mib);
  const auto id = attempt_id(1);
  ASSERT_TRUE(harness.runner().launch(
      shell(id, "printf begin; head -c 67108859 /dev/zero; printf end >&2; sleep 0.3; exit 6")));
  ASSERT_TRUE(harness.run_until([&] { return harness.output(id, "stderr") == "end"; }));
  const auto end = harness.wait_for_end(id);
  ASSERT_TRUE(end && end->exit);
  EXPECT_EQ(end->exit->exit_code, 6);
  EXPECT_EQ(end->exit->message, std::to_string(60 * kMiB) + " bytes of its output were dropped");
  EXPECT_LE(stored_bytes(harness, id), 4 * kMiB + 3);
  const auto head = harness.runner().read_log(id, "stdout", 0, 5);
  EXPECT_EQ(head->data, "begin");
  EXPECT_EQ(head->size, 64 * kMiB);
  const auto hole = harness.runner().read_log(id, "stdout", 2 * kMiB, 10);
  EXPECT_EQ(hole->offset, 61 * kMiB) << "what is no longer kept is skipped, and the offset says so";
  EXPECT_EQ(hole->data.size(), 10U);
  EXPECT_TRUE(harness.runner().read_log(id, "stdout", -10, 10)->complete);
}

// Zeros without a line's end, for AETHER_SPAM_SECONDS. dd says at its end how much it got rid of, and how fast (at one
// SIGINT: a second one ends it at once, so timeout may send to it alone).
TEST(LogSpam, NeitherBlocksTheJobNorGrowsItsKeeper) {
  const char* setting = std::getenv("AETHER_SPAM_SECONDS");
  const std::string seconds = setting ? setting : "2";
  PosixHarness harness(keep_four_mib);
  const auto id = attempt_id(1);
  auto launch = shell(id, "timeout --foreground -s INT " + seconds + " dd if=/dev/zero bs=64k; exit 6");
  launch.spec.time_limit_s = std::strtoll(seconds.c_str(), nullptr, 10) + 300;
  ASSERT_TRUE(harness.runner().launch(launch));
  ASSERT_TRUE(harness.wait_for_state(id, JobState::kRunning));
  const auto started = executor::AttemptFiles(harness.attempt_directory(id)).read_started();
  ASSERT_TRUE(started);
  std::int64_t seen = 0, most_stored = 0;
  long peak_kib = 0;
  bool forward = true;
  const auto look = [&] {
    const auto chunk = harness.runner().read_log(id, "stdout", -1, 1);
    forward = forward && chunk && chunk->size >= seen;
    seen = chunk ? chunk->size : seen;
    most_stored = std::max(most_stored, stored_bytes(harness, id));
    peak_kib = std::max(peak_kib, peak_memory_kib(started->shim_pid));
    return is_terminal(harness.last(id)->state);
  };
  ASSERT_TRUE(harness.run_until(look, static_cast<int>(launch.spec.time_limit_s) * 1000));
  const auto end = harness.last(id);
  EXPECT_EQ(end->exit->exit_code, 6) << end->exit->message;
  EXPECT_TRUE(forward) << "offsets only grow";
  EXPECT_GT(peak_kib, 0);
  EXPECT_LT(peak_kib, 2048) << "KiB of the shim";
  EXPECT_LE(most_stored, 4 * kMiB + 4096 + static_cast<std::int64_t>(harness.output(id, "stderr").size()));
  // "...\n123456 bytes (...) copied, 2.0 s, 1.2 GB/s"
  const std::string report = harness.output(id, "stderr");
  const std::size_t line = report.find(" bytes");
  ASSERT_NE(line, std::string::npos) << report;
  const std::int64_t written = std::strtoll(report.c_str() + report.rfind('\n', line) + 1, nullptr, 10);
  const auto whole = harness.runner().read_log(id, "stdout", 0, 1);
  EXPECT_EQ(whole->size, written) << "every byte is counted";
  EXPECT_EQ(end->exit->message, std::to_string(written - stored_bytes(harness, id) + static_cast<std::int64_t>(report.size())) +
                                    " bytes of its output were dropped");
  std::printf("%s shim: at most %ld KiB; stored: at most %lld bytes\n", report.substr(report.rfind('\n', line) + 1).c_str(),
              peak_kib, static_cast<long long>(most_stored));
}

TEST(LogWriter, NoReaderSeesTheStreamGoBack) {
  TemporaryDirectory directory;
  const std::string prefix = directory.path() + "/stdout";
  std::atomic<bool> done = false;
  std::thread writing([&] {
    LogWriter writer(prefix, 10, 3);
    for (int i = 0; i < 3000; ++i) writer.append("1234567", 7);
    done = true;
  });
  std::int64_t seen = 0, back = 0;
  while (!done) {
    const auto chunk = read_log_segments(prefix, 10, -1, 1, false);
    back += chunk->size < seen ? 1 : 0;
    seen = std::max(seen, chunk->size);
  }
  writing.join();
  EXPECT_EQ(back, 0);
  EXPECT_EQ(read_log_segments(prefix, 10, -1, 1, true)->size, 21'000);
}

TEST(ShimLoss, TheJobWritesOnAndItsOutputIsKept) {
  PosixHarness harness;
  const auto id = attempt_id(1);
  const std::string go = harness.directory().shared() + "/go";
  ASSERT_TRUE(harness.runner().launch(shell(id, "echo before; while [ ! -e " + go + " ]; do sleep 0.02; done; "
      "i=0; while [ $i -lt 20000 ]; do echo line $i || exit 8; i=$((i+1)); done; echo last; touch " + go + ".ended")));
  ASSERT_TRUE(harness.run_until([&] { return harness.output(id) == "before\n"; }));
  const auto started = AttemptFiles(harness.attempt_directory(id)).read_started();
  ASSERT_TRUE(started);
  ASSERT_TRUE(signal_process({started->shim_pid, 0, 0, 0, 'S', started->shim_start_ticks}, SIGKILL));
  ASSERT_TRUE(harness.run_until([&] { return !is_running(started->shim_pid, started->shim_start_ticks); }));
  std::ofstream(go) << "1";
  const auto end = harness.wait_for_end(id);
  ASSERT_TRUE(end && end->exit);
  EXPECT_EQ(end->exit->cause, ExitCause::kLostExit);
  EXPECT_FALSE(end->exit->exit_code) << "unknown, never 0";
  EXPECT_TRUE(std::filesystem::exists(go + ".ended")) << "no write of it failed";
  const auto tail = harness.runner().read_log(id, "stdout", -27, 27);
  ASSERT_TRUE(tail);
  EXPECT_TRUE(tail->data.ends_with("line 19998\nline 19999\nlast\n")) << tail->data;
  EXPECT_TRUE(harness.output(id).starts_with("before\nline 0\nline 1\n"));
}

}  // namespace
}  // namespace aether
