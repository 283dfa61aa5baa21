#include <algorithm>

#include <fmt/format.h>

#include "base/log.h"
#include "codec/codec.h"
#include "codec/fields.h"

namespace aether::codec {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// Deepest nesting of objects and lists, counted before parsing: writing a deep document back would recurse.
std::size_t depth_of(std::string_view text) {
  std::size_t depth = 0, deepest = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      deepest = std::max(deepest, ++depth);
    } else if ((c == '}' || c == ']') && depth > 0) {
      --depth;
    }
  }
  return deepest;
}

// "line 3, column 7: syntax error ..." from the library's byte count and the sentence behind its own mark and position.
std::string described(std::string_view text, const Json::parse_error& error) {
  const std::string_view before = text.substr(0, std::min(text.size(), error.byte == 0 ? 0 : error.byte - 1));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const std::size_t column = before.size() - (before.rfind('\n') + 1) + 1;  // npos + 1 is 0
  std::string_view what = error.what();
  if (const std::size_t sentence = what.find(": "); sentence != std::string_view::npos) what.remove_prefix(sentence + 2);
  return fmt::format("not JSON at line {}, column {}: {}", line, column, log::sanitise(what));
}

int value_of(char c) {
  const std::size_t at = kAlphabet.find(c);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

tl::unexpected<Error> not_base64(std::size_t position) {
  return fail(ErrorCode::kInvalidArgument, fmt::format("not base64 (RFC 4648, with padding) at byte {}", position));
}

}  // namespace

Result<Json> parse(std::string_view text) {
  if (text.size() > kMaxTextBytes)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} bytes of JSON; at most {} are read", text.size(), kMaxTextBytes));
  if (depth_of(text) > kMaxDepth)
    return fail(ErrorCode::kInvalidArgument, fmt::format("JSON nested deeper than {} levels", kMaxDepth));
  try {
    return Json::parse(text);
  } catch (const Json::parse_error& error) {
    return fail(ErrorCode::kInvalidArgument, described(text, error));
  } catch (const Json::exception& error) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("not JSON that fits: {}", log::sanitise(error.what())));
  }
}

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }
std::string dump_pretty(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace); }

std::string base64_encode(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k)
      group = group << 8 | (k < count ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    for (std::size_t k = 0; k < 4; ++k) text += k <= count ? kAlphabet[group >> (18 - 6 * k) & 63] : '=';
  }
  return text;
}

Result<std::string> base64_decode(std::string_view text) {
  if (text.size() % 4 != 0) return not_base64(text.size());
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    const bool last = i + 4 == text.size();
    const std::size_t padding = !last ? 0 : text[i + 3] != '=' ? 0 : text[i + 2] != '=' ? 1 : 2;
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 4; ++k) {
      const int value = k < 4 - padding ? value_of(text[i + k]) : 0;
      if (value < 0) return not_base64(i + k);
      group = group << 6 | static_cast<std::uint32_t>(value);
    }
    // One text per value: the bits that padding cuts off are zero.
    if ((padding == 1 && (group & 0xff) != 0) || (padding == 2 && (group & 0xffff) != 0)) return not_base64(i);
    for (std::size_t k = 0; k < 3 - padding; ++k) bytes += static_cast<char>(group >> (16 - 8 * k) & 0xff);
  }
  return bytes;
}

}  // namespace aether::codec
