#include "base/quantity.h"

#include <charconv>
#include <cmath>
#include <optional>
#include <vector>

#include <fmt/format.h>

namespace aether {
namespace {

constexpr std::int64_t kMaxSeconds = 100LL * 366 * 86400;

std::optional<std::int64_t> to_integer(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

std::optional<std::int64_t> clock_seconds(std::string_view text, std::int64_t days) {
  std::vector<std::int64_t> parts;
  while (true) {
    const std::size_t colon = text.find(':');
    const auto value = to_integer(text.substr(0, colon));
    if (!value) return std::nullopt;
    parts.push_back(*value);
    if (colon == std::string_view::npos) break;
    text.remove_prefix(colon + 1);
  }
  if (parts.size() != 3 || parts[0] > kMaxSeconds / 3600 || parts[1] > 59 || parts[2] > 59) return std::nullopt;
  return days * 86400 + parts[0] * 3600 + parts[1] * 60 + parts[2];
}

std::int64_t unit_seconds(char unit) {
  switch (unit) {
    case 'd': case 'D': return 86400;
    case 'h': case 'H': return 3600;
    case 'm': case 'M': return 60;
    case 's': case 'S': return 1;
    default: return 0;
  }
}

// "1d12h", "90s": digits and units, largest first or not, at least one.
std::optional<std::int64_t> suffixed_seconds(std::string_view text) {
  std::int64_t total = 0;
  bool any = false;
  while (!text.empty()) {
    const std::size_t digits = text.find_first_not_of("0123456789");
    if (digits == 0 || digits == std::string_view::npos) return std::nullopt;
    const auto value = to_integer(text.substr(0, digits));
    const std::int64_t unit = unit_seconds(text[digits]);
    if (!value || unit == 0 || *value > kMaxSeconds / unit) return std::nullopt;
    total += *value * unit;
    if (total > kMaxSeconds) return std::nullopt;
    any = true;
    text.remove_prefix(digits + 1);
  }
  return any ? std::optional(total) : std::nullopt;
}

std::optional<std::int64_t> any_duration(std::string_view text) {
  if (text.starts_with("PT")) return suffixed_seconds(text.substr(2));
  const std::size_t dash = text.find('-');
  if (dash != std::string_view::npos) {
    const auto days = to_integer(text.substr(0, dash));
    const std::string_view rest = text.substr(dash + 1);
    if (!days || *days > 36600) return std::nullopt;
    if (rest.find(':') != std::string_view::npos) return clock_seconds(rest, *days);
    const auto hours = to_integer(rest);
    if (!hours || *hours > kMaxSeconds / 3600) return std::nullopt;
    return *days * 86400 + *hours * 3600;
  }
  if (text.find(':') != std::string_view::npos) return clock_seconds(text, 0);
  return suffixed_seconds(text);
}

}  // namespace

Result<std::chrono::seconds> parse_duration(std::string_view text) {
  if (const auto bare = to_integer(text))
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("'{0}' has no unit; write {0}s for seconds or {0}m for minutes", *bare));
  const auto seconds = any_duration(text);
  if (!seconds || *seconds > kMaxSeconds)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("'{}' is not a duration; write 90s, 90m, 2h, 1d12h or HH:MM:SS", text));
  return std::chrono::seconds(*seconds);
}

std::string format_duration(std::chrono::seconds duration) {
  const std::int64_t total = duration.count(), days = total / 86400, rest = total % 86400;
  const std::string clock = fmt::format("{:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60);
  return days > 0 ? fmt::format("{}-{}", days, clock) : clock;
}

Result<std::int64_t> parse_memory_mb(std::string_view text) {
  const auto bad = [&](std::string_view hint) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("'{}' is not a memory size; {}", text, hint));
  };
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number < 0 || !std::isfinite(number)) return bad("write 16G, 512M or 16GB");
  std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  while (unit.starts_with(' ')) unit.remove_prefix(1);
  if (unit.empty()) return bad(fmt::format("write {0}M for MiB or {0}G for GiB", text));
  const std::size_t power = std::string_view("KMGT").find(static_cast<char>(std::toupper(unit[0])));
  const std::string_view suffix = unit.substr(1);
  if (power == std::string_view::npos || !(suffix.empty() || suffix == "i" || suffix == "iB" || suffix == "B"))
    return bad("write 16G, 512M or 16GB");
  const double base = suffix == "B" ? 1000.0 : 1024.0;
  const double mebibytes = number * std::pow(base, static_cast<double>(power + 1)) / (1024.0 * 1024.0);
  if (mebibytes > 1e9) return bad("that is more than any machine has");
  return static_cast<std::int64_t>(std::llround(mebibytes));
}

std::string format_memory_mb(std::int64_t mebibytes) {
  if (mebibytes >= 1024 && mebibytes % 1024 == 0) return fmt::format("{} GiB", mebibytes / 1024);
  if (mebibytes >= 1024 && mebibytes * 10 % 1024 == 0)
    return fmt::format("{:.1f} GiB", static_cast<double>(mebibytes) / 1024.0);
  return fmt::format("{} MiB", mebibytes);
}

}  // namespace aether
