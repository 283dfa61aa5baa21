#pragma once
// The contract of telemetry: samples, series, rollups, retention. Included by contract_test.h.
#include "store/contract_harness.h"

namespace aether {

TEST_P(StoreContract, ASampleComesBackAsItWasAndTheNewestWins) {
  GpuSample old = contract::make_sample("GPU-0", contract::kStart, 1);
  old.temperature_c = 1;
  GpuSample full = contract::make_sample("GPU-0", contract::kStart + contract::seconds(1), 2);
  double value = 3;
  for (const GpuMetric& metric : gpu_metrics()) metric.set(full, value++);
  full.power_draw_w = 287.35;
  full.performance_state = "P2";
  full.throttling_reasons = "power_cap|sw_thermal";
  full.xid_last_time = contract::kStart;
  const GpuSample bare = contract::make_sample("GPU-1", contract::kStart, 1);
  STORE_OK(store_->append_samples({full, bare}));
  STORE_OK(store_->append_samples({old}));
  for (int round = 0; round < 2; ++round) {
    auto latest = store_->latest_samples();
    STORE_OK(latest);
    ASSERT_EQ(latest->size(), 2u);
    EXPECT_EQ((*latest)[0], full) << round;
    EXPECT_EQ((*latest)[1], bare) << round;
    reopen();
  }
  // Also when nothing but rolled up minutes is there.
  STORE_OK(store_->maintain(contract::kStart + contract::hours(3)));
  reopen();
  auto latest = store_->latest_samples();
  STORE_OK(latest);
  ASSERT_EQ(latest->size(), 2u);
  EXPECT_EQ((*latest)[0], full);
}

TEST_P(StoreContract, SamplesAreIdempotent) {
  std::vector<GpuSample> batch;
  for (std::uint64_t i = 0; i < 100; ++i) {
    batch.push_back(contract::make_sample(i % 2 == 0 ? "GPU-0" : "GPU-1",
                                          contract::kStart + contract::seconds(static_cast<int>(i)), i + 1));
    batch.back().temperature_c = static_cast<double>(i);
  }
  STORE_OK(store_->append_samples(batch));
  std::vector<GpuSample> again(batch.begin() + 50, batch.end());
  for (GpuSample& sample : again) sample.temperature_c = -1;
  again.push_back(contract::make_sample("GPU-1", contract::kStart + contract::seconds(500), 101));
  again.push_back(again.back());
  STORE_OK(store_->append_samples(again));
  EXPECT_EQ(store_->count_samples().value_or(0), 101u);
  STORE_OK(store_->append_samples({}));
  reopen();
  EXPECT_EQ(store_->count_samples().value_or(0), 101u);
  auto series = store_->series({GpuUuid("GPU-1"),
                                {"temperature_c"},
                                contract::kStart + contract::seconds(99),
                                contract::kStart + contract::seconds(100),
                                contract::seconds(1)});
  STORE_OK(series);
  EXPECT_EQ(series->columns.at("temperature_c").mean, (std::vector<std::optional<double>>{99}));
}

TEST_P(StoreContract, AReaderSeesWholeCommitsWhileTheWriterGoesOn) {
  std::atomic<bool> stop = false;
  std::atomic<int> reads = 0;
  std::string trouble;
  std::thread reader([&] {
    while (!stop) {
      auto state = store_->load();
      // Each commit adds a job and an outbox row together.
      if (!state) trouble = state.error().message;
      if (state && state->live_jobs.size() != state->outbox.size()) trouble = "half a commit";
      auto series = store_->series({GpuUuid("GPU-0"),
                                    {"temperature_c"},
                                    contract::kStart,
                                    contract::kStart + contract::seconds(60),
                                    contract::seconds(1)});
      if (!series) trouble = series.error().message;
      ++reads;
    }
  });
  std::string writer_trouble;
  for (std::int64_t number = 1; number <= 60 || reads < 3; ++number) {
    const Job job = contract::make_job(number);
    auto done = store_->commit({PutJob{job}, PutOutbox{{job.id, 1}, 1, "start", "s", "p"}});
    if (!done) writer_trouble = done.error().message;
    auto appended = store_->append_samples(
        {contract::make_sample("GPU-0", contract::kStart + contract::seconds(number), 1)});
    if (!appended) writer_trouble = appended.error().message;
  }
  stop = true;
  reader.join();
  EXPECT_EQ(trouble, "");
  EXPECT_EQ(writer_trouble, "");
}

namespace contract {

// Values are multiples of 1/4, so that sums are exact.
inline std::vector<GpuSample> random_samples(Rng& rng, const std::string& gpu, Time from, Time to) {
  std::vector<GpuSample> samples;
  std::uint64_t seq = 0;
  for (Time time = from; time < to;) {
    GpuSample sample = make_sample(gpu, time, ++seq);
    if (rng.chance(0.8)) sample.temperature_c = static_cast<double>(rng.below(400)) / 4;
    if (rng.chance(0.5)) sample.power_draw_w = 200;
    if (rng.chance(0.9)) sample.energy_total_mj = 1'000'000'000'000 + rng.below(1'000);
    samples.push_back(sample);
    time += Duration(static_cast<std::int64_t>(100'000 + rng.below(9'900'000)));
    if (rng.chance(0.01)) time += seconds(static_cast<int>(rng.below(900)));  // a hole
  }
  return samples;
}

// The answer by definition.
inline SeriesColumn reference(const std::vector<GpuSample>& samples, const std::string& gpu,
                              const std::string& metric, const Series& series) {
  std::map<Time, std::vector<double>> values;
  for (const GpuSample& sample : samples) {
    const auto value = find_gpu_metric(metric)->get(sample);
    if (sample.gpu_uuid.str() != gpu || !value) continue;
    values[sample.sample_time - sample.sample_time.time_since_epoch() % Duration(series.step)].push_back(
        *value);
  }
  SeriesColumn column;
  for (const Time start : series.times) {
    double sum = 0, low = 0, high = 0;
    int count = 0;
    for (const double value : values[start]) {
      low = count == 0 ? value : std::min(low, value);
      high = count == 0 ? value : std::max(high, value);
      sum += value;
      ++count;
    }
    column.mean.push_back(count == 0 ? std::nullopt : std::optional(sum / count));
    column.min.push_back(count == 0 ? std::nullopt : std::optional(low));
    column.max.push_back(count == 0 ? std::nullopt : std::optional(high));
  }
  return column;
}

inline void expect_equal(const SeriesColumn& found, const SeriesColumn& expected, const std::string& what) {
  EXPECT_EQ(found.min, expected.min) << what;
  EXPECT_EQ(found.max, expected.max) << what;
  ASSERT_EQ(found.mean.size(), expected.mean.size()) << what;
  for (std::size_t i = 0; i < found.mean.size(); ++i) {
    ASSERT_EQ(found.mean[i].has_value(), expected.mean[i].has_value()) << what << " step " << i;
    if (found.mean[i]) {
      EXPECT_NEAR(*found.mean[i], *expected.mean[i], 1e-12 * std::abs(*expected.mean[i]))
          << what << " step " << i;
    }
  }
}

inline void expect_series_match(Store& store, const std::vector<GpuSample>& samples, Rng& rng,
                                const std::string& situation) {
  for (const int step : {0, 1, 7, 60, 300, 3600, 7200}) {
    const Time from = kStart + Duration(static_cast<std::int64_t>(rng.below(4'000'000'000)));
    const Duration range = step == 1 || step == 7 ? Duration(minutes(10)) : Duration(hours(4));
    SeriesQuery query{GpuUuid("GPU-0"),
                      {"temperature_c", "power_draw_w", "energy_total_mj", "fan_speed_pct"},
                      from,
                      from + range,
                      seconds(step)};
    auto series = store.series(query);
    ASSERT_TRUE(series) << series.error().message;
    const std::string what = situation + ", step " + std::to_string(step);
    EXPECT_TRUE(step == 0 || series->step == seconds(step)) << what;
    EXPECT_EQ(series->level, step == 0 || step < 60 ? "raw" : step % 3600 == 0 ? "1h" : "1m") << what;
    ASSERT_FALSE(series->times.empty()) << what;
    EXPECT_EQ(to_unix_us(series->times.front()) % Duration(series->step).count(), 0) << what;
    EXPECT_GE(series->times.front(), query.from) << what;
    EXPECT_LT(series->times.back(), query.to) << what;
    for (const std::string& metric : query.metrics)
      expect_equal(series->columns.at(metric), reference(samples, "GPU-0", metric, *series),
                   what + ", " + metric);
  }
}

}  // namespace contract

TEST_P(StoreContract, SeriesEqualTheirDefinitionAtEveryLevelAndMoment) {
  Rng rng(20260115);
  const Time end = contract::kStart + contract::hours(5);
  std::vector<GpuSample> samples = contract::random_samples(rng, "GPU-0", contract::kStart, end);
  for (const GpuSample& sample : contract::random_samples(rng, "GPU-1", contract::kStart, end))
    samples.push_back(sample);
  // A third comes late, after its minutes and hours have been rolled up.
  std::vector<GpuSample> in_time, late;
  for (const GpuSample& sample : samples) (rng.chance(0.66) ? in_time : late).push_back(sample);
  STORE_OK(store_->append_samples(in_time));
  contract::expect_series_match(*store_, in_time, rng, "nothing rolled up");
  STORE_OK(store_->maintain(contract::kStart + contract::minutes(95)));
  contract::expect_series_match(*store_, in_time, rng, "rolled up in part");
  STORE_OK(store_->maintain(contract::kStart + contract::hours(4)));
  reopen();
  contract::expect_series_match(*store_, in_time, rng, "after reopening");
  STORE_OK(store_->append_samples(late));
  STORE_OK(store_->maintain(contract::kStart + contract::hours(4)));
  contract::expect_series_match(*store_, samples, rng, "late samples rolled up");
  STORE_OK(store_->maintain(contract::kStart + contract::hours(7)));
  STORE_OK(store_->maintain(contract::kStart + contract::hours(7)));
  contract::expect_series_match(*store_, samples, rng, "all rolled up");
}

TEST_P(StoreContract, WhatComesAgainOrLateLongAfterwardsIsHarmless) {
  Rng rng(20260116);
  std::vector<GpuSample> samples =
      contract::random_samples(rng, "GPU-0", contract::kStart, contract::kStart + contract::hours(5));
  STORE_OK(store_->append_samples(samples));
  STORE_OK(store_->maintain(contract::kStart + contract::hours(7)));
  const std::size_t count = samples.size();
  std::vector<GpuSample> again = samples;
  for (GpuSample& sample : again) sample.temperature_c = 1'000;
  STORE_OK(store_->append_samples(again));
  EXPECT_EQ(store_->count_samples().value_or(0), count);
  contract::expect_series_match(*store_, samples, rng, "sent again");
  GpuSample late = samples[count / 2];
  late.sample_time += Duration(1);
  late.temperature_c = 99.75;
  STORE_OK(store_->append_samples({late, late}));
  samples.push_back(late);
  EXPECT_EQ(store_->count_samples().value_or(0), samples.size());
  STORE_OK(store_->maintain(contract::kStart + contract::hours(7)));
  contract::expect_series_match(*store_, samples, rng, "one came late");
  reopen();
  STORE_OK(store_->append_samples(again));
  STORE_OK(store_->maintain(contract::kStart + contract::hours(8)));
  EXPECT_EQ(store_->count_samples().value_or(0), samples.size());
  contract::expect_series_match(*store_, samples, rng, "reopened");
}

TEST_P(StoreContract, EachLevelIsKeptForItsTime) {
  store::Retention retention;
  retention.raw = contract::hours(24);
  retention.minutes = contract::hours(24 * 10);
  retention.hours = contract::hours(24 * 100);
  reopen(retention);
  std::vector<GpuSample> samples;
  for (int i = 0; i < 200; ++i) {
    samples.push_back(contract::make_sample("GPU-0", contract::kStart + contract::seconds(i * 30), 1));
    samples.back().temperature_c = i % 50;
  }
  STORE_OK(store_->append_samples(samples));
  const auto days = [](int count) { return contract::kStart + contract::hours(24 * count); };
  const auto level = [&](contract::seconds step) {
    auto series = store_->series(
        {GpuUuid("GPU-0"), {"temperature_c"}, contract::kStart, contract::kStart + contract::hours(2), step});
    if (!series) return series.error().message;
    const auto& mean = series->columns.at("temperature_c").mean;
    const bool any =
        std::any_of(mean.begin(), mean.end(), [](const auto& value) { return value.has_value(); });
    return series->level + (any ? " with values" : " empty");
  };
  STORE_OK(store_->maintain(contract::kStart + contract::hours(3)));
  EXPECT_EQ(store_->count_samples().value_or(0), 200u);
  EXPECT_EQ(level(contract::seconds(1)), "raw with values");

  auto removed = store_->maintain(days(5));
  STORE_OK(removed);
  EXPECT_EQ(*removed, 200u);
  EXPECT_EQ(store_->count_samples().value_or(99), 0u);
  EXPECT_EQ(level(contract::seconds(1)), "1m with values");
  reopen(retention);
  EXPECT_EQ(level(contract::seconds(1)), "1m with values");

  removed = store_->maintain(days(20));
  STORE_OK(removed);
  EXPECT_EQ(*removed, 100u);  // minutes
  EXPECT_EQ(level(contract::seconds(1)), "1h with values");
  removed = store_->maintain(days(200));
  STORE_OK(removed);
  EXPECT_EQ(*removed, 2u);  // hours
  EXPECT_EQ(level(contract::seconds(1)), "1h empty");
}

}  // namespace aether
