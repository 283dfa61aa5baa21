#include "http/guard.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "base/secret.h"

namespace aether::http {
namespace {

constexpr int kFailuresPerMinute = 5;
constexpr std::size_t kMaxTrackedAddresses = 4096;
constexpr std::size_t kMostTickets = 1024;
constexpr std::chrono::seconds kTicketLife{30};
constexpr std::size_t kTicketBytes = 16;
constexpr std::string_view kTicketStart = "ticket.";

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return text;
}

// A token in a URL ends up in logs, histories and Referer headers.
bool has_token_in_query(const Request& request) {
  for (const auto& [key, value] : request.query)
    if (key == "token" || key == "access_token" || value.starts_with("aeth_")) return true;
  return false;
}

std::optional<std::string> bearer_token(const std::string& authorization) {
  constexpr std::string_view kScheme = "bearer ";
  if (lower(authorization.substr(0, kScheme.size())) != kScheme) return std::nullopt;
  const std::size_t start = authorization.find_first_not_of(' ', kScheme.size());
  if (start == std::string::npos) return std::nullopt;
  return authorization.substr(start);
}

}  // namespace

bool is_loopback(const std::string& address) {
  return address.starts_with("127.") || address == "::1" || address.starts_with("::ffff:127.");
}

std::optional<std::string> offered_protocol(const Request& request, std::string_view start) {
  std::string rest = request.header("sec-websocket-protocol");
  while (!rest.empty()) {
    const std::size_t comma = rest.find(',');
    std::string one = rest.substr(0, comma);
    one.erase(0, one.find_first_not_of(" \t"));
    one.erase(one.find_last_not_of(" \t") + 1);
    if (one.starts_with(start)) return one;
    rest = comma == std::string::npos ? "" : rest.substr(comma + 1);
  }
  return std::nullopt;
}

Guard::Guard(const ServerOptions& options, const std::string& address, unsigned port)
    : tokens_(options.tokens), anonymous_reads_(options.anonymous_reads), token_hint_(options.token_hint) {
  std::vector<std::string> names = {"localhost", "127.0.0.1", "[::1]"};
  const std::string literal = address.find(':') == std::string::npos ? address : "[" + address + "]";
  if (std::find(names.begin(), names.end(), literal) == names.end()) names.push_back(literal);
  for (const std::string& name : names) {
    hosts_.push_back(fmt::format("{}:{}", name, port));
    if (port == 80) hosts_.push_back(name);
  }
  for (const std::string& host : hosts_) origins_.push_back("http://" + host);
  for (const std::string& host : options.allowed_hosts) {
    hosts_.push_back(lower(host));
    origins_.push_back("http://" + lower(host));
    origins_.push_back("https://" + lower(host));  // a TLS proxy in front
  }
}

bool Guard::allows_host(std::string host) const {
  return std::find(hosts_.begin(), hosts_.end(), lower(std::move(host))) != hosts_.end();
}

bool Guard::allows_origin(const std::string& origin) const {
  return std::find(origins_.begin(), origins_.end(), origin) != origins_.end();
}

std::optional<std::string> Guard::identity_of(const std::string& token) const {
  const std::string hash = sha256_hex(token);
  std::optional<std::string> identity;
  for (const Token& known : tokens_)  // all of them, so that the time does not tell which one was near
    if (equal_constant_time(known.sha256, hash)) identity = known.identity;
  return identity;
}

bool Guard::count_failure(const std::string& address) {
  std::lock_guard lock(mutex_);
  const Clock::time_point now = Clock::now();
  if (failures_.size() >= kMaxTrackedAddresses && !failures_.contains(address)) {
    std::erase_if(failures_,
                  [&](const auto& entry) { return now - entry.second.window_start > std::chrono::minutes(1); });
    if (failures_.size() >= kMaxTrackedAddresses) return false;
  }
  Failures& failures = failures_[address];
  if (now - failures.window_start > std::chrono::minutes(1)) failures = {now, 0};
  return ++failures.count <= kFailuresPerMinute;
}

std::string Guard::issue_ticket(const std::string& identity) {
  std::lock_guard lock(mutex_);
  const Clock::time_point now = Clock::now();
  std::erase_if(tickets_, [&](const auto& entry) { return entry.second.until <= now; });
  if (tickets_.size() >= kMostTickets) return {};
  std::string text = random_hex(kTicketBytes);
  tickets_[sha256_hex(text)] = {identity, now + kTicketLife};
  return text;
}

std::optional<std::string> Guard::take_ticket(const std::string& text) {
  std::lock_guard lock(mutex_);
  const auto found = tickets_.find(sha256_hex(text));
  if (found == tickets_.end()) return std::nullopt;
  const Ticket ticket = std::move(found->second);
  tickets_.erase(found);
  return ticket.until > Clock::now() ? std::optional(ticket.identity) : std::nullopt;
}

Response Guard::refuse(const Request& request, std::string detail) const {
  Response response = problem(401, "unauthenticated", std::move(detail), request, token_hint_);
  response.headers["WWW-Authenticate"] = "Bearer realm=\"aether\"";
  return response;
}

std::optional<Response> Guard::authenticate(Access access, Request& request, For what) {
  if (has_token_in_query(request))
    return problem(400, "token_in_query", "a token never belongs into an address, where logs and histories keep it",
                   request, token_hint_);
  const std::string authorization = request.header("authorization");
  const auto ticket = what == For::kSocket ? offered_protocol(request, kTicketStart) : std::nullopt;
  if (ticket && authorization.empty()) {
    const auto identity = take_ticket(ticket->substr(kTicketStart.size()));
    if (!identity) return refuse(request, "this ticket was used before, is older than 30 s, or was never given");
    request.identity = *identity;
    return std::nullopt;
  }
  if (authorization.empty()) {
    if (access == Access::kWrite) return refuse(request, "this request changes something and needs a token");
    if (access == Access::kRead && !anonymous_reads_) return refuse(request, "reading needs a token here");
    return std::nullopt;
  }
  const std::optional<std::string> token = bearer_token(authorization);
  const std::optional<std::string> identity = token ? identity_of(*token) : std::nullopt;
  if (identity) {
    request.identity = *identity;
    return std::nullopt;
  }
  if (access == Access::kPublic) return std::nullopt;
  log::warn("http", "a request came with a wrong token", {{"address", request.remote_address}, {"path", request.path}});
  if (count_failure(request.remote_address)) return refuse(request, "this token is not known here");
  Response response =
      problem(429, "too_many_failures", "too many wrong tokens from this address; wait a minute", request);
  response.headers["Retry-After"] = "60";
  return response;
}

}  // namespace aether::http
