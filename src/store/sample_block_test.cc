#include "store/sample_block.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "base/rng.h"
#include "store/block_columns.h"

namespace aether::store {
namespace {

constexpr Time kStart{Duration(1'800'000'000'000'000)};

std::vector<std::int64_t> back(const std::vector<std::int64_t>& values) {
  std::string bytes;
  put_integers(bytes, values);
  ByteReader in(bytes);
  auto found = get_integers(in, values.size());
  EXPECT_TRUE(found && in.at_end());
  return found.value_or(std::vector<std::int64_t>{});
}

// Bits, so that -0 and NaN count.
std::vector<std::optional<std::uint64_t>> bits(const std::vector<std::optional<double>>& values) {
  std::vector<std::optional<std::uint64_t>> list;
  for (const auto& value : values)
    list.push_back(value ? std::optional(std::bit_cast<std::uint64_t>(*value)) : std::nullopt);
  return list;
}

void expect_reals_come_back(const std::vector<std::optional<double>>& values) {
  std::string bytes;
  put_reals(bytes, values);
  ByteReader in(bytes);
  auto found = get_reals(in, values.size());
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_TRUE(in.at_end());
  EXPECT_EQ(bits(*found), bits(values));
}

TEST(BlockColumns, IntegersComeBackWhateverTheyAre) {
  constexpr std::int64_t kLow = std::numeric_limits<std::int64_t>::min(), kHigh = std::numeric_limits<std::int64_t>::max();
  for (const std::vector<std::int64_t>& values : std::vector<std::vector<std::int64_t>>{
           {}, {0}, {-1}, {kLow}, {kHigh}, {kLow, kHigh}, {kHigh, kLow, 0, kHigh, kLow}, {5, 5, 5}, {1, 2, 3, 4}, {9, 7, 5, 3, 1}})
    EXPECT_EQ(back(values), values);
  Rng rng(1);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::int64_t> values(rng.below(300));
    const std::uint64_t range = std::uint64_t{1} << rng.below(64);
    for (std::int64_t& value : values) value = static_cast<std::int64_t>(rng.below(range) - (round % 2 == 0 ? range / 2 : 0));
    EXPECT_EQ(back(values), values) << round;
  }
}

TEST(BlockColumns, RealsComeBackToTheLastBit) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  expect_reals_come_back({0.0, -0.0, 1.5});
  expect_reals_come_back({287.35, 287.351, std::nullopt, 700.0});
  expect_reals_come_back({1e300, -1e300, 5e-324, kInfinity, -kInfinity, std::numeric_limits<double>::quiet_NaN()});
  expect_reals_come_back({9'007'199'254'740'991.0, 9'007'199'254'740'992.0, 18'446'744'073'709'551'616.0});
  expect_reals_come_back({0.1, 0.2, 0.1 + 0.2});
  Rng rng(2);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::optional<double>> values(1 + rng.below(200));
    for (auto& value : values)
      if (rng.chance(0.9))
        value = round % 2 == 0 ? static_cast<double>(rng.below(1'000'000)) / std::pow(10.0, static_cast<double>(rng.below(7)))
                               : std::bit_cast<double>(rng.next());
    expect_reals_come_back(values);
  }
}

TEST(BlockColumns, WhatRepeatsOrGrowsEvenlyTakesNoRoom) {
  std::string bytes;
  put_integers(bytes, std::vector<std::int64_t>(3600, 81'559));
  std::vector<std::int64_t> times;
  for (std::int64_t i = 0; i < 3600; ++i) times.push_back(to_unix_us(kStart) + i * 1'000'000);
  put_integers(bytes, times);
  EXPECT_LT(bytes.size(), 40u);
}

GpuSample random_sample(Rng& rng, Time time) {
  GpuSample sample;
  sample.sample_time = time;
  sample.sample_seq = rng.next();
  for (const GpuMetric& metric : gpu_metrics())
    if (rng.chance(0.7)) metric.set(sample, static_cast<double>(rng.below(1'000'000)) / 8);
  if (rng.chance(0.9)) sample.performance_state = "P" + std::to_string(rng.below(16));
  if (rng.chance(0.9)) sample.throttling_reasons = throttling_reasons_text(rng.below(300));
  if (rng.chance(0.1)) sample.xid_last_time = time - Duration(static_cast<std::int64_t>(rng.below(1'000'000'000)));
  return sample;
}

TEST(SampleBlock, SamplesComeBackAsTheyWere) {
  Rng rng(3);
  for (const std::size_t rows : {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{97}, std::size_t{3600}}) {
    std::vector<GpuSample> samples;
    Time time = kStart;
    for (std::size_t i = 0; i < rows; ++i) {
      samples.push_back(random_sample(rng, time));
      time += Duration(static_cast<std::int64_t>(1 + rng.below(2'000'000)));
    }
    const std::string bytes = encode_block(samples);
    auto block = SampleBlock::open(bytes);
    ASSERT_TRUE(block) << block.error().message;
    auto found = block->samples();
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_EQ(*found, samples);
    EXPECT_EQ(encode_block(*found), bytes);
  }
}

TEST(SampleBlock, AMetricThatNoSampleHasIsAbsent) {
  GpuSample sample;
  sample.sample_time = kStart;
  sample.temperature_c = 40;
  const std::string bytes = encode_block(std::vector<GpuSample>{sample});
  auto block = SampleBlock::open(bytes);
  ASSERT_TRUE(block) << block.error().message;
  EXPECT_EQ(block->metric("power_draw_w").value(), (std::vector<std::optional<double>>{std::nullopt}));
  EXPECT_EQ(block->metric("temperature_c").value(), (std::vector<std::optional<double>>{40}));
}

TEST(SampleBlock, EveryChangedByteIsNoticed) {
  Rng rng(4);
  std::vector<GpuSample> samples;
  for (int i = 0; i < 50; ++i) samples.push_back(random_sample(rng, kStart + std::chrono::seconds(i)));
  const std::string bytes = encode_block(samples);
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    std::string changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ (1 << rng.below(8)));
    auto block = SampleBlock::open(changed);
    const auto found = block ? block->samples() : Result<std::vector<GpuSample>>(fail(block.error()));
    ASSERT_FALSE(found) << "byte " << at;
    EXPECT_EQ(found.error().code, ErrorCode::kCorrupt);
  }
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    auto block = SampleBlock::open(std::string_view(bytes).substr(0, size));
    EXPECT_FALSE(block) << size;
  }
}

}  // namespace
}  // namespace aether::store
