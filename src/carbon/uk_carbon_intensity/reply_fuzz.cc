// Replies of a server on the internet.
#include "carbon/uk_carbon_intensity/reply.h"
#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace aether;
  const std::string_view text = fuzz::text_of(data, size);
  (void)carbon::parse_short_time(text);
  (void)carbon::error_message_of(text);
  const auto reply = carbon::parse_reply(text);
  if (!reply) return 0;
  for (std::size_t i = 1; i < reply->half_hours.size(); ++i)
    AETHER_ASSERT(reply->half_hours[i - 1].from < reply->half_hours[i].from);
  for (const auto& half_hour : reply->half_hours) {
    AETHER_ASSERT(half_hour.best());
    (void)carbon::current_of(reply->half_hours, half_hour.from);
    (void)carbon::forecast_of(reply->half_hours, half_hour.from);
  }
  return 0;
}
