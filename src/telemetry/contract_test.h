#pragma once
// What every GpuDriver promises. Each adapter's test includes this file once and instantiates the suite:
//   INSTANTIATE_TEST_SUITE_P(Simulated, GpuDriverContract, testing::Values(&make_subject));
#include <map>
#include <memory>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "telemetry/gpu_driver.h"

namespace aether {

// One driver under test and the handles to its world.
class GpuDriverSubject {
 public:
  virtual ~GpuDriverSubject() = default;
  // Not empty: why this subject can't be tested here; the test then skips and shows it.
  virtual std::string skip_reason() { return {}; }
  virtual GpuDriver& driver() = 0;
  // One second passes in the driver's world.
  virtual void advance_one_second() = 0;
  // Makes this GPU lost. False when the subject can't do it on demand (real hardware).
  virtual bool lose_gpu(int gpu_index) = 0;
};

using GpuDriverSubjectFactory = std::unique_ptr<GpuDriverSubject> (*)();

class GpuDriverContract : public testing::TestWithParam<GpuDriverSubjectFactory> {
 protected:
  void SetUp() override {
    subject = GetParam()();
    if (const std::string reason = subject->skip_reason(); !reason.empty()) GTEST_SKIP() << reason;
    Result<std::vector<GpuInfo>> listed = subject->driver().enumerate();
    ASSERT_TRUE(listed) << listed.error().message;
    ASSERT_FALSE(listed->empty());
    gpus = *std::move(listed);
  }
  Result<GpuSample> read(const GpuInfo& gpu) { return subject->driver().read(gpu.gpu_uuid); }

