// The file of open faults.
#include "agent/health_file.h"
#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace aether;
  const auto faults = decode_faults(fuzz::text_of(data, size));
  AETHER_ASSERT(faults.size() <= kMaxFaults);
  AETHER_ASSERT(decode_faults(encode_faults(faults)) == faults);
  return 0;
}
