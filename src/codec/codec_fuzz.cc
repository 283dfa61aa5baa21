// libFuzzer entry over every decoder that reads text from outside. fuzz_test.cc runs it over a seeded corpus in every
// test run; a build with -fsanitize=fuzzer searches on from there.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <nlohmann/json.hpp>

#include "base/assert.h"
#include "codec/codec.h"

namespace {

using namespace aether;

// What a decoder accepts, its encoder writes in a form that decodes to the same value.
void check_messages(std::string_view text) {
  if (const auto command = codec::decode_command(text)) {
    const auto again = codec::decode_command(codec::encode_command(*command));
    AETHER_ASSERT(again && *again == *command);
  }
  if (const auto event = codec::decode_event(text)) {
    const auto again = codec::decode_event(codec::encode_event(*event));
    AETHER_ASSERT(again && *again == *event);
  }
}

void check_sample(std::string_view text) {
  const auto sample = codec::decode_sample(text, NodeId("n1"), 2, Time{});
  if (!sample) return;
  const auto again = codec::decode_sample(codec::encode_sample(*sample), NodeId("n1"), 2, Time{});
  AETHER_ASSERT(again && *again == *sample);
  codec::dump(codec::encode_sample_json(*sample));
}

template <class Decode, class Encode>
void check_record(const codec::Json& json, Decode decode, Encode encode) {
  const auto value = decode(json);
  if (!value) return;
  const auto again = decode(encode(*value));
  AETHER_ASSERT(again && *again == *value);
}

void check_records(std::string_view text) {
  const auto json = codec::parse(text);
  if (!json) return;
  check_record(*json, codec::decode_job_spec, codec::encode_job_spec);
  check_record(*json, codec::decode_gpu_info, codec::encode_gpu_info);
  check_record(*json, codec::decode_inventory, codec::encode_inventory);
  check_record(*json, codec::decode_exit, codec::encode_exit);
  check_record(*json, codec::decode_attempt, codec::encode_attempt);
  check_record(*json, codec::decode_job_event, codec::encode_job_event);
  check_record(*json, codec::decode_placement_record, codec::encode_placement_record);
  AETHER_ASSERT(codec::parse(codec::dump(*json)) == *json);
}

void check_base64(std::string_view text) {
  if (const auto bytes = codec::base64_decode(text)) AETHER_ASSERT(codec::base64_encode(*bytes) == text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_sample(text);
  check_messages(text);
  check_records(text);
  check_base64(text);
  return 0;
}
