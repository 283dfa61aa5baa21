#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "base/files.h"
#include "executor/posix/attempt_files.h"
#include "executor/posix/identity.h"
#include "executor/posix/job_directory.h"
#include "executor/posix/journal.h"
#include "executor/posix/log_reader.h"
#include "executor/posix/shim/log_writer.h"
#include "executor/posix/side_by_side.h"
#include "executor/posix/test_support.h"

namespace aether::executor {
namespace {

using executor_contract::attempt_id;
using executor_test::TemporaryDirectory;

TEST(ShimArgs, SurviveTheWayAndEveryTruncationIsRefused) {
  ShimArgs args;
  args.attempt = "j.1";
  args.change_identity = true;
  args.uid = 65534;
  args.gid = 65534;
  args.groups = {65534, 7};
  args.cwd = "/with space/and=equals";
  args.argv = {"a", "", "line\nbreak", "b=c"};
  args.env = {"X=1", "Y=a=b"};
  args.time_limit_ms = 5000;
  const std::string text = encode_shim_args(args);
  const auto decoded = decode_shim_args(text);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->argv, args.argv);
  EXPECT_EQ(decoded->env, args.env);
  EXPECT_EQ(decoded->groups, args.groups);
  EXPECT_EQ(decoded->cwd, args.cwd);
  EXPECT_EQ(decoded->uid, args.uid);
  EXPECT_EQ(decoded->time_limit_ms, 5000);
  EXPECT_TRUE(decoded->change_identity);
  for (std::size_t size = 0; size < text.size(); ++size)
    EXPECT_FALSE(decode_shim_args(std::string_view(text).substr(0, size))) << size;
}

TEST(AttemptFiles, ATornRecordIsNoRecord) {
  TemporaryDirectory directory;
  const AttemptFiles files(directory.path());
  const std::string path = directory.path() + "/exit.json";
  ExitRecord record;
  record.complete = true;
  record.exit_code = 7;
  record.started_us = 5;
  const std::string text = encode_exit_record(record);
  EXPECT_EQ(text.size(), kRecordBytes);
  const std::size_t end = text.find('}');
  for (std::size_t size = 0; size <= end; ++size) {
    ASSERT_TRUE(write_file_durably(path, text.substr(0, size) + std::string(kRecordBytes - size, ' ')));
    EXPECT_FALSE(files.read_exit()) << size;
    if (size == 8) size = end - 8;  // both ends are enough: each write is synced
  }
  ASSERT_TRUE(write_record(path.c_str(), text));
  const auto read = files.read_exit();
  ASSERT_TRUE(read);
  EXPECT_TRUE(read->complete);
  EXPECT_EQ(read->exit_code, 7);
  EXPECT_FALSE(read->signal);
  EXPECT_EQ(read->started_us, 5);
}

TEST(AttemptFiles, ARecordWithAFieldOfTheWrongTypeIsNoRecord) {
  TemporaryDirectory directory;
  const AttemptFiles files(directory.path());
  const auto write = [&](const char* name, const char* text) {
    ASSERT_TRUE(write_file_durably(directory.path() + "/" + name, text));
  };
  write("exit.json", R"({"complete":"yes"})");
  write("started.json", R"({"shim_pid":"7"})");
  write("running", R"({"pid":[]})");
  write("stop.json", R"({"reason":7})");
  EXPECT_FALSE(files.read_exit());
  EXPECT_FALSE(files.read_started());
  EXPECT_FALSE(files.read_running());
  EXPECT_FALSE(files.read_stop());
}

TEST(Journal, FencesAndTombstonesOutliveIt) {
  TemporaryDirectory directory;
  const GpuUuid gpu("GPU-/..\n");
  {
    auto journal = Journal::open(directory.path());
    ASSERT_TRUE(journal);
    ASSERT_TRUE(journal->check_fence(gpu, 0, 1, attempt_id(1)));
    ASSERT_TRUE(journal->raise_fence(gpu, 0, 5, attempt_id(1)));
    ASSERT_TRUE(journal->write_tombstone({attempt_id(2), 6, "timeout", 7, false}));
  }
  auto journal = Journal::open(directory.path());
  ASSERT_TRUE(journal);
  EXPECT_FALSE(journal->check_fence(gpu, 0, 4, attempt_id(1)));
  EXPECT_TRUE(journal->check_fence(gpu, 0, 5, attempt_id(1))) << "the same command may come again";
  EXPECT_FALSE(journal->check_fence(gpu, 0, 5, attempt_id(3)));
  EXPECT_TRUE(journal->check_fence(gpu, 0, 6, attempt_id(3)));
  EXPECT_EQ(journal->find_epoch(attempt_id(1)), 5U);
  const auto tombstone = journal->find_tombstone(attempt_id(2));
  ASSERT_TRUE(tombstone);
  EXPECT_EQ(tombstone->reason, "timeout");
  EXPECT_EQ(journal->tombstones().size(), 1U);
}

TEST(Journal, ADamagedFenceRefusesEveryStart) {
  TemporaryDirectory directory;
  auto journal = Journal::open(directory.path());
  ASSERT_TRUE(journal);
  ASSERT_TRUE(journal->raise_fence(GpuUuid("GPU-1"), 0, 5, attempt_id(1)));
  ASSERT_TRUE(write_file_durably(directory.path() + "/fences/GPU-1.json", "{\"epo"));
  EXPECT_FALSE(journal->check_fence(GpuUuid("GPU-1"), 0, 100, attempt_id(2)));
  ASSERT_TRUE(write_file_durably(directory.path() + "/fences/GPU-1.json", R"({"epoch":"5","attempt":7})"));
  EXPECT_FALSE(journal->check_fence(GpuUuid("GPU-1"), 0, 100, attempt_id(2)));
  EXPECT_EQ(journal->find_epoch(attempt_id(1)), 0U);
  ASSERT_TRUE(write_file_durably(directory.path() + "/tombstones/x.json", R"({"job":7})"));
  EXPECT_TRUE(journal->tombstones().empty());
}

// What the program before wrote is a fence of the whole GPU; what this one writes is one to that program.
TEST(Journal, AFenceOfTheVersionBeforeIsRead) {
  TemporaryDirectory directory;
  auto journal = Journal::open(directory.path());
  ASSERT_TRUE(journal);
  const GpuUuid gpu("GPU-1");
  const std::string path = directory.path() + "/fences/GPU-1.json";
  ASSERT_TRUE(write_file_durably(path, R"({"attempt":"01J.2","epoch":5,"gpu_uuid":"GPU-1"})"));
  const AttemptId before{JobId("01J"), 2};
  EXPECT_EQ(journal->find_epoch(before), 5U);
  EXPECT_TRUE(journal->check_fence(gpu, 0, 5, before));
  for (const int slot : {0, 1}) {
    EXPECT_FALSE(journal->check_fence(gpu, slot, 4, attempt_id(1))) << slot;
    EXPECT_TRUE(journal->check_fence(gpu, slot, 6, attempt_id(1))) << slot;
  }
  ASSERT_TRUE(journal->raise_fence(gpu, 2, 9, attempt_id(2)));
  ASSERT_TRUE(journal->raise_fence(gpu, 1, 7, attempt_id(1)));
  const std::string text = *read_file(path);
  EXPECT_NE(text.find("\"attempt\":\"" + to_string(attempt_id(2)) + "\",\"epoch\":9,\"gpu_uuid\":\"GPU-1\""), std::string::npos) << text;
  EXPECT_EQ(journal->find_epoch(before), 5U) << "the mark of the whole GPU stays";
  EXPECT_EQ(journal->find_epoch(attempt_id(1)), 7U);
  EXPECT_FALSE(journal->check_fence(gpu, 1, 6, attempt_id(3)));
  EXPECT_FALSE(journal->check_fence(gpu, 3, 5, attempt_id(3)));
  EXPECT_TRUE(journal->check_fence(gpu, 3, 6, attempt_id(3)));
}

TEST(Log, OffsetsStayWhenSegmentsGo) {
  TemporaryDirectory directory;
  const std::string prefix = directory.path() + "/stdout";
  LogWriter writer(prefix, 10, 3);
  EXPECT_EQ(read_log_segments(prefix, 10, 0, 10, false)->size, 0);
  std::string text;
  for (int i = 0; i < 57; ++i) text.push_back(static_cast<char>('A' + i % 26));
  writer.append(text.data(), 4);
  EXPECT_EQ(read_log_segments(prefix, 10, 0, 100, false)->data, text.substr(0, 4));
  writer.append(text.data() + 4, text.size() - 4);
  EXPECT_EQ(writer.total_bytes(), 57U);
  EXPECT_EQ(writer.dropped_bytes(), 30U);
  const auto head = read_log_segments(prefix, 10, 2, 100, true);
  EXPECT_EQ(head->data, text.substr(2, 8)) << "a chunk never closes a hole up";
  EXPECT_FALSE(head->complete);
  const auto tail = read_log_segments(prefix, 10, 10, 100, true);
  EXPECT_EQ(tail->offset, 40);
  EXPECT_EQ(tail->data, text.substr(40));
  EXPECT_TRUE(tail->complete);
  EXPECT_EQ(read_log_segments(prefix, 10, -3, 2, true)->data, text.substr(54, 2));
  EXPECT_FALSE(read_log_segments(prefix, 10, 40, 100, false)->complete);
}

TEST(Log, ADiskThatRefusesLeavesAHoleOfTheRightSize) {
  TemporaryDirectory directory;
  LogWriter writer(directory.path() + "/missing/stdout", 10, 2);
  writer.append("0123456789abc", 13);
  EXPECT_EQ(writer.total_bytes(), 13U);
  EXPECT_EQ(writer.dropped_bytes(), 13U);
}

TEST(Identity, AClosedParentIsNamed) {
  TemporaryDirectory directory;
  const std::string closed = directory.path() + "/closed";
  ASSERT_EQ(mkdir(closed.c_str(), 0700), 0);
  Account stranger;
  stranger.name = "stranger";
  stranger.uid = 54321;
  stranger.gid = 54321;
  stranger.change_identity = true;
  const auto reachable = check_reachable(closed + "/jobs", stranger);
  ASSERT_FALSE(reachable);
  EXPECT_NE(reachable.error().message.find(closed), std::string::npos);
  EXPECT_EQ(reachable.error().field, "executor.jobs_root");
  EXPECT_TRUE(check_reachable(directory.path() + "/open", stranger));
}

TEST(JobDirectory, ARootThatOthersCanWriteToIsRefused) {
  TemporaryDirectory directory;
  const auto root = open_jobs_root(directory.shared(), directory.path() + "/state", Account{});
  ASSERT_FALSE(root);
  EXPECT_EQ(root.error().code, ErrorCode::kPermissionDenied);
}

TEST(SideBySide, DoesEachPieceOnceAndWaitsForAll) {
  SideBySide side_by_side(4);
  for (const std::size_t count : {0u, 1u, 3u, 4u, 100u, 2u}) {
    std::vector<std::atomic<int>> done(count);
    side_by_side.run(count, [&](std::size_t i) { ++done[i]; });
    for (const auto& times : done) EXPECT_EQ(times, 1);
  }
}

TEST(SideBySide, PiecesThatWaitDoNotWaitForEachOther) {
  SideBySide side_by_side(4);
  std::atomic<int> here{0};
  side_by_side.run(4, [&](std::size_t) {
    ++here;
    while (here < 4) std::this_thread::yield();
  });
  EXPECT_EQ(here, 4);
}

}  // namespace
}  // namespace aether::executor
