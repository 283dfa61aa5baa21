#include <charconv>

#include <fmt/format.h>

#include "base/log.h"
#include "bus/nats/nats_bus.h"

namespace aether {
namespace {

tl::unexpected<Error> bad_url(std::string_view why) {
  // The URL itself may hold a password and is not repeated.
  return fail(ErrorCode::kInvalidArgument, fmt::format("NATS_URL {}; write it like nats://127.0.0.1:4222", why), "NATS_URL");
}

bool is_port(std::string_view text) {
  int port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc{} && end == text.data() + text.size() && port >= 1 && port <= 65535;
}

}  // namespace

Result<std::string> check_nats_url(std::string_view url) {
  for (const char c : url)
    if (c <= ' ' || c >= 0x7f || c == ',') return bad_url("holds a character that no address has");
  std::string_view scheme = "nats", rest = url;
  if (const std::size_t mark = url.find("://"); mark != std::string_view::npos) {
    scheme = url.substr(0, mark);
    rest = url.substr(mark + 3);
  }
  if (scheme != "nats" && scheme != "tls") return bad_url("begins with neither nats:// nor tls://");
  if (const std::size_t at = rest.rfind('@'); at != std::string_view::npos) rest = rest.substr(at + 1);
  if (rest.find_first_of("/?#") != std::string_view::npos) return bad_url("has something behind host and port");
  const std::size_t bracket = rest.starts_with('[') ? rest.find(']') : std::string_view::npos;
  if (rest.starts_with('[') && bracket == std::string_view::npos) return bad_url("has a '[' without ']'");
  const std::size_t colon = bracket == std::string_view::npos ? rest.rfind(':') : rest.find(':', bracket);
  const std::string_view host = rest.substr(0, colon);
  if (host.empty() || host == "[]") return bad_url("names no host");
  if (bracket == std::string_view::npos && host.find(':') != std::string_view::npos)
    return bad_url("has an IPv6 address without brackets");
  if (colon != std::string_view::npos && !is_port(rest.substr(colon + 1))) return bad_url("has no port of 1 to 65535");
  return fmt::format("{}://{}", scheme, rest);
}

}  // namespace aether
