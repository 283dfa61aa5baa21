#include "telemetry/sampler.h"

#include <map>
#include <set>
#include <vector>

#include <gtest/gtest.h>

namespace aether {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

GpuUuid uuid_of(int index) { return GpuUuid("GPU-" + std::to_string(index)); }

// A driver whose failures are set from outside; each read may take time on the test's clock.
class ScriptedDriver final : public GpuDriver {
 public:
  explicit ScriptedDriver(ManualClock& clock) : clock_(clock) {}

  Result<std::vector<GpuInfo>> enumerate() override {
    ++enumerations;
    if (!works || !lists) return fail(ErrorCode::kUnavailable, "driver not loaded");
    std::vector<GpuInfo> out;
    for (int index : present) {
      GpuInfo info;
      info.gpu_uuid = uuid_of(index);
      info.gpu_index = index;
      out.push_back(info);
    }
    return out;
  }
  Result<GpuSample> read(const GpuUuid& gpu_uuid) override {
    clock_.advance(read_takes);
    ++reads[gpu_uuid];
    if (lost.contains(gpu_uuid)) return fail(ErrorCode::kNotFound, "GPU is lost");
    if (!works || silent.contains(gpu_uuid)) return fail(ErrorCode::kUnavailable, "no answer");
    GpuSample sample;
    sample.gpu_uuid = gpu_uuid;
    return sample;
  }
  GpuSource source() const override { return GpuSource::kSimulated; }
  std::string driver_version() const override { return {}; }

  std::vector<int> present{0, 1, 2};
  std::set<GpuUuid> lost, silent;
  std::map<GpuUuid, int> reads;
  bool works = true;
  bool lists = true;
  int enumerations = 0;
  Duration read_takes{0};

 private:
  ManualClock& clock_;
};

class SamplerTest : public testing::Test {
 protected:
  void round(Duration step = seconds(1)) {
    samples.clear();
    sampler.tick();
    clock.advance(step);
  }
  std::size_t gpus_in_inventory() const { return inventories.back().size(); }

