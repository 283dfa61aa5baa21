// What agent and shim say to each other on the shim's socket, and its notes of holes in a log, with any bytes.
#include "executor/posix/log_gaps.h"
#include "executor/posix/shim_protocol.h"
#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace aether::executor;
  const std::string_view text = aether::fuzz::text_of(data, size);
  if (const auto order = decode_order(text)) {
    AETHER_ASSERT(order->number >= 0);
    AETHER_ASSERT(order->verb != "stop" || is_plain_word(order->word));
    const std::string again = std::to_string(order->version) + " " + order->verb + (order->word.empty() ? "" : " " + order->word) +
                              (order->verb == "suspend" || order->verb == "resume" ? "" : " " + std::to_string(order->number));
    const auto decoded = decode_order(again);
    AETHER_ASSERT(decoded && decoded->verb == order->verb && decoded->word == order->word && decoded->number == order->number);
  }
  if (const auto state = decode_state(text)) {
    AETHER_ASSERT(state->version >= kOldestShimProtocolVersion && state->version <= kShimProtocolVersion);
    const auto decoded = decode_state(std::to_string(state->version) + " " + state->word + " " + std::to_string(state->started_us));
    AETHER_ASSERT(decoded && decoded->word == state->word && decoded->started_us == state->started_us);
  }
  const LogGaps gaps = LogGaps::decode(text), again = LogGaps::decode(gaps.encode());
  AETHER_ASSERT(gaps.count() == again.count() && gaps.end() == again.end() && gaps.missing_in(0, ~0ULL) == again.missing_in(0, ~0ULL));
  return 0;
}
