// The body of POST /api/v1/jobs: decoded, validated, written and read again without a change.
#include <nlohmann/json.hpp>

#include "codec/codec.h"
#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace aether;
  const auto json = codec::parse(fuzz::text_of(data, size));
  if (!json) return 0;
  const auto spec = codec::decode_job_spec(*json);
  if (!spec) {
    AETHER_ASSERT(!spec.error().message.empty());
    return 0;
  }
  const auto valid = validate(*spec);
  if (!valid) AETHER_ASSERT(!valid.error().message.empty());
  const auto again = codec::decode_job_spec(codec::encode_job_spec(*spec));
  AETHER_ASSERT(again && *again == *spec);
  return 0;
}
