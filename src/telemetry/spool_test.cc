#include "telemetry/spool.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "base/rng.h"

namespace aether {
namespace {

class SpoolTest : public testing::TestWithParam<bool> {
 protected:
  SpoolTest() {
    char pattern[] = "/tmp/aether-spool-XXXXXX";
    folder_ = mkdtemp(pattern);
  }
  ~SpoolTest() override { std::filesystem::remove_all(folder_); }

  SpoolOptions options(std::uint64_t max_bytes = 1 << 20) const {
    SpoolOptions options;
    options.directory = GetParam() ? folder_ + "/spool" : "";
    options.max_bytes = max_bytes;
    options.segment_bytes = 1024;
    options.max_records = max_bytes / 112;
    return options;
  }
  static std::unique_ptr<Spool> open(const SpoolOptions& options) { return Spool::open(options).value(); }
  static std::string text(int number) { return std::string(90, 'x') + std::to_string(number); }
  static std::vector<int> take_all(Spool& spool) {
    std::vector<int> out;
    while (const Spool::Record* record = spool.front()) {
      out.push_back(std::stoi(record->payload.substr(90)));
      EXPECT_EQ(record->key, static_cast<std::uint32_t>(out.back() % 8));
      spool.pop();
    }
    return out;
  }
  static std::vector<int> range(int from, int to) {
    std::vector<int> out;
    for (int i = from; i < to; ++i) out.push_back(i);
    return out;
  }
  static void append(Spool& spool, int from, int to) {
    for (int i = from; i < to; ++i) spool.append(static_cast<std::uint32_t>(i % 8), text(i));
  }

