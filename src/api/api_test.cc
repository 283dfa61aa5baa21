#include "api/api.h"

#include <set>

#include "api/fake_store.h"
#include "api/served_api.h"

namespace aether::api {
namespace {

class ApiRoutes : public ServedApi {};

TEST_F(ApiRoutes, EveryRouteIsDescribedAndTheReverse) {
  serve();
  std::set<std::string> served, described;
  for (const http::RouteInfo& route : server_->routes())
    served.insert((route.method == "SOCKET" ? "GET" : route.method) + " " + route.pattern);
  const Json document = Json::parse(Api::openapi());
  EXPECT_EQ(document["openapi"], "3.1.0");
  for (const auto& [path, operations] : document["paths"].items())
    for (const auto& entry : operations.items()) {
      std::string method = entry.key();
      for (char& c : method) c = static_cast<char>(std::toupper(c));
      described.insert(method + " " + path);
    }
  EXPECT_EQ(served, described);
  EXPECT_EQ(get("/openapi.json").json, document);
  EXPECT_EQ(get("/api/v1/openapi.yaml").body, Api::openapi());
}

TEST_F(ApiRoutes, EveryReferenceInTheDescriptionExists) {
  const Json document = Json::parse(Api::openapi());
  const std::function<void(const Json&)> visit = [&](const Json& node) {
    if (node.is_object() && node.contains("$ref")) {
      EXPECT_TRUE(document.contains(Json::json_pointer(node["$ref"].get<std::string>().substr(1)))) << node;
    }
    for (const Json& child : node)
      if (child.is_structured()) visit(child);
  };
  visit(document);
}

TEST_F(ApiRoutes, EveryWriteNeedsATokenAndEveryReadFollowsTheSetting) {
  serve({}, nullptr, false);
  for (const http::RouteInfo& route : server_->routes()) {
    if (route.method == "SOCKET") continue;
    std::string path = route.pattern;
    for (std::size_t at; (at = path.find('{')) != std::string::npos;) path.replace(at, path.find('}') - at + 1, "x");
    const bool is_public = path == "/healthz" || path == "/readyz";
    EXPECT_EQ(ask(route.method, path).status == 401, !is_public) << route.method << " " << path;
    EXPECT_TRUE(route.method == "GET" || route.access == http::Access::kWrite) << route.method << " " << path;
  }
}

// What the description says about a reply holds for the reply.
void expect_shape(const Json& schema, const Json& value, const std::string& where, const Json& document) {
  if (schema.contains("$ref"))
    return expect_shape(document.at(Json::json_pointer(schema["$ref"].get<std::string>().substr(1))), value, where,
                        document);
  if (schema.contains("oneOf")) {
    if (value.is_null()) return;
    return expect_shape(schema["oneOf"][0], value, where, document);
  }
  const auto is_type = [&](const Json& name) {
    if (name == "integer") return value.is_number_integer();
    if (name == "number") return value.is_number();
    return std::string(value.type_name()) == name.get<std::string>();
  };
  const Json types = schema["type"].is_array() ? schema["type"] : Json::array({schema["type"]});
  EXPECT_TRUE(std::any_of(types.begin(), types.end(), is_type))
      << where << " is " << value << ", described as " << types;
  for (const Json& key : schema.value("required", Json::array()))
    EXPECT_TRUE(value.contains(key.get<std::string>())) << where << " lacks " << key;
  if (schema.contains("enum") && value.is_string()) {
    EXPECT_NE(std::find(schema["enum"].begin(), schema["enum"].end(), value), schema["enum"].end())
        << where << " is " << value;
  }
  if (schema.contains("properties") && value.is_object())
    for (const auto& entry : value.items()) {
      const bool described = schema["properties"].contains(entry.key());
      EXPECT_TRUE(described) << where << "/" << entry.key() << " is not described";
      if (described)
        expect_shape(schema["properties"][entry.key()], entry.value(), where + "/" + entry.key(), document);
    }
  if (schema.contains("items") && value.is_array())
    for (const Json& item : value) expect_shape(schema["items"], item, where + "[]", document);
}

class ApiShapes : public ServedApi {
 protected:
  void expect_described(const std::string& path, const std::string& target) {
    const Json document = Json::parse(Api::openapi());
    const Reply reply = get(target);
    ASSERT_EQ(reply.status, 200) << target << reply.body;
    expect_shape(document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"],
                 reply.json, target, document);
  }
};

TEST_F(ApiShapes, RepliesAreAsDescribed) {
  FakeStore store;
  serve({}, &store);
  control_.add_gpu(0);
  control_.add_gpu(1);
  control_.set_reading("GPU-0", 61);
  const JobId running = control_.add_job(JobState::kRunning), waiting = control_.add_job(JobState::kPending),
              ended = control_.add_job(JobState::kFailed);
  control_.publish([&](ClusterView& view) {
    view.gpus[GpuUuid("GPU-0")].jobs = {{running, 1, "train"}};
    Alert alert;
    alert.id = AlertId("temperature/GPU-0");
    alert.kind = "temperature";
    alert.title = "GPU 0 on n1 is hot";
    alert.job = running;
    alert.since = view.at;
    alert.value = 91;
    view.alerts = {alert};
    view.carbon = CarbonReport{.zone = "GB",
                               .source = "built-in profile",
                               .label = "typical",
                               .is_estimated = true,
                               .intensity_g_per_kwh = 200,
                               .observed_at = view.at,
                               .received_at = view.at,
                               .forecast = {{view.at, 190}}};
    WaitRecord wait;
    wait.job = waiting;
    wait.summary = "It needs 8 GPUs";
    wait.reasons = {{.code = "INSUFFICIENT_GPUS",
                     .blocking = true,
                     .text = "needs 8, best 2",
                     .need = 8,
                     .best = 2,
                     .unit = "gpu",
                     .evidence = {{NodeId("n1"), 2, 2}},
                     .job_numbers = {1}}};
    wait.checks = {{.code = "PRIORITY", .verdict = "pass", .have = 1, .need = 1, .unit = "", .text = "first"}};
    wait.counterfactuals = {{"it asks for 2 GPUs", "now"}};
    wait.queue_position = 1;
    wait.start_eta = view.at;
    view.waiting[waiting] = std::make_shared<const WaitRecord>(wait);
    PlacementRecord placement;
    placement.job = running;
    placement.attempt = 1;
    placement.placement.node = NodeId("n1");
    placement.placement.gpu_uuids = {GpuUuid("GPU-0")};
    placement.gpu_ids = {"n1-0"};
    placement.policy = "model";
    placement.model = ModelVersion{"gbt", "1"};
    placement.summary = "coolest";
    placement.candidates = {{.gpu_uuid = GpuUuid("GPU-0"),
                             .gpu_id = "n1-0",
                             .node = NodeId("n1"),
                             .chosen = true,
                             .rejected_by = "",
                             .rejected_text = "",
                             .score = 0.9,
                             .terms = {{"model", 0.9, 1}},
                             .contributions = {{"temperature_c", 61, -0.1}}}};
    view.placements[running] = std::make_shared<const PlacementRecord>(placement);
    view.model = ModelVersion{"gbt", "1"};
    view.history.times = {view.at};
    view.history.busy_pct = {50};
    view.history.memory_used_mb = {1024};
    view.history.power_draw_w = {300};
    view.history.jobs_pending = {1};
  });
  store.job_history = {{.job = running,
                   .time = clock_.now(),
                   .from = "",
                   .to = "PENDING",
                   .actor = "user",
                   .reason = "",
                   .epoch = 0,
                   .attempt = 0}};
  for (const std::string name : {"version", "fleet", "nodes", "gpus", "alerts", "carbon", "events"})
    expect_described("/api/v1/" + name, "/api/v1/" + name);
  expect_described("/api/v1/nodes/{node}", "/api/v1/nodes/n1");
  for (const char* gpu : {"GPU-0", "GPU-1", "n1-0"})
    expect_described("/api/v1/gpus/{gpu}", std::string("/api/v1/gpus/") + gpu);
  for (const JobId& job : {running, waiting, ended})
    for (const std::string& suffix :
         {std::string(), std::string("/explain"), std::string("/attempts"), std::string("/events")})
      expect_described("/api/v1/jobs/{id}" + suffix, "/api/v1/jobs/" + job.str() + suffix);
  expect_described("/api/v1/jobs", "/api/v1/jobs?state=waiting,running");
}

TEST_F(ApiShapes, MissingValuesAreNullAndNeverZero) {
  serve();
  control_.add_gpu(0);
  const Json gpu = get("/api/v1/gpus/n1-0").json;
  EXPECT_TRUE(gpu["sample"].is_null());
  EXPECT_TRUE(gpu["temperature_slowdown_c"].is_null());
  const Json fleet = get("/api/v1/fleet").json;
  for (const char* key :
       {"busy_pct", "memory_used_mb", "power_draw_w", "memory_fullest_pct", "next_start_eta", "carbon", "model"})
    EXPECT_TRUE(fleet[key].is_null()) << key;
  EXPECT_EQ(fleet["gpus_total"], 1);
  EXPECT_EQ(fleet["simulated"], true);
  control_.set_reading("GPU-0", 61);
  EXPECT_EQ(get("/api/v1/fleet").json["busy_pct"], 50.0);
  EXPECT_EQ(get("/api/v1/carbon").status, 404);
}

TEST_F(ApiShapes, ValuesOfTheEnvironmentAreNeverShown) {
  serve();
  const JobId job = control_.add_job(JobState::kRunning);
  for (const std::string& target :
       {"/api/v1/jobs/" + job.str(), std::string("/api/v1/jobs"), "/api/v1/jobs/" + job.str() + "/explain"}) {
    const Reply reply = get(target);
    EXPECT_EQ(reply.body.find("hunter2"), std::string::npos) << target;
  }
  EXPECT_EQ(get("/api/v1/jobs/1").json["env_names"], Json::array({"API_KEY"}));
}

TEST_F(ApiRoutes, UnknownParametersAndFieldsAreErrorsThatNameTheNearest) {
  serve();
  control_.add_gpu(0);
  const Reply query = get("/api/v1/jobs?stat=running");
  EXPECT_EQ(query.status, 400);
  EXPECT_EQ(query.json["code"], "unknown_field");
  EXPECT_NE(query.json["detail"].get<std::string>().find("'state'"), std::string::npos);
  const Reply field = post("/api/v1/jobs", R"({"argv":["true"],"gpu":2})");
  EXPECT_EQ(field.status, 400);
  EXPECT_EQ(field.json["code"], "unknown_field");
  EXPECT_EQ(field.json["errors"][0]["pointer"], "/gpu");
  EXPECT_NE(field.json["detail"].get<std::string>().find("'gpus'"), std::string::npos);
  EXPECT_EQ(post("/api/v1/jobs/1/cancel", R"({"grace":3})").json["code"], "unknown_field");
  EXPECT_EQ(post("/api/v1/gpus/n1-0/quarantine", R"({"reason":"x","y":1})").json["code"], "unknown_field");
  EXPECT_EQ(get("/api/v1/fleet?x=1").status, 400);
  EXPECT_EQ(post("/api/v1/jobs", "[1]").json["code"], "malformed_json");
  EXPECT_EQ(post("/api/v1/jobs", "{").json["code"], "malformed_json");
}

TEST_F(ApiRoutes, UnknownIdsAre404) {
  serve();
  for (const char* target : {"/api/v1/jobs/99", "/api/v1/jobs/99/explain", "/api/v1/jobs/99/logs/stdout",
                             "/api/v1/gpus/x", "/api/v1/nodes/x", "/api/v1/none"}) {
    const Reply reply = get(target);
    EXPECT_EQ(reply.status, 404) << target;
    EXPECT_EQ(reply.headers.at("content-type"), "application/problem+json") << target;
  }
  EXPECT_EQ(post("/api/v1/jobs/99/cancel").status, 404);
  EXPECT_EQ(post("/api/v1/nodes/x/drain", R"({"reason":"r"})").status, 404);
  EXPECT_EQ(post("/api/v1/alerts/x/acknowledge").status, 404);
  EXPECT_EQ(ask("PUT", "/api/v1/jobs").status, 405);
}

TEST_F(ApiRoutes, JobsAreListedNewestFirstAndPageByPage) {
  serve();
  for (int i = 0; i < 7; ++i) control_.add_job(i % 2 == 0 ? JobState::kPending : JobState::kCompleted);
  std::vector<int> numbers;
  std::string token;
  do {
    const Json page = get("/api/v1/jobs?limit=3" + token).json;
    for (const Json& job : page["items"]) numbers.push_back(job["number"]);
    token = page["next_page_token"].is_null() ? "" : "&page_token=" + page["next_page_token"].get<std::string>();
  } while (!token.empty());
  EXPECT_EQ(numbers, (std::vector{7, 6, 5, 4, 3, 2, 1}));
  EXPECT_EQ(get("/api/v1/jobs?state=finished").json["items"].size(), 3u);
  EXPECT_EQ(get("/api/v1/jobs?state=waiting").json["items"].size(), 4u);
  EXPECT_EQ(get("/api/v1/jobs?state=PENDING,COMPLETED").json["items"].size(), 7u);
  EXPECT_EQ(get("/api/v1/jobs?user=nobody").json["items"].size(), 0u);
  EXPECT_EQ(get("/api/v1/jobs?state=pendin").json["code"], "invalid_parameter");
  EXPECT_EQ(get("/api/v1/jobs?limit=0").status, 400);
  const std::string other = get("/api/v1/jobs?limit=1").json["next_page_token"];
  EXPECT_EQ(get("/api/v1/jobs?limit=1&user=ada&page_token=" + other).json["code"], "invalid_parameter");
}

TEST_F(ApiRoutes, EndedJobsComeFromTheStoreAndLiveOnesFromTheView) {
  FakeStore store;
  serve({}, &store);
  const JobId live = control_.add_job(JobState::kRunning);
  Job stored = **control_.find_job(live.str()), old = stored;
  stored.state = JobState::kPending;
  old.id = JobId("01AAAAAAAAAAAAAAAAAAAAAAAA");
  old.state = JobState::kFailed;
  store.jobs = {stored, old};
  const Json items = get("/api/v1/jobs").json["items"];
  ASSERT_EQ(items.size(), 2u);
  EXPECT_EQ(items[0]["state"], "RUNNING");
  EXPECT_EQ(items[1]["state"], "FAILED");
  EXPECT_EQ(get("/api/v1/jobs?state=running").json["items"].size(), 1u);
}

TEST_F(ApiRoutes, GpusComeInOrderAndPageByPage) {
  serve();
  for (int i = 0; i < 12; ++i) control_.add_gpu(11 - i);
  Json page = get("/api/v1/gpus?limit=10").json;
  EXPECT_EQ(page["items"][0]["gpu_id"], "n1-0");
  EXPECT_EQ(page["items"][9]["gpu_id"], "n1-9");
  page = get("/api/v1/gpus?limit=10&page_token=" + page["next_page_token"].get<std::string>()).json;
  EXPECT_EQ(page["items"].size(), 2u);
  EXPECT_TRUE(page["next_page_token"].is_null());
}

TEST_F(ApiRoutes, ASubmissionIsAddedOnceForOneKey) {
  serve();
  const std::string body = R"({"argv":["true"],"gpus":1})", key = "Idempotency-Key: k1\r\n";
  const Reply added = post("/api/v1/jobs", body, key);
  EXPECT_EQ(added.status, 201);
  EXPECT_EQ(added.json["user"], "admin");
  EXPECT_EQ(added.headers.at("location"), "/api/v1/jobs/" + added.json["job_id"].get<std::string>());
  const Reply again = post("/api/v1/jobs", R"({ "gpus": 1, "argv": [ "true" ] })", key);
  EXPECT_EQ(again.status, 200);
  EXPECT_EQ(again.headers.at("idempotent-replayed"), "true");
  EXPECT_EQ(again.json["job_id"], added.json["job_id"]);
  const Reply other = post("/api/v1/jobs", R"({"argv":["false"],"gpus":1})", key);
  EXPECT_EQ(other.status, 422);
  EXPECT_EQ(other.json["code"], "idempotency_mismatch");
  EXPECT_EQ(post("/api/v1/jobs", body).status, 201);
  EXPECT_EQ(post("/api/v1/jobs", body, "Idempotency-Key: a b\r\n").json["code"], "invalid_idempotency_key");
  EXPECT_EQ(post("/api/v1/jobs", body, "Idempotency-Key: " + std::string(256, 'k') + "\r\n").status, 400);
  EXPECT_EQ(post("/api/v1/jobs", body, "Idempotency-Key: \r\n").status, 400);
}

TEST_F(ApiRoutes, WrongSpecificationsNameTheField) {
  serve();
  const Reply priority = post("/api/v1/jobs", R"({"argv":["true"],"priority":101})");
  EXPECT_EQ(priority.status, 422);
  EXPECT_EQ(priority.json["errors"][0]["pointer"], "/priority");
  EXPECT_EQ(post("/api/v1/jobs", R"({"argv":"true"})").json["errors"][0]["pointer"], "/argv");
  EXPECT_EQ(post("/api/v1/jobs", R"({})").json["errors"][0]["pointer"], "/argv");
  EXPECT_EQ(post("/api/v1/jobs", Json{{"script", std::string(50000, '#')}}.dump()).json["errors"][0]["pointer"],
            "/script");
  EXPECT_TRUE(control_.submissions.empty());
}

TEST_F(ApiRoutes, ADryRunStoresNothing) {
  serve();
  const Reply reply = post("/api/v1/jobs?dry_run=true", R"({"argv":["true"]})");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.json["valid"], true);
  EXPECT_EQ(reply.json["spec"]["argv"], Json::array({"true"}));
  EXPECT_TRUE(control_.view()->jobs.empty());
  EXPECT_EQ(post("/api/v1/jobs?dry_run=maybe", R"({"argv":["true"]})").status, 400);
}

TEST_F(ApiRoutes, FailuresOfTheOrchestratorBecomeProblems) {
  serve();
  const auto status_after = [&](ErrorCode code) {
    control_.fail_with({code, "for a reason", ""});
    return post("/api/v1/jobs", R"({"argv":["true"]})").status;
  };
  EXPECT_EQ(status_after(ErrorCode::kResourceExhausted), 429);
  EXPECT_EQ(status_after(ErrorCode::kUnavailable), 503);
  EXPECT_EQ(status_after(ErrorCode::kConflict), 409);
  EXPECT_EQ(status_after(ErrorCode::kIo), 500);
}

TEST_F(ApiRoutes, TheShortFormStartsFromTheTemplate) {
  serve();
  const std::string body = R"({"id":"demo-001","type":"training"})";
  const Reply added = post("/submit", body);
  EXPECT_EQ(added.status, 201) << added.body;
  EXPECT_EQ(added.json["status"], "job added");
  EXPECT_EQ(added.json["id"], "demo-001");
  EXPECT_EQ(added.json["state"], "PENDING");
  const SubmitRequest& request = control_.submissions.back();
  EXPECT_EQ(request.spec.argv, (std::vector<std::string>{"sleep", "5"}));
  EXPECT_EQ(request.spec.gpus, 2);
  EXPECT_TRUE(request.spec.unique);
  EXPECT_EQ(request.idempotency_key, "submit/demo-001");
  const Reply again = post("/submit", body);
  EXPECT_EQ(again.status, 200);
  EXPECT_EQ(again.json["job_id"], added.json["job_id"]);
  EXPECT_EQ(post("/submit", R"({"id":"demo-001","type":"inference","spec":{"argv":["true"]}})").status, 422);
  EXPECT_EQ(post("/submit", body, "Idempotency-Key: other\r\n").status, 409);
}

TEST_F(ApiRoutes, TheShortFormTakesFieldsOfASpecification) {
  serve();
  EXPECT_EQ(post("/submit", R"({"id":"a","type":"training","spec":{"script":"echo hi","gpus":1}})").status, 201);
  EXPECT_EQ(control_.submissions.back().spec.script, "echo hi");
  EXPECT_TRUE(control_.submissions.back().spec.argv.empty());
  EXPECT_EQ(post("/submit", R"({"id":"b","type":"training","spec":{"gpu":1}})").status, 400);
  for (const char* body : {R"({"type":"training"})", R"({"id":"x"})", R"({"id":"x","type":"dance"})",
                           R"({"id":7,"type":"training"})", R"({"id":"","type":"training"})",
                           R"({"id":"x","type":"training","spec":[]})", R"({"id":"x","type":"training","kind":1})"})
    EXPECT_EQ(post("/submit", body).status, 400) << body;
  EXPECT_EQ(get("/submit").status, 405);
  EXPECT_EQ(ask("POST", "/submit", "Content-Type: application/json\r\n", R"({"id":"x","type":"training"})").status,
            401);
}

TEST_F(ApiRoutes, ActionsAnswerWithTheJob) {
  serve();
  const std::string job = "/api/v1/jobs/" + control_.add_job(JobState::kPending).str();
  EXPECT_EQ(post(job + "/hold").json["state"], "HELD");
  EXPECT_EQ(post(job + "/release").json["state"], "PENDING");
  const Reply cancelled = post(job + "/cancel", R"({"grace_s":5})");
  EXPECT_EQ(cancelled.status, 202);
  EXPECT_EQ(cancelled.json["state"], "CANCELLED");
  EXPECT_EQ(control_.last_argument, 5);
  EXPECT_EQ(post(job + "/cancel", R"({"grace_s":-1})").status, 422);
  EXPECT_EQ(post(job + "/cancel", R"({"grace_s":"5"})").status, 422);
  EXPECT_EQ(write("DELETE", "/api/v1/jobs/" + control_.add_job(JobState::kRunning).str()).status, 202);
}

TEST_F(ApiRoutes, RunningJobsAreSuspendedResumedSignalledAndQueuedAgain) {
  serve();
  const std::string job = "/api/v1/jobs/" + control_.add_job(JobState::kRunning).str();
  EXPECT_EQ(post(job + "/suspend").json["state"], "SUSPENDED");
  EXPECT_EQ(post(job + "/resume").json["state"], "RUNNING");
  EXPECT_EQ(post(job + "/signal", R"({"signal":"SIGUSR1"})").status, 202);
  EXPECT_EQ(control_.last_action, JobAction::kSignal);
  EXPECT_EQ(control_.last_argument, 10);
  for (const char* body : {"{}", R"({"signal":"dance"})", R"({"signal":0})", R"({"signal":[]})"})
    EXPECT_EQ(post(job + "/signal", body).status, 422) << body;
  EXPECT_EQ(post(job + "/requeue").json["state"], "PENDING");
  EXPECT_EQ(post("/api/v1/arrays/1/cancel").status, 404) << "a plain job is no array";
}

TEST_F(ApiRoutes, APatchNeedsTheEtagOfWhatWasRead) {
  serve();
  const JobId id = control_.add_job(JobState::kPending);
  const std::string job = "/api/v1/jobs/" + id.str();
  const Reply seen = get(job);
  const std::string etag = seen.headers.at("etag");
  EXPECT_EQ(ask("GET", job, "If-None-Match: " + etag + "\r\n").status, 304);
  EXPECT_EQ(write("PATCH", job, R"({"priority":70})").status, 428);
  const auto patch = [&](const std::string& match, const std::string& body) {
    return write("PATCH", job, body, "If-Match: " + match + "\r\n");
  };
  const Reply changed = patch(etag, R"({"priority":70,"labels":{"team":"vision"}})");
  EXPECT_EQ(changed.status, 200) << changed.body;
  EXPECT_EQ(changed.json["priority"], 70);
  EXPECT_NE(changed.headers.at("etag"), etag);
  EXPECT_EQ(patch(etag, R"({"priority":60})").status, 412);
  EXPECT_EQ(patch("*", R"({"priority":60})").status, 200);
  EXPECT_EQ(patch("*", R"({"priority":"high"})").status, 422);
  EXPECT_EQ(patch("*", R"({"gpus":8})").status, 400);
}

TEST_F(ApiRoutes, AnArrayShowsItsTasksByIndexAndCountsTheirStates) {
  serve();
  std::vector<JobId> ids;
  for (const JobState state : {JobState::kCompleted, JobState::kRunning, JobState::kPending}) ids.push_back(control_.add_job(state));
  control_.publish([&](ClusterView& view) {
    for (std::size_t i = 0; i < ids.size(); ++i) {
      auto task = std::make_shared<Job>(*view.jobs.at(ids[i]));
      task->array_parent = ids[0];
      task->array_number = 1;
      task->array_index = static_cast<int>(10 * i);
      task->spec.array = "0-20:10";
      view.jobs[ids[i]] = task;
    }
  });
  const Reply array = get("/api/v1/arrays/" + ids[0].str());
  ASSERT_EQ(array.status, 200) << array.body;
  EXPECT_EQ(array.json["counts"], Json::parse(R"({"COMPLETED":1,"RUNNING":1,"PENDING":1})"));
  EXPECT_EQ(array.json["items"][2]["array"]["index"], 20);
  EXPECT_EQ(post("/api/v1/arrays/" + ids[0].str() + "/cancel").status, 202);
  EXPECT_EQ(control_.last_action, JobAction::kCancelArray);
  EXPECT_EQ(post("/api/v1/jobs/" + ids[0].str() + "/cancel").status, 202);
  EXPECT_EQ(control_.last_action, JobAction::kCancel) << "an id means one task";
  EXPECT_EQ(post("/api/v1/jobs/1/cancel").status, 202);
  EXPECT_EQ(control_.last_action, JobAction::kCancelArray) << "the array's number means all of it";
}

TEST_F(ApiRoutes, OperatorsTakeThingsOutOfServiceWithAReason) {
  serve();
  control_.add_gpu(0);
  EXPECT_EQ(post("/api/v1/gpus/n1-0/quarantine").status, 422);
  EXPECT_EQ(post("/api/v1/gpus/n1-0/quarantine", R"({"reason":""})").json["errors"][0]["pointer"], "/reason");
  const Reply out = post("/api/v1/gpus/n1-0/quarantine", R"({"reason":"ECC errors"})");
  EXPECT_EQ(out.status, 202);
  EXPECT_EQ(out.json["state"], "quarantined");
  EXPECT_EQ(out.json["state_reason"], "ECC errors");
  EXPECT_EQ(post("/api/v1/gpus/GPU-0/clear", "{}").json["state"], "free");
  EXPECT_EQ(post("/api/v1/nodes/n1/drain", R"({"reason":"new fan"})").json["state"], "drained");
  EXPECT_EQ(get("/api/v1/nodes/n1").json["drain_reason"], "new fan");
  EXPECT_EQ(post("/api/v1/nodes/n1/undrain").json["state"], "up");
  EXPECT_EQ(write("DELETE", "/api/v1/nodes/n1").status, 409) << "it answers";
  EXPECT_EQ(write("DELETE", "/api/v1/nodes/x").status, 404);
  EXPECT_EQ(post("/api/v1/nodes/n1/drain", R"({"reason":"gone"})").status, 202);
  EXPECT_EQ(write("DELETE", "/api/v1/nodes/n1?lost=perhaps").status, 400);
  EXPECT_EQ(write("DELETE", "/api/v1/nodes/n1?lost=true").json["forgotten"], true);
  EXPECT_EQ(control_.forgotten_as, Unresolved::kLost);
  EXPECT_EQ(get("/api/v1/nodes/n1").status, 404);
  control_.publish([](ClusterView& view) { view.alerts.emplace_back().id = AlertId("idle/GPU-0"); });
  EXPECT_EQ(post("/api/v1/alerts/idle%2FGPU-0/acknowledge").json["acknowledged"], true);
  const std::string snooze = "/api/v1/alerts/idle%2FGPU-0/snooze";
  EXPECT_EQ(post("/api/v1/alerts/x/snooze", R"({"for_s":60})").status, 404);
  for (const char* bad : {"{}", R"({"for_s":59})", R"({"for_s":604801})", R"({"for_s":"1h"})", R"({"for_s":3.5})"})
    EXPECT_EQ(post(snooze, bad).status, 422) << bad;
  EXPECT_EQ(post(snooze, R"({"for":60})").status, 400);
  EXPECT_TRUE(post(snooze, R"({"for_s":3600})").json["snoozed_until"].is_string());
  EXPECT_TRUE(get("/api/v1/alerts").json["items"][0]["snoozed_until"].is_string());
  EXPECT_TRUE(post("/api/v1/alerts/idle%2FGPU-0/wake").json["snoozed_until"].is_null());
}

TEST_F(ApiRoutes, AnUnevaluatedJobSaysSo) {
  serve();
  control_.add_job(JobState::kPending);
  const Json explain = get("/api/v1/jobs/1/explain").json;
  EXPECT_EQ(explain["reasons"][0]["code"], "NOT_YET_EVALUATED");
  EXPECT_TRUE(explain["placement"].is_null());
  EXPECT_EQ(get("/api/v1/jobs/1").json["reason"]["code"], "NOT_YET_EVALUATED");
}

TEST_F(ApiRoutes, LogsComeByOffsetAndFromTheEnd) {
  serve();
  const JobId job = control_.add_job(JobState::kRunning);
  control_.print(job, "stdout", "0123456789abcdefghijklmnopqrstuvwxyz");
  const std::string log = "/api/v1/jobs/" + job.str() + "/logs/stdout";
  const Reply all = get(log);
  EXPECT_EQ(all.headers.at("content-type"), "application/octet-stream");
  EXPECT_EQ(all.body, "0123456789abcdefghijklmnopqrstuvwxyz");
  EXPECT_EQ(all.headers.at("aether-log-offset"), "0");
  EXPECT_EQ(all.headers.at("aether-log-next-offset"), "36");
  EXPECT_EQ(all.headers.at("aether-log-complete"), "false");
  EXPECT_EQ(get(log + "?offset=30").body, "uvwxyz");
  EXPECT_EQ(get(log + "?offset=3&limit=14").body, "3456789abcdefg");
  const Reply tail = get(log + "?tail=4");
  EXPECT_EQ(tail.body, "wxyz");
  EXPECT_EQ(tail.headers.at("aether-log-offset"), "32");
  EXPECT_EQ(get(log + "?offset=99").body, "");
  EXPECT_EQ(get(log + "?tail=4&offset=1").status, 400);
  EXPECT_EQ(get(log + "?offset=x").status, 400);
  EXPECT_EQ(get("/api/v1/jobs/" + job.str() + "/logs/stdin").status, 404);
  control_.set_state(job, JobState::kCompleted);
  EXPECT_EQ(get(log + "?offset=30").headers.at("aether-log-complete"), "true");
}

TEST_F(ApiRoutes, AFollowedLogEndsWithItsJob) {
  serve();
  const JobId job = control_.add_job(JobState::kRunning);
  control_.print(job, "stdout", "one\n");
  std::thread rest([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    control_.print(job, "stdout", "two\nthree\n");
    control_.set_state(job, JobState::kCompleted);
  });
  EXPECT_EQ(get("/api/v1/jobs/" + job.str() + "/logs/stdout?follow=1").body, "one\ntwo\nthree\n");
  rest.join();
  const JobId waiting = control_.add_job(JobState::kPending);
  EXPECT_EQ(get("/api/v1/jobs/" + waiting.str() + "/logs/stdout").status, 200);
  std::thread cancel([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    control_.set_state(waiting, JobState::kCancelled);
  });
  EXPECT_EQ(get("/api/v1/jobs/" + waiting.str() + "/logs/stdout?follow=1").body, "");
  cancel.join();
}

TEST_F(ApiRoutes, SeriesHaveNullWhereNothingWasRead) {
  FakeStore store;
  store.answer.step = std::chrono::seconds(60);
  store.answer.level = "1m";
  store.answer.times = {from_unix_us(1000000), from_unix_us(61000000)};
  store.answer.columns["temperature_c"] = {{60.5, std::nullopt}, {60, std::nullopt}, {61, std::nullopt}};
  serve({}, &store);
  control_.add_gpu(0);
  const Reply reply =
      get("/api/v1/metrics/"
          "query?gpu=n1-0&metrics=temperature_c&from=2026-01-01T00:00:00Z&to=2026-01-01T01:00:00Z&step_s=60");
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.json["gpu_uuid"], "GPU-0");
  EXPECT_EQ(reply.json["time"], Json::array({1000, 61000}));
  EXPECT_EQ(reply.json["series"]["temperature_c"]["mean"], Json::array({60.5, nullptr}));
  EXPECT_EQ(store.asked.to - store.asked.from, std::chrono::hours(1));
  EXPECT_EQ(store.asked.gpu_uuid.str(), "GPU-0");
  for (const char* wrong : {"gpu=n1-0&metrics=temperatur_c", "gpu=n1-0", "metrics=temperature_c",
                            "gpu=n1-0&metrics=temperature_c&from=yesterday",
                            "gpu=n1-0&metrics=temperature_c&from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
                            "gpu=n1-0&metrics=temperature_c&step_s=-1",
                            "gpu=n1-0&metrics=temperature_c&step_s=1&from=2020-01-01T00:00:00Z"})
    EXPECT_EQ(get(std::string("/api/v1/metrics/query?") + wrong).status, 400) << wrong;
  EXPECT_EQ(get("/api/v1/metrics/query?gpu=nope&metrics=temperature_c").status, 404);
}

