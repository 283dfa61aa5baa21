#include "store/block_columns.h"

#include <zstd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <map>
#include <memory>

namespace aether::store {
namespace {

constexpr int kZstdLevel = 6;
constexpr unsigned kMaxOrder = 2;
constexpr std::array<double, 7> kPowersOfTen = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6};
constexpr double kMaxExactInteger = 9'007'199'254'740'992;  // 2^53
constexpr std::uint8_t kRawBits = 255;                      // in place of a power of ten

enum Presence : std::uint8_t { kAllPresent = 0, kSomePresent = 1 };

tl::unexpected<Error> damaged(const char* what) {
  return fail(ErrorCode::kCorrupt, std::string("a block of samples is damaged: ") + what);
}

// Contexts are large; each thread keeps its own.
ZSTD_CCtx* compressor() {
  thread_local const std::unique_ptr<ZSTD_CCtx, std::size_t (*)(ZSTD_CCtx*)> context(ZSTD_createCCtx(), ZSTD_freeCCtx);
  return context.get();
}
ZSTD_DCtx* decompressor() {
  thread_local const std::unique_ptr<ZSTD_DCtx, std::size_t (*)(ZSTD_DCtx*)> context(ZSTD_createDCtx(), ZSTD_freeDCtx);
  return context.get();
}

// Bytes whose number the reader knows: 2 * size + 1 and a zstd frame, or 2 * size and the bytes themselves.
void put_packed(std::string& out, std::string_view bytes) {
  std::string frame(ZSTD_compressBound(bytes.size()), '\0');
  const std::size_t size =
      ZSTD_compressCCtx(compressor(), frame.data(), frame.size(), bytes.data(), bytes.size(), kZstdLevel);
  if (ZSTD_isError(size) || size >= bytes.size()) {
    put_varint(out, 2 * bytes.size());
    out.append(bytes);
    return;
  }
  put_varint(out, 2 * size + 1);
  out.append(frame, 0, size);
}

bool get_packed(ByteReader& in, std::string& bytes, std::size_t expected) {
  const std::uint64_t head = in.varint();
  const std::string_view stored = in.take(head / 2);
  if (in.failed()) return false;
  if (head % 2 == 0) {
    bytes = stored;
    return bytes.size() == expected;
  }
  bytes.resize(expected);
  const std::size_t size =
      ZSTD_decompressDCtx(decompressor(), bytes.data(), bytes.size(), stored.data(), stored.size());
  return !ZSTD_isError(size) && size == expected;
}

std::uint64_t zigzag(std::uint64_t value) { return (value << 1) ^ (0 - (value >> 63)); }
std::uint64_t unzigzag(std::uint64_t value) { return (value >> 1) ^ (0 - (value & 1)); }

// Differences of an order, modulo 2^64; the first `order` values stand before them as they are.
std::vector<std::uint64_t> differences(std::span<const std::int64_t> values, unsigned order) {
  std::vector<std::uint64_t> result(values.begin(), values.end());
  for (unsigned round = 0; round < order; ++round)
    for (std::size_t i = result.size(); i-- > round + 1;) result[i] -= result[i - 1];
  return result;
}

std::string integers_of_order(std::span<const std::int64_t> values, unsigned order) {
  std::vector<std::uint64_t> numbers = differences(values, order);
  const std::size_t heads = std::min<std::size_t>(order, numbers.size());
  std::uint64_t base = 0, all = 0;
  if (order == 0 && !values.empty())
    base = static_cast<std::uint64_t>(*std::min_element(values.begin(), values.end()));
  for (std::size_t i = heads; i < numbers.size(); ++i) {
    numbers[i] = order == 0 ? numbers[i] - base : zigzag(numbers[i]);
    all |= numbers[i];
  }
  const auto width = static_cast<unsigned>((std::bit_width(all) + 7) / 8);
  std::string out(1, static_cast<char>(order << 4 | width));
  if (order == 0) put_varint(out, zigzag(base));
  for (std::size_t i = 0; i < heads; ++i) put_varint(out, zigzag(numbers[i]));
  std::string plane(numbers.size() - heads, '\0');
  for (unsigned byte = 0; byte < width; ++byte) {
    for (std::size_t i = 0; i < plane.size(); ++i) plane[i] = static_cast<char>(numbers[heads + i] >> (8 * byte));
    put_packed(out, plane);
  }
  return out;
}

// The power of ten by which every value becomes an integer and comes back exactly.
std::optional<std::uint8_t> decimal_scale(const std::vector<double>& values) {
  std::uint8_t scale = 0;
  for (std::size_t i = 0; i < values.size();) {
    const double value = values[i], power = kPowersOfTen[scale];
    const bool fits = std::abs(value) * power < kMaxExactInteger && !(value == 0 && std::signbit(value));
    if (fits && static_cast<double>(std::llround(value * power)) / power == value) {
      ++i;
      continue;
    }
    if (!fits || ++scale == kPowersOfTen.size()) return std::nullopt;
    i = 0;
  }
  return scale;
}

template <class T>
std::vector<T> put_presence(std::string& out, const std::vector<std::optional<T>>& values) {
  std::vector<T> present;
  std::string bits((values.size() + 7) / 8, '\0');
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!values[i]) continue;
    present.push_back(*values[i]);
    bits[i / 8] = static_cast<char>(bits[i / 8] | 1 << (i % 8));
  }
  const bool all = present.size() == values.size();
  out.push_back(static_cast<char>(all ? kAllPresent : kSomePresent));
  if (!all) put_packed(out, bits);
  return present;
}

