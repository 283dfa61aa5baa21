#include "agent/recent_readings.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

namespace aether {
namespace {

class RecentReadingsTest : public testing::Test {
 protected:
  RecentReadingsTest() {
    char pattern[] = "/tmp/aether-recent-XXXXXX";
    folder_ = mkdtemp(pattern);
    spool_ = Spool::open({}).value();
  }
  ~RecentReadingsTest() override { std::filesystem::remove_all(folder_); }

  std::vector<std::string> taken() {
    std::vector<std::string> out;
    for (const Spool::Record* record = spool_->front(); record != nullptr; record = spool_->front()) {
      out.push_back(record->payload);
      spool_->pop();
    }
    return out;
  }

  std::string folder_;
  std::unique_ptr<Spool> spool_;
  Mono now_{std::chrono::seconds(100)};
};

TEST_F(RecentReadingsTest, WhatIsOlderThanTheKeepingTimeIsForgotten) {
  auto recent = RecentReadings::open(folder_ + "/r", *spool_).value();
  recent->add(0, "a", now_);
  recent->add(0, "b", now_ + std::chrono::seconds(10));
  recent->forget_old(now_ + RecentReadings::kKeep + std::chrono::seconds(1));
  EXPECT_EQ(recent->move_to(*spool_), 1u);
  EXPECT_EQ(taken(), std::vector<std::string>{"b"});
  EXPECT_EQ(recent->move_to(*spool_), 0u);
}

TEST_F(RecentReadingsTest, AnAgentThatWasKilledFindsWhatTheOneBeforeItPublishedLast) {
  {
    auto killed = RecentReadings::open(folder_ + "/r", *spool_).value();
    for (int i = 0; i < 200; ++i) killed->add(7, std::to_string(i) + std::string(1000, 'x'), now_);
  }
  auto recent = RecentReadings::open(folder_ + "/r", *spool_).value();
  const auto found = taken();
  ASSERT_EQ(found.size(), 200u);
  EXPECT_EQ(found.front().substr(0, 2), "0x");
  EXPECT_EQ(found.back().substr(0, 4), "199x");
  EXPECT_EQ(recent->move_to(*spool_), 0u) << "sent again once";
}

TEST_F(RecentReadingsTest, InALongRunOnlyTheKeepingTimeIsOnDisk) {
  auto recent = RecentReadings::open(folder_ + "/r", *spool_).value();
  for (int second = 0; second < 1000; ++second) {
    const Mono now = now_ + std::chrono::seconds(second);
    for (int gpu = 0; gpu < 8; ++gpu) recent->add(0, std::string(700, 'x'), now);
    recent->forget_old(now);
  }
  std::uintmax_t bytes = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder_ + "/r")) bytes += file.file_size();
  EXPECT_LT(bytes, 256u << 10);
  EXPECT_EQ(recent->move_to(*spool_), 16u * 8u);
}

}  // namespace
}  // namespace aether
