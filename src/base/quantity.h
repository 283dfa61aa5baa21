#pragma once
// What people write for durations and memory sizes, and how Aether prints them. Each printed form parses back to the
// same value. A bare number is refused: Slurm reads "--time 30" as minutes, others as seconds.
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace aether {

// "90s", "90m", "2h", "1d12h", "HH:MM:SS", "D-HH:MM:SS", "D-HH", "PT2H30M".
Result<std::chrono::seconds> parse_duration(std::string_view text);
// "D-HH:MM:SS", or "HH:MM:SS" below one day.
std::string format_duration(std::chrono::seconds duration);

// MiB. "16G", "16Gi", "16GiB" are binary, "16GB" is decimal; K, M, G, T.
Result<std::int64_t> parse_memory_mb(std::string_view text);
// "16 GiB", "512 MiB", "1.5 GiB" only when that is exact.
std::string format_memory_mb(std::int64_t mebibytes);

}  // namespace aether
