#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "codec/codec.h"
#include "codec/random_model.h"

namespace aether::codec {
namespace {

constexpr std::uint64_t kSeeds = 300;

// Through text, as the database and the bus do.
Json through_text(const Json& json) {
  const Result<Json> back = parse(dump(json));
  EXPECT_TRUE(back) << back.error().message;
  return back.value_or(Json());
}

template <class T, class Make, class Encode, class Decode>
void expect_round_trip(Make make, Encode encode, Decode decode) {
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    testing::RandomModel random(seed);
    const T value = make(random);
    const Result<T> back = decode(through_text(encode(value)));
    ASSERT_TRUE(back) << "seed " << seed << ": " << back.error().message;
    ASSERT_EQ(*back, value) << "seed " << seed << ": " << dump(encode(value));
  }
}

TEST(CodecRoundTrip, JobSpec) {
  expect_round_trip<JobSpec>([](auto& random) { return random.spec(); }, encode_job_spec, decode_job_spec);
}
TEST(CodecRoundTrip, GpuInfo) {
  expect_round_trip<GpuInfo>([](auto& random) { return random.gpu_info(); }, encode_gpu_info, decode_gpu_info);
}
TEST(CodecRoundTrip, Inventory) {
  expect_round_trip<NodeInventory>([](auto& random) { return random.inventory(); }, encode_inventory, decode_inventory);
}
TEST(CodecRoundTrip, Exit) {
  expect_round_trip<ExitStatus>([](auto& random) { return random.exit(); }, encode_exit, decode_exit);
}
TEST(CodecRoundTrip, Attempt) {
  expect_round_trip<Attempt>([](auto& random) { return random.attempt(); }, encode_attempt, decode_attempt);
}
TEST(CodecRoundTrip, JobProgress) {
  expect_round_trip<Job>([](auto& random) { return random.job_progress(); }, encode_job_progress, [](const Json& json) {
    Job job;
    const Result<void> done = decode_job_progress(json, job);
    return done ? Result<Job>(job) : fail(done.error());
  });
}
TEST(CodecRoundTrip, JobEvent) {
  expect_round_trip<JobEvent>([](auto& random) { return random.job_event(); }, encode_job_event, decode_job_event);
}
TEST(CodecRoundTrip, PlacementRecord) {
  expect_round_trip<PlacementRecord>([](auto& random) { return random.placement_record(); }, encode_placement_record,
                                     decode_placement_record);
}

TEST(CodecRoundTrip, CommandsOfEveryKind) {
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    testing::RandomModel random(seed);
    const Command command = random.command(seed % std::variant_size_v<decltype(Command::body)>);
    const Result<Command> back = decode_command(encode_command(command));
    ASSERT_TRUE(back) << encode_command(command) << back.error().message;
    ASSERT_EQ(*back, command) << encode_command(command);
  }
}

TEST(CodecRoundTrip, EventsOfEveryKind) {
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    testing::RandomModel random(seed);
    const AgentEvent event = random.event(seed % std::variant_size_v<decltype(AgentEvent::body)>);
    const Result<AgentEvent> back = decode_event(encode_event(event));
    ASSERT_TRUE(back) << encode_event(event) << back.error().message;
    ASSERT_EQ(*back, event) << encode_event(event);
  }
}

TEST(CodecRoundTrip, Samples) {
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    testing::RandomModel random(seed);
    const GpuSample sample = random.sample();
    const std::string text = encode_sample(sample);
    const Result<GpuSample> back = decode_sample(text, sample.node, sample.gpu_index, Time{});
    ASSERT_TRUE(back) << text << back.error().message;
    ASSERT_EQ(*back, sample) << text;
  }
}

// The two writers of samples agree, but for the time's form.
TEST(CodecRoundTrip, SampleTextAndSampleJsonHoldTheSameNumbers) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    testing::RandomModel random(seed);
    GpuSample sample = random.sample();
    sample.xid_last_time.reset();
    Json wire = parse(encode_sample(sample)).value();
    Json api = encode_sample_json(sample);
    EXPECT_EQ(api["time"], format_rfc3339(sample.sample_time));
    wire.erase("sample_time_us");
    api.erase("time");
    EXPECT_EQ(through_text(api), wire);
  }
}

TEST(CodecRoundTrip, Base64) {
  EXPECT_EQ(base64_encode("foobar"), "Zm9vYmFy");  // RFC 4648 §10
  EXPECT_EQ(base64_encode("fooba"), "Zm9vYmE=");
  EXPECT_EQ(base64_encode("foob"), "Zm9vYg==");
  EXPECT_EQ(base64_encode(""), "");
  testing::RandomModel random(1);
  for (int i = 0; i < 300; ++i) {
    const std::string bytes = random.bytes(50);
    EXPECT_EQ(base64_decode(base64_encode(bytes)).value(), bytes);
  }
  for (const char* text : {"Z", "Zm9", "Zm9v=", "Zm9vYg=a", "====", "Zm9=Zm9v", "Zm 9", "Zm9vYh==", "Zm9vYmF="})
    EXPECT_FALSE(base64_decode(text)) << text;
}

}  // namespace
}  // namespace aether::codec
