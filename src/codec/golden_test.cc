// The files of schema/examples: read here and by the dashboard's tests, so both sides agree on the wire.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/files.h"
#include "codec/codec.h"

namespace aether::codec {
namespace {

std::string example(const std::string& name) {
  const auto text = read_file(std::string(AETHER_SCHEMA_DIR) + "/examples/" + name);
  EXPECT_TRUE(text) << text.error().message;
  return text.value_or("");
}

// Decoded and encoded again, the file holds the same JSON.
void expect_same(const std::string& encoded, const std::string& file) {
  EXPECT_EQ(parse(encoded).value(), parse(file).value()) << encoded;
}

TEST(Golden, Sample) {
  const std::string file = example("sample.json");
  const auto sample = decode_sample(file, NodeId("node-03"), 2, Time{});
  ASSERT_TRUE(sample) << sample.error().message;
  EXPECT_EQ(sample->temperature_c, 71);
  EXPECT_EQ(sample->processes->size(), 1U);
  expect_same(encode_sample(*sample), file);
}

TEST(Golden, PrototypeSample) {
  const auto sample = decode_sample(example("sample_prototype.json"), NodeId("unknown"), 0, Time{});
  ASSERT_TRUE(sample) << sample.error().message;
  EXPECT_EQ(sample->gpu_uuid, GpuUuid("external-unknown-0"));
  EXPECT_EQ(sample->throttling_reasons, "none");
}

TEST(Golden, Commands) {
  for (const char* name : {"command_start.json", "command_stop.json", "command_read_log.json"}) {
    const auto command = decode_command(example(name));
    ASSERT_TRUE(command) << name << ": " << command.error().message;
    expect_same(encode_command(*command), example(name));
  }
}

TEST(Golden, Events) {
  for (const char* name : {"event_report.json", "event_hello.json", "event_log.json"}) {
    const auto event = decode_event(example(name));
    ASSERT_TRUE(event) << name << ": " << event.error().message;
    expect_same(encode_event(*event), example(name));
  }
}

TEST(Golden, JobSpec) {
  const auto spec = decode_job_spec(parse(example("job_spec.json")).value());
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_TRUE(validate(*spec));
  expect_same(dump(encode_job_spec(*spec)), example("job_spec.json"));
}

}  // namespace
}  // namespace aether::codec
