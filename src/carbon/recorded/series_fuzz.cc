// A recorded carbon series from a file of any text.
#include "carbon/recorded/series_source.h"
#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace aether;
  const auto source = carbon::SeriesSource::from_text(fuzz::text_of(data, size), {.path = "fuzz.csv"});
  if (!source) {
    AETHER_ASSERT(!source.error().message.empty());
    return 0;
  }
  for (const int days : {0, 20000, 20003}) (void)(*source)->fetch(Time(std::chrono::hours(24 * days)));
  return 0;
}
