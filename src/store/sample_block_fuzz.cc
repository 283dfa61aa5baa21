// Closed hours of telemetry: whole blocks, and behind a first byte below 4 a column alone, which no checksum guards. What
// is read is written and read again without a change.
#include <functional>

#include "fuzz.h"
#include "store/block_columns.h"
#include "store/sample_block.h"

namespace aether::store {
namespace {

template <class T>
void try_column(std::string_view text, Result<std::vector<T>> (*get)(ByteReader&, std::size_t),
                const std::function<void(std::string&, const std::vector<T>&)>& put) {
  ByteReader in(text);
  const std::size_t rows = in.varint() % 5000;
  const auto values = get(in, rows);
  if (!values) {
    AETHER_ASSERT(values.error().code == ErrorCode::kCorrupt && !values.error().message.empty());
    return;
  }
  AETHER_ASSERT(values->size() == rows);
  std::string bytes, again;
  put(bytes, *values);
  ByteReader written(bytes);
  const auto read = get(written, rows);
  AETHER_ASSERT(read && written.at_end());
  put(again, *read);
  AETHER_ASSERT(again == bytes);
}

void try_block(std::string_view text) {
  const auto block = SampleBlock::open(text);
  const auto samples = block ? block->samples() : Result<std::vector<GpuSample>>(fail(block.error()));
  if (!samples) {
    AETHER_ASSERT(samples.error().code == ErrorCode::kCorrupt && !samples.error().message.empty());
    return;
  }
  const std::string bytes = encode_block(*samples);
  const auto again = SampleBlock::open(bytes);
  AETHER_ASSERT(again);
  const auto read = again->samples();
  AETHER_ASSERT(read && *read == *samples);
}

}  // namespace
}  // namespace aether::store

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace aether::store;
  const std::string_view text = aether::fuzz::text_of(data, size);
  const int kind = size > 0 ? data[0] : 0;
  try_block(text);
  if (size == 0 || kind > 3) return 0;
  const std::string_view column = text.substr(1);
  if (kind == 0)
    try_column<std::int64_t>(column, get_integers, [](std::string& out, const auto& v) { put_integers(out, v); });
  if (kind == 1) try_column<std::optional<std::int64_t>>(column, get_optional_integers, put_optional_integers);
  if (kind == 2) try_column<std::optional<double>>(column, get_reals, put_reals);
  if (kind == 3) try_column<std::optional<std::string>>(column, get_texts, put_texts);
  return 0;
}
