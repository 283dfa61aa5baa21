// History and usage over HTTP.
#include <cmath>

#include "api/fake_store.h"
#include "api/served_api.h"

namespace aether::api {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

class HistoryRoutes : public ServedApi {
 protected:
  void SetUp() override {
    now_ = clock_.now();
    for (int i = 0; i < 3; ++i)
      store_.gpus.push_back({GpuUuid("GPU-" + std::to_string(i)), NodeId(i < 2 ? "n1" : "n2"), i % 2, "Simulated GPU"});
    store_.group_answer.step = seconds(60);
    store_.group_answer.level = "1m";
    store_.group_answer.times = {now_ - minutes(2), now_ - minutes(1)};
    answer_groups(1);
    serve({}, &store_);
  }
  void answer_groups(std::size_t count) {
    GroupColumn column;
    column.values = {{250.5, std::nullopt}, {300.0, std::nullopt}};
    column.gpus = {2, 0};
    store_.group_answer.groups.assign(count, {{"power_draw_w", column}});
  }
  Reply ask_history(const std::string& query, const std::string& headers = {}) {
    return get("/api/v1/history?metrics=power_draw_w&" + query, headers);
  }

  FakeStore store_;
  Time now_;
};

TEST_F(HistoryRoutes, ANodeIsOneLineOrOneForEachGpu) {
  const Reply all = ask_history("scope=node&id=n1&agg=mean,max&last=2h&step_s=60");
  ASSERT_EQ(all.status, 200) << all.body;
  EXPECT_EQ(all.json["level"], "1m");
  EXPECT_EQ(all.json["groups"][0]["name"], "n1");
  EXPECT_EQ(all.json["groups"][0]["series"]["power_draw_w"]["mean"], Json::array({250.5, nullptr}));
  EXPECT_EQ(all.json["groups"][0]["series"]["power_draw_w"]["max"], Json::array({300.0, nullptr}));
  EXPECT_EQ(all.json["groups"][0]["series"]["power_draw_w"]["gpus"], Json::array({2, 0}));
  EXPECT_EQ(all.json["notes"], Json::array());
  ASSERT_EQ(store_.asked_group.members.size(), 2u);
  EXPECT_EQ(store_.asked_group.from, now_ - hours(2));
  EXPECT_EQ(store_.asked_group.to, now_);
  answer_groups(2);
  const Reply each = ask_history("scope=node&id=n1&by=gpu&agg=min,max&step_s=1");
  ASSERT_EQ(each.status, 200) << each.body;
  EXPECT_EQ(each.json["groups"][1]["name"], "n1-1");
  EXPECT_EQ(each.json["groups"][1]["gpu_uuid"], "GPU-1");
  EXPECT_EQ(store_.asked_group.groups, 2u);
  EXPECT_EQ(each.json["notes"].size(), 1u);  // the step is another than asked
}

TEST_F(HistoryRoutes, TheFleetIsEveryGpuThereIsHistoryOf) {
  answer_groups(2);
  ASSERT_EQ(ask_history("scope=fleet&by=node&agg=sum,mean").status, 200);
  EXPECT_EQ(store_.asked_group.members.size(), 3u);
  EXPECT_EQ(store_.asked_group.members[2].group, 1u);
  EXPECT_EQ(store_.asked_group.statistics, (std::vector<Statistic>{Statistic::kSum, Statistic::kMean}));
}

TEST_F(HistoryRoutes, AJobHasItsGpusOnlyWhileItHeldThem) {
  const JobId id = control_.add_job(JobState::kCompleted);
  control_.publish([&](ClusterView& view) {
    auto job = std::make_shared<Job>(*view.jobs.at(id));
    Attempt first, second, never;
    first.placement = {NodeId("n1"), {GpuUuid("GPU-0"), GpuUuid("GPU-1")}, 0};
    first.started_at = now_ - minutes(50), first.ended_at = now_ - minutes(40);
    second.placement = {NodeId("n2"), {GpuUuid("GPU-2")}, 1024};
    second.started_at = now_ - minutes(30), second.ended_at = now_ - minutes(10);
    job->attempts = {first, never, second};
    view.jobs[id] = job;
  });
  const Reply reply = ask_history("scope=job&id=" + id.str() + "&agg=mean,max");
  ASSERT_EQ(reply.status, 200) << reply.body;
  ASSERT_EQ(store_.asked_group.members.size(), 3u);
  EXPECT_EQ(store_.asked_group.members[0].to, now_ - minutes(40));
  EXPECT_EQ(store_.asked_group.members[2].from, now_ - minutes(30));
  EXPECT_EQ(store_.asked_group.from, now_ - minutes(50));
  EXPECT_EQ(store_.asked_group.to, now_ - minutes(10));
  EXPECT_NE(reply.json["notes"][0].get<std::string>().find("shares"), std::string::npos);
  const Reply waits = ask_history("scope=job&id=" + control_.add_job(JobState::kPending).str());
  EXPECT_EQ(waits.status, 409);
  EXPECT_NE(waits.body.find("aether why"), std::string::npos);
  EXPECT_EQ(ask_history("scope=job&id=nope").status, 404);
}

TEST_F(HistoryRoutes, CsvHasARowForEachStepAndEmptyFieldsForGaps) {
  for (const auto& [query, headers] : {std::pair("&format=csv", ""), std::pair("", "Accept: text/csv\r\n")}) {
    const Reply reply = ask_history(std::string("scope=gpu&id=n1-0&agg=mean,max") + query, headers);
    ASSERT_EQ(reply.status, 200) << reply.body;
    EXPECT_EQ(reply.headers.at("content-type"), "text/csv; charset=utf-8");
    EXPECT_EQ(reply.body, "time,group,metric,mean,max,gpus\n" + format_rfc3339(now_ - minutes(2)) + ",n1-0,power_draw_w,250.5,300,2\n" +
                              format_rfc3339(now_ - minutes(1)) + ",n1-0,power_draw_w,,,0\n");
  }
}

TEST_F(HistoryRoutes, WrongQuestionsSayWhatToDo) {
  for (const auto& [query, word] : std::map<std::string, std::string>{{"scope=rack&id=1", "gpu, node, job or fleet"},
                                                                      {"scope=gpu", "id names the gpu"},
                                                                      {"scope=fleet&id=1", "leave it out"},
                                                                      {"scope=fleet&agg=median", "p95"},
                                                                      {"scope=fleet&by=rack", "gpu, node or all"},
                                                                      {"scope=fleet&last=30", "2h"},
                                                                      {"scope=fleet&last=2h&from=2026-01-01T00:00:00Z", "not both"},
                                                                      {"scope=fleet&from=2026-01-01T00:00:00Z&to=2025-01-01T00:00:00Z", "before"},
                                                                      {"scope=fleet&step_s=-1", "whole number"},
                                                                      {"scope=fleet&format=xml", "csv"},
                                                                      {"scope=fleet&agg=", "agg is"},
                                                                      {"scope=fleet&steps=1", "step_s"}}) {
    const Reply reply = ask_history(query);
    EXPECT_EQ(reply.status, 400) << query;
    EXPECT_NE(reply.body.find(word), std::string::npos) << reply.body;
  }
  EXPECT_EQ(ask_history("scope=node&id=n9").status, 404);
  EXPECT_EQ(ask_history("scope=gpu&id=n9-1").status, 404);
  store_.group_error = Error{ErrorCode::kInvalidArgument, "too much; take step_s=60", "/step_s"};
  const Reply too_much = ask_history("scope=fleet");
  EXPECT_EQ(too_much.status, 400);
  EXPECT_EQ(too_much.json["errors"][0]["pointer"], "?step_s") << too_much.body;
}

TEST_F(HistoryRoutes, UsageIsDividedByWhoUsedTheGpus) {
  const auto ran = [&](std::int64_t number, const char* user, const char* gpu, Duration ago, Duration length) {
    AttemptRecord record;
    record.attempt.id = {JobId(make_ulid(now_, 1, static_cast<std::uint64_t>(number))), 1};
    record.attempt.placement = {NodeId("n1"), {GpuUuid(gpu)}, 0};
    record.attempt.started_at = now_ - ago, record.attempt.ended_at = now_ - ago + length;
    record.attempt.energy_j = 100, record.attempt.carbon_g = 10;
    record.number = number, record.user = user, record.queue = "default", record.name = "=train,\"x\"";
    store_.ran.push_back(record);
  };
  ran(1, "ada", "GPU-0", hours(4), hours(2));
  ran(2, "bob", "GPU-0", hours(3), hours(1));  // beside the first for its second hour
  ran(3, "ada", "GPU-1", hours(2), hours(1));
  const Reply users = get("/api/v1/usage?last=1d");
  ASSERT_EQ(users.status, 200) << users.body;
  ASSERT_EQ(users.json["items"].size(), 2u);
  const Json &ada = users.json["items"][0], &bob = users.json["items"][1];
  EXPECT_EQ(ada["user"], "ada");
  EXPECT_EQ(ada["jobs"], 2);
  EXPECT_NEAR(ada["gpu_hours"].get<double>(), 2.5, 1e-9);
  EXPECT_NEAR(ada["energy_kwh"].get<double>(), 0.9, 1e-9);
  EXPECT_NEAR(ada["energy_covered"].get<double>(), 1, 1e-9);
  EXPECT_NEAR(ada["carbon_g"].get<double>(), 0.9 * 3.6e6 / 10, 1e-3);
  EXPECT_NEAR(bob["gpu_hours"].get<double>(), 0.5, 1e-9);
  EXPECT_NEAR(users.json["total"]["gpu_hours"].get<double>(), 3, 1e-9);
  const Reply jobs = get("/api/v1/usage?by=job&user=bob");
  ASSERT_EQ(jobs.json["items"].size(), 1u);
  EXPECT_EQ(jobs.json["items"][0]["number"], 2);
  EXPECT_NEAR(jobs.json["items"][0]["gpu_hours"].get<double>(), 0.5, 1e-9);  // ada's job counts all the same
  const Reply csv = get("/api/v1/usage?by=job&user=bob&format=csv");
  EXPECT_NE(csv.body.find(",2,\"'=train,\"\"x\"\"\",bob,default,1,1,0.5,"), std::string::npos) << csv.body;
  EXPECT_EQ(get("/api/v1/usage?by=team").status, 400);
  EXPECT_EQ(get("/api/v1/usage?user=nobody").json["items"].size(), 0u);
  EXPECT_EQ(get("/api/v1/usage?user=nobody").json["total"]["energy_kwh"], nullptr);
}

TEST_F(HistoryRoutes, JobsEventsAndAuditAreFoundByWhatIsKnown) {
  get("/api/v1/jobs?label=team=vision,run=7");
  EXPECT_EQ(store_.asked_jobs.labels, (std::map<std::string, std::string>{{"team", "vision"}, {"run", "7"}}));
  EXPECT_EQ(get("/api/v1/jobs?label=team").status, 400);
  const JobId labelled = control_.add_job(JobState::kRunning);
  control_.publish([&](ClusterView& view) {
    auto job = std::make_shared<Job>(*view.jobs.at(labelled));
    job->spec.labels = {{"team", "vision"}};
    view.jobs[labelled] = job;
  });
  control_.add_job(JobState::kRunning);
  EXPECT_EQ(get("/api/v1/jobs?state=running&label=team=vision").json["items"].size(), 1u);
  EXPECT_EQ(get("/api/v1/jobs?state=running&label=team=nlp").json["items"].size(), 0u);

  const std::string query = "/api/v1/events?user=bob&state=finished&since=2026-01-01T00:00:00Z&until=2026-01-02T00:00:00Z&job=" + labelled.str();
  ASSERT_EQ(get(query).status, 200);
  EXPECT_EQ(store_.asked_events.user, "bob");
  EXPECT_EQ(store_.asked_events.job, labelled.str());
  EXPECT_EQ(*store_.asked_events.until - *store_.asked_events.since, hours(24));
  EXPECT_TRUE(std::all_of(store_.asked_events.states.begin(), store_.asked_events.states.end(), is_terminal));
  EXPECT_FALSE(store_.asked_events.states.empty());
  EXPECT_EQ(get("/api/v1/events?state=what").status, 400);
  EXPECT_EQ(get("/api/v1/events?job=nope").status, 404);

  for (int i = 1; i <= 3; ++i) store_.lines.push_back({i, {now_, i == 2 ? "bob" : "ada", "submit", "x", ""}, "h"});
  const auto audit = [&](const std::string& filters) { return ask("GET", "/api/v1/audit" + filters, kBearer).json["items"]; };
  EXPECT_EQ(audit("?actor=bob").size(), 1u);
  EXPECT_EQ(audit("?limit=2")[0]["seq"], 2);
  EXPECT_EQ(audit("?limit=1&after=0")[0]["seq"], 1);
}

}  // namespace
}  // namespace aether::api