TEST_F(ApiRoutes, JobsBehindTheFrontShareARecordAndEachHasItsPlaceInLine) {
  serve();
  const JobId first = control_.add_job(JobState::kPending), second = control_.add_job(JobState::kPending);
  const JobId third = control_.add_job(JobState::kPending), running = control_.add_job(JobState::kRunning);
  control_.publish([&](ClusterView& view) {
    WaitRecord front, behind;
    front.job = first;
    front.queue_position = 1;
    front.summary = "It needs 8 GPUs";
    front.reasons.emplace_back().code = "INSUFFICIENT_GPUS";
    behind.summary = "At least 1 job is ahead of it";
    behind.evaluated_at = view.jobs.at(third)->submitted_at;
    behind.reasons.emplace_back().code = "PRIORITY";
    view.waiting[first] = std::make_shared<const WaitRecord>(front);
    view.behind = std::make_shared<const WaitRecord>(behind);
  });
  EXPECT_EQ(get("/api/v1/jobs/" + first.str() + "/explain").json["queue_position"], 1);
  const nlohmann::json shared = get("/api/v1/jobs/" + third.str() + "/explain").json;
  EXPECT_EQ(shared["queue_position"], 3);
  EXPECT_EQ(shared["job"], third.str());
  EXPECT_EQ(get("/api/v1/jobs/" + second.str()).json["reason"]["code"], "PRIORITY");
  EXPECT_TRUE(get("/api/v1/jobs/" + running.str()).json["reason"].is_null());
  control_.publish([&](ClusterView& view) {
    auto newer = std::make_shared<Job>(*view.jobs.at(second));
    newer->submitted_at = view.behind->evaluated_at + std::chrono::seconds(1);
    view.jobs[second] = newer;
  });
  EXPECT_EQ(get("/api/v1/jobs/" + second.str()).json["reason"]["code"], "NOT_YET_EVALUATED");
}

