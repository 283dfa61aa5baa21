// Captured output: rotation, gaps, full disks, the job's own files.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/files.h"
#include "executor/posix/attempt_files.h"
#include "executor/posix/environment.h"
#include "executor/posix/log_gaps.h"
#include "executor/posix/log_reader.h"
#include "executor/posix/process_tree.h"
#include "executor/posix/shim/log_writer.h"
#include "executor/posix/test_support.h"

namespace aether {
namespace {

using namespace executor;
using namespace executor_test;
using executor_contract::attempt_id;

std::string letters(std::size_t size) {
  std::string text;
  for (std::size_t i = 0; i < size; ++i) text.push_back(static_cast<char>('A' + i % 26));
  return text;
}

// Files of this process end at so many bytes while it lives; writing on is an error, as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit now{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &now);
  }
  ~FileSizeLimit() { setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_ = {};
};

TEST(LogGaps, SurviveTheWayAndNeverSayLessThanWasLost) {
  LogGaps gaps;
  for (std::uint64_t i = 0; i < 100; ++i) gaps.add(i * 10, i * 10 + 3);
  EXPECT_EQ(gaps.count(), kMaxLogGaps);
  EXPECT_EQ(gaps.end(), 993U);
  EXPECT_EQ(gaps.missing_in(990, 993), 3U);
  EXPECT_EQ(gaps.missing_in(0, 20), 6U);
  const LogGaps read = LogGaps::decode(gaps.encode());
  ASSERT_EQ(read.count(), gaps.count());
  EXPECT_EQ(read.at(1).begin, 10U);
  EXPECT_EQ(read.end(), gaps.end());
  EXPECT_EQ(LogGaps::decode("").count(), 0U);
  EXPECT_EQ(LogGaps::decode("5 9\n3 4\n").count(), 1U) << "out of order";
  EXPECT_EQ(gaps_path_of("log/stdout"), "log/gaps.stdout");
}

TEST(LogGaps, WhatTheDiskRefusesIsAGapAndNeverZeros) {
  TemporaryDirectory directory;
  const std::string prefix = directory.path() + "/stdout", text = letters(20);
  ASSERT_TRUE(write_record(gaps_path_of(prefix).c_str(), std::string(kRecordBytes, ' ')));
  LogWriter writer(prefix, 4096, 3);
  writer.append(text.data(), 10);
  {
    FileSizeLimit full(10);
    EXPECT_EQ(writer.append(text.data() + 10, 5), 5U) << "counted as taken";
  }
  writer.append(text.data() + 15, 5);
  EXPECT_EQ(writer.total_bytes(), 20U);
  EXPECT_EQ(writer.dropped_bytes(), 5U);
  // The list of gaps could not grow either while the disk was full; the next change stores it.
  writer.drop(1);
  const auto head = read_log_segments(prefix, 4096, 0, 100, true);
  EXPECT_EQ(head->data, text.substr(0, 10));
  EXPECT_FALSE(head->complete);
  const auto tail = read_log_segments(prefix, 4096, 10, 100, true);
  EXPECT_EQ(tail->offset, 15);
  EXPECT_EQ(tail->data, text.substr(15));
  EXPECT_EQ(tail->size, 21);
  const auto end = read_log_segments(prefix, 4096, 20, 100, true);
  EXPECT_EQ(end->offset, 21);
  EXPECT_TRUE(end->complete) << "a stream that ends with a gap can be read to its end";
}

TEST(LogWriter, GoesOnWhereAnotherOneStopped) {
  TemporaryDirectory directory;
  const std::string prefix = directory.path() + "/stdout", text = letters(100);
  { LogWriter(prefix, 10, 3).append(text.data(), 47); }
  LogWriter second(prefix, 10, 3);
  second.continue_stream();
  EXPECT_EQ(second.total_bytes(), 47U);
  second.append(text.data() + 47, 53);
  const auto tail = read_log_segments(prefix, 10, 20, 1000, true);
  EXPECT_EQ(tail->offset, 80);
  EXPECT_EQ(tail->data, text.substr(80));
  EXPECT_EQ(second.dropped_bytes(), 50U);
  std::size_t kept = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory.path()))
    kept += entry.path().filename().string().starts_with("stdout.");
  EXPECT_EQ(kept, 3U);
}

TEST(LogWriter, KeepsAllOrTakesNoMore) {
  TemporaryDirectory directory;
  const std::string prefix = directory.path() + "/stdout", text = letters(100);
  LogWriter writer(prefix, 10, 3, LogRoom::kKeepAll);
  EXPECT_EQ(writer.append(text.data(), 100), 30U);
  EXPECT_EQ(writer.append(text.data() + 30, 70), 0U);
  EXPECT_EQ(writer.dropped_bytes(), 0U);
  EXPECT_EQ(read_log_segments(prefix, 10, 0, 100, false)->data, text.substr(0, 30));
}