  std::unique_ptr<GpuDriverSubject> subject;
  std::vector<GpuInfo> gpus;
};

TEST_P(GpuDriverContract, UuidsAndIndexesAreUnique) {
  std::set<GpuUuid> uuids;
  std::set<int> indexes;
  for (const GpuInfo& gpu : gpus) {
    EXPECT_TRUE(gpu.gpu_uuid.str().starts_with("GPU-")) << gpu.gpu_uuid.str();
    EXPECT_TRUE(uuids.insert(gpu.gpu_uuid).second) << gpu.gpu_uuid.str();
    EXPECT_TRUE(indexes.insert(gpu.gpu_index).second) << gpu.gpu_index;
    EXPECT_FALSE(gpu.gpu_name.empty());
    EXPECT_EQ(gpu.source, subject->driver().source());
  }
}

TEST_P(GpuDriverContract, EnumerationIsSortedByIndexAndRepeatable) {
  for (std::size_t i = 1; i < gpus.size(); ++i) EXPECT_LT(gpus[i - 1].gpu_index, gpus[i].gpu_index);
  subject->advance_one_second();
  const Result<std::vector<GpuInfo>> again = subject->driver().enumerate();
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(*again, gpus);
}

TEST_P(GpuDriverContract, SampleNamesItsGpu) {
  for (const GpuInfo& gpu : gpus) {
    const Result<GpuSample> sample = read(gpu);
    ASSERT_TRUE(sample) << sample.error().message;
    EXPECT_EQ(sample->gpu_uuid, gpu.gpu_uuid);
    EXPECT_EQ(sample->gpu_index, gpu.gpu_index);
    EXPECT_EQ(sample->gpu_name, gpu.gpu_name);
  }
}

inline void expect_within(const std::optional<double>& value, double low, double high, std::string_view name) {
  if (!value) return;
  EXPECT_GE(*value, low) << name;
  EXPECT_LE(*value, high) << name;
}

inline void expect_plausible(const GpuSample& sample) {
  expect_within(sample.temperature_c, -20, 130, "temperature_c");
  expect_within(sample.temperature_mem_c, -20, 150, "temperature_mem_c");
  expect_within(sample.utilization_gpu, 0, 100, "utilization_gpu");
  expect_within(sample.utilization_memory_controller, 0, 100, "utilization_memory_controller");
  expect_within(sample.utilization_encoder_pct, 0, 100, "utilization_encoder_pct");
  expect_within(sample.utilization_decoder_pct, 0, 100, "utilization_decoder_pct");
  expect_within(sample.fan_speed_pct, 0, 200, "fan_speed_pct");
  expect_within(sample.power_draw_w, 0, 5000, "power_draw_w");
  expect_within(sample.power_limit_w, 1, 5000, "power_limit_w");
  expect_within(sample.clock_gpu_mhz, 0, 10000, "clock_gpu_mhz");
  expect_within(sample.clock_mem_mhz, 0, 40000, "clock_mem_mhz");
  if (sample.memory_used_mb && sample.memory_total_mb) {
    EXPECT_GE(*sample.memory_used_mb, 0);
    EXPECT_LE(*sample.memory_used_mb + sample.memory_reserved_mb.value_or(0), *sample.memory_total_mb + 1);
  }
  // No sentinel of any interface comes through: all of them are huge.
  for (const GpuMetric& metric : gpu_metrics()) expect_within(metric.get(sample), -100, 4.6e18, metric.name);
  EXPECT_EQ(sample.throttling_reasons.has_value(), sample.throttling_reasons_mask.has_value());
  if (sample.throttling_reasons) {
    EXPECT_EQ(*sample.throttling_reasons, throttling_reasons_text(*sample.throttling_reasons_mask));
  }
  if (sample.performance_state) {
    EXPECT_EQ(sample.performance_state->front(), 'P');
    EXPECT_LE(std::stoi(sample.performance_state->substr(1)), 15);
  }
  EXPECT_EQ(sample.xid_last.has_value(), sample.xid_last_time.has_value());
}

TEST_P(GpuDriverContract, ValuesArePlausible) {
  for (int round = 0; round < 3; ++round) {
    for (const GpuInfo& gpu : gpus) {
      const Result<GpuSample> sample = read(gpu);
      ASSERT_TRUE(sample) << sample.error().message;
      SCOPED_TRACE(gpu.gpu_uuid.str());
      expect_plausible(*sample);
      EXPECT_TRUE(sample->temperature_c || sample->memory_used_mb || sample->utilization_gpu);
    }
    subject->advance_one_second();
  }
}

TEST_P(GpuDriverContract, EnergyNeverFalls) {
  std::map<GpuUuid, std::uint64_t> last;
  for (int round = 0; round < 3; ++round) {
    for (const GpuInfo& gpu : gpus) {
      const Result<GpuSample> sample = read(gpu);
      ASSERT_TRUE(sample) << sample.error().message;
      if (!sample->energy_total_mj) continue;
      EXPECT_GE(*sample->energy_total_mj, last[gpu.gpu_uuid]);
      last[gpu.gpu_uuid] = *sample->energy_total_mj;
    }
    subject->advance_one_second();
  }
}

TEST_P(GpuDriverContract, UnknownGpuIsNotFound) {
  const Result<GpuSample> sample = subject->driver().read(GpuUuid("GPU-00000000-0000-0000-0000-000000000000"));
  ASSERT_FALSE(sample);
  EXPECT_EQ(sample.error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(sample.error().message.empty());
}

TEST_P(GpuDriverContract, LostGpuIsNotFoundAndTheOthersGoOn) {
  const GpuInfo victim = gpus.back();
  if (!subject->lose_gpu(victim.gpu_index)) GTEST_SKIP() << "this subject can't lose a GPU on demand";
  ASSERT_GE(gpus.size(), 2u);
  const Result<GpuSample> gone = read(victim);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, ErrorCode::kNotFound);
  for (std::size_t i = 0; i + 1 < gpus.size(); ++i) EXPECT_TRUE(read(gpus[i])) << i;
  const Result<std::vector<GpuInfo>> listed = subject->driver().enumerate();
  ASSERT_TRUE(listed) << listed.error().message;
  EXPECT_EQ(listed->size(), gpus.size() - 1);
  for (std::size_t i = 0; i + 1 < gpus.size(); ++i) EXPECT_TRUE(read(gpus[i])) << i;
}

}  // namespace aether
