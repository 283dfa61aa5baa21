#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "base/bounded_queue.h"
#include "base/clock.h"
#include "base/files.h"
#include "base/log.h"
#include "base/names.h"
#include "base/quantity.h"
#include "base/rng.h"
#include "base/secret.h"
#include "base/ulid.h"

namespace aether {
namespace {

using std::chrono::seconds;

TEST(Clock, Rfc3339RoundTrips) {
  const auto time = parse_rfc3339("2026-01-15T09:42:17.250Z");
  ASSERT_TRUE(time);
  EXPECT_EQ(format_rfc3339(*time), "2026-01-15T09:42:17.250Z");
  EXPECT_EQ(parse_rfc3339("2026-01-15T11:42:17.25+02:00"), *time);
}

TEST(Clock, RefusesWhatIsNoTime) {
  for (const char* text : {"", "yesterday", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-01-15T09:42:17",
                           "2026-01-15T25:00:00Z", "2026-01-15T09:42:17+2:00"})
    EXPECT_FALSE(parse_rfc3339(text)) << text;
}

TEST(Clock, ManualClockMovesOnlyWhenTold) {
  ManualClock clock;
  const Time start = clock.now();
  const Mono mono = clock.mono();
  EXPECT_EQ(clock.now(), start);
  clock.advance(seconds(3));
  EXPECT_EQ(clock.now() - start, seconds(3));
  EXPECT_EQ(clock.mono() - mono, seconds(3));
}

// The contract of the port, for both adapters.
template <class Adapter>
class ClockContract : public testing::Test {};
using Clocks = testing::Types<SystemClock, ManualClock>;
TYPED_TEST_SUITE(ClockContract, Clocks);

TYPED_TEST(ClockContract, BootTimeNeverGoesBackAndWallTimeIsOfThisAge) {
  TypeParam clock;
  const Clock& port = clock;
  Mono last = port.mono();
  EXPECT_GT(last.time_since_epoch().count(), 0);
  for (int i = 0; i < 1000; ++i) {
    const Mono next = port.mono();
    EXPECT_GE(next, last);
    last = next;
  }
  EXPECT_GT(port.now(), *parse_rfc3339("2015-01-01T00:00:00Z"));
  EXPECT_LT(port.now(), *parse_rfc3339("2100-01-01T00:00:00Z"));
}

TEST(Quantity, ParsesEveryFormOfADuration) {
  const std::pair<const char*, std::int64_t> cases[] = {{"90s", 90},         {"90m", 5400},       {"2h", 7200},
                                                        {"1d12h", 129600},   {"01:30:00", 5400},  {"2-01:00:00", 176400},
                                                        {"1-06", 108000},    {"PT2H30M", 9000},   {"0s", 0}};
  for (const auto& [text, expected] : cases) EXPECT_EQ(parse_duration(text).value().count(), expected) << text;
}

TEST(Quantity, ABareNumberNamesBothReadings) {
  const auto refused = parse_duration("30");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("30s"), std::string::npos);
  EXPECT_NE(refused.error().message.find("30m"), std::string::npos);
  for (const char* text : {"", "30x", "1:30", "h", "-5s", "99999999999999d", "9223372036854775807:00:00", "1-9223372036854775807", "1:99:00"})
    EXPECT_FALSE(parse_duration(text)) << text;
}

TEST(Quantity, PrintedFormsParseBack) {
  Rng rng(7);
  for (int i = 0; i < 500; ++i) {
    const seconds duration(static_cast<std::int64_t>(rng.below(40u * 86400u)));
    EXPECT_EQ(parse_duration(format_duration(duration)).value(), duration);
    const auto memory = static_cast<std::int64_t>(rng.below(200000));
    EXPECT_EQ(parse_memory_mb(format_memory_mb(memory)).value(), memory) << format_memory_mb(memory);
  }
}

TEST(Quantity, MemoryIsBinaryUnlessItSaysB) {
  EXPECT_EQ(parse_memory_mb("16G").value(), 16384);
  EXPECT_EQ(parse_memory_mb("16GiB").value(), 16384);
  EXPECT_EQ(parse_memory_mb("16GB").value(), 15259);
  EXPECT_FALSE(parse_memory_mb("30"));
  EXPECT_FALSE(parse_memory_mb("-1G"));
  EXPECT_FALSE(parse_memory_mb("nanG"));
}

TEST(BoundedQueue, DropOldestKeepsTheNewestAndCounts) {
  BoundedQueue<int> queue(2, WhenFull::kDropOldest);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(queue.push(i));
  EXPECT_EQ(queue.drain(seconds(0)), (std::vector<int>{3, 4}));
  EXPECT_EQ(queue.dropped(), 3u);
}

TEST(BoundedQueue, RejectTellsTheSender) {
  BoundedQueue<int> queue(1, WhenFull::kReject);
  EXPECT_TRUE(queue.push(1));
  EXPECT_FALSE(queue.push(2));
  EXPECT_EQ(queue.drain(seconds(0)), std::vector<int>{1});
}

TEST(BoundedQueue, BlockWaitsForSpaceAndCloseWakes) {
  BoundedQueue<int> queue(1, WhenFull::kBlock);
  std::thread sender([&] {
    EXPECT_TRUE(queue.push(1));
    EXPECT_TRUE(queue.push(2));
    queue.close();
  });
  std::vector<int> got;
  while (got.size() < 2)
    for (int value : queue.drain(seconds(5))) got.push_back(value);
  sender.join();
  EXPECT_EQ(got, (std::vector<int>{1, 2}));
  EXPECT_FALSE(queue.push(3));
}

TEST(Names, OnlyPlainLowerCaseNamesPass) {
  for (const char* name : {"node-01", "a", "0x"}) EXPECT_TRUE(is_valid_name(name)) << name;
  for (const char* name : {"", "Node", "a.b", "a*", ">", "-a", "a-", "a b", "a\n"}) EXPECT_FALSE(is_valid_name(name));
  EXPECT_FALSE(is_valid_name(std::string(64, 'a')));
}

TEST(Names, NearestNameFindsTheTypo) {
  const std::vector<std::string> known = {"listen_api", "listen_dashboard", "state_dir"};
  EXPECT_EQ(nearest_name("listn_api", known), "listen_api");
  EXPECT_EQ(nearest_name("zzzzzzzzzz", known), "");
}

TEST(Ulid, SortsByTimeAndIsRecognised) {
  const Time early(seconds(1000)), late(seconds(1001));
  const std::string a = make_ulid(early, UINT64_MAX, UINT64_MAX), b = make_ulid(late, 0, 0);
  EXPECT_LT(a, b);
  EXPECT_TRUE(is_ulid(a));
  EXPECT_FALSE(is_ulid("4131"));
}

TEST(Files, WritesWholeFilesWithTheModeAsked) {
  const std::string directory = testing::TempDir() + "aether-files-" + std::to_string(getpid()) + "/a/b";
  ASSERT_TRUE(make_private_directory(directory));
  const std::string path = directory + "/x";
  ASSERT_TRUE(write_file_durably(path, "one"));
  ASSERT_TRUE(write_file_durably(path, "two"));
  EXPECT_EQ(read_file(path).value(), "two");
  struct stat info {};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0600u);
  EXPECT_EQ(read_file(directory + "/none").error().code, ErrorCode::kNotFound);
}

