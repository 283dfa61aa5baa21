#include "client/commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "base/files.h"
#include "client/fake_api.h"
#include "client/json_view.h"
#include "client/outcome.h"
#include "model/audit.h"

namespace aether::client {
namespace {

using http::scripted_reply;
using testing::HasSubstr;
using testing::Not;

TEST(ExitCodes, FollowTheTable) {
  for (const auto& [status, code, expected] : {std::tuple{400, "unknown_field", 2},
                                               {401, "unauthenticated", 4},
                                               {403, "permission_denied", 4},
                                               {404, "not_found", 3},
                                               {409, "conflict", 5},
                                               {412, "etag", 5},
                                               {422, "invalid_argument", 2},
                                               {422, "idempotency_mismatch", 5},
                                               {422, "infeasible", 6},
                                               {422, "INFEASIBLE", 6},
                                               {429, "rate", 1},
                                               {500, "internal", 1},
                                               {503, "unavailable", 1}}) {
    FakeApi api({{"GET /api/v1/jobs/7", {problem(status, code)}}});
    const RunResult result = api.run({"show", "7"});
    EXPECT_EQ(result.exit_code, expected) << status << " " << code;
    EXPECT_THAT(result.err, HasSubstr("it is so"));
    EXPECT_EQ(result.out, "") << "errors go to stderr";
  }
}

TEST(ExitCodes, NobodyThereIsEightWithTheRemedy) {
  TemporaryDirectory dir;
  ASSERT_TRUE(write_endpoint(dir.path(), {"http://127.0.0.1:1", "", 1}));
  const RunResult result = run_aether(dir.path(), {"queue"});
  EXPECT_EQ(result.exit_code, 8);
  EXPECT_THAT(result.err, HasSubstr("no Aether at http://127.0.0.1:1; start one with `aether up`"));
}

TEST(ExitCodes, ASilentServerIsSeven) {
  FakeApi api({{"GET /api/v1/gpus", {std::string()}}});
  EXPECT_EQ(api.run({"gpus", "--timeout", "1s"}).exit_code, 7);
}

TEST(ExitCodes, UsageIsTwoWithTheNearestVerb) {
  FakeApi api({});
  testing::internal::CaptureStderr();
  EXPECT_EQ(api.run({"gpsu"}).exit_code, 2);
  EXPECT_EQ(api.run({}).exit_code, 2);
  EXPECT_EQ(api.run({"queue", "-o", "yaml"}).exit_code, 2);
  EXPECT_EQ(api.run({"cancel", "7", "--now", "--grace", "3s"}).exit_code, 2);
  EXPECT_EQ(api.run({"queue", "--timeout", "5"}).exit_code, 2);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("did you mean `aether gpus`?"));
  EXPECT_TRUE(api.requests().empty());
}

TEST(Token, IsSentWithWritesAndReadsToTheRecordedServer) {
  FakeApi api({{"POST /api/v1/jobs/7/hold", {job_reply("HELD")}}});
  const RunResult result = api.run({"hold", "7"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "job 7 is HELD\n");
  EXPECT_EQ(api.find("POST", "/api/v1/jobs/7/hold")->headers.at("authorization"), "Bearer " + api.token());
}

TEST(Token, AReadableFileStopsWritesButNotReads) {
  FakeApi api(
      {{"POST /api/v1/jobs/7/hold", {job_reply("HELD")}}, {"GET /api/v1/jobs/7", {job_reply("HELD")}}});
  ASSERT_EQ(chmod(token_path(api.state_dir()).c_str(), 0644), 0);
  const RunResult write = api.run({"hold", "7"});
  EXPECT_EQ(write.exit_code, 4);
  EXPECT_THAT(write.err, HasSubstr("chmod 600"));
  EXPECT_EQ(api.requests().size(), 0u);
  EXPECT_EQ(api.run({"show", "7"}).exit_code, 0);
  EXPECT_EQ(api.requests().at(0).headers.count("authorization"), 0u);
}

TEST(Token, IsNotSentToAnotherServer) {
  FakeApi owner({}), other({{"GET /api/v1/jobs/7", {job_reply("HELD")}}});
  EXPECT_EQ(owner.run({"--server", other.url(), "show", "7"}).exit_code, 0);
  EXPECT_EQ(other.requests().at(0).headers.count("authorization"), 0u);
  EXPECT_EQ(owner.run({"--server", other.url(), "hold", "7"}).exit_code, 4);
  EXPECT_EQ(other.requests().size(), 1u);
}

TEST(Token, IsNeverPrintedWithoutATerminal) {
  FakeApi api({});
  const RunResult result = api.run({"token"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.out + result.err, Not(HasSubstr(api.token())));
  EXPECT_THAT(result.err, HasSubstr(token_path(api.state_dir())));
}

TEST(Output, JsonIsTheReplyUnchanged) {
  const std::string body =
      R"({"items":[ {"job_id":"01J","number":7,"new_field":1.50} ],"next_page_token":null})";
  FakeApi api({{"GET /api/v1/jobs", {scripted_reply(200, body)}}});
  EXPECT_EQ(api.run({"queue", "--json"}).out, body + "\n");
  EXPECT_EQ(api.run({"ls", "-o", "json"}).out, body + "\n");
}

TEST(Output, JsonErrorsAreTheProblemOnStderr) {
  FakeApi api({});
  const RunResult result = api.run({"show", "7", "--json"});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(Json::parse(result.err)["code"], "not_found");
}

TEST(Output, AnAnswerThatIsNoJsonIsAFailure) {
  FakeApi api({{"GET /api/v1/gpus", {scripted_reply(200, "<html>")}}});
  EXPECT_EQ(api.run({"gpus"}).exit_code, 1);
}

TEST(Queue, ShowsRunningFirstThenWaitingWithTheReason) {
  FakeApi api({{"GET /api/v1/jobs", {scripted_reply(200, R"({"items":[
    {"job_id":"01C","number":9,"name":"third","user":"ann","state":"PENDING","gpus":4,"reason":{"code":"INSUFFICIENT_GPUS","summary":"waits for 4 GPUs"}},
    {"job_id":"01B","number":8,"name":"second","user":"bob","state":"PENDING","gpus":1,"reason":{"code":"PRIORITY","summary":"behind 7"}},
    {"job_id":"01A","number":7,"name":"first\u001b[2J","user":"ann","state":"RUNNING","gpus":1,"gpu_ids":["n1-0"],
     "started_at":"2026-01-15T09:00:00Z","ended_at":"2026-01-15T10:01:02Z"}],"next_page_token":null})")}}});
  const RunResult result = api.run({"queue"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out,
            "JOB  NAME          USER  STATE    GPUS      TIME  PLACE OR REASON\n"
            "  7  first\\x1b[2J  ann   RUNNING     1  01:01:02  n1-0\n"
            "  8  second        bob   PENDING     1         -  behind 7\n"
            "  9  third         ann   PENDING     4         -  waits for 4 GPUs\n");
  EXPECT_EQ(api.requests().at(0).target, "/api/v1/jobs?limit=1000&state=waiting%2Crunning");
  EXPECT_EQ(api.run({"queue", "-q"}).out, "01C\n01B\n01A\n");
  EXPECT_EQ(api.run({"queue", "-o", "name"}).out, "9\n8\n7\n");
  EXPECT_THAT(api.run({"queue", "--no-headers"}).out, Not(HasSubstr("STATE")));
  EXPECT_THAT(api.run({"queue", "-o", "wide"}).out, HasSubstr("01A"));
}

TEST(Queue, FollowsThePages) {
  FakeApi api({{"GET /api/v1/jobs",
                {scripted_reply(200, R"({"items":[{"job_id":"01B","number":2}],"next_page_token":"p/2"})"),
                 scripted_reply(200, R"({"items":[{"job_id":"01A","number":1}],"next_page_token":null})")}}});
  EXPECT_EQ(api.run({"queue", "-a", "-q"}).out, "01B\n01A\n");
  EXPECT_EQ(api.requests().at(0).target, "/api/v1/jobs?limit=1000");
  EXPECT_EQ(api.requests().at(1).target, "/api/v1/jobs?limit=1000&page_token=p%2F2");
}

TEST(Show, LeavesOutWhatIsAbsent) {
  FakeApi api({{"GET /api/v1/jobs/train",
                {job_reply("FAILED", R"(,"exit":{"exit_code":3,"signal":null,"cause":"self"},"energy_j":null,
      "started_at":"2026-01-15T09:00:00Z","ended_at":"2026-01-15T09:00:05Z","argv":["python","x.py"])")}}});
  const RunResult result = api.run({"show", "train", "--utc"});
  EXPECT_THAT(result.out, HasSubstr("exit         exit 3\n"));
  EXPECT_THAT(result.out, HasSubstr("started      2026-01-15 09:00:00Z\n"));
  EXPECT_THAT(result.out, HasSubstr("ran          00:00:05\n"));
  EXPECT_THAT(result.out, HasSubstr("command      python x.py\n"));
  EXPECT_THAT(result.out, Not(HasSubstr("energy")));
}

TEST(Submit, RepeatsWithTheSameKeyWhenTheReplyIsLost) {
  FakeApi api({{"POST /api/v1/jobs",
                {"HTTP/1.1 201 Created\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{",
                 job_reply("PENDING")}}});
  const RunResult result = api.run({"submit", "--", "true"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "job 7 is PENDING  01J\n");
  const auto requests = api.requests();
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[0].headers.at("idempotency-key"), requests[1].headers.at("idempotency-key"));
  EXPECT_EQ(requests[0].body, requests[1].body);
  EXPECT_EQ(requests[0].headers.at("idempotency-key").size(), 36u);
  EXPECT_EQ(requests[0].headers.at("idempotency-key")[14], '7');
  EXPECT_EQ(api.run({"submit", "-q", "--", "true"}).out, "01J\n");
  EXPECT_EQ(api.run({"submit", "--parsable", "--", "true"}).out, "01J\n");
  EXPECT_NE(api.requests().back().headers.at("idempotency-key"), requests[0].headers.at("idempotency-key"));
}

TEST(Submit, DryRunAndOwnKeyReachTheServer) {
  FakeApi api({{"POST /api/v1/jobs", {job_reply("PENDING")}}});
  EXPECT_EQ(api.run({"submit", "--dry-run", "--idempotency-key", "k-1", "--", "true"}).out,
            "the job is valid; nothing was stored\n");
  EXPECT_EQ(api.requests().at(0).target, "/api/v1/jobs?dry_run=true");
  EXPECT_EQ(api.requests().at(0).headers.at("idempotency-key"), "k-1");
}

TEST(Submit, WaitEndsAsTheJobEnds) {
  FakeApi api({{"POST /api/v1/jobs", {job_reply("PENDING")}},
               {"GET /api/v1/jobs/01J", {job_reply("RUNNING"), job_reply("FAILED")}}});
  EXPECT_EQ(api.run({"submit", "--wait", "--", "true"}).exit_code, 1);
}

TEST(Wait, MapsTheEndOfAJob) {
  for (const auto& [state, exit, plain, passed_on] : {std::tuple{"COMPLETED", R"({"exit_code":0})", 0, 0},
                                                      {"FAILED", R"({"exit_code":42})", 1, 42},
                                                      {"FAILED", R"({"signal":9})", 1, 137},
                                                      {"CANCELLED", R"({"signal":15})", 9, 143},
                                                      {"CANCELLED", R"({"exit_code":0})", 9, 143},
                                                      {"TIMEOUT", R"({"exit_code":0})", 1, 1},
                                                      {"LAUNCH_FAILED", "null", 1, 1}}) {
    FakeApi api({{"GET /api/v1/jobs/7", {job_reply(state, std::string(R"(,"exit":)") + exit)}}});
    EXPECT_EQ(api.run({"wait", "7"}).exit_code, plain) << state << exit;
    EXPECT_EQ(api.run({"wait", "7", "--exit-code"}).exit_code, passed_on) << state << exit;
  }
}

TEST(Wait, AnyEndsWithTheFirstAndAllWithTheLast) {
  const FakeApi::Replies replies{
      {"GET /api/v1/jobs/1", {job_reply("RUNNING"), job_reply("RUNNING"), job_reply("FAILED")}},
      {"GET /api/v1/jobs/2", {job_reply("COMPLETED")}}};
  FakeApi any(replies), all(replies);
  EXPECT_EQ(any.run({"wait", "1", "2", "--any"}).exit_code, 0);
  EXPECT_EQ(all.run({"wait", "1", "2"}).exit_code, 1);
}

TEST(Wait, TimesOutWithSeven) {
  FakeApi api({{"GET /api/v1/jobs/7", {job_reply("RUNNING")}}});
  EXPECT_EQ(api.run({"wait", "7", "--timeout", "0s"}).exit_code, 7);
  EXPECT_EQ(api.run({"wait", "8"}).exit_code, 3);
}

TEST(Cancel, SendsTheGraceTimeAndGoesOnAfterAFailure) {
  FakeApi api({{"POST /api/v1/jobs/7/cancel", {job_reply("STOPPING")}}});
  EXPECT_EQ(api.run({"cancel", "7"}).out, "job 7 is STOPPING\n");
  EXPECT_EQ(api.requests().back().body, "{}");
  api.run({"cancel", "7", "--grace", "2m"});
  EXPECT_EQ(api.requests().back().body, R"({"grace_s":120})");
  api.run({"cancel", "7", "--now"});
  EXPECT_EQ(api.requests().back().body, R"({"grace_s":0})");
  const RunResult several = api.run({"cancel", "8", "7"});
  EXPECT_EQ(several.exit_code, 3);
  EXPECT_EQ(several.out, "job 7 is STOPPING\n");
}

TEST(Why, ExplainsAWaitingJob) {
  FakeApi api(
      {{"GET /api/v1/jobs/7/explain",
        {scripted_reply(
            200, R"({"job":"01J","state":"PENDING","summary":"Waits for 2 of 4 GPUs","queue_position":3,
    "start_eta":{"p50":"2026-01-15T10:06:00Z"},"evaluated_at":"2026-01-15T09:42:17Z","counts":{"nodes_evaluated":32},"placement":null,
    "reasons":[{"code":"INSUFFICIENT_GPUS","blocking":true,"need":4,"best":2,"unit":"gpu","evidence":[{"node":"n3","free":2,"total":8}]}],
    "checks":[{"code":"HELD","verdict":"pass","text":"it is not on hold"},{"code":"G","verdict":"fail","have":2,"need":4,"unit":"gpu","text":""},
              {"code":"VRAM","verdict":"na","text":"no memory asked for"}],
    "counterfactuals":[{"change":{"gpus":2},"starts":"now"},{"change":"it asks for 2 h","starts":"2026-01-15T09:50:00Z"}]})")}}});
  const RunResult result = api.run({"why", "7", "--utc"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  for (const char* part :
       {"PENDING  Waits for 2 of 4 GPUs\n", "INSUFFICIENT_GPUS needs 4 gpu, has 2\n", "n3: 2 free of 8",
        "✓ it is not on hold\n", "✗ G (has 2, needs 4 gpu)\n", "– no memory asked for\n",
        "if gpus = 2: starts now\n", "if it asks for 2 h: starts 2026-01-15 09:50:00Z\n",
        "position 3 · starts by 2026-01-15 10:06:00Z · nodes looked at 32"})
    EXPECT_THAT(result.out, HasSubstr(part));
}

TEST(Why, ShowsThePlacementOfARunningJob) {
  FakeApi api(
      {{"GET /api/v1/jobs/7/explain",
        {scripted_reply(
            200,
            R"({"state":"RUNNING","summary":"","reasons":[],"placement":{"decided_at":"2026-01-15T09:42:17Z",
    "cycle":88,"node":"n1","gpu_ids":["n1-0"],"policy":"heuristic","fallback_reason":"the model did not answer within 50 ms","model":null,"summary":"coolest free GPU",
    "candidates":[{"gpu_id":"n1-0","node":"n1","chosen":true,"rejected_by":null,"score":0.8125,"terms":[{"name":"packing","value":0.5,"weight":0.25}],
      "contributions":[{"feature":"temperature_c","value":61,"contribution":0.1},{"feature":"power_draw_w","value":null,"contribution":-0.9}]},
     {"gpu_id":"n1-1","node":"n1","chosen":false,"rejected_by":"THERMAL","rejected_text":"88 °C","score":null,"terms":[],"contributions":[]}]}})")}}});
  const RunResult result = api.run({"why", "7", "--utc"});
  for (const char* part :
       {"n1-0 on n1\n", "in cycle 88, by heuristic: the model did not answer within 50 ms\n",
        "coolest free GPU", "→  n1-0  0.812  packing 0.50×0.25",
        "power_draw_w = - (-0.90), temperature_c = 61 (+0.10)", "✗  n1-1      -  THERMAL: 88 °C"})
    EXPECT_THAT(result.out, HasSubstr(part));
}

TEST(Fleet, ListsGpusAndActsOnThemByTheirShortName) {
  FakeApi api(
      {{"GET /api/v1/gpus",
        {scripted_reply(
            200,
            R"({"items":[{"gpu_uuid":"GPU-a","gpu_id":"n1-0","state":"free","memory_total_mb":81920,"jobs":[],
      "sample":{"utilization_gpu":5,"memory_used_mb":512,"power_draw_w":61.4}},{"gpu_uuid":"GPU-b","gpu_id":"n1-1","state":"no_data","sample":null}]})")}},
       {"POST /api/v1/gpus/GPU-b/quarantine", {scripted_reply(202, R"({"state":"quarantined"})")}},
       {"POST /api/v1/nodes/n1/drain", {scripted_reply(202, R"({"state":"drained"})")}}});
  EXPECT_EQ(api.run({"gpus"}).out,
            "GPU   STATE    UTIL        MEMORY  TEMP  POWER  JOBS OR REASON\n"
            "n1-0  free      5 %  0.5 / 80 GiB     -   61 W\n"
            "n1-1  no_data     -         - / -     -      -\n");
  EXPECT_EQ(api.run({"quarantine", "n1-1", "--reason", "ECC errors"}).out, "n1-1 is quarantined\n");
  EXPECT_EQ(api.find("POST", "/api/v1/gpus/GPU-b/quarantine")->body, R"({"reason":"ECC errors"})");
  EXPECT_EQ(api.run({"clear", "n9-9"}).exit_code, 3);
  EXPECT_EQ(api.run({"drain", "n1", "--reason", "new fans"}).out, "n1 is drained\n");
}

TEST(Fleet, TheOtherListsReadTheirReplies) {
  FakeApi api(
      {{"GET /api/v1/nodes",
        {scripted_reply(
            200,
            R"({"items":[{"node":"n1","state":"up","gpus":8,"gpus_free":3,"temperature_max_c":71,"source":"nvml"}]})")}},
       {"GET /api/v1/alerts",
        {scripted_reply(
            200,
            R"({"items":[{"alert_id":"x","severity":"critical","title":"GPU 2 is hot","detail":"91 °C","cleared_at":null}]})")}},
       {"GET /api/v1/carbon",
        {scripted_reply(
            200,
            R"({"zone":"GB","label":"forecast","source":"NESO","is_estimated":false,"intensity_g_per_kwh":123.4,
                   "forecast":[{"time":"2026-01-15T10:00:00Z","intensity_g_per_kwh":88}]})")}},
       {"GET /api/v1/events",
        {scripted_reply(
            200,
            R"({"items":[{"cursor":"c1","time":"2026-01-15T10:00:00Z","kind":"node","text":"n1 joined"}]})")}},
       {"GET /api/v1/version",
        {scripted_reply(200, R"({"version":"0.1.0","mode":"embedded","simulated":true})")}}});
  EXPECT_THAT(api.run({"nodes"}).out, HasSubstr("n1    up        8     3    71 °C"));
  EXPECT_THAT(api.run({"alerts"}).out, HasSubstr("critical      -  open   GPU 2 is hot  91 °C"));
  const std::string carbon = api.run({"carbon", "--utc"}).out;
  EXPECT_THAT(carbon, HasSubstr("now          123 g/kWh\n"));
  EXPECT_THAT(carbon, HasSubstr("2026-01-15 10:00:00Z     88\n"));
  EXPECT_THAT(api.run({"events", "--utc"}).out, HasSubstr("2026-01-15 10:00:00Z  node  n1 joined\n"));
  EXPECT_THAT(api.run({"version"}).out, HasSubstr("server       0.1.0\n"));
}

TEST(Top, OncePrintsOneFrame) {
  FakeApi api(
      {{"GET /api/v1/fleet",
        {scripted_reply(
            200,
            R"({"gpus_total":1,"gpus_allocated":0,"gpus_free":1,"gpus_out":0,"jobs_running":0,"jobs_pending":0})")}},
       {"GET /api/v1/gpus",
        {scripted_reply(200,
                        R"({"items":[{"gpu_id":"n1-0","state":"free","sample":{"utilization_gpu":50}}]})")}},
       {"GET /api/v1/jobs", {scripted_reply(200, R"({"items":[]})")}},
       {"GET /api/v1/nodes", {scripted_reply(200, R"({"items":[]})")}}});
  const RunResult result = api.run({"top", "--once"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("n1-0  free   ██████        50 %"));
  EXPECT_EQ(api.run({"top", "--once", "--sort", "x"}).exit_code, 2);
}

TEST(Forget, SaysLostOnlyWhenItsUserDoes) {
  FakeApi api({{"DELETE /api/v1/nodes/n1", {scripted_reply(202, R"({"node":"n1","forgotten":true})")}}});
  EXPECT_EQ(api.run({"forget", "n1"}).out, "n1 is forgotten\n");
  EXPECT_EQ(api.requests().back().target, "/api/v1/nodes/n1");
  EXPECT_EQ(api.run({"forget", "n1", "--lost"}).exit_code, 0);
  EXPECT_EQ(api.requests().back().target, "/api/v1/nodes/n1?lost=true");
}

std::string audit_page(const std::vector<AuditLine>& lines) {
  Json items = Json::array();
  for (const AuditLine& line : lines)
    items.push_back({{"seq", line.seq}, {"time", format_rfc3339(line.record.time)}, {"time_us", to_unix_us(line.record.time)},
                     {"actor", line.record.actor}, {"action", line.record.action}, {"target", line.record.target},
                     {"detail", line.record.detail}, {"hash", line.hash}});
  return scripted_reply(200, Json{{"items", items}, {"next_page_token", nullptr}}.dump());
}

TEST(Audit, IsShownAndVerifiedPageByPage) {
  std::vector<AuditLine> lines;
  for (int i = 0; i < 4; ++i)
    lines.push_back(seal(lines.empty() ? AuditLine{} : lines.back(),
                         {Time(std::chrono::microseconds(1'790'000'000'123'456 + i)), "ada", "drain", "n1", "new fan"}));
  const std::string first = audit_page({lines[0], lines[1]}), second = audit_page({lines[2], lines[3]});
  FakeApi api({{"GET /api/v1/audit", {first, second, audit_page({})}}});
  const RunResult verified = api.run({"audit", "verify"});
  EXPECT_EQ(verified.exit_code, 0) << verified.err;
  EXPECT_EQ(verified.out, "4 lines, all as they were written; newest seal " + lines[3].hash + "\n");

  FakeApi shown({{"GET /api/v1/audit", {first}}});
  EXPECT_THAT(shown.run({"audit"}).out, HasSubstr("new fan"));

  auto changed = lines;
  changed[2].record.actor = "eve";
  FakeApi tampered({{"GET /api/v1/audit", {first, audit_page({changed[2], changed[3]}), audit_page({})}}});
  const RunResult refused = tampered.run({"audit", "verify"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("line 3 of the audit log"));
}

}  // namespace
}  // namespace aether::client