TEST_F(ApiRoutes, MetricsFollowTheRulesOfPrometheus) {
  serve();
  control_.add_gpu(0);
  control_.set_reading("GPU-0", 61);
  control_.publish([](ClusterView& view) {
    const GpuUuid uuid = view.gpus.begin()->first;
    view.gpus[uuid].info.gpu_name = "odd \"name\"\\";
    view.counters.samples_received = 7;
  });
  const Reply reply = get("/metrics");
  EXPECT_EQ(reply.headers.at("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  std::map<std::string, std::string> types;
  std::string helped;
  std::istringstream lines(reply.body);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string hash, kind, name, rest;
    if (line.starts_with("# HELP ")) {
      words >> hash >> kind >> helped >> rest;
      EXPECT_FALSE(rest.empty()) << line;
    } else if (line.starts_with("# TYPE ")) {
      words >> hash >> kind >> name >> rest;
      EXPECT_EQ(name, helped);
      EXPECT_TRUE(types.emplace(name, rest).second) << name << " twice";
      EXPECT_EQ(rest == "counter", name.ends_with("_total")) << name;
    } else {
      const std::string sample = line.substr(0, line.find_first_of("{ "));
      EXPECT_EQ(sample, helped) << line;
      EXPECT_TRUE(sample.starts_with("aether_")) << line;
      const std::string value = line.substr(line.rfind(' ') + 1);
      EXPECT_NO_THROW(std::stod(value)) << line;
    }
  }
  const std::string labels = R"({gpu_uuid="GPU-0",gpu_id="n1-0",node="n1",name="odd \"name\"\\"})";
  EXPECT_NE(reply.body.find("\naether_gpu_temperature_celsius" + labels + " 61\n"), std::string::npos) << reply.body;
  EXPECT_NE(reply.body.find("\naether_gpu_utilization_ratio" + labels + " 0.5\n"), std::string::npos);
  EXPECT_NE(reply.body.find("\naether_samples_received_total 7\n"), std::string::npos);
  EXPECT_EQ(reply.body.find("aether_gpu_fan_speed_ratio{"), std::string::npos);
}

