#pragma once
// The one HTTP and WebSocket server class: API, dashboard, AI core and agent metrics are instances of it.
// Security by default: the Host allow-list runs before routing; every route declares its access level; there are no
// cookies and no CORS headers; a non-loopback bind without TLS and tokens is refused.
// Limits: body 1 MiB, header 16 KiB, target 8 KiB, 1,024 connections, 64 per address off loopback; header 10 s, body 30
// s.
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace aether::http {

struct Request {
  std::string method;                          // "GET", "HEAD" is served as GET without body
  std::string path;                            // decoded, no query
  std::map<std::string, std::string> query;    // decoded; the last of a repeated key
  std::map<std::string, std::string> headers;  // names in lower case
  std::map<std::string, std::string> params;   // of the route's pattern: "/jobs/{id}" -> id
  std::string body;
  std::string identity;  // of the token: "admin"; empty = anonymous
  std::string request_id;
  std::string remote_address;

  std::string header(const std::string& lower_case_name) const;
  std::optional<std::string> query_value(const std::string& key) const;
};

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::map<std::string, std::string> headers;
  std::string body;
  std::shared_ptr<const std::string> shared_body;  // instead of `body`: one buffer for many clients

  // Called on the server's thread pool until it returns false: each call appends the next bytes (none = "not yet",
  // asked again after 200 ms). Sent chunked.
  std::function<bool(std::string& out)> stream;
};

// RFC 9457 problem document with the status that fits the error's code.
Response problem(const Error& error, const Request& request, std::string hint = {});
Response problem(int status, std::string code, std::string detail, const Request& request, std::string hint = {});
// With the field that the error names.
Response problem(int status, std::string code, const Error& error, const Request& request, std::string hint = {});
Response json(int status, std::string body);

enum class Access {
  kPublic,  // health and static assets: no data
  kRead,    // anonymous on loopback (unless anonymous_reads is off), else a token
  kWrite,   // always a token
};
enum class Run {
  kInline,  // on the network thread: must return within microseconds and never wait
  kWorker,  // on the thread pool: may wait
};

using Handler = std::function<Response(const Request&)>;
// For handlers whose answer comes later, from any thread, exactly once. The handler itself runs on the thread pool.
// A Responder that is dropped without an answer gives 503; one that is called after the server's end does nothing.
using Responder = std::function<void(Response)>;
using AsyncHandler = std::function<void(const Request&, Responder)>;

// A client's end of a WebSocket. Thread-safe.
class Socket {
 public:
  virtual ~Socket() = default;
  // False when the client's queue (256 messages or 1 MiB) is full and the message was not taken.
  virtual bool send(std::shared_ptr<const std::string> text) = 0;
  // The same as a binary frame.
  virtual bool send_binary(std::shared_ptr<const std::string> bytes) = 0;
  virtual std::size_t queued() const = 0;
  virtual void close(int code, std::string reason) = 0;
};
struct SocketHandlers {
  std::function<void(std::shared_ptr<Socket>, const Request&)> on_open;
  std::function<void(const std::shared_ptr<Socket>&, std::string text)> on_message;  // text frames up to 64 KiB
  std::function<void(const std::shared_ptr<Socket>&)> on_close;
};

struct Token {
  std::string sha256;    // hex of the token text
  std::string identity;  // "admin"
};

// Bounds of one server. The defaults are the documented limits; tests shorten them.
struct ServerLimits {
  std::size_t body_bytes = 1u << 20;
  std::size_t header_bytes = 16u << 10;
  std::size_t target_bytes = 8u << 10;
  std::size_t connections = 1024;
  std::size_t connections_per_address = 64;         // off loopback
  std::chrono::milliseconds header_timeout{10000};  // from the first byte (of a new connection: from accept)
  std::chrono::milliseconds body_timeout{30000};
  std::chrono::milliseconds idle_timeout{60000};   // of a kept-alive connection between requests
  std::chrono::milliseconds write_timeout{30000};  // without any byte taken by the client
  std::size_t socket_messages = 256;
  std::size_t socket_bytes = 1u << 20;
  std::size_t socket_inbound_bytes = 64u << 10;
  std::chrono::milliseconds socket_silence_timeout{10000};   // a ping goes out after half of it
  std::chrono::milliseconds socket_progress_timeout{10000};  // a queue that does not move closes with 1013
  std::chrono::milliseconds drain_timeout{5000};             // how long stop() waits for running requests
};

struct ServerOptions {
  std::string listen = "127.0.0.1:0";      // address:port; port 0 picks a free one
  std::vector<std::string> allowed_hosts;  // beside the bound loopback names with their port
  std::vector<Token> tokens;
  bool anonymous_reads = true;
  std::string token_hint = "give the token in an 'Authorization: Bearer' header";  // shown with 401
  int threads = 1;                                                                 // network threads
  int workers = 4;
  std::string name = "api";                    // for logs
  std::string setting = "listen.api";          // where `listen` is set, for messages
  ServerLimits limits;
};

struct RouteInfo {
  std::string method;  // "GET", or "SOCKET" for a WebSocket
  std::string pattern;
  Access access = Access::kRead;
};

struct ServerCounters {
  std::uint64_t requests = 0, rejected = 0, connections = 0, sockets = 0, slow_sockets = 0;
};

class Server {
 public:
  // kPermissionDenied for a non-loopback address without TLS and tokens (exit 78; the message names the settings; this
  // release has no TLS, so such an address is always refused), kUnavailable when the port is taken,
  // kInvalidArgument when `listen` or a token's hash is malformed.
  static Result<std::unique_ptr<Server>> open(ServerOptions options);
  virtual ~Server() = default;  // stops

  // Before start(). Patterns: "/api/v1/jobs/{id}/cancel"; a literal segment wins over a parameter. 405 with Allow is
  // automatic for a known path with another method.
  virtual void route(std::string method, std::string pattern, Access access, Run run, Handler handler) = 0;
  virtual void route_async(std::string method, std::string pattern, Access access, AsyncHandler handler) = 0;
  virtual void socket(std::string path, Access access, SocketHandlers handlers) = 0;
  // For GET of paths that no route knows (static files). Public; runs on the network thread, so it must not wait.
  virtual void fallback(Handler handler) = 0;

  virtual void start() = 0;
  // Stops accepting, says bye (1001) to sockets, finishes running requests, returns. Idempotent; not from a handler.
  virtual void stop() = 0;

  // Lets one WebSocket of a page in within 30 s, as `identity`, offered as the subprotocols "aether.v1" and
  // "ticket.<text>". Empty when too many are out. Thread-safe.
  virtual std::string issue_ticket(const std::string& identity) = 0;

  virtual std::string address() const = 0;  // "127.0.0.1:41873"
  virtual ServerCounters counters() const = 0;
  virtual std::vector<RouteInfo> routes() const = 0;
};

std::string sha256_hex(std::string_view text);

}  // namespace aether::http
