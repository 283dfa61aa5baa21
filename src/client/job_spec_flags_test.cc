#include "client/job_spec_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/files.h"
#include "client/fake_api.h"

namespace aether::client {
namespace {

// What the flags become, through the real command line, as the server receives it.
class SubmitFlagsTest : public testing::Test {
 protected:
  Json spec_of(std::vector<std::string> flags) {
    flags.insert(flags.begin(), "submit");
    const RunResult result = api.run(std::move(flags));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    const auto requests = api.requests();
    return requests.empty() ? Json() : parse_json(requests.back().body);
  }
  void expect_refused(std::vector<std::string> flags, const std::string& remedy) {
    flags.insert(flags.begin(), "submit");
    const std::size_t before = api.requests().size();
    testing::internal::CaptureStderr();
    const RunResult result = api.run(flags);
    const std::string printed = testing::internal::GetCapturedStderr() + result.err;
    EXPECT_EQ(result.exit_code, 2) << flags.at(1);
    EXPECT_THAT(printed, testing::HasSubstr(remedy));
    EXPECT_EQ(api.requests().size(), before) << "nothing is sent";
  }
  FakeApi api{{{"POST /api/v1/jobs",
                {http::scripted_reply(201, R"({"job_id":"01J","number":1,"state":"PENDING"})")}}}};
};

TEST_F(SubmitFlagsTest, OnlyWhatWasGivenIsSent) {
  EXPECT_EQ(spec_of({"--", "python", "train.py", "--epochs", "3"}),
            Json::parse(R"({"name":"python","argv":["python","train.py","--epochs","3"]})"));
}

TEST_F(SubmitFlagsTest, WordsAfterTheDashesBelongToTheJobEvenWhenTheyLookLikeOurs) {
  EXPECT_EQ(
      spec_of({"--gpus", "2", "--", "queue", "--gpus", "9", "-o", "json", "--", "--help"}),
      Json::parse(R"({"name":"queue","gpus":2,"argv":["queue","--gpus","9","-o","json","--","--help"]})"));
}

TEST_F(SubmitFlagsTest, TheNameIsTheCommandsBaseName) {
  EXPECT_EQ(spec_of({"--unique", "--", "/usr/bin/env", "python"})["name"], "env");
  EXPECT_EQ(spec_of({"--name", "given", "--", "/usr/bin/env"})["name"], "given");
}

TEST_F(SubmitFlagsTest, QuantitiesBecomeIntegersWithUnits) {
  const Json spec =
      spec_of({"--name",    "llm",       "--unique", "--type", "inference", "--gpus",     "0",  "--gpu-type",
               "h200,a100", "--gpu-mem", "24G",      "--time", "1d12h",     "--priority", "80", "--grace",
               "90s",       "--hold",    "--chdir",  "/data",  "--",        "serve"});
  EXPECT_EQ(
      spec,
      Json::parse(
          R"({"argv":["serve"],"name":"llm","unique":true,"type":"inference","gpus":0,"gpu_type":"h200,a100","gpu_mem_mb":24576,
                                  "share":"memory","time_limit_s":129600,"priority":80,"grace_s":90,"hold":true,"workdir":"/data"})"));
}

TEST_F(SubmitFlagsTest, AnExplicitShareWinsOverTheOneOfGpuMem) {
  EXPECT_EQ(spec_of({"--gpu-mem", "16GB", "--share", "exclusive", "--", "x"}),
            Json::parse(R"({"name":"x","argv":["x"],"gpu_mem_mb":15259,"share":"exclusive"})"));
}

TEST_F(SubmitFlagsTest, EnvironmentAndLabelsRepeatAndKeepEqualsSigns) {
  ASSERT_EQ(setenv("AETHER_TEST_VALUE", "from here", 1), 0);
  TemporaryDirectory dir;
  ASSERT_TRUE(write_file_durably(dir.path() + "/env", "# comment\n\nA=file\n B = spaces \nC=x=y\n"));
  const Json spec = spec_of({"--env", "A=flag", "--env", "AETHER_TEST_VALUE", "--env-file",
                             dir.path() + "/env", "--label", "team=ml", "--label", "run=7", "--", "x"});
  EXPECT_EQ(spec["env"],
            Json::parse(R"({"A":"flag","AETHER_TEST_VALUE":"from here","B ":" spaces","C":"x=y"})"));
  EXPECT_EQ(spec["labels"], Json::parse(R"({"team":"ml","run":"7"})"));
}

TEST_F(SubmitFlagsTest, ARelativeDirectoryIsTheCallers) {
  char here[4096];
  ASSERT_NE(getcwd(here, sizeof here), nullptr);
  EXPECT_EQ(spec_of({"--chdir", ".", "--", "x"})["workdir"], here);
  EXPECT_EQ(spec_of({"--chdir", "sub", "--", "x"})["workdir"], std::string(here) + "/sub");
}

TEST_F(SubmitFlagsTest, AScriptIsSentAsText) {
  TemporaryDirectory dir;
  ASSERT_TRUE(write_file_durably(dir.path() + "/job.sh", "#!/bin/bash\necho hi\n"));
  EXPECT_EQ(spec_of({"--script", dir.path() + "/job.sh"}),
            Json::parse(R"({"name":"job.sh","script":"#!/bin/bash\necho hi\n"})"));
}

TEST_F(SubmitFlagsTest, ABadValueEndsWithTwoAndNamesTheRemedy) {
  expect_refused({"--time", "30", "--", "x"}, "30m");
  expect_refused({"--time", "0s", "--", "x"}, "--time");
  expect_refused({"--gpu-mem", "24", "--", "x"}, "24G");
  expect_refused({"--gpu-mem", "0G", "--", "x"}, "--gpu-mem");
  expect_refused({"--grace", "soon", "--", "x"}, "--grace: 'soon' is not a duration");
  expect_refused({"--type", "batch", "--", "x"}, "training or inference");
  expect_refused({"--share", "some", "--", "x"}, "exclusive or memory");
  expect_refused({"--share", "memory", "--", "x"}, "--gpu-mem");
  expect_refused({"--priority", "101", "--", "x"}, "0 to 100");
  expect_refused({"--gpus", "-1", "--", "x"}, "--gpus");
  expect_refused({"--gpus", "two", "--", "x"}, "--gpus");
  expect_refused({"--env", "=x", "--", "x"}, "NAME=VALUE");
  expect_refused({"--env", "AETHER_NOT_SET_ANYWHERE", "--", "x"}, "AETHER_NOT_SET_ANYWHERE=VALUE");
  expect_refused({"--label", "team", "--", "x"}, "team=VALUE");
  expect_refused({"--env-file", "/no/such/file", "--", "x"}, "/no/such/file");
  expect_refused({"--script", "/no/such/file"}, "/no/such/file");
  expect_refused({"--script", "/etc/hostname", "--", "x"}, "exclude each other");
  expect_refused({"--gpus", "1"}, "no command");
  expect_refused({"python", "--epochs", "3"}, "after --");
  expect_refused({"--idempotency-key", "two words", "--", "x"}, "visible ASCII");
}

TEST(UuidV7, HoldsTheTimeVersionAndVariant) {
  EXPECT_EQ(make_uuid_v7(0x017F22E279B0, 0xCC3, 0x18C4DC0C0C07398F), "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
  EXPECT_EQ(make_uuid_v7(0, 0, 0), "00000000-0000-7000-8000-000000000000");
  EXPECT_EQ(make_uuid_v7(-1, UINT64_MAX, UINT64_MAX), "ffffffff-ffff-7fff-bfff-ffffffffffff");
}

}  // namespace
}  // namespace aether::client