TEST_F(ApiRoutes, HealthIsPublicAndReadyOnceThereIsAView) {
  serve({}, nullptr, false);
  EXPECT_EQ(get("/healthz").json, (Json{{"status", "ok"}}));
  EXPECT_EQ(get("/readyz").status, 200);
  control_.store_away = true;
  EXPECT_EQ(get("/readyz").status, 503) << "what it would be sent, it would refuse";
  control_.store_away = false;
  EXPECT_EQ(get("/readyz").status, 200);
  control_.publish([](ClusterView& view) { view.version = 0; });
  EXPECT_EQ(get("/readyz").status, 503);
}

TEST_F(ApiRoutes, EventsOfJobsComeFromTheStoreAndACursorOutlivesTheProcess) {
  FakeStore store;
  for (std::int64_t seq = 1; seq <= 5; ++seq)
    store.history.push_back({seq, {JobId("01J"), Time(std::chrono::seconds(1000 + seq)), seq == 1 ? "" : "PENDING", "RUNNING", "user", "", 0, 0}, 7, "train", "ada"});
  serve({}, &store);
  const auto seen = [&](const std::string& query) {
    std::vector<std::string> cursors;
    const Json items = get("/api/v1/events" + query).json["items"];
    for (const Json& item : items) cursors.push_back(item["cursor"]);
    return cursors;
  };
  const auto all = seen("");
  ASSERT_EQ(all.size(), 5u);
  EXPECT_EQ(seen("?limit=2"), (std::vector<std::string>{all[3], all[4]}));
  EXPECT_EQ(seen("?limit=2&after=" + all[0]), (std::vector<std::string>{all[1], all[2]}));
  // The place in the memory of another process means nothing here; the place in the store does.
  EXPECT_EQ(seen("?after=4.other-17").size(), 1u);
  EXPECT_EQ(seen("?after=5.other-17").size(), 0u);
}

