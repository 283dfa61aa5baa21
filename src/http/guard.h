#pragma once
// Who may ask: the Host allow-list, the Origin allow-list of WebSockets, tokens, and the limit on wrong tokens.
#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "http/server.h"

namespace aether::http {

// Thread-safe.
class Guard {
 public:
  // `address` is the bound loopback address without port or brackets.
  Guard(const ServerOptions& options, const std::string& address, unsigned port);

  // "localhost:8080", compared without case. A name that merely resolves to a loopback address is not one of ours.
  bool allows_host(std::string host) const;
  // Scheme, host and port, exactly.
  bool allows_origin(const std::string& origin) const;

  // Sets request.identity, or answers with the refusal: 400 for a token in the query, 401, or 429 after five wrong
  // tokens a minute from one address. A right token still works on loopback then, because all local accounts share
  // that address and must not be able to lock each other out.
  // A ticket counts for sockets only.
  enum class For { kRequest, kSocket };
  std::optional<Response> authenticate(Access access, Request& request, For what = For::kRequest);

  // For pages, whose WebSockets can send no Authorization header: a ticket is good for one socket within 30 s, and is
  // offered as the subprotocol "ticket.<text>". Empty when too many are out.
  std::string issue_ticket(const std::string& identity);

 private:
  using Clock = std::chrono::steady_clock;
  struct Failures {
    Clock::time_point window_start;
    int count = 0;
  };

  struct Ticket {
    std::string identity;
    Clock::time_point until;
  };

  std::optional<std::string> identity_of(const std::string& token) const;
  std::optional<std::string> take_ticket(const std::string& text);
  Response refuse(const Request& request, std::string detail) const;
  bool count_failure(const std::string& address);

  const std::vector<Token> tokens_;
  const bool anonymous_reads_;
  const std::string token_hint_;
  std::vector<std::string> hosts_;
  std::vector<std::string> origins_;
  std::mutex mutex_;
  std::map<std::string, Failures> failures_;
  std::map<std::string, Ticket> tickets_;  // by the hash of their text
};

bool is_loopback(const std::string& address);
// The stream's own subprotocol, which a client that offers any also has to offer.
inline constexpr std::string_view kStreamProtocol = "aether.v1";
// One of the comma-separated values of Sec-WebSocket-Protocol that starts with `start`.
std::optional<std::string> offered_protocol(const Request& request, std::string_view start);

}  // namespace aether::http
