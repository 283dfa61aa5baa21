#include "bus/subjects.h"

#include <charconv>

#include "base/assert.h"
#include "base/names.h"

namespace aether::subjects {
namespace {

constexpr std::string_view kTelemetryPrefix = "aether.telemetry.gpu-";
constexpr std::string_view kCommandsPrefix = "aether.commands.";
constexpr std::string_view kEventsPrefix = "aether.events.";
constexpr std::string_view kUnknownNode = "unknown";

// Takes the text up to the next dot off the front.
std::string_view take_token(std::string_view& rest) {
  const std::size_t dot = rest.find('.');
  const std::string_view token = rest.substr(0, dot);
  rest = dot == std::string_view::npos ? std::string_view{} : rest.substr(dot + 1);
  return token;
}

// Calls `is_good(token, is_last)` for each token; false as soon as one is not, or when the subject has no sound form.
template <class IsGood>
bool all_tokens(std::string_view subject, IsGood is_good) {
  if (subject.empty() || subject.size() > kMaxSubjectBytes || subject.back() == '.') return false;
  for (std::string_view rest = subject; !rest.empty();) {
    const std::string_view token = take_token(rest);
    if (token.empty()) return false;
    for (const char c : token)
      if (c <= ' ' || c >= 0x7f) return false;
    if (!is_good(token, rest.empty())) return false;
  }
  return true;
}

bool has_wildcard(std::string_view token) { return token.find_first_of("*>") != std::string_view::npos; }

// "0" or digits without a leading zero: one text per index.
std::optional<int> parse_index(std::string_view text) {
  if (text.empty() || text.size() > 4 || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  int index = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), index);
  if (error != std::errc{} || end != text.data() + text.size() || text[0] == '-') return std::nullopt;
  return index;
}

std::string of_node(std::string_view prefix, const NodeId& node) {
  AETHER_ASSERT(is_valid_name(node.str()));
  return std::string(prefix) + node.str();
}

}  // namespace

std::string telemetry(const NodeId& node, int gpu_index) {
  AETHER_ASSERT(gpu_index >= 0);
  return of_node(kTelemetryPrefix, node) + "-" + std::to_string(gpu_index);
}
std::string commands(const NodeId& node) { return of_node(kCommandsPrefix, node); }
std::string events(const NodeId& node) { return of_node(kEventsPrefix, node); }

std::optional<TelemetrySource> parse_telemetry(std::string_view subject) {
  if (!subject.starts_with(kTelemetryPrefix)) return std::nullopt;
  const std::string_view name = subject.substr(kTelemetryPrefix.size());
  const std::size_t dash = name.rfind('-');
  const std::string_view node = dash == std::string_view::npos ? kUnknownNode : name.substr(0, dash);
  const std::optional<int> index = parse_index(dash == std::string_view::npos ? name : name.substr(dash + 1));
  if (!index || !is_valid_name(node)) return std::nullopt;
  return TelemetrySource{NodeId(std::string(node)), *index};
}

std::optional<NodeId> parse_events(std::string_view subject) {
  if (!subject.starts_with(kEventsPrefix)) return std::nullopt;
  const std::string_view node = subject.substr(kEventsPrefix.size());
  if (!is_valid_name(node)) return std::nullopt;
  return NodeId(std::string(node));
}

bool is_publishable(std::string_view subject) {
  return all_tokens(subject, [](std::string_view token, bool) { return !has_wildcard(token); });
}

bool is_pattern(std::string_view pattern) {
  return all_tokens(pattern, [](std::string_view token, bool is_last) {
    return !has_wildcard(token) || token == "*" || (token == ">" && is_last);
  });
}

bool matches(std::string_view pattern, std::string_view subject) {
  if (!is_pattern(pattern) || !is_publishable(subject)) return false;
  while (!pattern.empty() && !subject.empty()) {
    const std::string_view wanted = take_token(pattern);
    if (wanted == ">") return true;
    const std::string_view token = take_token(subject);
    if (wanted != "*" && wanted != token) return false;
  }
  return pattern.empty() && subject.empty();
}

}  // namespace aether::subjects