TEST(LogPolicy, ABlockedJobWaitsAndLosesNothing) {
  PosixHarness harness([](PosixRunnerOptions& options) {
    options.log_segment_bytes = 1 << 20;
    options.log_segments = 2;
  });
  const auto id = attempt_id(1);
  auto launch = shell(id, "head -c 8388608 /dev/zero; echo through >&2");
  launch.spec.log_policy = LogPolicy::kBlock;
  ASSERT_TRUE(harness.runner().launch(launch));
  ASSERT_TRUE(harness.run_until([&] { return harness.runner().read_log(id, "stdout", 0, 1)->size == 2 << 20; }));
  PosixHarness::pause(300);
  EXPECT_EQ(harness.output(id, "stderr"), "") << "it waits in its write";
  EXPECT_EQ(harness.last(id)->state, JobState::kRunning);
  ASSERT_TRUE(harness.runner().stop(id, 1, "user_cancel", 5));
  EXPECT_EQ(harness.wait_for_end(id)->state, JobState::kCancelled);
}

// A state directory of 4 MiB.
class SmallDisk : public ::testing::Test {
 protected:
  SmallDisk() {
    mounted_ = mount("none", disk_.path().c_str(), "tmpfs", 0, "size=4m,mode=0711") == 0;
    if (mounted_) harness_ = std::make_unique<PosixHarness>([&](PosixRunnerOptions& options) {
      options.state_directory = disk_.path() + "/state";
      options.jobs_root = "/tmp/aether-executor-jobs-" + std::to_string(getpid());
      options.log_segment_bytes = 1 << 20;
    });
  }
  ~SmallDisk() override {
    std::error_code error;
    if (harness_) std::filesystem::remove_all(harness_->options().jobs_root, error);
    harness_.reset();
    if (mounted_) umount2(disk_.path().c_str(), MNT_DETACH);
  }
  void SetUp() override {
    if (!mounted_) GTEST_SKIP() << "may not mount a small disk here";
  }
  // Until not even one byte more fits.
  void fill() {
    std::ofstream ballast(disk_.path() + "/ballast");
    for (const std::size_t size : {std::size_t{65536}, std::size_t{1}})
      while (ballast << std::string(size, 'x') << std::flush) {
      }
  }
  void make_room() { unlink((disk_.path() + "/ballast").c_str()); }

  TemporaryDirectory disk_;
  bool mounted_ = false;
  std::unique_ptr<PosixHarness> harness_;
};

TEST_F(SmallDisk, ItsLogsAreFullAndTheJobIsUnaffected) {
  const auto id = attempt_id(1);
  ASSERT_TRUE(harness_->runner().launch(shell(id, "printf begin; head -c 8388608 /dev/zero; echo through >&2; exit 6")));
  const auto end = harness_->wait_for_end(id);
  ASSERT_TRUE(end && end->exit);
  EXPECT_EQ(end->exit->exit_code, 6);
  EXPECT_TRUE(harness_->output(id).starts_with("begin"));
  std::int64_t kept = 0, gaps = 0, next = 0, size = 1;
  while (next < size) {
    const auto chunk = harness_->runner().read_log(id, "stdout", next, 1 << 20);
    ASSERT_TRUE(chunk);
    ASSERT_GE(chunk->offset, next) << "offsets never go back";
    size = chunk->size;
    gaps += chunk->offset - next;
    kept += static_cast<std::int64_t>(chunk->data.size());
    next = chunk->offset + static_cast<std::int64_t>(chunk->data.size());
  }
  EXPECT_EQ(size, 8388608 + 5);
  EXPECT_GT(gaps, 0);
  EXPECT_EQ(kept + gaps, size);
  const auto record = AttemptFiles(harness_->attempt_directory(id)).read_exit();
  ASSERT_TRUE(record);
  EXPECT_EQ(record->stdout_dropped_bytes, static_cast<std::uint64_t>(gaps)) << "the count is exact";
}

TEST_F(SmallDisk, AManifestFindsNoRoomAndNothingIsStarted) {
  fill();
  const auto launch = shell(attempt_id(1), "exit 6");
  const auto refused = harness_->runner().launch(launch);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kIo);
  EXPECT_TRUE(harness_->runner().attempts().empty());
  EXPECT_FALSE(std::filesystem::exists(harness_->attempt_directory(attempt_id(1))));
  make_room();
  ASSERT_TRUE(harness_->runner().launch(launch)) << "the refusal was for that moment only";
  EXPECT_EQ(harness_->wait_for_end(attempt_id(1))->exit->exit_code, 6);
}

