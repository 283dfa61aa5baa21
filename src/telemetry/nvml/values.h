#pragma once
// Typed values from the library's raw ones. A sentinel or an impossible value becomes "absent" here and nowhere else.
#include <cstdint>
#include <optional>

#include "telemetry/nvml/abi.h"

namespace aether::nvml {

// Not one of the blanks that the library and the tools around it use for "no value" (2147483632 and above).
std::optional<std::uint32_t> real_value(std::uint32_t raw);
// Blanks of 64 bits and all-ones lie at 2^62 and above.
std::optional<std::uint64_t> real_value(std::uint64_t raw);

std::optional<double> celsius(std::int64_t raw);           // up to 200
std::optional<double> percent(std::uint32_t raw, std::uint32_t highest = 100);
std::optional<double> watts_of_milliwatts(std::uint64_t raw);
std::optional<double> megahertz(std::uint32_t raw);
std::optional<std::int64_t> mebibytes_of_bytes(std::uint64_t raw);

// The number in a field value by its type tag; nothing when the field failed or the type is unknown.
std::optional<std::uint64_t> unsigned_value(const FieldValue& field);
// Drivers of the 545 branch tag the memory temperature with a wrong type; the first 32 bits are right in all.
std::optional<double> memory_temperature(const FieldValue& field);

}  // namespace aether::nvml
