#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "codec/codec.h"
#include "codec/random_model.h"

namespace aether::codec {
namespace {

Error spec_error(std::string_view text) {
  const Result<Json> json = parse(text);
  EXPECT_TRUE(json) << text;
  const Result<JobSpec> spec = decode_job_spec(*json);
  EXPECT_FALSE(spec) << text;
  return spec ? Error{} : spec.error();
}

TEST(Parse, SaysWhereTheTextIsWrong) {
  const auto json = parse("{\n  \"a\": 1,\n  \"b\" 2\n}");
  ASSERT_FALSE(json);
  EXPECT_EQ(json.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(json.error().message.find("line 3, column 7"), std::string::npos) << json.error().message;
}

TEST(Parse, DepthAndSizeAreLimited) {
  EXPECT_TRUE(parse(std::string(32, '[') + std::string(32, ']')));
  EXPECT_FALSE(parse(std::string(33, '[') + std::string(33, ']')));
  EXPECT_FALSE(parse(std::string(100'000, '[')));
  EXPECT_TRUE(parse("\"" + std::string(1000, '[') + "\\\"" + std::string(1000, '[') + "\""));
  EXPECT_TRUE(parse("\"" + std::string(1024 * 1024 - 2, 'x') + "\""));
  EXPECT_FALSE(parse("\"" + std::string(1024 * 1024 - 1, 'x') + "\""));
}

TEST(Parse, NumbersThatDoNotFitAreRefused) { EXPECT_FALSE(parse("[1e999]")); }

TEST(Dump, NeverThrowsOnBadUtf8) { EXPECT_EQ(dump(Json("a\xff")), "\"a\xef\xbf\xbd\""); }

TEST(JobSpecDecoder, DefaultsStandForAbsentKeys) {
  const auto spec = decode_job_spec(parse(R"({"argv":["true"]})").value());
  ASSERT_TRUE(spec);
  JobSpec expected;
  expected.argv = {"true"};
  EXPECT_EQ(*spec, expected);
}

TEST(JobSpecDecoder, ATimeIsReadAsFinelyAsItIsWritten) {
  const auto spec = decode_job_spec(parse(R"({"argv":["true"],"begin":"2026-01-15T09:42:17.250999Z"})").value());
  ASSERT_TRUE(spec);
  const auto again = decode_job_spec(encode_job_spec(*spec));
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, *spec);
}

TEST(JobSpecDecoder, UnknownKeyNamesTheNearestOne) {
  const Error error = spec_error(R"({"argv":["true"],"gpu":2})");
  EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(error.field, "/gpu");
  EXPECT_NE(error.message.find("'gpus'"), std::string::npos) << error.message;
  EXPECT_EQ(spec_error(R"({"somethingelse":2})").field, "/somethingelse");
  EXPECT_EQ(spec_error(R"({"a/b~c":2})").field, "/a~1b~0c");
}

TEST(JobSpecDecoder, TypesAreStrict) {
  EXPECT_EQ(spec_error(R"({"gpus":7.5})").field, "/gpus");
  EXPECT_EQ(spec_error(R"({"gpus":"2"})").field, "/gpus");
  EXPECT_EQ(spec_error(R"({"gpus":true})").field, "/gpus");
  EXPECT_EQ(spec_error(R"({"gpus":4294967296})").field, "/gpus");
  EXPECT_EQ(spec_error(R"({"time_limit_s":18446744073709551615})").field, "/time_limit_s");
  EXPECT_EQ(spec_error(R"({"argv":"true"})").field, "/argv");
  EXPECT_EQ(spec_error(R"({"argv":["a",1]})").field, "/argv/1");
  EXPECT_EQ(spec_error(R"({"env":["A=b"]})").field, "/env");
  EXPECT_EQ(spec_error(R"({"env":{"A/B":1}})").field, "/env/A~1B");
  EXPECT_EQ(spec_error(R"({"unique":1})").field, "/unique");
  EXPECT_EQ(spec_error(R"({"type":"batch"})").field, "/type");
  EXPECT_EQ(spec_error(R"({"share":"any"})").field, "/share");
  EXPECT_EQ(spec_error(R"({"name":null,"script":5})").field, "/script");
  EXPECT_EQ(spec_error("[]").field, "");
  EXPECT_NE(spec_error(R"({"gpus":7.5})").message.find("7.5 is not an integer"), std::string::npos);
}

TEST(Envelope, AnotherVersionIsUnsupported) {
  for (const char* text : {R"({"v":2,"node":"n1","kind":"result_ack","job":"J","attempt":1,"epoch":1})",
                           R"({"v":1,"node":"n1","kind":"dance"})"}) {
    EXPECT_EQ(decode_command(text).error().code, ErrorCode::kUnsupported) << text;
    EXPECT_EQ(decode_event(text).error().code, ErrorCode::kUnsupported) << text;
  }
  EXPECT_EQ(decode_command(R"({"node":"n1"})").error().field, "/v");
}

TEST(Envelope, UnknownKeysAreIgnored) {
  const auto command = decode_command(
      R"({"v":1,"node":"n1","kind":"start","job":"J","attempt":1,"epoch":1,"later":1,"spec":{"argv":["a"],"later":2}})");
  ASSERT_TRUE(command) << command.error().message;
  EXPECT_EQ(std::get<StartCommand>(command->body).spec.argv, std::vector<std::string>{"a"});
}

TEST(Envelope, WhatBecomesAPathOrASubjectIsChecked) {
  const auto field_of = [](std::string_view text) { return decode_command(text).error().field; };
  EXPECT_EQ(field_of(R"({"v":1,"node":"a.b","kind":"result_ack","job":"J","attempt":1,"epoch":1})"), "/node");
  EXPECT_EQ(field_of(R"({"v":1,"node":"n1","kind":"result_ack","job":"../etc","attempt":1,"epoch":1})"), "/job");
  EXPECT_EQ(field_of(R"({"v":1,"node":"n1","kind":"result_ack","job":"","attempt":1,"epoch":1})"), "/job");
  EXPECT_EQ(field_of(R"({"v":1,"node":"n1","kind":"result_ack","job":"J","attempt":0,"epoch":1})"), "/attempt");
  EXPECT_EQ(field_of(R"({"v":1,"node":"n1","kind":"result_ack","job":"J","attempt":1})"), "/epoch");
  EXPECT_EQ(field_of(R"({"v":1,"node":"n1","kind":"result_ack","job":"J","attempt":1,"epoch":-1})"), "/epoch");
  EXPECT_EQ(field_of(R"({"v":1,"node":"n1","kind":"read_log","request_id":1,"job":"J","attempt":1,"stream":"../x"})"),
            "/stream");
  EXPECT_EQ(field_of(R"({"v":1,"node":"n1","kind":"start","job":"J","attempt":1,"epoch":1})"), "/spec");
  for (const char* slots : {"[1]", "[1,-1]", "[1,2,3]"})
    EXPECT_EQ(field_of(std::string(R"({"v":1,"node":"n1","kind":"start","job":"J","attempt":1,"epoch":1,"spec":{"argv":["a"]},
                                      "gpu_uuids":["g","h"],"gpu_slots":)") + slots + "}"), "/gpu_slots") << slots;
  EXPECT_EQ(field_of(R"({"v":1,"node":"n1","kind":"start","job":"J","attempt":1,"epoch":1,"spec":{"argv":[7]}})"),
            "/spec/argv/0");
}

TEST(Envelope, EventsNameTheFieldInsideLists) {
  const auto event = decode_event(
      R"({"v":1,"node":"n1","kind":"heartbeat","heartbeat_seq":1,"attempts":[{"job":"J","attempt":1,"epoch":1,"state":"RUN"}]})");
  ASSERT_FALSE(event);
  EXPECT_EQ(event.error().field, "/attempts/0/state");
  EXPECT_EQ(decode_event(R"({"v":1,"node":"n1","kind":"log","request_id":1,"chunk":{"offset":0,"data_b64":"?"}})")
                .error().field,
            "/chunk/data_b64");
}

// A prefix of a valid document is never valid itself.
TEST(Truncation, AlwaysErrs) {
  testing::RandomModel random(7);
  for (std::size_t kind = 0; kind < 6; ++kind) {
    const std::string command = encode_command(random.command(kind)), event = encode_event(random.event(kind));
    for (std::size_t cut = 0; cut < command.size(); ++cut)
      EXPECT_FALSE(decode_command(std::string_view(command).substr(0, cut)));
    for (std::size_t cut = 0; cut < event.size(); ++cut)
      EXPECT_FALSE(decode_event(std::string_view(event).substr(0, cut)));
  }
  const GpuSample sample = random.sample();
  const std::string text = encode_sample(sample);
  for (std::size_t cut = 0; cut < text.size(); ++cut)
    EXPECT_FALSE(decode_sample(std::string_view(text).substr(0, cut), sample.node, sample.gpu_index, Time{}));
}

TEST(Records, StoredTimesAreLossless) {
  JobEvent event{JobId("J"), from_unix_us(1'700'000'000'123'456), "PENDING", "ASSIGNED", "scheduler", "", 3, 1};
  const Json json = encode_job_event(event);
  EXPECT_EQ(json["time_us"], 1'700'000'000'123'456);
  EXPECT_EQ(json["time"], "2023-11-14T22:13:20.123Z");
  EXPECT_FALSE(decode_job_event(parse(R"({"job":"J","time_us":9223372036854775807})").value()));
}

}  // namespace
}  // namespace aether::codec
