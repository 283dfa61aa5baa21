#include "client/terminal.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

namespace aether::client {
namespace {

constexpr std::size_t kLongestColourSequence = 32;

std::size_t from_environment(const char* name) {
  const char* text = std::getenv(name);
  const long value = text == nullptr ? 0 : std::strtol(text, nullptr, 10);
  return value > 0 && value < 10'000 ? static_cast<std::size_t>(value) : 0;
}

// Length of the well-formed UTF-8 sequence at the start, and its code point; 0 when there is none.
std::size_t decode(std::string_view text, std::uint32_t& code_point) {
  const auto byte = [&](std::size_t i) {
    return static_cast<std::uint32_t>(static_cast<unsigned char>(text[i]));
  };
  const std::uint32_t lead = byte(0);
  const std::size_t length = lead < 0x80       ? 1
                             : lead >> 5 == 6  ? 2
                             : lead >> 4 == 14 ? 3
                             : lead >> 3 == 30 ? 4
                                               : 0;
  if (length == 0 || length > text.size()) return 0;
  code_point = length == 1 ? lead : lead & (0x7Fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if (byte(i) >> 6 != 2) return 0;
    code_point = code_point << 6 | (byte(i) & 0x3F);
  }
  constexpr std::uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool is_surrogate = code_point >= 0xD800 && code_point < 0xE000;
  return code_point < kSmallest[length] || code_point > 0x10FFFF || is_surrogate ? 0 : length;
}

bool is_unsafe(std::uint32_t code_point) {
  return code_point < 0x20 || (code_point >= 0x7F && code_point < 0xA0) || code_point == 0x061C ||
         (code_point >= 0x200B && code_point <= 0x200F) || (code_point >= 0x2028 && code_point <= 0x202E) ||
         (code_point >= 0x2060 && code_point <= 0x206F) || code_point == 0xFEFF;
}

std::string escape_of(std::uint32_t code_point) {
  return code_point < 0x100 ? fmt::format("\\x{:02x}", code_point) : fmt::format("\\u{:04x}", code_point);
}

bool is_colour_parameter(char c) { return (c >= '0' && c <= '9') || c == ';'; }

}  // namespace

bool is_terminal(int fd) { return isatty(fd) == 1; }

std::size_t terminal_width(int fd, std::size_t otherwise) {
  if (const std::size_t columns = from_environment("COLUMNS"); columns > 0) return columns;
  winsize size{};
  return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : otherwise;
}

std::size_t terminal_height(int fd, std::size_t otherwise) {
  winsize size{};
  return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 ? size.ws_row : otherwise;
}

std::string visible(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    std::uint32_t code_point = 0;
    const std::size_t length = decode(text, code_point);
    if (length == 0)
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[0]));
    else if (is_unsafe(code_point))
      out += escape_of(code_point);
    else
      out += text.substr(0, length);
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return out;
}

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  for (const char c : text) width += (static_cast<unsigned char>(c) >> 6) != 2;
  return width;
}

std::string truncated(std::string_view text, std::size_t width) {
  if (display_width(text) <= width) return std::string(text);
  if (width == 0) return {};
  std::size_t columns = 0, end = 0;
  while (end < text.size()) {
    if ((static_cast<unsigned char>(text[end]) >> 6) != 2 && ++columns == width) break;
    ++end;
  }
  return std::string(text.substr(0, end)) + "…";
}

std::string padded(std::string_view text, std::size_t width, Align align) {
  const std::size_t used = display_width(text);
  const std::string space(used < width ? width - used : 0, ' ');
  return align == Align::kRight ? space + std::string(text) : std::string(text) + space;
}

std::string coloured(std::string_view text, Colour colour, bool enabled) {
  if (!enabled || colour == Colour::kNone || text.empty()) return std::string(text);
  constexpr const char* kCodes[] = {"0", "1", "2", "31", "32", "33", "34", "36"};
  return fmt::format("\x1b[{}m{}\x1b[0m", kCodes[static_cast<int>(colour)], text);
}

std::string OutputFilter::pass(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (!pending_.empty()) {
      pending_ += c;
      if (pending_.size() == 2 && c == '[') continue;
      if (pending_.size() > 2 && is_colour_parameter(c) && pending_.size() < kLongestColourSequence) continue;
      if (pending_.size() > 2 && c == 'm') {
        out += pending_;
        pending_.clear();
        continue;
      }
      pending_.pop_back();
      out += finish();
    }
    if (byte == 0x1b)
      pending_ = c;
    else if ((byte < 0x20 && c != '\n' && c != '\t' && c != '\r') || byte == 0x7f)
      out += fmt::format("\\x{:02x}", byte);
    else
      out += c;
  }
  return out;
}

std::string OutputFilter::finish() {
  if (pending_.empty()) return {};
  const std::string out = "\\x1b" + pending_.substr(1);
  pending_.clear();
  return out;
}

}  // namespace aether::client