TEST_F(SmallDisk, AnExitRecordHasItsRoomFromTheStart) {
  const auto id = attempt_id(1);
  ASSERT_TRUE(harness_->runner().launch(shell(id, "sleep 0.4; echo lost; exit 6")));
  ASSERT_TRUE(harness_->wait_for_state(id, JobState::kRunning));
  fill();
  const auto end = harness_->wait_for_end(id);
  ASSERT_TRUE(end && end->exit);
  EXPECT_EQ(end->exit->exit_code, 6);
  EXPECT_EQ(end->exit->message, "5 bytes of its output were dropped");
  const auto chunk = harness_->runner().read_log(id, "stdout", 0, 10);
  EXPECT_EQ(chunk->size, 5);
  EXPECT_EQ(chunk->data, "");
  EXPECT_TRUE(chunk->complete);
}

class UserFile : public ::testing::Test {
 protected:
  ExitStatus run(const std::string& path, const std::string& text, OpenMode mode = OpenMode::kAppend) {
    const auto id = attempt_id(++last_);
    auto launch = shell(id, text);
    launch.spec.stdout_path = path;
    launch.spec.open_mode = mode;
    EXPECT_TRUE(harness_.runner().launch(launch));
    const auto end = harness_.wait_for_end(id);
    EXPECT_TRUE(end && end->exit);
    return end && end->exit ? *end->exit : ExitStatus{};
  }
  void expect_refused(const std::string& path, const std::string& why) {
    const auto exit = run(path, "echo ran");
    EXPECT_EQ(exit.cause, ExitCause::kLaunch) << path;
    EXPECT_EQ(exit.message, "opening the output file " + path + ": " + why);
    EXPECT_EQ(harness_.output(attempt_id(last_)), "") << "nothing was executed";
  }
  std::string in_shared(const std::string& name) const { return harness_.directory().shared() + "/" + name; }

  PosixHarness harness_;
  int last_ = 0;
};

TEST_F(UserFile, IsWrittenAsTheJobAndBesideTheCapture) {
  const std::string path = in_shared("out");
  EXPECT_EQ(run(path, "echo one; echo other >&2").exit_code, 0);
  EXPECT_EQ(run(path, "echo two").exit_code, 0);
  EXPECT_EQ(*read_file(path), "one\ntwo\n");
  EXPECT_EQ(harness_.output(attempt_id(1)), "one\n");
  EXPECT_EQ(harness_.output(attempt_id(1), "stderr"), "other\n");
  struct stat info {};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  if (geteuid() == 0) {
    EXPECT_NE(info.st_uid, 0U) << "the job's user made it";
  }
  EXPECT_EQ(run(path, "echo three", OpenMode::kTruncate).exit_code, 0);
  EXPECT_EQ(*read_file(path), "three\n");
  EXPECT_EQ(run("/dev/null", "echo four").exit_code, 0);
  EXPECT_EQ(run("relative", "cat relative; echo five").exit_code, 0) << "relative to where the job starts";
}

TEST_F(UserFile, IsNamedByItsPatterns) {
  auto launch = shell({JobId("J"), 3}, "");
  launch.job_number = 42;
  launch.spec.name = "../a b";
  launch.user = "ada";
  EXPECT_EQ(expand_output_path("/out/%x-%j.%r.%u.100%%.%N%", launch), "/out/.._a b-42.2.ada.100%.%N%");
  EXPECT_EQ(run(in_shared("out-%j"), "echo one").exit_code, 0);
  EXPECT_EQ(*read_file(in_shared("out-1")), "one\n");
}

TEST_F(UserFile, ThatTheJobMayNotWriteIsRefused) {
  expect_refused(in_shared("no/such/out"), "No such file or directory");
  expect_refused(harness_.directory().shared(), "Is a directory");
  if (geteuid() != 0) GTEST_SKIP() << "the rest needs root: a file that is not the job's";
  const std::string secret = harness_.directory().path() + "/secret";
  std::ofstream(secret) << "kept";
  chmod(secret.c_str(), 0600);
  ASSERT_EQ(symlink(secret.c_str(), in_shared("symlink").c_str()), 0);
  ASSERT_EQ(link(secret.c_str(), in_shared("hardlink").c_str()), 0);
  for (const char* name : {"symlink", "hardlink"}) expect_refused(in_shared(name), "Permission denied");
  expect_refused(harness_.options().state_directory + "/out", "Permission denied");
  EXPECT_EQ(*read_file(secret), "kept");
}

TEST_F(UserFile, ThatCouldMakeAWriterWaitIsRefused) {
  ASSERT_EQ(mkfifo(in_shared("fifo").c_str(), 0666), 0);
  chmod(in_shared("fifo").c_str(), 0666);
  expect_refused(in_shared("fifo"), "No such device or address");
  const int reader = open(in_shared("fifo").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  expect_refused(in_shared("fifo"), "Invalid argument");
  close(reader);
  expect_refused("/dev/tty", "No such device or address");
}

}  // namespace
}  // namespace aether
