#pragma once
// What every Store must do. An adapter's test includes this file once and instantiates StoreContract with its harness:
//   INSTANTIATE_TEST_SUITE_P(Sqlite, StoreContract, ::testing::Values(HarnessFactory{...}));
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "base/rng.h"
#include "base/ulid.h"
#include "store/retention.h"
#include "store/store.h"

namespace aether {

// One set of data that can be opened again and again.
class StoreHarness {
 public:
  virtual ~StoreHarness() = default;
  virtual Result<std::unique_ptr<Store>> open(store::Retention retention) = 0;
};

struct HarnessFactory {
  // An error means that the service is missing: a visible skip, and a failure where CI=true.
  std::function<Result<std::unique_ptr<StoreHarness>>()> make;
};

namespace contract {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

// A whole hour, so that levels begin here.
inline constexpr Time kStart{Duration(1'800'000'000'000'000)};

inline Job make_job(std::int64_t number) {
  Job job;
  job.id = JobId(make_ulid(kStart + seconds(number), 7, static_cast<std::uint64_t>(number)));
  job.number = number;
  job.user = "ada";
  job.spec.name = "train-" + std::to_string(number);
  job.spec.argv = {"python3", "train.py", "--note", "it's \"quoted\" and Ünïcode"};
  job.spec.env = {{"A", "1"}, {"B", "two words"}};
  job.spec.gpus = 2;
  job.submitted_at = kStart + seconds(number);
  job.body_sha256 = "abc";
  return job;
}

inline Attempt make_attempt(const Job& job, int n) {
  Attempt attempt;
  attempt.id = {job.id, n};
  attempt.epoch = 40 + static_cast<Epoch>(n);
  attempt.placement = {NodeId("node-1"), {GpuUuid("GPU-a"), GpuUuid("GPU-b")}, 1024};
  attempt.state = JobState::kRunning;
  attempt.assigned_at = kStart + seconds(5);
  attempt.started_at = kStart + seconds(6);
  attempt.energy_j = 12.25;
  return attempt;
}

inline GpuSample make_sample(const std::string& gpu, Time time, std::uint64_t seq) {
  GpuSample sample;
  sample.gpu_uuid = GpuUuid(gpu);
  sample.node = NodeId("node-1");
  sample.gpu_index = gpu.back() - '0';
  sample.gpu_name = "Simulated GPU";
  sample.sample_seq = seq;
  sample.sample_time = time;
  return sample;
}

inline std::vector<std::int64_t> numbers(const std::vector<Job>& jobs) {
  std::vector<std::int64_t> list;
  for (const Job& job : jobs) list.push_back(job.number);
  return list;
}

#define STORE_OK(expression)                                                       \
  do {                                                                             \
    const auto& store_ok = (expression);                                           \
    ASSERT_TRUE(store_ok) << #expression << ": " << store_ok.error().message;      \
  } while (false)

}  // namespace contract

class StoreContract : public ::testing::TestWithParam<HarnessFactory> {
 protected:
  void SetUp() override {
    auto harness = GetParam().make();
    if (!harness) {
      const char* ci = std::getenv("CI");
      if (ci && std::string(ci) == "true") FAIL() << harness.error().message;
      GTEST_SKIP() << "SKIPPED: " << harness.error().message;
    }
    harness_ = std::move(*harness);
    reopen();
  }
  void reopen(store::Retention retention = {}) {
    store_.reset();
    auto opened = harness_->open(retention);
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = std::move(*opened);
  }
  std::unique_ptr<StoreHarness> harness_;
  std::unique_ptr<Store> store_;
};

TEST_P(StoreContract, AJobWithAllItsPartsIsThereAfterReopening) {
  Job job = contract::make_job(1);
  job.state = JobState::kRunning;
  job.idempotency_key = "key";
  const Attempt first = contract::make_attempt(job, 1);
  Attempt second = contract::make_attempt(job, 2);
  second.exit = ExitStatus{{}, 9, true, ExitCause::kUserCancel, "killed"};
  PlacementRecord record;
  record.job = job.id;
  record.attempt = 2;
  record.decided_at = contract::kStart;
  record.placement = second.placement;
  record.policy = "heuristic";
  record.fallback_reason = "no model";
  record.candidates.push_back({GpuUuid("GPU-a"), "node-1-0", NodeId("node-1"), true, "", "", 0.5,
                               {{"packing", 0.25, 2}}, {}});
  Alert alert;
  alert.id = AlertId("temperature/GPU-a");
  alert.severity = Severity::kCritical;
  alert.kind = "temperature";
  alert.job = job.id;
  alert.since = contract::kStart;
  alert.value = 91.5;
  Alert cleared = alert;
  cleared.id = AlertId("xid/GPU-a");
  cleared.cleared_at = contract::kStart + contract::seconds(1);
  const JobEvent event{job.id, contract::kStart, "", "PENDING", "user", "submitted", 3, 0};
  STORE_OK(store_->commit({PutJob{job}, PutAttempt{first}, PutAttempt{second},
                           PutAllocation{GpuUuid("GPU-a"), 0, second.id, 0}, PutEvent{event}, PutPlacement{record},
                           PutOutbox{second.id, 42, "start", "aether.commands.node-1", "{\"a\":1}"}, PutAlert{alert},
                           PutAlert{cleared}, PutSetting{"drain/node-2", "disk"}, PutSetting{"gone", "x"},
                           PutSetting{"gone", {}}}));
  Job finished = contract::make_job(2);
  finished.state = JobState::kCompleted;
  finished.ended_at = contract::kStart + contract::minutes(1);
  STORE_OK(store_->commit({PutJob{finished}}));
  reopen();

  auto state = store_->load();
  STORE_OK(state);
  job.attempts = {first, second};
  ASSERT_EQ(state->live_jobs.size(), 1u);
  EXPECT_EQ(state->live_jobs[0], job);
  ASSERT_EQ(state->recent_jobs.size(), 1u);
  EXPECT_EQ(state->recent_jobs[0], finished);
  ASSERT_EQ(state->allocations.size(), 1u);
  EXPECT_EQ(state->allocations[0].attempt, second.id);
  ASSERT_EQ(state->outbox.size(), 1u);
  EXPECT_EQ(state->outbox[0].payload, "{\"a\":1}");
  EXPECT_EQ(state->outbox[0].epoch, 42u);
  ASSERT_EQ(state->placements.size(), 1u);
  EXPECT_EQ(state->placements[0], record);
  ASSERT_EQ(state->open_alerts.size(), 1u);
  EXPECT_EQ(state->open_alerts[0], alert);
  EXPECT_EQ(state->settings, (std::map<std::string, std::string>{{"drain/node-2", "disk"}}));
  EXPECT_EQ(state->last_job_number, 2);

  auto found = store_->find_job(job.id);
  STORE_OK(found);
  EXPECT_EQ(*found, job);
  auto events = store_->job_events(job.id);
  STORE_OK(events);
  EXPECT_EQ(*events, std::vector<JobEvent>{event});
  auto placement = store_->placement(job.id);
  STORE_OK(placement);
  EXPECT_EQ(*placement, record);
}

TEST_P(StoreContract, AConflictWritesNothing) {
  const Job job = contract::make_job(1);
  STORE_OK(store_->commit({PutJob{job}, PutAllocation{GpuUuid("GPU-a"), 0, {job.id, 1}, 0}}));
  const Job other = contract::make_job(2);
  auto refused = store_->commit({PutJob{other}, PutSetting{"a", "b"},
                                 PutAllocation{GpuUuid("GPU-a"), 0, {other.id, 1}, 0}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kConflict);
  auto state = store_->load();
  STORE_OK(state);
  EXPECT_EQ(contract::numbers(state->live_jobs), (std::vector<std::int64_t>{1}));
  EXPECT_TRUE(state->settings.empty());
  STORE_OK(store_->commit({PutJob{other}}));
}

TEST_P(StoreContract, AnExclusiveAllocationExcludesEveryOther) {
  const AttemptId one{contract::make_job(1).id, 1}, two{contract::make_job(2).id, 1};
  const GpuUuid gpu("GPU-a");
  const auto take = [&](int slot, const AttemptId& attempt) {
    auto done = store_->commit({PutAllocation{gpu, slot, attempt, 1024}});
    return done ? "taken" : std::string(to_string(done.error().code));
  };
  EXPECT_EQ(take(0, one), "taken");
  EXPECT_EQ(take(0, two), "conflict");
  EXPECT_EQ(take(1, two), "conflict");
  STORE_OK(store_->commit({DeleteAllocations{one}}));
  EXPECT_EQ(take(1, one), "taken");
  EXPECT_EQ(take(2, two), "taken");
  EXPECT_EQ(take(2, one), "conflict");
  EXPECT_EQ(take(0, two), "conflict");
  // Released and taken in one commit.
  STORE_OK(store_->commit({DeleteAllocations{one}, DeleteAllocations{two}, PutAllocation{gpu, 0, two, 0}}));
  auto state = store_->load();
  STORE_OK(state);
  ASSERT_EQ(state->allocations.size(), 1u);
  EXPECT_EQ(state->allocations[0].attempt, two);
}

TEST_P(StoreContract, IdempotencyKeysAreUniquePerUserAndNumbersPerCluster) {
  Job first = contract::make_job(1);
  first.idempotency_key = "k";
  STORE_OK(store_->commit({PutJob{first}}));
  Job second = contract::make_job(2);
  second.idempotency_key = "k";
  EXPECT_EQ(store_->commit({PutJob{second}}).error().code, ErrorCode::kConflict);
  second.user = "bob";
  STORE_OK(store_->commit({PutJob{second}}));
  Job same_number = contract::make_job(2);
  same_number.id = contract::make_job(9).id;
  EXPECT_EQ(store_->commit({PutJob{same_number}}).error().code, ErrorCode::kConflict);
  STORE_OK(store_->commit({PutJob{contract::make_job(3)}, PutJob{contract::make_job(4)}}));  // without keys

  auto found = store_->find_job_by_idempotency_key("bob", "k");
  STORE_OK(found);
  ASSERT_TRUE(found->has_value());
  EXPECT_EQ((*found)->number, 2);
  auto missing = store_->find_job_by_idempotency_key("ada", "other");
  STORE_OK(missing);
  EXPECT_FALSE(missing->has_value());
  auto empty = store_->find_job_by_idempotency_key("ada", "");
  STORE_OK(empty);
  EXPECT_FALSE(empty->has_value());
}

TEST_P(StoreContract, EpochsNeverRepeat) {
  Epoch highest = 0;
  for (int round = 0; round < 3; ++round) {
    auto one = store_->reserve_epochs(1);
    STORE_OK(one);
    EXPECT_GT(*one, highest);
    auto block = store_->reserve_epochs(100);
    STORE_OK(block);
    EXPECT_GT(*block, *one);
    highest = *block + 99;
    auto state = store_->load();
    STORE_OK(state);
    EXPECT_EQ(state->last_epoch, highest);
    reopen();
  }
}

TEST_P(StoreContract, JobsArePagedNewestFirstWithFilters) {
  for (std::int64_t number = 1; number <= 25; ++number) {
    Job job = contract::make_job(number);
    job.user = number % 2 == 0 ? "ada" : "bob";
    job.queue = number <= 10 ? "slow" : "default";
    job.state = number % 5 == 0 ? JobState::kCompleted : JobState::kPending;
    Attempt attempt = contract::make_attempt(job, 1);
    STORE_OK(store_->commit({PutJob{job}, PutAttempt{attempt}}));
  }
  std::vector<std::int64_t> seen;
  JobQuery query;
  query.limit = 10;
  for (int page = 0; page < 4; ++page) {
    auto jobs = store_->find_jobs(query);
    STORE_OK(jobs);
    for (const Job& job : *jobs) {
      seen.push_back(job.number);
      EXPECT_EQ(job.attempts.size(), 1u);
    }
    if (!jobs->empty()) query.before_id = jobs->back().id.str();
  }
  std::vector<std::int64_t> expected;
  for (std::int64_t number = 25; number >= 1; --number) expected.push_back(number);
  EXPECT_EQ(seen, expected);

  const auto find = [&](const std::function<void(JobQuery&)>& fill) {
    JobQuery filter;
    fill(filter);
    auto jobs = store_->find_jobs(filter);
    return jobs ? contract::numbers(*jobs) : std::vector<std::int64_t>{-1};
  };
  using Numbers = std::vector<std::int64_t>;
  EXPECT_EQ(find([](JobQuery& q) { q.states = {JobState::kCompleted}, q.user = "ada"; }), (Numbers{20, 10}));
  EXPECT_EQ(find([](JobQuery& q) { q.states = {JobState::kCompleted, JobState::kFailed}, q.queue = "slow"; }),
            (Numbers{10, 5}));
  EXPECT_EQ(find([](JobQuery& q) { q.name = "train-7"; }), (Numbers{7}));
  EXPECT_EQ(find([](JobQuery& q) {
              q.since = contract::kStart + contract::seconds(3);
              q.until = contract::kStart + contract::seconds(5);
            }),
            (Numbers{4, 3}));
  EXPECT_EQ(find([](JobQuery& q) { q.user = "nobody"; }), Numbers{});
}

TEST_P(StoreContract, JobsAreFoundByNumberAndMissingOnesAreNotFound) {
  const Job job = contract::make_job(7);
  STORE_OK(store_->commit({PutJob{job}}));
  auto found = store_->find_job_by_number(7);
  STORE_OK(found);
  EXPECT_EQ(*found, job);
  EXPECT_EQ(store_->find_job_by_number(8).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(store_->find_job(JobId("nonsense")).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(store_->placement(job.id).error().code, ErrorCode::kNotFound);
}

TEST_P(StoreContract, AcknowledgedCommandsLeaveTheOutboxAndTheRestKeepsItsOrder) {
  const AttemptId one{contract::make_job(1).id, 1}, two{contract::make_job(2).id, 1};
  STORE_OK(store_->commit({PutOutbox{two, 1, "start", "s", "p2"}, PutOutbox{one, 2, "start", "s", "p1"},
                           PutOutbox{one, 2, "stop", "s", "p3"}}));
  STORE_OK(store_->commit({AckOutbox{one, "start"}, AckOutbox{one, "never sent"}}));
  auto state = store_->load();
  STORE_OK(state);
  ASSERT_EQ(state->outbox.size(), 2u);
  EXPECT_EQ(state->outbox[0].payload, "p2");
  EXPECT_EQ(state->outbox[1].payload, "p3");
}

TEST_P(StoreContract, TextThatLooksLikeSqlIsPlainText) {
  for (const std::string& text : {std::string("'; DROP TABLE jobs; --"), std::string("\" OR 1=1"),
                                  std::string("%_\\$1"), std::string("ñ漢字🚀")}) {
    Job job = contract::make_job(1);
    job.user = text;
    job.spec.name = text;
    job.idempotency_key = text;
    STORE_OK(store_->commit({PutJob{job}, PutSetting{text, text}}));
    JobQuery query;
    query.user = query.name = text;
    auto jobs = store_->find_jobs(query);
    STORE_OK(jobs);
    ASSERT_EQ(jobs->size(), 1u) << text;
    EXPECT_EQ(jobs->front(), job);
    auto by_key = store_->find_job_by_idempotency_key(text, text);
    STORE_OK(by_key);
    EXPECT_TRUE(by_key->has_value());
    auto series = store_->series({GpuUuid(text), {"temperature_c"}, contract::kStart,
                                  contract::kStart + contract::seconds(9), contract::seconds(1)});
    STORE_OK(series);
  }
  auto bad = store_->series({GpuUuid("GPU-0"), {"temperature_c FROM samples; --"}, contract::kStart,
                             contract::kStart + contract::seconds(9), contract::seconds(1)});
  EXPECT_EQ(bad.error().code, ErrorCode::kInvalidArgument);
}

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
  auto series = store_->series({GpuUuid("GPU-1"), {"temperature_c"}, contract::kStart + contract::seconds(99),
                                contract::kStart + contract::seconds(100), contract::seconds(1)});
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
      auto series = store_->series({GpuUuid("GPU-0"), {"temperature_c"}, contract::kStart,
                                    contract::kStart + contract::seconds(60), contract::seconds(1)});
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
inline SeriesColumn reference(const std::vector<GpuSample>& samples, const std::string& gpu, const std::string& metric,
                              const Series& series) {
  std::map<Time, std::vector<double>> values;
  for (const GpuSample& sample : samples) {
    const auto value = find_gpu_metric(metric)->get(sample);
    if (sample.gpu_uuid.str() != gpu || !value) continue;
    values[sample.sample_time - sample.sample_time.time_since_epoch() % Duration(series.step)].push_back(*value);
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
      EXPECT_NEAR(*found.mean[i], *expected.mean[i], 1e-12 * std::abs(*expected.mean[i])) << what << " step " << i;
    }
  }
}

inline void expect_series_match(Store& store, const std::vector<GpuSample>& samples, Rng& rng,
                                const std::string& situation) {
  for (const int step : {0, 1, 7, 60, 300, 3600, 7200}) {
    const Time from = kStart + Duration(static_cast<std::int64_t>(rng.below(4'000'000'000)));
    const Duration range = step == 1 || step == 7 ? Duration(minutes(10)) : Duration(hours(4));
    SeriesQuery query{GpuUuid("GPU-0"), {"temperature_c", "power_draw_w", "energy_total_mj", "fan_speed_pct"}, from,
                      from + range, seconds(step)};
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
      expect_equal(series->columns.at(metric), reference(samples, "GPU-0", metric, *series), what + ", " + metric);
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
    auto series = store_->series({GpuUuid("GPU-0"), {"temperature_c"}, contract::kStart,
                                  contract::kStart + contract::hours(2), step});
    if (!series) return series.error().message;
    const auto& mean = series->columns.at("temperature_c").mean;
    const bool any = std::any_of(mean.begin(), mean.end(), [](const auto& value) { return value.has_value(); });
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

TEST_P(StoreContract, AStoreSaysWhatItIs) {
  const StoreInfo info = store_->info();
  EXPECT_FALSE(info.name.empty());
  EXPECT_FALSE(info.version.empty());
  EXPECT_GE(info.schema_version, 1);
  EXPECT_FALSE(info.location.empty());
}

}  // namespace aether
