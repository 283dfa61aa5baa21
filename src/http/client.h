#pragma once
// A blocking HTTP client over libcurl: the CLI, the predictor's HTTP adapter and the carbon adapters.
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace aether::http {

struct ClientOptions {
  std::string base_url = {};  // "http://127.0.0.1:8080"
  std::chrono::milliseconds connect_timeout{2000};
  std::chrono::milliseconds timeout{30000};  // of a whole request
  std::string token = {};                    // sent as Authorization: Bearer when not empty
  std::size_t max_reply_bytes = 64u << 20;
  // For addresses on the public internet: https only, no redirects, and the connected address must be public
  // (no loopback, private, link-local or mapped address), whatever the name resolved to.
  bool public_internet_only = false;
};

struct ClientResponse {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

// One connection, kept alive. From one thread at a time. Redirects are never followed and the proxy variables
// of the environment are not read: a token and an address check mean something only for the host that was
// asked for.
class Client {
 public:
  explicit Client(ClientOptions options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // kUnavailable: nobody answers there; kTimeout; kPermissionDenied: refused by public_internet_only;
  // kResourceExhausted: the reply is too long. An HTTP status of 400 and more is a response, not an error.
  Result<ClientResponse> request(const std::string& method, const std::string& path_and_query,
                                 const std::string& body = {},
                                 const std::map<std::string, std::string>& headers = {});
  // Hands the body over in pieces as it arrives; returning false ends the transfer, which is a success. No
  // overall timeout. While nothing arrives it is called with no bytes, at least about once a second, so that
  // the caller can end a silent transfer. The body of a reply with status 400 and more goes to the response
  // instead, as request() has it.
  Result<ClientResponse> stream(const std::string& path_and_query,
                                const std::function<bool(std::string_view)>& on_bytes);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Percent-encodes one path segment or query value.
std::string url_encode(std::string_view text);

}  // namespace aether::http
