#pragma once
// ULID: 48 bits of milliseconds and 80 random bits in Crockford's base 32, 26 characters, sortable by time.
// Source of the format: github.com/ulid/spec.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace aether {

std::string make_ulid(Time time, std::uint64_t random_high, std::uint64_t random_low);
bool is_ulid(std::string_view text);

}  // namespace aether