Result<std::vector<bool>> get_presence(ByteReader& in, std::size_t rows) {
  const std::uint8_t kind = in.byte();
  if (in.failed() || kind > kSomePresent) return damaged("presence of values");
  if (kind == kAllPresent) return std::vector<bool>(rows, true);
  std::string bits;
  if (!get_packed(in, bits, (rows + 7) / 8)) return damaged("presence of values");
  std::vector<bool> present(rows);
  for (std::size_t i = 0; i < rows; ++i) present[i] = (bits[i / 8] >> (i % 8) & 1) != 0;
  return present;
}

std::size_t count(const std::vector<bool>& present) {
  return static_cast<std::size_t>(std::count(present.begin(), present.end(), true));
}

template <class T, class Convert>
std::vector<std::optional<T>> spread(const std::vector<bool>& present, const std::vector<std::int64_t>& integers,
                                     const Convert& convert) {
  std::vector<std::optional<T>> values(present.size());
  std::size_t next = 0;
  for (std::size_t i = 0; i < present.size(); ++i)
    if (present[i]) values[i] = convert(integers[next++]);
  return values;
}

}  // namespace

void put_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

std::uint32_t fnv1a(std::string_view bytes) {
  std::uint32_t hash = 0x811c9dc5u;
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x01000193u;
  return hash;
}

std::string_view ByteReader::take(std::uint64_t size) {
  failed_ = failed_ || size > rest_.size();
  if (failed_) return {};
  const std::string_view taken = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return taken;
}

std::uint8_t ByteReader::byte() {
  const std::string_view taken = take(1);
  return taken.empty() ? 0 : static_cast<std::uint8_t>(taken.front());
}

std::uint32_t ByteReader::word() {
  std::uint32_t value = 0;
  for (unsigned shift = 0; shift < 32; shift += 8) value |= std::uint32_t{byte()} << shift;
  return value;
}

std::uint64_t ByteReader::varint() {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    const std::uint8_t next = byte();
    value |= std::uint64_t{next & 0x7fu} << shift;
    if (next < 0x80) return value;
  }
  failed_ = true;
  return 0;
}

void put_integers(std::string& out, std::span<const std::int64_t> values) {
  std::string best = integers_of_order(values, 0);
  const bool constant = (best.front() & 0x0f) == 0;
  for (unsigned order = 1; order <= kMaxOrder && !constant; ++order) {
    std::string other = integers_of_order(values, order);
    if (other.size() < best.size()) best = std::move(other);
  }
  out += best;
}

void put_optional_integers(std::string& out, const std::vector<std::optional<std::int64_t>>& values) {
  const auto present = put_presence(out, values);
  put_integers(out, present);
}

