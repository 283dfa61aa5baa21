#include "base/ulid.h"

namespace aether {
namespace {
constexpr std::string_view kAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
}

std::string make_ulid(Time time, std::uint64_t random_high, std::uint64_t random_low) {
  const auto milliseconds = static_cast<std::uint64_t>(to_unix_us(time) / 1000);
  std::string text(26, '0');
  for (int i = 0; i < 10; ++i) text[static_cast<std::size_t>(9 - i)] = kAlphabet[(milliseconds >> (5 * i)) & 31];
  for (int i = 0; i < 8; ++i) text[static_cast<std::size_t>(17 - i)] = kAlphabet[(random_high >> (5 * i)) & 31];
  for (int i = 0; i < 8; ++i) text[static_cast<std::size_t>(25 - i)] = kAlphabet[(random_low >> (5 * i)) & 31];
  return text;
}

bool is_ulid(std::string_view text) {
  return text.size() == 26 && text.find_first_not_of(kAlphabet) == std::string_view::npos && text[0] <= '7';
}

}  // namespace aether
