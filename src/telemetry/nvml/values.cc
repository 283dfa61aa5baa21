#include "telemetry/nvml/values.h"

namespace aether::nvml {
namespace {

constexpr std::uint32_t kFirstBlank32 = 2147483632;
constexpr std::uint64_t kFirstBlank64 = std::uint64_t{1} << 62;
constexpr double kFirstBlankF64 = 140737488355328.0;
constexpr std::uint64_t kHighestMilliwatts = 10'000'000;
constexpr std::uint32_t kHighestMegahertz = 100'000;

}  // namespace

std::optional<std::uint32_t> real_value(std::uint32_t raw) {
  return raw < kFirstBlank32 ? std::optional(raw) : std::nullopt;
}

std::optional<std::uint64_t> real_value(std::uint64_t raw) {
  return raw < kFirstBlank64 ? std::optional(raw) : std::nullopt;
}

std::optional<double> celsius(std::int64_t raw) {
  return raw >= -60 && raw <= 200 ? std::optional(static_cast<double>(raw)) : std::nullopt;
}

std::optional<double> percent(std::uint32_t raw, std::uint32_t highest) {
  return raw <= highest ? std::optional(static_cast<double>(raw)) : std::nullopt;
}

std::optional<double> watts_of_milliwatts(std::uint64_t raw) {
  return raw <= kHighestMilliwatts ? std::optional(static_cast<double>(raw) / 1000) : std::nullopt;
}

std::optional<double> megahertz(std::uint32_t raw) {
  return raw <= kHighestMegahertz ? std::optional(static_cast<double>(raw)) : std::nullopt;
}

std::optional<std::int64_t> mebibytes_of_bytes(std::uint64_t raw) {
  return real_value(raw) ? std::optional(static_cast<std::int64_t>(raw >> 20)) : std::nullopt;
}

std::optional<std::uint64_t> unsigned_value(const FieldValue& field) {
  if (field.result != 0) return std::nullopt;
  switch (field.value_type) {
    case kF64:
      if (!(field.value.f64 >= 0 && field.value.f64 < kFirstBlankF64)) return std::nullopt;
      return static_cast<std::uint64_t>(field.value.f64);
    case kU32: return real_value(field.value.u32);
    case kUnsignedLong:
    case kU64: return real_value(field.value.u64);
    case kI64:
      if (field.value.i64 < 0) return std::nullopt;
      return real_value(static_cast<std::uint64_t>(field.value.i64));
    case kI32:
      if (field.value.i32 < 0) return std::nullopt;
      return real_value(static_cast<std::uint32_t>(field.value.i32));
    case kU16: return field.value.u16;
    default: return std::nullopt;
  }
}

std::optional<double> memory_temperature(const FieldValue& field) {
  return field.result == 0 ? celsius(field.value.u32) : std::nullopt;
}

}  // namespace aether::nvml
