#pragma once
// The contract of what is asked about many GPUs and jobs at once. Included by contract_test.h.
#include "store/contract_samples.h"

namespace aether {
namespace contract {

// 100 W on GPU-0, 300 W on GPU-1, one reading every 2 s of the first `length`; the counter agrees with the power.
inline std::vector<GpuSample> steady_samples(Duration length) {
  std::vector<GpuSample> samples;
  for (int gpu = 0; gpu < 2; ++gpu)
    for (Duration at{0}; at < length; at += seconds(2)) {
      GpuSample sample = make_sample("GPU-" + std::to_string(gpu), kStart + at, samples.size() + 1);
      const double power = gpu == 0 ? 100 : 300;
      const auto second = std::chrono::duration_cast<seconds>(at).count();
      sample.power_draw_w = power;
      sample.energy_total_mj = static_cast<std::uint64_t>(power * 1000.0 * static_cast<double>(second)) + 5'000'000;
      sample.temperature_c = static_cast<double>(second % 60);  // the same in each minute
      samples.push_back(sample);
    }
  return samples;
}

inline GroupSeriesQuery both_gpus(Time from, Time to, seconds step, std::vector<Statistic> statistics) {
  GroupSeriesQuery query;
  query.members = {{GpuUuid("GPU-0"), 0, from, to}, {GpuUuid("GPU-1"), 0, from, to}};
  query.metrics = {"power_draw_w"};
  query.statistics = std::move(statistics);
  query.from = from, query.to = to, query.step = step;
  return query;
}

using Values = std::vector<std::optional<double>>;

}  // namespace contract

TEST_P(StoreContract, AGroupIsTheSameAtEveryLevelAsItsGpusOneByOne) {
  Rng rng(20260204);
  const Time end = contract::kStart + contract::hours(3);
  for (const char* gpu : {"GPU-0", "GPU-1", "GPU-2"})
    STORE_OK(store_->append_samples(contract::random_samples(rng, gpu, contract::kStart, end)));
  for (const bool rolled : {false, true}) {
    if (rolled) STORE_OK(store_->maintain(end + contract::hours(2)));
    for (const int step : {0, 10, 60, 3600}) {
      GroupSeriesQuery query;
      query.from = contract::kStart + contract::minutes(7);
      query.to = end;
      query.step = contract::seconds(step);
      query.metrics = {"temperature_c", "fan_speed_pct"};
      query.statistics = {Statistic::kMean, Statistic::kMin, Statistic::kMax, Statistic::kSum};
      query.groups = 3;  // one with two GPUs, an empty one, one with a single GPU
      query.members = {{GpuUuid("GPU-2"), 2, query.from, query.to}, {GpuUuid("GPU-1"), 0, query.from, query.to},
                       {GpuUuid("GPU-0"), 0, query.from, query.to}, {GpuUuid("GPU-unknown"), 1, query.from, query.to}};
      auto found = store_->group_series(query);
      STORE_OK(found);
      std::vector<SeriesColumn> single;
      for (const char* gpu : {"GPU-0", "GPU-1", "GPU-2"}) {
        auto series = store_->series({GpuUuid(gpu), {"temperature_c"}, query.from, query.to, query.step});
        STORE_OK(series);
        ASSERT_EQ(found->times, series->times);
        ASSERT_EQ(found->level, series->level);
        single.push_back(series->columns.at("temperature_c"));
      }
      ASSERT_EQ(found->groups.size(), 3u);
      const GroupColumn &pair = found->groups[0].at("temperature_c"), &alone = found->groups[2].at("temperature_c");
      EXPECT_EQ(alone.values[0], single[2].mean);
      EXPECT_EQ(alone.values[1], single[2].min);
      EXPECT_EQ(alone.values[2], single[2].max);
      for (std::size_t i = 0; i < found->times.size(); ++i) {
        const auto &a = single[0].mean[i], &b = single[1].mean[i];
        ASSERT_EQ(pair.gpus[i], (a ? 1u : 0u) + (b ? 1u : 0u)) << step << " at " << i;
        ASSERT_EQ(pair.values[3][i].has_value(), a || b);
        if (!a && !b) continue;
        EXPECT_DOUBLE_EQ(*pair.values[3][i], a.value_or(0) + b.value_or(0));
        EXPECT_NEAR(*pair.values[0][i], *pair.values[3][i] / pair.gpus[i], 1e-9);
        EXPECT_EQ(pair.values[1][i], std::min(single[0].min[i].value_or(1e9), single[1].min[i].value_or(1e9)));
        EXPECT_EQ(pair.values[2][i], std::max(single[0].max[i].value_or(-1e9), single[1].max[i].value_or(-1e9)));
      }
      for (const auto& [name, column] : found->groups[1])
        for (const auto& values : column.values)
          EXPECT_TRUE(std::none_of(values.begin(), values.end(), [](const auto& v) { return v.has_value(); })) << name;
    }
  }
}

TEST_P(StoreContract, AMemberCountsOnlyForItsTimeAlsoBetweenRollups) {
  STORE_OK(store_->append_samples(contract::steady_samples(contract::minutes(20))));
  for (const bool rolled : {false, true}) {
    if (rolled) STORE_OK(store_->maintain(contract::kStart + contract::hours(2)));
    auto query = contract::both_gpus(contract::kStart, contract::kStart + contract::minutes(5), contract::seconds(60),
                                     {Statistic::kSum, Statistic::kMax});
    // GPU-1 twice, with a pause of half a minute that lies across two minutes.
    query.members = {{GpuUuid("GPU-0"), 0, contract::kStart + contract::seconds(90), query.to},
                     {GpuUuid("GPU-1"), 0, query.from, contract::kStart + contract::seconds(165)},
                     {GpuUuid("GPU-1"), 0, contract::kStart + contract::seconds(195), contract::kStart + contract::seconds(240)}};
    query.metrics = {"power_draw_w", "temperature_c"};
    auto found = store_->group_series(query);
    STORE_OK(found);
    const GroupColumn& power = found->groups[0].at("power_draw_w");
    EXPECT_EQ(power.values[0], (contract::Values{300, 400, 400, 400, 100})) << rolled;
    EXPECT_EQ(power.gpus, (std::vector<std::uint32_t>{1, 2, 2, 2, 1})) << rolled;
    query.members.erase(query.members.begin());
    found = store_->group_series(query);
    STORE_OK(found);
    // Second 165 of the pause's minute is its 45th.
    EXPECT_EQ(found->groups[0].at("temperature_c").values[1], (contract::Values{58, 58, 44, 58, std::nullopt})) << rolled;
  }
}

TEST_P(StoreContract, LastAndP95ComeFromRawReadingsOrNotAtAll) {
  store::Retention retention;
  retention.raw = contract::hours(1);
  reopen(retention);
  STORE_OK(store_->append_samples(contract::steady_samples(contract::minutes(2))));
  STORE_OK(store_->maintain(contract::kStart + contract::minutes(10)));
  auto query = contract::both_gpus(contract::kStart, contract::kStart + contract::minutes(2), contract::seconds(60),
                                   {Statistic::kLast, Statistic::kP95});
  query.metrics = {"temperature_c", "power_draw_w"};
  auto found = store_->group_series(query);
  STORE_OK(found);
  EXPECT_EQ(found->level, "raw");
  EXPECT_EQ(found->groups[0].at("temperature_c").values[0], (contract::Values{58, 58}));
  EXPECT_EQ(found->groups[0].at("temperature_c").values[1], (contract::Values{56, 56}));  // 57th of 60 readings
  EXPECT_EQ(found->groups[0].at("power_draw_w").values[0], (contract::Values{200, 200}));
  STORE_OK(store_->maintain(contract::kStart + contract::hours(5)));
  found = store_->group_series(query);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(found.error().message.find("raw readings"), std::string::npos);
  query.statistics = {Statistic::kMax};
  found = store_->group_series(query);
  STORE_OK(found);
  EXPECT_EQ(found->level, "1m");
  EXPECT_EQ(found->groups[0].at("temperature_c").values[0], (contract::Values{58, 58}));
}

TEST_P(StoreContract, TheHistoryKnowsItsGpus) {
  STORE_OK(store_->append_samples({contract::make_sample("GPU-1", contract::kStart, 1),
                                   contract::make_sample("GPU-0", contract::kStart, 1)}));
  auto gpus = store_->known_gpus();
  STORE_OK(gpus);
  EXPECT_EQ(*gpus, (std::vector<KnownGpu>{{GpuUuid("GPU-0"), NodeId("node-1"), 0, "Simulated GPU"},
                                          {GpuUuid("GPU-1"), NodeId("node-1"), 1, "Simulated GPU"}}));
}

TEST_P(StoreContract, EnergyIsThatOfTheCounterAtEveryLevelAndNothingIsInvented) {
  store::Retention retention;
  retention.raw = contract::hours(12);
  retention.minutes = contract::hours(24);
  reopen(retention);
  const auto at = [](int second) { return contract::kStart + contract::seconds(second); };
  STORE_OK(store_->append_samples(contract::steady_samples(contract::hours(3))));
  const std::vector<GpuPart> parts = {{GpuUuid("GPU-0"), at(301), at(301 + 600)},
                                      {GpuUuid("GPU-1"), at(60), at(3 * 3600 - 60)},
                                      {GpuUuid("GPU-1"), at(4 * 3600), at(5 * 3600)},
                                      {GpuUuid("GPU-9"), at(0), at(60)}};
  for (const int hours : {0, 4, 20}) {  // nothing rolled up; all rolled up; raw readings removed
    if (hours > 0) STORE_OK(store_->maintain(contract::kStart + contract::hours(hours)));
    auto energy = store_->energy(parts);
    STORE_OK(energy);
    ASSERT_EQ(energy->size(), 4u);
    ASSERT_TRUE((*energy)[0] && (*energy)[1]) << hours;
    // A rollup across an edge is divided by time: the two seconds between its last reading and the next one's first.
    EXPECT_NEAR((*energy)[0]->energy_j, 60'000, hours == 20 ? 250 : 1e-3) << hours;
    EXPECT_EQ((*energy)[0]->covered, contract::seconds(600)) << hours;
    EXPECT_NEAR((*energy)[1]->energy_j, 300.0 * (3 * 3600 - 120), hours == 20 ? 1'300 : 1e-3) << hours;
    EXPECT_EQ((*energy)[1]->covered, contract::seconds(3 * 3600 - 120)) << hours;
    EXPECT_FALSE((*energy)[2]) << hours;
    EXPECT_FALSE((*energy)[3]) << hours;
  }
  // Only hours are left: they speak for whole hours alone.
  STORE_OK(store_->maintain(contract::kStart + contract::hours(40)));
  auto energy = store_->energy(parts);
  STORE_OK(energy);
  EXPECT_FALSE((*energy)[0]);
  ASSERT_TRUE((*energy)[1]);
  EXPECT_NEAR((*energy)[1]->energy_j, 300.0 * 3600, 1'300);
  EXPECT_EQ((*energy)[1]->covered, contract::seconds(3600));
}

TEST_P(StoreContract, AttemptsAreThoseThatRanInTheTime) {
  const auto at = [](int second) { return contract::kStart + contract::seconds(second); };
  const Job first = contract::make_job(1), second = contract::make_job(2);
  Attempt ended = contract::make_attempt(first, 1), running = contract::make_attempt(second, 1), never = contract::make_attempt(second, 2);
  ended.started_at = at(100), ended.ended_at = at(200);
  running.started_at = at(150);
  never.started_at.reset();
  STORE_OK(store_->commit({PutJob{first}, PutJob{second}, PutAttempt{running}, PutAttempt{ended}, PutAttempt{never}}));
  const AttemptRecord one{ended, 1, "ada", "default", "train-1"}, two{running, 2, "ada", "default", "train-2"};
  auto found = store_->attempts(at(0), at(1000));
  STORE_OK(found);
  EXPECT_EQ(*found, (std::vector<AttemptRecord>{one, two}));
  EXPECT_EQ(store_->attempts(at(200), at(1000)).value(), std::vector<AttemptRecord>{two});
  EXPECT_EQ(store_->attempts(at(0), at(150)).value(), std::vector<AttemptRecord>{one});
  EXPECT_TRUE(store_->attempts(at(0), at(100)).value().empty());
}

TEST_P(StoreContract, JobsAreFoundByAllTheirLabels) {
  Job first = contract::make_job(1), second = contract::make_job(2);
  first.spec.labels = {{"team", "vision"}, {"example.org/run", "it's 7"}, {"a\"b\\", "c"}};
  second.spec.labels = {{"team", "vision"}};
  STORE_OK(store_->commit({PutJob{first}, PutJob{second}, PutJob{contract::make_job(3)}}));
  const auto found = [&](std::map<std::string, std::string> labels) {
    JobQuery query;
    query.labels = std::move(labels);
    return contract::numbers(store_->find_jobs(query).value_or(std::vector<Job>()));
  };
  EXPECT_EQ(found({{"team", "vision"}}), (std::vector<std::int64_t>{2, 1}));
  EXPECT_EQ(found({{"team", "vision"}, {"example.org/run", "it's 7"}}), (std::vector<std::int64_t>{1}));
  EXPECT_EQ(found({{"team", "Vision"}}), std::vector<std::int64_t>());
  EXPECT_EQ(found({{"Team", "vision"}}), std::vector<std::int64_t>());
  EXPECT_EQ(found({{"a\"b\\", "c"}}), (std::vector<std::int64_t>{1}));
}

TEST_P(StoreContract, EventsAndAuditLinesAreFoundByWhatIsKnownOfThem) {
  const auto at = [](int second) { return contract::kStart + contract::seconds(second); };
  Job first = contract::make_job(1), second = contract::make_job(2);
  second.user = "bob";
  const auto event = [&](const Job& job, const char* to, int at_second) {
    return PutEvent{{job.id, at(at_second), "", to, "user", "x", 0, 0}};
  };
  const auto line = [&](const char* actor, const char* action, const char* target, int at_second) {
    return PutAudit{{at(at_second), actor, action, target, ""}};
  };
  STORE_OK(store_->commit({PutJob{first}, PutJob{second}, event(first, "PENDING", 1), event(second, "PENDING", 2),
                           event(first, "RUNNING", 3), event(second, "FAILED", 4), line("ada", "submit", "a", 1),
                           line("bob", "submit", "b", 2), line("ada", "cancel", "b", 3)}));
  const auto events = [&](const EventQuery& query) {
    std::string out;
    for (const StoredEvent& found : store_->events(query).value_or(std::vector<StoredEvent>()))
      out += std::to_string(found.number) + found.event.to + " ";
    return out;
  };
  EXPECT_EQ(events({.user = "bob"}), "2PENDING 2FAILED ");
  EXPECT_EQ(events({.job = first.id.str()}), "1PENDING 1RUNNING ");
  EXPECT_EQ(events({.states = {JobState::kRunning, JobState::kFailed}}), "1RUNNING 2FAILED ");
  EXPECT_EQ(events({.since = at(2), .until = at(4)}), "2PENDING 1RUNNING ");
  EXPECT_EQ(events({.states = {JobState::kPending}, .limit = 1}), "2PENDING ");
  EXPECT_EQ(events({.after = 0, .states = {JobState::kPending}, .limit = 1}), "1PENDING ");
  const auto lines = [&](const AuditQuery& query) {
    std::string out;
    for (const AuditLine& found : store_->audit(query).value_or(std::vector<AuditLine>())) out += std::to_string(found.seq) + " ";
    return out;
  };
  EXPECT_EQ(lines({.actor = "ada"}), "1 3 ");
  EXPECT_EQ(lines({.action = "submit"}), "1 2 ");
  EXPECT_EQ(lines({.target = "b"}), "2 3 ");
  EXPECT_EQ(lines({.since = at(2), .until = at(3)}), "2 ");
  EXPECT_EQ(lines({.limit = 1}), "3 ");
  EXPECT_EQ(lines({.after = 1, .actor = "ada"}), "3 ");
}

}  // namespace aether
