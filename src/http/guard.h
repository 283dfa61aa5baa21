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
  std::optional<Response> authenticate(Access access, Request& request);

 private:
  using Clock = std::chrono::steady_clock;
  struct Failures {
    Clock::time_point window_start;
    int count = 0;
  };

  std::optional<std::string> identity_of(const std::string& token) const;
  Response refuse(const Request& request, std::string detail) const;
  bool count_failure(const std::string& address);

  const std::vector<Token> tokens_;
  const bool anonymous_reads_;
  const std::string token_hint_;
  std::vector<std::string> hosts_;
  std::vector<std::string> origins_;
  std::mutex mutex_;
  std::map<std::string, Failures> failures_;
};

bool is_loopback(const std::string& address);

}  // namespace aether::http