  ManualClock clock;
  ScriptedDriver driver{clock};
  std::vector<GpuSample> samples;
  std::vector<std::vector<GpuInfo>> inventories;
  Sampler sampler{NodeId("node-03"),
                  driver,
                  clock,
                  SamplerOptions{},
                  [this](GpuSample sample) { samples.push_back(std::move(sample)); },
                  [this](std::vector<GpuInfo> gpus) { inventories.push_back(std::move(gpus)); }};
};

TEST_F(SamplerTest, StampsNodeSequenceAndTime) {
  const Time first = clock.now();
  round();
  ASSERT_EQ(samples.size(), 3u);
  EXPECT_EQ(samples[1].node, NodeId("node-03"));
  EXPECT_EQ(samples[1].sample_seq, 1u);
  EXPECT_EQ(samples[1].sample_time, first);
  round();
  EXPECT_EQ(samples[1].sample_seq, 2u);
  EXPECT_EQ(samples[1].sample_time, first + seconds(1));
  EXPECT_EQ(sampler.counters().samples, 6u);
}

TEST_F(SamplerTest, InventoryIsHandedOnOnlyWhenItChanges) {
  for (int i = 0; i < 65; ++i) round();
  EXPECT_EQ(driver.enumerations, 3);  // at 0, 30 and 60 s
  EXPECT_EQ(inventories.size(), 1u);
  driver.present.push_back(3);
  for (int i = 0; i < 30; ++i) round();
  ASSERT_EQ(inventories.size(), 2u);
  EXPECT_EQ(gpus_in_inventory(), 4u);
  EXPECT_EQ(samples.size(), 4u);
}

TEST_F(SamplerTest, EmptyInventoryIsHandedOnOnce) {
  driver.present.clear();
  for (int i = 0; i < 3; ++i) round();
  ASSERT_EQ(inventories.size(), 1u);
  EXPECT_EQ(gpus_in_inventory(), 0u);
  EXPECT_EQ(driver.enumerations, 1);
}

TEST_F(SamplerTest, OneSilentGpuIsCountedAndTheOthersGoOn) {
  driver.silent.insert(uuid_of(1));
  round();
  ASSERT_EQ(samples.size(), 2u);
  EXPECT_EQ(samples[1].gpu_uuid, uuid_of(2));
  EXPECT_EQ(sampler.counters().failed_reads, 1u);
  EXPECT_EQ(gpus_in_inventory(), 3u);
  driver.silent.clear();
  round();
  EXPECT_EQ(samples.size(), 3u);
  EXPECT_EQ(samples[1].sample_seq, 1u);
}

TEST_F(SamplerTest, LostGpuLeavesTheInventoryInTheSameRoundAndIsNotReadAgain) {
  round();
  driver.lost.insert(uuid_of(1));
  round();
  EXPECT_EQ(samples.size(), 2u);
  EXPECT_EQ(gpus_in_inventory(), 2u);
  EXPECT_EQ(driver.enumerations, 2);
  const int reads = driver.reads[uuid_of(1)];
  for (int i = 0; i < 20; ++i) round();
  EXPECT_EQ(driver.reads[uuid_of(1)], reads);
  EXPECT_EQ(driver.enumerations, 2);
}

TEST_F(SamplerTest, LostGpuIsNotReadAgainWhenTheEnumerationAfterItFails) {
  round();
  driver.lost.insert(uuid_of(1));
  driver.lists = false;
  round();
  const int reads = driver.reads[uuid_of(1)], enumerations = driver.enumerations;
  for (int i = 0; i < 10; ++i) round();
  EXPECT_EQ(driver.reads[uuid_of(1)], reads);
  EXPECT_EQ(samples.size(), 2u);
  EXPECT_LE(driver.enumerations, enumerations + 4);
  driver.lists = true;
  for (int i = 0; i < 30; ++i) round();
  EXPECT_EQ(gpus_in_inventory(), 2u);
}

TEST_F(SamplerTest, LostGpuComesBackAfterItAnswersAgain) {
  driver.lost.insert(uuid_of(1));
  for (int i = 0; i < 70; ++i) round();
  EXPECT_EQ(inventories.size(), 2u);  // it does not flap while it stays lost
  driver.lost.clear();
  for (int i = 0; i < 31; ++i) round();
  EXPECT_EQ(gpus_in_inventory(), 3u);
  EXPECT_EQ(samples.size(), 3u);
}

TEST_F(SamplerTest, DriverLossIsEnumeratedAnewWithGrowingPauses) {
  round();
  driver.works = false;
  for (int i = 0; i < 64; ++i) round();
  EXPECT_EQ(sampler.counters().failed_reads, 3u * 64u);
  EXPECT_GE(sampler.counters().failed_enumerations, 5u);
  EXPECT_LE(sampler.counters().failed_enumerations, 8u);
  EXPECT_EQ(inventories.size(), 1u);
  driver.works = true;
  round();
  EXPECT_EQ(samples.size(), 3u);
}

TEST_F(SamplerTest, FirstEnumerationThatFailsIsTriedAgainSoon) {
  driver.works = false;
  round();
  EXPECT_TRUE(inventories.empty());
  driver.works = true;
  round();
  EXPECT_EQ(samples.size(), 3u);
}

TEST_F(SamplerTest, RoundLongerThanTheIntervalIsLate) {
  driver.read_takes = milliseconds(300);
  round();
  EXPECT_EQ(sampler.counters().late_ticks, 0u);
  EXPECT_DOUBLE_EQ(sampler.counters().last_round_s, 0.9);
  driver.read_takes = milliseconds(400);
  round();
  EXPECT_EQ(sampler.counters().late_ticks, 1u);
}

TEST(SamplerThread, SamplesUntilStopped) {
  ManualClock unused;
  ScriptedDriver driver(unused);
  SystemClock clock;
  std::mutex mutex;
  std::condition_variable enough;
  std::size_t samples = 0;
  Sampler sampler(
      NodeId("n"), driver, clock, {.interval = milliseconds(2), .enumerate_interval = seconds(10)},
      [&](GpuSample) {
        std::lock_guard lock(mutex);
        if (++samples >= 9) enough.notify_all();
      },
      [](std::vector<GpuInfo>) {});
  sampler.start();
  {
    std::unique_lock lock(mutex);
    EXPECT_TRUE(enough.wait_for(lock, seconds(30), [&] { return samples >= 9; }));
  }
  sampler.stop();
  const std::uint64_t at_stop = sampler.counters().samples;
  EXPECT_GE(at_stop, 9u);
  EXPECT_EQ(at_stop % 3, 0u);  // a round is never cut in half
  EXPECT_EQ(samples, at_stop);
}

TEST_F(SamplerTest, FastReadingsGoToTheirListenerAlone) {
  int fast = 0, state = 0;
  std::size_t handed_on = 0;
  Sampler tiered(
      NodeId("n1"), driver, clock, {.fast_interval = milliseconds(100)}, [&](GpuSample) { ++handed_on; },
      [](std::vector<GpuInfo>) {});
  tiered.set_on_reading([&](const GpuSample& sample, const GpuDetail&, ReadTier tier) {
    EXPECT_EQ(sample.node.str(), "n1");
    ++(tier == ReadTier::kFast ? fast : state);
  });
  tiered.tick();
  for (int i = 0; i < 9; ++i) tiered.tick_fast();
  EXPECT_EQ(handed_on, 3u);
  EXPECT_EQ(state, 3);
  EXPECT_EQ(fast, 27);
  EXPECT_EQ(tiered.counters().fast_readings, 27u);
}

TEST_F(SamplerTest, FastTierSlowsDownWithASlowDriverAndComesBack) {
  Sampler tiered(
      NodeId("n1"), driver, clock, {.fast_interval = milliseconds(100)}, [](GpuSample) {}, [](std::vector<GpuInfo>) {});
  tiered.tick();
  driver.read_takes = milliseconds(30);
  for (int i = 0; i < 10; ++i) tiered.tick_fast();
  EXPECT_DOUBLE_EQ(tiered.counters().fast_period_s, 0.2);
  for (int i = 0; i < 100; ++i) tiered.tick_fast();
  EXPECT_DOUBLE_EQ(tiered.counters().fast_period_s, 0.8);  // 90 ms of reading are less than a fifth of it
  driver.read_takes = milliseconds(0);
  for (int i = 0; i < 3000; ++i) tiered.tick_fast();
  EXPECT_DOUBLE_EQ(tiered.counters().fast_period_s, 0.1);
}

TEST_F(SamplerTest, FastReadingThatFailsIsNoLoss) {
  Sampler tiered(
      NodeId("n1"), driver, clock, {.fast_interval = milliseconds(100)}, [](GpuSample) {}, [](std::vector<GpuInfo>) {});
  tiered.tick();
  driver.lost.insert(uuid_of(1));
  tiered.tick_fast();
  EXPECT_EQ(tiered.counters().fast_readings, 2u);
  EXPECT_EQ(tiered.counters().failed_reads, 0u);
}

}  // namespace
}  // namespace aether
