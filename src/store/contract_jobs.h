#pragma once
// The contract of jobs, allocations, outbox, epochs and queries. Included by contract_test.h.
#include "store/contract_harness.h"

namespace aether {

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
  record.candidates.push_back(
      {GpuUuid("GPU-a"), "node-1-0", NodeId("node-1"), true, "", "", 0.5, {{"packing", 0.25, 2}}, {}});
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
  STORE_OK(
      store_->commit({PutJob{job}, PutAttempt{first}, PutAttempt{second},
                      PutAllocation{GpuUuid("GPU-a"), 0, second.id, 0}, PutEvent{event}, PutPlacement{record},
                      PutOutbox{second.id, 42, "start", "aether.commands.node-1", "{\"a\":1}"},
                      PutAlert{alert}, PutAlert{cleared}, PutSetting{"drain/node-2", "disk"},
                      PutSetting{"gone", "x"}, PutSetting{"gone", {}}}));
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

TEST_P(StoreContract, TasksOfAnArrayAreFoundByTheirParentWithAllTheirHistory) {
  Job first = contract::make_job(1);
  first.array_parent = first.id;
  first.spec.array = "4-5";
  first.array_index = 4;
  first.array_number = 1;
  Job second = contract::make_job(2);
  second.array_parent = first.id;
  second.array_index = 5;
  second.spec.depends_on = {{DependencyKind::kAfterOk, "7"}, {DependencyKind::kSingleton, ""}};
  second.dependencies = {DependencyState::kMet, DependencyState::kWaiting};
  second.restart = Restart::kRetry;
  second.retries_used = 2;
  second.not_before = contract::kStart + contract::seconds(9);
  STORE_OK(store_->commit({PutJob{first}, PutJob{second}, PutJob{contract::make_job(3)}}));
  reopen();
  JobQuery query;
  query.array = first.id.str();
  auto found = store_->find_jobs(query);
  STORE_OK(found);
  EXPECT_EQ(*found, (std::vector<Job>{second, first}));
}

TEST_P(StoreContract, EventsOfAllJobsHaveAnOrderThatSurvives) {
  const Job first = contract::make_job(1), second = contract::make_job(2);
  const auto event = [](const Job& job, const char* to) {
    return PutEvent{{job.id, contract::kStart, "", to, "user", "submitted", 0, 0}};
  };
  STORE_OK(store_->commit({PutJob{first}, event(first, "PENDING"), PutJob{second}, event(second, "HELD")}));
  STORE_OK(store_->commit({event(first, "CANCELLED")}));
  reopen();
  auto all = store_->events({.after = 0, .limit = 10});
  STORE_OK(all);
  ASSERT_EQ(all->size(), 3u);
  EXPECT_EQ((*all)[1].event.to, "HELD");
  EXPECT_EQ((*all)[1].number, 2);
  EXPECT_EQ((*all)[1].name, second.spec.name);
  EXPECT_LT((*all)[0].seq, (*all)[1].seq);
  auto newest = store_->events({.limit = 2});
  STORE_OK(newest);
  ASSERT_EQ(newest->size(), 2u);
  EXPECT_EQ((*newest)[0].seq, (*all)[1].seq);
  auto rest = store_->events({.after = (*all)[1].seq, .limit = 10});
  STORE_OK(rest);
  ASSERT_EQ(rest->size(), 1u);
  EXPECT_EQ((*rest)[0].event.to, "CANCELLED");
}

TEST_P(StoreContract, AConflictWritesNothing) {
  const Job job = contract::make_job(1);
  STORE_OK(store_->commit({PutJob{job}, PutAllocation{GpuUuid("GPU-a"), 0, {job.id, 1}, 0}}));
  const Job other = contract::make_job(2);
  auto refused = store_->commit(
      {PutJob{other}, PutSetting{"a", "b"}, PutAllocation{GpuUuid("GPU-a"), 0, {other.id, 1}, 0}});
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

TEST_P(StoreContract, AuditLinesAreSealedInTheirOrderAndStayAsTheyWere) {
  EXPECT_EQ(*store_->last_audit_line(), AuditLine{});
  const auto record = [](int i) {
    return PutAudit{{contract::kStart + contract::seconds(i), "ada", "cancel", "job-" + std::to_string(i), "Ünïcode \"x\""}};
  };
  STORE_OK(store_->commit({record(1), record(2)}));
  reopen();
  STORE_OK(store_->commit({record(3)}));
  EXPECT_FALSE(store_->commit({record(4), PutAllocation{GpuUuid("GPU-a"), 0, {JobId("j"), 1}, 0},
                               PutAllocation{GpuUuid("GPU-a"), 0, {JobId("k"), 1}, 0}}));
  STORE_OK(store_->commit({record(5)}));
  auto lines = store_->audit({.after = 0});
  STORE_OK(lines);
  ASSERT_EQ(lines->size(), 4u) << "a line lives and dies with its transaction";
  EXPECT_TRUE(check_audit_chain({}, *lines));
  EXPECT_EQ((*lines)[3].record, record(5).record);
  EXPECT_EQ(*store_->last_audit_line(), lines->back());
  auto page = store_->audit({.after = 1, .limit = 2});
  STORE_OK(page);
  ASSERT_EQ(page->size(), 2u);
  EXPECT_TRUE(check_audit_chain(lines->front(), *page));
}

TEST_P(StoreContract, EpochsAreTakenAboveThoseOfAnotherDatabase) {
  auto first = store_->reserve_epochs(10, 1'000'000);
  STORE_OK(first);
  EXPECT_EQ(*first, 1'000'001u);
  auto next = store_->reserve_epochs(10, 500);
  STORE_OK(next);
  EXPECT_EQ(*next, 1'000'011u) << "a lower bound takes nothing back";
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
  EXPECT_EQ(find([](JobQuery& q) {
              q.states = {JobState::kCompleted, JobState::kFailed}, q.queue = "slow";
            }),
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
    auto series = store_->series({GpuUuid(text),
                                  {"temperature_c"},
                                  contract::kStart,
                                  contract::kStart + contract::seconds(9),
                                  contract::seconds(1)});
    STORE_OK(series);
  }
  auto bad = store_->series({GpuUuid("GPU-0"),
                             {"temperature_c FROM samples; --"},
                             contract::kStart,
                             contract::kStart + contract::seconds(9),
                             contract::seconds(1)});
  EXPECT_EQ(bad.error().code, ErrorCode::kInvalidArgument);
}

TEST_P(StoreContract, AStoreSaysWhatItIs) {
  const StoreInfo info = store_->info();
  EXPECT_FALSE(info.name.empty());
  EXPECT_FALSE(info.version.empty());
  EXPECT_GE(info.schema_version, 1);
  EXPECT_FALSE(info.location.empty());
}

}  // namespace aether
