// Verbs that stay with a job: logs and run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "client/fake_api.h"

namespace aether::client {
namespace {

using testing::HasSubstr;

TEST(Logs, ReadsUntilThereIsNoMore) {
  FakeApi api(
      {{"GET /api/v1/jobs/7/logs/stderr", {log_reply("one\n", 2, false), log_reply("two\n", 6, true)}}});
  const RunResult result = api.run({"logs", "7", "--stream", "stderr", "--offset", "2"});
  EXPECT_EQ(result.out, "one\ntwo\n") << result.err;
  EXPECT_EQ(api.requests().at(0).target, "/api/v1/jobs/7/logs/stderr?offset=2");
  EXPECT_EQ(api.requests().at(1).target, "/api/v1/jobs/7/logs/stderr?offset=6");
}

TEST(Logs, TailKeepsTheLastLines) {
  FakeApi api({{"GET /api/v1/jobs/7/logs/stdout", {log_reply("a\nb\nc\nd", 100, true)}}});
  EXPECT_EQ(api.run({"logs", "7", "--tail", "2"}).out, "c\nd");
  EXPECT_EQ(api.run({"logs", "7", "--tail", "0"}).out, "");
  EXPECT_EQ(api.run({"logs", "7", "--tail", "9"}).out, "a\nb\nc\nd");
}

TEST(Logs, FollowGoesOnAtTheOffsetAfterALostConnection) {
  const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n";
  FakeApi api({{"GET /api/v1/jobs/7/logs/stdout",
                {head + "Connection: close\r\n\r\n3\r\nabc\r\n", head + "\r\n2\r\nde\r\n0\r\n\r\n",
                 head + "\r\n0\r\n\r\n"}},
               {"GET /api/v1/jobs/7", {job_reply("COMPLETED")}}});
  const RunResult result = api.run({"logs", "-f", "7"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "abcde");
  EXPECT_EQ(api.requests().at(1).target, "/api/v1/jobs/7/logs/stdout?follow=1&offset=3");
}

TEST(Run, ShowsBothStreamsAndPassesTheExitCodeOn) {
  FakeApi api(
      {{"POST /api/v1/jobs", {job_reply("PENDING")}},
       {"GET /api/v1/jobs/01J",
        {job_reply("PENDING"), job_reply("RUNNING"), job_reply("FAILED", R"(,"exit":{"exit_code":3})")}},
       {"GET /api/v1/jobs/01J/logs/stdout", {log_reply("out\n", 0, false), log_reply("more\n", 4, true)}},
       {"GET /api/v1/jobs/01J/logs/stderr", {log_reply("err\n", 0, true)}}});
  const RunResult result = api.run({"run", "--", "sh", "-c", "exit 3"});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(result.out, "out\nmore\n");
  EXPECT_EQ(result.err, "err\naether: job 7 is FAILED: exit 3\n");
}

TEST(Run, EndsWithTheSourceOfTheCodeAsJson) {
  FakeApi api({{"POST /api/v1/jobs", {job_reply("PENDING")}},
               {"GET /api/v1/jobs/01J", {job_reply("FAILED", R"(,"exit":{"signal":9})")}}});
  const RunResult job = api.run({"run", "-o", "json", "--", "x"});
  EXPECT_EQ(job.exit_code, 137);
  EXPECT_EQ(job.out, "{\"code\":137,\"source\":\"job\"}\n");
  FakeApi refusing({{"POST /api/v1/jobs", {problem(422, "infeasible")}}});
  const RunResult cli = refusing.run({"run", "-o", "json", "--", "x"});
  EXPECT_EQ(cli.exit_code, 6);
  EXPECT_EQ(cli.out, "{\"code\":6,\"source\":\"cli\"}\n");
}

TEST(Run, TheFirstCtrlCCancelsTheJob) {
  FakeApi api({{"POST /api/v1/jobs", {job_reply("PENDING")}},
               {"GET /api/v1/jobs/01J",
                {job_reply("PENDING"), job_reply("PENDING"), job_reply("PENDING"), job_reply("CANCELLED")}},
               {"POST /api/v1/jobs/01J/cancel", {job_reply("CANCELLED")}}});
  std::thread interrupter([&] {
    while (!api.find("GET", "/api/v1/jobs/01J")) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    kill(getpid(), SIGINT);
  });
  const RunResult result = api.run({"run", "--", "x"});
  interrupter.join();
  EXPECT_EQ(result.exit_code, 143);
  EXPECT_TRUE(api.find("POST", "/api/v1/jobs/01J/cancel"));
  EXPECT_THAT(result.err, HasSubstr("cancelling job 7"));
}
}  // namespace
}  // namespace aether::client