TEST(Log, TokensAndControlCharactersNeverReachALine) {
  EXPECT_EQ(log::sanitise("a\x1b[31m aeth_0123abc x"), "a\\x1b[31m aeth_REDACTED x");
}

TEST(Rng, TheSameSeedGivesTheSameNumbers) {
  Rng a(3), b(3);
  double sum = 0;
  for (int i = 0; i < 20000; ++i) {
    const double value = a.normal(5, 2);
    EXPECT_EQ(value, b.normal(5, 2));
    sum += value;
  }
  EXPECT_NEAR(sum / 20000, 5, 0.1);
}

TEST(Secret, RandomTextsDifferAndCompare) {
  const std::string a = random_hex(32);
  EXPECT_EQ(a.size(), 64u);
  EXPECT_NE(a, random_hex(32));
  EXPECT_TRUE(equal_constant_time(a, a));
  EXPECT_FALSE(equal_constant_time(a, a + "0"));
}

TEST(SteadyWallClock, FollowsBootTimeThroughAJumpOfTheWallClock) {
  const Time start{std::chrono::hours(1000)};
  const Mono boot{std::chrono::seconds(5)};
  SteadyWallClock steady(start, boot);
  EXPECT_EQ(steady.advance(start + std::chrono::seconds(10), boot + std::chrono::seconds(10)), start + std::chrono::seconds(10));
  const Time before = steady.advance(start - std::chrono::hours(1), boot + std::chrono::seconds(20));
  EXPECT_EQ(before, start + std::chrono::milliseconds(19950));  // 10 s of boot time, less 0.5 %
  EXPECT_EQ(steady.advance(start - std::chrono::hours(1), boot + std::chrono::seconds(20)), before);
}

TEST(SteadyWallClock, ClosesASmallDifferenceAndStaysThere) {
  const Time start{std::chrono::hours(1000)};
  SteadyWallClock steady(start, Mono{});
  const Duration ahead = std::chrono::milliseconds(20);
  for (int second = 1; second <= 10; ++second)
    steady.advance(start + std::chrono::seconds(second) + ahead, Mono{std::chrono::seconds(second)});
  EXPECT_EQ(steady.advance(start + std::chrono::seconds(11) + ahead, Mono{std::chrono::seconds(11)}),
            start + std::chrono::seconds(11) + ahead);
}

}  // namespace
}  // namespace aether
