#include <gtest/gtest.h>

#include <limits>

#include <nlohmann/json.hpp>

#include "codec/codec.h"
#include "codec/sample_limits.h"

namespace aether::codec {
namespace {

const NodeId kNode("n1");
constexpr int kIndex = 2;
const Time kReceived = from_unix_us(1'700'000'000'123'456);

Result<GpuSample> decode(std::string_view text) { return decode_sample(text, kNode, kIndex, kReceived); }

GpuSample empty_sample() {
  GpuSample sample;
  sample.gpu_uuid = GpuUuid("GPU-1");
  sample.node = kNode;
  sample.gpu_index = kIndex;
  return sample;
}

void expect_refused(const std::string& text, const std::string& pointer) {
  const Result<GpuSample> sample = decode(text);
  ASSERT_FALSE(sample) << text;
  EXPECT_EQ(sample.error().code, ErrorCode::kInvalidArgument) << text;
  EXPECT_EQ(sample.error().field, pointer) << text;
  EXPECT_NE(sample.error().message.find(pointer), std::string::npos) << sample.error().message;
}

TEST(Sample, EveryMetricHasItsLimit) {
  ASSERT_EQ(sample_limit_count(), gpu_metrics().size());
  for (std::size_t i = 0; i < gpu_metrics().size(); ++i) {
    EXPECT_EQ(sample_limit(i).name, gpu_metrics()[i].name);
    EXPECT_LT(sample_limit(i).low, sample_limit(i).high);
  }
}

TEST(Sample, PrototypeMessageIsAccepted) {
  const auto sample = decode(
      R"({"gpu_name":"Mock RTX 4090","utilization_gpu":40,"utilization_memory_controller":35,"performance_state":"P2",)"
      R"("clock_gpu_mhz":1250,"clock_mem_mhz":5250,"memory_used_mb":306,"memory_total_mb":24564,"temperature_c":50,)"
      R"("power_draw_w":67,"throttling_reasons":"None"})");
  ASSERT_TRUE(sample) << sample.error().message;
  EXPECT_EQ(sample->gpu_uuid, GpuUuid("external-n1-2"));
  EXPECT_EQ(sample->node, kNode);
  EXPECT_EQ(sample->gpu_index, kIndex);
  EXPECT_EQ(sample->sample_time, kReceived);
  EXPECT_EQ(sample->gpu_name, "Mock RTX 4090");
  EXPECT_EQ(sample->utilization_gpu, 40);
  EXPECT_EQ(sample->memory_used_mb, 306);
  EXPECT_EQ(sample->power_draw_w, 67);
  EXPECT_EQ(sample->throttling_reasons, "none");
  EXPECT_FALSE(sample->energy_total_mj);
  EXPECT_FALSE(sample->processes);
}

TEST(Sample, WholeNumbersPrintWithoutFraction) {
  GpuSample sample = empty_sample();
  sample.gpu_name = "x";
  sample.temperature_c = 50;
  sample.power_draw_w = 67.25;
  sample.energy_total_mj = 123456789012345;
  EXPECT_EQ(encode_sample(sample),
            R"({"gpu_uuid":"GPU-1","node":"n1","gpu_index":2,"gpu_name":"x","sample_seq":0,"sample_time_us":0,)"
            R"("temperature_c":50,"power_draw_w":67.25,"energy_total_mj":123456789012345})");
  EXPECT_EQ(dump(encode_sample_json(sample)),
            R"({"energy_total_mj":123456789012345,"gpu_index":2,"gpu_name":"x","gpu_uuid":"GPU-1","node":"n1",)"
            R"("power_draw_w":67.25,"sample_seq":0,"temperature_c":50,"time":"1970-01-01T00:00:00.000Z"})");
}

TEST(Sample, NumbersThatAreNotFiniteLeaveNoKey) {
  GpuSample sample = empty_sample();
  sample.temperature_c = std::numeric_limits<double>::quiet_NaN();
  sample.power_draw_w = std::numeric_limits<double>::infinity();
  sample.clock_sm_mhz = -std::numeric_limits<double>::infinity();
  const Json json = parse(encode_sample(sample)).value();
  for (const char* key : {"temperature_c", "power_draw_w", "clock_sm_mhz"}) {
    EXPECT_FALSE(json.contains(key)) << key;
    EXPECT_FALSE(encode_sample_json(sample).contains(key)) << key;
  }
}

TEST(Sample, TextIsEscapedAndBadUtf8IsReplaced) {
  GpuSample sample = empty_sample();
  sample.gpu_name = "a\"b\\c\n\xff";
  const auto back = decode(encode_sample(sample));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->gpu_name, "a\"b\\c\n\xef\xbf\xbd");
}

TEST(Sample, UnknownKeysAndNullsAreAbsent) {
  const auto sample = decode(R"({"new_field":{"a":[1,{"b":null}]},"temperature_c":null,"node":null,"power_draw_w":1.5})");
  ASSERT_TRUE(sample) << sample.error().message;
  EXPECT_FALSE(sample->temperature_c);
  EXPECT_EQ(sample->power_draw_w, 1.5);
}

TEST(Sample, NumbersOutsideTheirLimitsAreRefusedByName) {
  for (std::size_t i = 0; i < gpu_metrics().size(); ++i) {
    const SampleLimit& limit = sample_limit(i);
    const std::string key(limit.name), head = "{\"" + key + "\":";
    for (const std::string& value : {fmt::format("{}", limit.low - 1), fmt::format("{}", limit.high + 1),
                                     std::string("\"50\""), std::string("true"), std::string("[]"), std::string("1e308")})
      if (value != fmt::format("{}", limit.high)) expect_refused(head + value + "}", "/" + key);
    const std::string edge = head + (limit.whole ? fmt::format("{:.0f}", limit.high) : fmt::format("{}", limit.high)) + "}";
    EXPECT_TRUE(decode(edge)) << edge;
    if (limit.whole) expect_refused(head + "7.5}", "/" + key);
  }
}

TEST(Sample, SentinelsOfDriversAreRefused) {
  for (const char* value : {"2147483632", "2147483633", "2147483634", "4294967295", "140737488355328.0",
                            "9223372036854775792", "9223372036854775794", "9223372036854775807", "4611686018427387904",
                            "18446744073709551615"})
    for (const GpuMetric& metric : gpu_metrics())
      expect_refused("{\"" + std::string(metric.name) + "\":" + value + "}", "/" + std::string(metric.name));
  expect_refused(R"({"gpu_name":"<<<NULL>>>"})", "/gpu_name");
}

TEST(Sample, OtherFieldsAreCheckedToo) {
  expect_refused(R"({"gpu_index":-1})", "/gpu_index");
  expect_refused(R"({"gpu_index":2.0})", "/gpu_index");
  expect_refused(R"({"sample_seq":-1})", "/sample_seq");
  expect_refused(R"({"sample_seq":4611686018427387904})", "/sample_seq");
  expect_refused(R"({"sample_time_us":"now"})", "/sample_time_us");
  expect_refused(R"({"sample_time_us":-1})", "/sample_time_us");
  expect_refused(R"({"sample_time_us":9223372036854775807})", "/sample_time_us");
  expect_refused(R"({"gpu_name":7})", "/gpu_name");
  expect_refused(R"({"gpu_name":")" + std::string(257, 'x') + "\"}", "/gpu_name");
  for (const char* state : {"P16", "P32", "2", "P", "P02", "P-1", "p2"})
    expect_refused(std::string(R"({"performance_state":")") + state + "\"}", "/performance_state");
  expect_refused(R"({"processes":{}})", "/processes");
  expect_refused(R"({"processes":[1]})", "/processes");
  expect_refused(R"({"processes":[{}]})", "/processes");
  expect_refused(R"({"processes":[{"pid":-1}]})", "/processes");
  expect_refused(R"({"processes":[{"pid":4294967295}]})", "/processes");
}

TEST(Sample, AMessageSpeaksOnlyForItsSubject) {
  expect_refused(R"({"node":"n2"})", "/node");
  expect_refused(R"({"gpu_index":3})", "/gpu_index");
  EXPECT_TRUE(decode(R"({"node":"n1","gpu_index":2})"));
}

TEST(Sample, MalformedTextIsRefused) {
  for (const char* text : {"", " ", "null", "[]", "7", "{", "{}x", "{\"a\":}", "{\"temperature_c\":NaN}",
                           "{\"temperature_c\":1e999}", "{\"temperature_c\":01}", "{\"temperature_c\":5}}", "{\"a\":\"\xff\"}"})
    EXPECT_FALSE(decode(text)) << text;
  EXPECT_TRUE(decode("{}"));
}

TEST(Sample, DeepAndLargeTextIsRefused) {
  const auto nested = [](std::size_t depth) {
    return "{\"a\":" + std::string(depth, '[') + std::string(depth, ']') + "}";
  };
  EXPECT_TRUE(decode(nested(20)));
  EXPECT_FALSE(decode(nested(40)));
  EXPECT_FALSE(decode(nested(100'000)));
  EXPECT_FALSE(decode("{\"a\":\"" + std::string(1024 * 1024, 'x') + "\"}"));
}

}  // namespace
}  // namespace aether::codec
