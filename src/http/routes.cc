#include "http/routes.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/assert.h"

namespace aether::http {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

bool is_parameter(std::string_view segment) {
  return segment.size() > 2 && segment.front() == '{' && segment.back() == '}';
}

bool matches(const std::vector<std::string>& pattern, const std::vector<std::string>& segments) {
  if (pattern.size() != segments.size()) return false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (is_parameter(pattern[i]) ? segments[i].empty() : pattern[i] != segments[i]) return false;
  }
  return true;
}

Result<void> parse_query(std::string_view text, std::map<std::string, std::string>& query) {
  for (std::string_view pair : split(text, '&')) {
    if (pair.empty()) continue;
    const std::size_t equals = pair.find('=');
    auto key = percent_decode(pair.substr(0, equals), true);
    auto value = percent_decode(equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1), true);
    if (!key) return fail(std::move(key).error());
    if (!value) return fail(std::move(value).error());
    query[*key] = std::move(*value);
  }
  return {};
}

}  // namespace

Result<std::string> percent_decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '+' && plus_is_space) c = ' ';
    if (c == '%') {
      const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
      if (high < 0 || low < 0)
        return fail(ErrorCode::kInvalidArgument, "a '%' in the address has no two hexadecimal digits");
      c = static_cast<char>(high * 16 + low);
      i += 2;
    }
    if (c == '\0') return fail(ErrorCode::kInvalidArgument, "a NUL byte in the address");
    out += c;
  }
  return out;
}

Result<Target> parse_target(std::string_view text) {
  Target target;
  for (std::string_view scheme : {std::string_view("http://"), std::string_view("https://")}) {
    if (!text.starts_with(scheme)) continue;
    text.remove_prefix(scheme.size());
    const std::size_t end = text.find_first_of("/?");
    target.authority = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view("/") : text.substr(end);
    if (target.authority.empty()) return fail(ErrorCode::kInvalidArgument, "the address has no host");
    break;
  }
  if (text.empty() || text.front() != '/')
    return fail(ErrorCode::kInvalidArgument, "the address of a request starts with '/'");
  const bool has_control = std::any_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) == 0x7f || c == '#';
  });
  if (has_control) return fail(ErrorCode::kInvalidArgument, "a character in the address is not allowed there");
  const std::size_t question = text.find('?');
  const std::string_view path = text.substr(0, question);
  auto decoded = percent_decode(path, false);
  if (!decoded) return fail(std::move(decoded).error());
  target.path = std::move(*decoded);
  for (std::string_view raw : split(path.substr(1), '/')) {
    auto segment = percent_decode(raw, false);
    if (!segment) return fail(std::move(segment).error());
    target.segments.push_back(std::move(*segment));
  }
  if (question != std::string_view::npos) AETHER_TRY(parse_query(text.substr(question + 1), target.query));
  return target;
}

void RouteTable::add(const std::string& method, const std::string& pattern, Endpoint endpoint) {
  AETHER_ASSERT(!pattern.empty() && pattern.front() == '/');
  auto found = std::find_if(patterns_.begin(), patterns_.end(), [&](const Pattern& p) { return p.text == pattern; });
  if (found == patterns_.end()) {
    Pattern added{.text = pattern, .segments = {}, .rank = {}, .endpoints = {}};
    for (std::string_view segment : split(std::string_view(pattern).substr(1), '/')) {
      added.segments.emplace_back(segment);
      added.rank += is_parameter(segment) ? 'b' : 'a';
    }
    found = std::find_if(patterns_.begin(), patterns_.end(), [&](const Pattern& p) { return added.rank < p.rank; });
    found = patterns_.insert(found, std::move(added));
  }
  const bool is_new = found->endpoints.emplace(method, std::move(endpoint)).second;
  AETHER_ASSERT(is_new);
}

RouteTable::Match RouteTable::find(const std::string& method, const std::vector<std::string>& segments) const {
  Match match;
  std::set<std::string> methods;
  const std::string wanted = method == "HEAD" ? "GET" : method;
  for (const Pattern& pattern : patterns_) {
    if (!matches(pattern.segments, segments)) continue;
    const auto endpoint = pattern.endpoints.find(wanted);
    if (endpoint == pattern.endpoints.end()) {
      for (const auto& [name, unused] : pattern.endpoints) methods.insert(name);
      continue;
    }
    for (std::size_t i = 0; i < segments.size(); ++i) {
      const std::string& name = pattern.segments[i];
      if (is_parameter(name)) match.params[name.substr(1, name.size() - 2)] = segments[i];
    }
    match.endpoint = &endpoint->second;
    return match;
  }
  if (methods.contains("GET")) methods.insert("HEAD");
  for (const std::string& name : methods) match.allow += (match.allow.empty() ? "" : ", ") + name;
  return match;
}

std::vector<RouteInfo> RouteTable::list() const {
  std::vector<RouteInfo> out;
  for (const Pattern& pattern : patterns_)
    for (const auto& [method, endpoint] : pattern.endpoints)
      out.push_back({endpoint.socket ? "SOCKET" : method, pattern.text, endpoint.access});
  return out;
}

}  // namespace aether::http
