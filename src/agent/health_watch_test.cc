#include "agent/health_watch.h"

#include <gtest/gtest.h>

#include <memory>

#include "agent/health_file.h"

namespace aether {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

const GpuUuid kGpu("GPU-1"), kOther("GPU-2");

class HealthWatchTest : public testing::Test {
 protected:
  HealthWatchTest() {
    sample_.gpu_uuid = kGpu;
    sample_.energy_total_mj = 1000;
    sample_.ecc_dbe_volatile_total = 0;
  }
  HealthWatch::News xid(std::int64_t number, const GpuUuid& gpu = kGpu) { return tell({gpu, GpuEvent::Kind::kXid, number, clock_.now()}); }
  HealthWatch::News tell(const GpuEvent& event) {
    watch_.observe(event, clock_.mono());
    return watch_.take(clock_.mono());
  }
  HealthWatch::News read(Duration step = seconds(1)) {
    clock_.advance(step);
    sample_.sample_time = clock_.now();
    if (sample_.energy_total_mj) *sample_.energy_total_mj += 100;
    watch_.observe(sample_, detail_, clock_.mono());
    return watch_.take(clock_.mono());
  }
  void reset_gpu() { sample_.energy_total_mj = 0; }

  ManualClock clock_;
  HealthWatch watch_;
  GpuSample sample_;
  GpuDetail detail_;
};

TEST_F(HealthWatchTest, XidOfTheGpuIsAFaultWithItsReason) {
  const auto news = xid(48);
  ASSERT_EQ(news.faults.size(), 1u);
  EXPECT_EQ(news.faults[0].gpu_uuid, kGpu);
  EXPECT_EQ(news.faults[0].fault, "xid");
  EXPECT_TRUE(news.faults[0].message.starts_with("Xid 48: double-bit ECC error (memory)")) << news.faults[0].message;
}

TEST_F(HealthWatchTest, XidOfTheJobIsCountedAndNothingElse) {
  for (const int number : {13, 31, 43, 45, 68, 63, 94, 154}) EXPECT_TRUE(xid(number).faults.empty()) << number;
  EXPECT_EQ(watch_.xids().size(), 8u);
}

TEST_F(HealthWatchTest, StormIsOneActionAndEachEventIsCounted) {
  std::size_t faults = 0;
  for (int i = 0; i < 1000; ++i) {
    faults += xid(119).faults.size();
    clock_.advance(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(faults, 1u);
  ASSERT_EQ(watch_.xids().size(), 1u);
  EXPECT_EQ(watch_.xids()[0].events, 1000u);
  clock_.advance(minutes(2));
  EXPECT_EQ(xid(119).faults.size(), 1u);
}

TEST_F(HealthWatchTest, ReadingThatRepeatsAnEventIsNoSecondOne) {
  EXPECT_EQ(xid(48).faults.size(), 1u);
  sample_.xid_last = 48;
  sample_.xid_last_time = clock_.now();
  for (int i = 0; i < 200; ++i) EXPECT_TRUE(read().faults.empty());
  EXPECT_EQ(watch_.xids()[0].events, 1u);
}

TEST_F(HealthWatchTest, ReadingAloneTellsOfAnXidToo) {
  read();
  sample_.xid_last = 79;
  sample_.xid_last_time = clock_.now();
  EXPECT_EQ(read().faults.size(), 1u);
  EXPECT_TRUE(read().faults.empty());
}

TEST_F(HealthWatchTest, SecondContextSwitchTimeoutWithinADayIsTheGpus) {
  EXPECT_TRUE(xid(109).faults.empty());
  clock_.advance(std::chrono::hours(30));
  EXPECT_TRUE(xid(109).faults.empty());
  clock_.advance(std::chrono::hours(3));
  EXPECT_EQ(xid(109).faults.size(), 1u);
}

TEST_F(HealthWatchTest, ContextSwitchTimeoutWithARecoveryActionIsTheGpusAtOnce) {
  detail_.set(GpuDetailField::kRecoveryAction, 1);
  read();
  EXPECT_EQ(xid(109).faults.size(), 1u);
}

TEST_F(HealthWatchTest, DoubleBitErrorToldTwiceIsOneFault) {
  EXPECT_EQ(xid(48).faults.size(), 1u);
  EXPECT_TRUE(tell({kGpu, GpuEvent::Kind::kDoubleBitEcc, 0, clock_.now()}).faults.empty());
  EXPECT_EQ(tell({kOther, GpuEvent::Kind::kDoubleBitEcc, 0, clock_.now()}).faults.size(), 1u);
}

TEST_F(HealthWatchTest, CounterThatGrowsIsAFaultWithoutAnyEvent) {
  sample_.ecc_dbe_volatile_total = 3;
  EXPECT_TRUE(read().faults.empty());  // of before this agent
  sample_.ecc_dbe_volatile_total = 4;
  const auto news = read();
  ASSERT_EQ(news.faults.size(), 1u);
  EXPECT_EQ(news.faults[0].fault, "memory");
}

TEST_F(HealthWatchTest, FailedRemapAndRecoveryActionAreFaults) {
  detail_.set(GpuDetailField::kRemappedRowsFailure, 1);
  detail_.set(GpuDetailField::kRecoveryAction, 2);
  const auto news = read();
  ASSERT_EQ(news.faults.size(), 2u);
  EXPECT_EQ(news.faults[0].fault, "memory");
  EXPECT_EQ(news.faults[1].message, "the driver asks to restart the machine");
  EXPECT_TRUE(read().faults.empty());
}

TEST_F(HealthWatchTest, HungGpuRecoversTenCleanMinutesAfterItAnswers) {
  EXPECT_EQ(tell({kGpu, GpuEvent::Kind::kHung, 0, clock_.now()}).faults[0].fault, "hung");
  for (int i = 0; i < 30; ++i) EXPECT_TRUE(read(minutes(1)).recovered.empty());
  tell({kGpu, GpuEvent::Kind::kAnswersAgain, 0, clock_.now()});
  for (int i = 0; i < 9; ++i) EXPECT_TRUE(read(minutes(1)).recovered.empty());
  const auto news = read(minutes(1));
  ASSERT_EQ(news.recovered.size(), 1u);
  EXPECT_EQ(news.recovered[0].fault, "hung");
  EXPECT_TRUE(read(minutes(1)).recovered.empty());
}

TEST_F(HealthWatchTest, SickGpuRecoversOnlyAfterAReset) {
  read();
  xid(48);
  sample_.ecc_dbe_volatile_total = 1;
  EXPECT_TRUE(read().faults.empty());
  for (int i = 0; i < 120; ++i) EXPECT_TRUE(read(minutes(1)).recovered.empty());
  reset_gpu();
  for (int i = 0; i < 30; ++i) EXPECT_TRUE(read(minutes(1)).recovered.empty()) << "its errors are still counted";
  sample_.ecc_dbe_volatile_total = 0;
  EXPECT_EQ(read(minutes(1)).recovered.size(), 1u);
}

TEST_F(HealthWatchTest, NewErrorAfterTheResetStartsTheWaitAnew) {
  read();
  xid(62);
  reset_gpu();
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(read(minutes(1)).recovered.empty());
  EXPECT_EQ(xid(62).faults.size(), 1u);
  for (int i = 0; i < 30; ++i) EXPECT_TRUE(read(minutes(1)).recovered.empty());
}

TEST_F(HealthWatchTest, GpuWithTwoFaultsRecoversFromBothAtOnce) {
  read();
  xid(62);
  tell({kGpu, GpuEvent::Kind::kHung, 0, clock_.now()});
  reset_gpu();
  for (int i = 0; i < 30; ++i) EXPECT_TRUE(read(minutes(1)).recovered.empty()) << "it still hangs";
  tell({kGpu, GpuEvent::Kind::kAnswersAgain, 0, clock_.now()});
  for (int i = 0; i < 9; ++i) EXPECT_TRUE(read(minutes(1)).recovered.empty());
  EXPECT_EQ(read(minutes(1)).recovered.size(), 2u);
}

TEST_F(HealthWatchTest, OneGpusFaultIsNotTheOthers) {
  read();
  xid(62, kOther);
  reset_gpu();
  for (int i = 0; i < 30; ++i) EXPECT_TRUE(read(minutes(1)).recovered.empty());
}

TEST_F(HealthWatchTest, NumbersOfOneGpuAreBounded) {
  for (int number = 200; number < 400; ++number) xid(number);
  EXPECT_LE(watch_.xids().size(), HealthWatch::kMaxXidsPerGpu + 1);
}

// ---- over a restart of the agent ----

TEST_F(HealthWatchTest, TheNextAgentReleasesAGpuThatWasResetAndIsClean) {
  read();
  xid(48);
  const auto open = watch_.open_faults();
  ASSERT_EQ(open.size(), 1u);
  EXPECT_EQ(open[0], (HealthWatch::OpenFault{kGpu, "xid", false, 1100}));
  std::destroy_at(&watch_);  // the agent ends, another one begins
  std::construct_at(&watch_);
  watch_.restore(open, clock_.mono());
  EXPECT_TRUE(watch_.take(clock_.mono()).faults.empty()) << "told by the one before";
  EXPECT_TRUE(read(minutes(20)).recovered.empty()) << "not reset yet";
  reset_gpu();
  EXPECT_TRUE(read().recovered.empty());
  EXPECT_TRUE(read(minutes(9)).recovered.empty());
  const auto news = read(minutes(2));
  ASSERT_EQ(news.recovered.size(), 1u);
  EXPECT_EQ(news.recovered[0].fault, "xid");
  EXPECT_TRUE(watch_.open_faults().empty());
}

TEST_F(HealthWatchTest, AReadingIsTheAnswerOfAGpuThatHungBeforeTheRestart) {
  watch_.restore({{kGpu, "hung", false, std::nullopt}}, clock_.mono());
  EXPECT_TRUE(read().recovered.empty());
  EXPECT_EQ(read(minutes(11)).recovered.size(), 1u);
}

TEST_F(HealthWatchTest, ARecoveryActionThatWasWithdrawnMeanwhileCures) {
  watch_.restore({{kGpu, "recovery_action", false, 5000}}, clock_.mono());
  sample_.energy_total_mj = 6000;
  EXPECT_TRUE(read().recovered.empty());
  EXPECT_EQ(read(minutes(11)).recovered.size(), 1u);
}

TEST(HealthFile, HoldsWhatWasWrittenAndLeavesOutWhatIsNoFault) {
  const std::vector<HealthWatch::OpenFault> faults = {{kGpu, "xid", true, 12}, {kOther, "hung", false, std::nullopt}};
  EXPECT_EQ(decode_faults(encode_faults(faults)), faults);
  EXPECT_TRUE(decode_faults("GPU-1 xid maybe 1\nGPU-1 leak open 1\nGPU-1 xid open 1x\nGPU-1 xid open 1 more\n\n").empty());
}

}  // namespace
}  // namespace aether