TEST_F(ApiRoutes, TheAuditLogIsReadInPagesAndOnlyWithAToken) {
  FakeStore store;
  for (int i = 0; i < 5; ++i)
    store.lines.push_back(seal(store.lines.empty() ? AuditLine{} : store.lines.back(),
                               {Time(std::chrono::microseconds(1'500'001 + i)), "ada", "drain", "n1", "fan"}));
  serve({}, &store);
  EXPECT_EQ(get("/api/v1/audit").status, 401) << "not even on loopback";
  const auto read = [&](const std::string& query) { return write("GET", "/api/v1/audit" + query).json["items"]; };
  EXPECT_EQ(read("?limit=2")[0]["seq"], 4) << "the newest";
  const Json page = read("?after=1&limit=2");
  ASSERT_EQ(page.size(), 2u);
  EXPECT_EQ(page[0]["seq"], 2);
  EXPECT_EQ(page[0]["time_us"], 1'500'002) << "the whole time: it was sealed";
  EXPECT_EQ(page[0]["hash"], store.lines[1].hash);
  EXPECT_EQ(read("?after=5").size(), 0u);
  EXPECT_EQ(write("GET", "/api/v1/audit?after=x").status, 400);
}

TEST_F(ApiRoutes, EventsTellWhatChangedSinceACursor) {
  serve();
  const auto wait_for_events = [&](std::size_t count) {
    Json items;
    for (int i = 0; i < 200 && items.size() < count; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      items = get("/api/v1/events").json["items"];
    }
    return items;
  };
  std::this_thread::sleep_for(std::chrono::milliseconds(300));  // the first view is the start
  control_.add_job(JobState::kPending);
  Json items = wait_for_events(1);
  ASSERT_EQ(items.size(), 1u);
  EXPECT_EQ(items[0]["kind"], "job");
  EXPECT_NE(items[0]["text"].get<std::string>().find("submitted by ada"), std::string::npos);
  const std::string cursor = items[0]["cursor"];
  EXPECT_EQ(get("/api/v1/events?after=" + cursor).json["items"].size(), 0u);
  control_.add_gpu(0);
  wait_for_events(2);
  items = get("/api/v1/events?after=" + cursor).json["items"];
  ASSERT_EQ(items.size(), 1u);
  EXPECT_EQ(items[0]["kind"], "node");
  EXPECT_EQ(get("/api/v1/events?after=other-5").json["items"].size(), 2u);
}

}  // namespace
}  // namespace aether::api