  std::string folder_;
};

INSTANTIATE_TEST_SUITE_P(Disk, SpoolTest, testing::Values(true));
INSTANTIATE_TEST_SUITE_P(Memory, SpoolTest, testing::Values(false));

TEST_P(SpoolTest, GivesBackWhatWasAppendedInOrder) {
  auto spool = open(options());
  EXPECT_EQ(spool->front(), nullptr);
  append(*spool, 0, 100);
  EXPECT_EQ(spool->counters().waiting, 100u);
  EXPECT_EQ(take_all(*spool), range(0, 100));
  EXPECT_EQ(spool->counters().waiting, 0u);
  EXPECT_EQ(spool->counters().bytes, 0u);
  append(*spool, 100, 105);
  EXPECT_EQ(take_all(*spool), range(100, 105));
}

TEST_P(SpoolTest, ReadingAndAppendingMayAlternate) {
  auto spool = open(options());
  Rng rng(7);
  int next = 0, expected = 0;
  for (int round = 0; round < 2000; ++round) {
    if (rng.chance(0.55)) {
      append(*spool, next, next + 1);
      ++next;
    } else if (const Spool::Record* record = spool->front()) {
      EXPECT_EQ(record->payload, text(expected++));
      spool->pop();
    }
  }
  EXPECT_EQ(take_all(*spool), range(expected, next));
}

TEST_P(SpoolTest, OldestIsPushedOutAndEachOneCounted) {
  auto spool = open(options(4096));
  append(*spool, 0, 500);
  const SpoolCounters counters = spool->counters();
  EXPECT_EQ(counters.appended, 500u);
  EXPECT_GT(counters.dropped, 400u);
  EXPECT_EQ(counters.waiting + counters.dropped, 500u);
  EXPECT_EQ(take_all(*spool), range(static_cast<int>(counters.dropped), 500));
}

TEST_P(SpoolTest, CountHoldsWhenTheOldestIsPushedOutWhileItIsRead) {
  auto spool = open(options(4096));
  append(*spool, 0, 20);
  for (int i = 0; i < 3; ++i) {
    ASSERT_NE(spool->front(), nullptr);
    spool->pop();
  }
  ASSERT_NE(spool->front(), nullptr);
  append(*spool, 20, 300);
  const SpoolCounters counters = spool->counters();
  EXPECT_EQ(counters.waiting + counters.dropped + 3, 300u);
  const std::vector<int> rest = take_all(*spool);
  EXPECT_EQ(rest.size(), counters.waiting);
  EXPECT_EQ(rest.back(), 299);
}

class DiskSpool : public SpoolTest {};
INSTANTIATE_TEST_SUITE_P(Disk, DiskSpool, testing::Values(true));

TEST_P(DiskSpool, OutlivesItsProcess) {
  {
    auto spool = open(options());
    append(*spool, 0, 50);
  }
  auto spool = open(options());
  EXPECT_EQ(spool->counters().waiting, 50u);
  append(*spool, 50, 60);
  EXPECT_EQ(take_all(*spool), range(0, 60));
}

TEST_P(DiskSpool, KillInTheMiddleLosesNothingThatWasAppended) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    auto spool = open(options());
    append(*spool, 0, 77);
    (void)!write(ready[1], "r", 1);
    for (;;) pause();
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  close(ready[0]);
  close(ready[1]);
  auto spool = open(options());
  EXPECT_EQ(take_all(*spool), range(0, 77));
}

TEST_P(DiskSpool, TakenSegmentsDoNotComeBack) {
  {
    auto spool = open(options());
    append(*spool, 0, 100);
    for (int i = 0; i < 60; ++i) {
      ASSERT_NE(spool->front(), nullptr);
      spool->pop();
    }
  }
  const std::vector<int> rest = take_all(*open(options()));
  ASSERT_FALSE(rest.empty());
  EXPECT_LE(rest.front(), 60);       // nothing is missing
  EXPECT_GT(rest.front(), 60 - 12);  // at most a segment comes again
  EXPECT_EQ(rest.back(), 99);
}

TEST_P(DiskSpool, TornEndIsLeftOutAndTheRestIsThere) {
  {
    auto spool = open(options());
    append(*spool, 0, 5);
  }
  for (const auto& entry : std::filesystem::directory_iterator(folder_ + "/spool"))
    std::filesystem::resize_file(entry.path(), std::filesystem::file_size(entry.path()) - 7);
  auto spool = open(options());
  EXPECT_EQ(spool->counters().corrupt, 1u);
  append(*spool, 5, 7);
  EXPECT_EQ(take_all(*spool), (std::vector<int>{0, 1, 2, 3, 5, 6}));
}

TEST_P(DiskSpool, CountOfDropsOutlivesItsProcess) {
  {
    auto spool = open(options(4096));
    append(*spool, 0, 500);
  }
  auto spool = open(options(4096));
  EXPECT_EQ(spool->counters().dropped + spool->counters().waiting, 500u);
}

TEST_P(DiskSpool, ForeignFilesAreLeftAlone) {
  std::filesystem::create_directories(folder_ + "/spool");
  std::ofstream(folder_ + "/spool/notes.txt") << "mine";
  auto spool = open(options());
  append(*spool, 0, 3);
  EXPECT_EQ(take_all(*spool), range(0, 3));
  EXPECT_TRUE(std::filesystem::exists(folder_ + "/spool/notes.txt"));
}

TEST_P(DiskSpool, FolderThatCanNotBeMadeIsAnError) {
  SpoolOptions impossible = options();
  impossible.directory = "/proc/none/spool";
  EXPECT_FALSE(Spool::open(impossible));
}

// A disconnect of 24 hours at one reading a second: of one GPU, with an eighth of the room that eight GPUs have by default
// (agent.spool_mb). The largest reading seen has some 750 bytes.
TEST_P(DiskSpool, ADayWithoutANetworkFitsWithoutAGap) {
  constexpr std::uint64_t kDay = 24 * 60 * 60;
  SpoolOptions settings = options();
  settings.segment_bytes = 1u << 20;
  settings.max_bytes = (std::uint64_t{640} << 20) / 8;
  const std::string filling(800, 'x');
  {
    auto spool = Spool::open(settings).value();
    for (std::uint64_t second = 0; second < kDay / 2; ++second) spool->append(0, std::to_string(second) + filling);
  }
  auto spool = Spool::open(settings).value();  // the agent is started anew at noon
  for (std::uint64_t second = kDay / 2; second < kDay; ++second) spool->append(0, std::to_string(second) + filling);
  EXPECT_EQ(spool->counters().dropped, 0u);
  EXPECT_EQ(spool->counters().waiting, kDay);
  for (std::uint64_t second = 0; second < kDay; ++second) {
    const Spool::Record* record = spool->front();
    ASSERT_NE(record, nullptr) << second;
    ASSERT_TRUE(record->payload.starts_with(std::to_string(second) + "x")) << second;
    spool->pop();
  }
  EXPECT_EQ(spool->front(), nullptr);
}

// What comes after the room is full pushes out the oldest, and the count of it is exact over the restart.
TEST_P(DiskSpool, TwoDaysLoseTheFirstReadingsAndCountEachOne) {
  constexpr std::uint64_t kReadings = 8000;
  SpoolOptions settings = options();
  settings.segment_bytes = 256u << 10;
  settings.max_bytes = 2u << 20;
  const std::string filling(800, 'x');
  for (std::uint64_t begin = 0; begin < kReadings; begin += kReadings / 4) {
    auto spool = Spool::open(settings).value();
    for (std::uint64_t i = begin; i < begin + kReadings / 4; ++i) spool->append(0, std::to_string(i) + filling);
  }
  auto spool = Spool::open(settings).value();
  const std::uint64_t dropped = spool->counters().dropped;
  EXPECT_GT(dropped, 0u);
  EXPECT_EQ(dropped + spool->counters().waiting, kReadings);
  for (std::uint64_t i = dropped; i < kReadings; ++i) {
    const Spool::Record* record = spool->front();
    ASSERT_NE(record, nullptr);
    ASSERT_TRUE(record->payload.starts_with(std::to_string(i) + "x")) << i;
    spool->pop();
  }
}

}  // namespace
}  // namespace aether
