#pragma once
// One column of a block of samples as bytes, and back. Integers become differences of the order that packs best, those
// are split into planes of equal significance, and each plane is packed by zstd: noise stays in the low planes, the high
// ones nearly vanish. Decimal numbers are integers times a power of ten where that gives every value back exactly.
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace aether::store {

inline constexpr std::size_t kMaxBlockRows = std::size_t{1} << 18;

// Little-endian base 128, seven bits per byte.
void put_varint(std::string& out, std::uint64_t value);
std::uint32_t fnv1a(std::string_view bytes);

// Reads forward. Behind an error every read gives 0 or nothing, and failed() is true.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : rest_(bytes) {}
  std::uint8_t byte();
  std::uint32_t word();
  std::uint64_t varint();
  std::string_view take(std::uint64_t size);
  bool failed() const { return failed_; }
  bool at_end() const { return rest_.empty(); }
  std::size_t left() const { return rest_.size(); }

 private:
  std::string_view rest_;
  bool failed_ = false;
};

void put_integers(std::string& out, std::span<const std::int64_t> values);
void put_optional_integers(std::string& out, const std::vector<std::optional<std::int64_t>>& values);
void put_reals(std::string& out, const std::vector<std::optional<double>>& values);
void put_texts(std::string& out, const std::vector<std::optional<std::string>>& values);

// `rows` values, exactly as they were put; kCorrupt when the bytes are none of a column.
Result<std::vector<std::int64_t>> get_integers(ByteReader& in, std::size_t rows);
Result<std::vector<std::optional<std::int64_t>>> get_optional_integers(ByteReader& in, std::size_t rows);
Result<std::vector<std::optional<double>>> get_reals(ByteReader& in, std::size_t rows);
Result<std::vector<std::optional<std::string>>> get_texts(ByteReader& in, std::size_t rows);

}  // namespace aether::store
