#pragma once
// Bytes nobody can guess, from the kernel.
#include <cstddef>
#include <cstdint>
#include <string>

namespace aether {

// `bytes` random bytes as lower-case hexadecimal.
std::string random_hex(std::size_t bytes);
std::uint64_t random_u64();
// Equal in time that does not depend on where they differ.
bool equal_constant_time(const std::string& a, const std::string& b);

}  // namespace aether