void put_reals(std::string& out, const std::vector<std::optional<double>>& values) {
  const auto present = put_presence(out, values);
  const auto scale = decimal_scale(present);
  std::vector<std::int64_t> integers;
  integers.reserve(present.size());
  for (const double value : present)
    integers.push_back(scale ? std::llround(value * kPowersOfTen[*scale]) : std::bit_cast<std::int64_t>(value));
  out.push_back(static_cast<char>(scale.value_or(kRawBits)));
  put_integers(out, integers);
}

// A list of the texts that occur, and for each value its place in the list.
void put_texts(std::string& out, const std::vector<std::optional<std::string>>& values) {
  const auto present = put_presence(out, values);
  std::map<std::string, std::int64_t> places;
  std::vector<std::int64_t> integers;
  std::string texts;
  for (const std::string& text : present) {
    const auto [place, added] = places.emplace(text, static_cast<std::int64_t>(places.size()));
    integers.push_back(place->second);
    if (!added) continue;
    put_varint(texts, text.size());
    texts += text;
  }
  put_varint(out, places.size());
  out += texts;
  put_integers(out, integers);
}

Result<std::vector<std::int64_t>> get_integers(ByteReader& in, std::size_t rows) {
  const std::uint8_t tag = in.byte();
  const unsigned order = tag >> 4, width = tag & 0x0f;
  if (in.failed() || order > kMaxOrder || width > 8) return damaged("an unknown form of integers");
  std::vector<std::uint64_t> numbers(rows);
  const std::size_t heads = std::min<std::size_t>(order, rows);
  const std::uint64_t base = order == 0 ? unzigzag(in.varint()) : 0;
  for (std::size_t i = 0; i < heads; ++i) numbers[i] = unzigzag(in.varint());
  std::string plane;
  for (unsigned byte = 0; byte < width; ++byte) {
    if (!get_packed(in, plane, rows - heads)) return damaged("a plane of integers");
    for (std::size_t i = 0; i < plane.size(); ++i)
      numbers[heads + i] |= std::uint64_t{static_cast<unsigned char>(plane[i])} << (8 * byte);
  }
  if (in.failed()) return damaged("integers end early");
  for (std::size_t i = heads; i < rows; ++i) numbers[i] = order == 0 ? numbers[i] + base : unzigzag(numbers[i]);
  for (unsigned round = order; round-- > 0;)
    for (std::size_t i = round + 1; i < rows; ++i) numbers[i] += numbers[i - 1];
  return std::vector<std::int64_t>(numbers.begin(), numbers.end());
}

Result<std::vector<std::optional<std::int64_t>>> get_optional_integers(ByteReader& in, std::size_t rows) {
  auto present = get_presence(in, rows);
  if (!present) return fail(present.error());
  auto integers = get_integers(in, count(*present));
  if (!integers) return fail(integers.error());
  return spread<std::int64_t>(*present, *integers, [](std::int64_t value) { return value; });
}

Result<std::vector<std::optional<double>>> get_reals(ByteReader& in, std::size_t rows) {
  auto present = get_presence(in, rows);
  if (!present) return fail(present.error());
  const std::uint8_t scale = in.byte();
  if (scale != kRawBits && scale >= kPowersOfTen.size()) return damaged("an unknown power of ten");
  auto integers = get_integers(in, count(*present));
  if (!integers) return fail(integers.error());
  if (scale == kRawBits)
    return spread<double>(*present, *integers, [](std::int64_t bits) { return std::bit_cast<double>(bits); });
  return spread<double>(*present, *integers, [power = kPowersOfTen[scale]](std::int64_t value) {
    return static_cast<double>(value) / power;
  });
}

Result<std::vector<std::optional<std::string>>> get_texts(ByteReader& in, std::size_t rows) {
  auto present = get_presence(in, rows);
  if (!present) return fail(present.error());
  std::vector<std::string> texts;
  for (std::uint64_t left = in.varint(); left > 0 && !in.failed(); --left) texts.emplace_back(in.take(in.varint()));
  if (in.failed()) return damaged("a list of texts");
  auto integers = get_integers(in, count(*present));
  if (!integers) return fail(integers.error());
  for (const std::int64_t place : *integers)
    if (place < 0 || static_cast<std::uint64_t>(place) >= texts.size()) return damaged("a text that is not listed");
  return spread<std::string>(*present, *integers,
                             [&](std::int64_t place) { return texts[static_cast<std::size_t>(place)]; });
}

}  // namespace aether::store
