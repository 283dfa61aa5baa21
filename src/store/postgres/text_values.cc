#include "store/postgres/text_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace aether::store {
namespace {

std::size_t utf8_length(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const std::size_t length = lead < 0x80                   ? 1
                             : lead >= 0xf0 && lead < 0xf5 ? 4
                             : lead >= 0xe0 && lead < 0xf0 ? 3
                             : lead >= 0xc2 && lead < 0xe0 ? 2
                                                           : 0;
  if (length == 0 || length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) return 0;
  const auto second = length > 1 ? static_cast<unsigned char>(text[1]) : 0;
  const bool overlong = (lead == 0xe0 && second < 0xa0) || (lead == 0xf0 && second < 0x90);
  const bool outside = (lead == 0xed && second >= 0xa0) || (lead == 0xf4 && second >= 0x90);
  return overlong || outside ? 0 : length;
}

template <class T>
T parse_number(std::string_view text) {
  T value{};
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

std::string clean_text(std::string_view text) {
  std::string clean;
  clean.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = text[0] == '\0' ? 0 : utf8_length(text);
    if (length == 0)
      clean += "\xef\xbf\xbd";
    else
      clean.append(text.substr(0, length));
    text.remove_prefix(std::max<std::size_t>(1, length));
  }
  return clean;
}

std::optional<std::string> encode_value(const SqlValue& value) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return std::to_string(*integer);
  if (const auto* real = std::get_if<double>(&value)) return fmt::format("{}", *real);
  if (const auto* text = std::get_if<std::string>(&value)) return clean_text(*text);
  if (const auto* blob = std::get_if<SqlBlob>(&value)) {
    std::string hex = "\\x";
    for (const char byte : blob->bytes) hex += fmt::format("{:02x}", static_cast<unsigned char>(byte));
    return hex;
  }
  return std::nullopt;
}

SqlValue decode_value(std::string_view text, std::uint32_t type) {
  switch (type) {
    case 20:
    case 21:
    case 23:
      return parse_integer(text);
    case 700:
    case 701:
    case 1700:
      return parse_number<double>(text);
    case 16:
      return std::int64_t{text == "t" ? 1 : 0};
    default:
      return std::string(text);
  }
}

std::int64_t parse_integer(std::string_view text) { return parse_number<std::int64_t>(text); }

}  // namespace aether::store
