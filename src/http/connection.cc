// Reading requests, checking them and handing them to their handlers. Answers leave through connection_write.cc.
#include "http/connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "base/log.h"
#include "base/secret.h"

namespace aether::http {

namespace beast_http = boost::beast::http;

struct Connection::Parser : beast_http::request_parser<beast_http::string_body> {};

namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return out;
}

std::string make_request_id() {
  static const std::string process = random_hex(4);
  static std::atomic<std::uint64_t> next{1};
  return fmt::format("{}-{:x}", process, next.fetch_add(1));
}

// Headers that must not come twice: two readers could believe different ones.
bool is_single(std::string_view name) {
  for (std::string_view single :
       {"host", "content-length", "transfer-encoding", "authorization", "content-type", "origin"})
    if (name == single) return true;
  return false;
}

// Empty, or what is wrong.
template <class Message>
std::string copy_headers(const Message& message, std::map<std::string, std::string>& headers) {
  for (const auto& field : message) {
    const std::string name = lower({field.name_string().data(), field.name_string().size()});
    const std::string value(field.value().data(), field.value().size());
    const auto [found, is_new] = headers.emplace(name, value);
    if (is_new) continue;
    if (is_single(name)) return fmt::format("the header {} came twice", name);
    found->second += ", " + value;
  }
  return {};
}

bool is_json(const std::string& content_type) {
  const std::string type = lower(content_type.substr(0, content_type.find(';')));
  return type.substr(0, type.find_last_not_of(" \t") + 1) == "application/json";
}

Response call(const Handler& handler, const Request& request) {
  try {
    return handler(request);
  } catch (const std::exception& error) {
    log::error("http", "a handler failed",
               {{"path", request.path}, {"request", request.request_id}, {"error", error.what()}});
    return problem(500, "internal", "an unexpected error; the server's log has it under this request id", request);
  }
}

// The one answer of an asynchronous handler. When nobody answers, the client learns so instead of waiting.
class Answer {
 public:
  Answer(std::shared_ptr<Gate> gate, std::weak_ptr<Connection> connection, Request request)
      : gate_(std::move(gate)), connection_(std::move(connection)), request_(std::move(request)) {}
  ~Answer() {
    if (!given_) give(problem(503, "unavailable", "the request was dropped before it was answered", request_));
  }
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;

  void give(Response response) {
    if (given_.exchange(true)) return;
    gate_->enter([&] {
      if (const auto connection = connection_.lock()) connection->deliver(std::move(response));
    });
  }

 private:
  std::shared_ptr<Gate> gate_;
  std::weak_ptr<Connection> connection_;
  Request request_;
  std::atomic<bool> given_{false};
};

}  // namespace

Connection::Connection(Core& core, Tcp::socket socket, Strand strand, std::string address)
    : core_(core),
      socket_(std::move(socket)),
      strand_(std::move(strand)),
      timer_(socket_.get_executor()),
      address_(std::move(address)) {}
Connection::~Connection() = default;

void Connection::start() {
  ErrorCodeAsio ignored;
  socket_.set_option(Tcp::no_delay(true), ignored);
  arm(core_.options.limits.header_timeout, [this] { close(); });
  receive([this] { next_request(); });
}

void Connection::next_request() {
  incoming_ = {};
  parser_.reset();
  if (in_.empty()) {
    arm(core_.options.limits.idle_timeout, [this] { close(); });
    receive([this] { next_request(); });
    return;
  }
  incoming_.request.remote_address = address_;
  incoming_.request.request_id = make_request_id();
  arm(core_.options.limits.header_timeout, [this] {
    give_up_reading(problem(408, "timeout", "the header of the request did not arrive in time", incoming_.request));
  });
  read_head();
}

void Connection::read_head() {
  if (in_.starts_with("\r\n")) in_.erase(0, 2);  // RFC 9112 §2.2: one empty line before a request is ignored
  const ServerLimits& limits = core_.options.limits;
  const HeadScan scan = scan_head(in_);
  const Request& request = incoming_.request;
  if (scan.target_bytes > limits.target_bytes)
    return send(
        problem(414, "uri_too_long", fmt::format("the address is longer than {} bytes", limits.target_bytes), request),
        true);
  if (!scan.defect.empty()) return send(problem(400, "malformed", scan.defect, request), true);
  if (scan.end > limits.header_bytes || (scan.end == 0 && in_.size() > limits.header_bytes))
    return send(problem(431, "header_too_large", fmt::format("the header is longer than {} bytes", limits.header_bytes),
                        request),
                true);
  if (scan.end == 0) return receive([this] { read_head(); });
  on_head(scan.end);
}

void Connection::on_head(std::size_t head_bytes) {
  busy_ = true;
  ++core_.requests;
  parser_ = std::make_unique<Parser>();
  parser_->header_limit(static_cast<std::uint32_t>(head_bytes + 1));
  parser_->body_limit(core_.options.limits.body_bytes);
  boost::beast::error_code error;
  parser_->put(net::buffer(in_.data(), head_bytes), error);
  const Request& request = incoming_.request;
  if (error == beast_http::error::body_limit)
    return send(problem(413, "body_too_large",
                        fmt::format("the body is longer than {} bytes", core_.options.limits.body_bytes), request),
                true);
  if ((error && error != beast_http::error::need_more) || !parser_->is_header_done())
    return send(problem(400, "malformed", "this is not a valid HTTP/1.1 request: " + error.message(), request), true);
  if (auto refusal = admit()) {
    if (refusal->status >= 400) ++core_.rejected;
    in_.erase(0, head_bytes);
    return send(std::move(*refusal), !parser_->is_done());
  }
  if (incoming_.is_upgrade) {
    timer_.cancel();
    closed_ = true;  // the socket is no longer ours
    serve_socket(core_, std::move(socket_), strand_, this, std::move(in_), std::move(incoming_.request),
                 *incoming_.endpoint->socket);
    return;
  }
  in_.erase(0, head_bytes);
  parser_->eager(true);
  arm(core_.options.limits.body_timeout, [this] {
    give_up_reading(problem(408, "timeout", "the body of the request did not arrive in time", incoming_.request));
  });
  if (!parser_->is_done() && lower(incoming_.request.header("expect")) == "100-continue")
    return write("HTTP/1.1 100 Continue\r\n\r\n", [this] { read_body(); });
  read_body();
}

std::optional<Response> Connection::admit() {
  auto& message = parser_->get();
  Request& request = incoming_.request;
  request.method.assign(message.method_string().data(), message.method_string().size());
  incoming_.is_http_1_0 = message.version() < 11;
  incoming_.is_head = request.method == "HEAD";
  incoming_.keep_alive = message.keep_alive();
  if (const std::string defect = copy_headers(message, request.headers); !defect.empty()) {
    incoming_.keep_alive = false;
    return problem(400, "malformed", defect, request);
  }
  const std::string encoding = request.header("transfer-encoding");
  if (!encoding.empty() &&
      (lower(encoding) != "chunked" || incoming_.is_http_1_0 || request.headers.contains("content-length"))) {
    incoming_.keep_alive = false;
    return problem(400, "malformed", "a body comes either with Content-Length or with Transfer-Encoding: chunked",
                   request);
  }
  if (auto refusal = check_host()) return refusal;
  if (auto refusal = find_endpoint()) return refusal;
  const Access access = incoming_.endpoint != nullptr ? incoming_.endpoint->access : Access::kPublic;
  const bool is_socket = incoming_.endpoint != nullptr && incoming_.endpoint->socket;
  if (auto refusal = core_.guard->authenticate(access, request, is_socket ? Guard::For::kSocket : Guard::For::kRequest))
    return refusal;
  if (is_socket) return check_socket();
  if (!parser_->is_done() && request.method != "GET" && !incoming_.is_head && !is_json(request.header("content-type")))
    return problem(415, "unsupported_media_type", "the body must be JSON", request,
                   "send the header 'Content-Type: application/json'");
  return std::nullopt;
}

std::optional<Response> Connection::check_host() {
  Request& request = incoming_.request;
  const auto target_text = parser_->get().target();
  auto target = parse_target({target_text.data(), target_text.size()});
  if (!target) return problem(400, "malformed", target.error().message, request);
  request.path = target->path;
  request.query = std::move(target->query);
  if (!request.headers.contains("host")) return problem(400, "malformed", "the header Host is missing", request);
  const std::string host = request.header("host");
  const bool is_allowed =
      core_.guard->allows_host(host) && (target->authority.empty() || core_.guard->allows_host(target->authority));
  if (!is_allowed)
    return problem(
        421, "host_not_allowed", fmt::format("this server does not answer for the host '{}'", host), request,
        "use the address the server printed, or add the name to the setting api.allowed_hosts");
  auto match = core_.routes.find(request.method, target->segments);
  incoming_.endpoint = match.endpoint;
  request.params = std::move(match.params);
  // A page may have the path of a route with another method: GET /submit is one, POST /submit the other.
  const bool is_page = match.endpoint == nullptr && !match.allow.empty() && request.method == "GET" && core_.fallback &&
                       call(core_.fallback, request).status < 400;
  if (match.endpoint == nullptr && !match.allow.empty() && !is_page) {
    Response response = problem(405, "method_not_allowed",
                                fmt::format("{} is not possible here, only {}", request.method, match.allow), request);
    if (request.method == "OPTIONS") {
      response = {};
      response.status = 204;
    }
    response.headers["Allow"] = match.allow;
    return response;
  }
  return std::nullopt;
}

std::optional<Response> Connection::find_endpoint() {
  const Request& request = incoming_.request;
  if (incoming_.endpoint != nullptr) return std::nullopt;
  const Response missing = problem(404, "not_found", fmt::format("there is nothing at {}", request.path), request);
  if (!core_.fallback) return missing;
  if (request.method == "GET" || incoming_.is_head) return std::nullopt;
  if (call(core_.fallback, request).status >= 400) return missing;
  Response response =
      problem(405, "method_not_allowed", request.method + " is not possible here, only GET, HEAD", request);
  response.headers["Allow"] = "GET, HEAD";
  return response;
}

std::optional<Response> Connection::check_socket() {
  const Request& request = incoming_.request;
  if (request.headers.contains("origin") && !core_.guard->allows_origin(request.header("origin")))
    return problem(
        403, "origin_not_allowed", fmt::format("pages of '{}' may not open this stream", request.header("origin")),
        request,
        fmt::format("open the dashboard at the address the server printed, or add the host to {}.allowed_hosts",
                    core_.options.name));
  const bool is_upgrade = request.method == "GET" && !incoming_.is_http_1_0 &&
                          lower(request.header("upgrade")) == "websocket" &&
                          lower(request.header("connection")).find("upgrade") != std::string::npos;
  if (is_upgrade && request.header("sec-websocket-version") == "13" && !request.header("sec-websocket-key").empty()) {
    incoming_.is_upgrade = true;
    return std::nullopt;
  }
  Response response = problem(426, "upgrade_required", "this address speaks WebSocket, version 13", request);
  response.headers["Upgrade"] = "websocket";
  response.headers["Sec-WebSocket-Version"] = "13";
  return response;
}

void Connection::read_body() {
  while (!parser_->is_done() && !in_.empty()) {
    boost::beast::error_code error;
    const std::size_t used = parser_->put(net::buffer(in_.data(), in_.size()), error);
    in_.erase(0, used);
    if (error == beast_http::error::body_limit)
      return send(
          problem(413, "body_too_large",
                  fmt::format("the body is longer than {} bytes", core_.options.limits.body_bytes), incoming_.request),
          true);
    if (error && error != beast_http::error::need_more)
      return send(
          problem(400, "malformed", "the body is not framed as HTTP asks for: " + error.message(), incoming_.request),
          true);
    if (used == 0) break;
  }
  if (parser_->is_done()) return after_body();
  // A chunk header alone may not grow without end.
  if (in_.size() > core_.options.limits.header_bytes)
    return send(problem(400, "malformed", "a chunk header that does not end", incoming_.request), true);
  receive([this] { read_body(); });
}

void Connection::after_body() {
  timer_.cancel();
  incoming_.request.body = std::move(parser_->get().body());
  if (incoming_.is_head) incoming_.request.method = "GET";
  dispatch();
}

void Connection::dispatch() {
  const Endpoint* endpoint = incoming_.endpoint;
  if (endpoint == nullptr) return send(call(core_.fallback, incoming_.request));
  if (endpoint->async_handler) return run_async();
  if (endpoint->run == Run::kInline) return send(call(endpoint->handler, incoming_.request));
  net::post(core_.pool, [self = shared_from_this(), endpoint] {
    Response response = call(endpoint->handler, self->incoming_.request);
    self->deliver(std::move(response));
  });
}

void Connection::run_async() {
  auto answer = std::make_shared<Answer>(core_.gate, weak_from_this(), incoming_.request);
  // A copy: the answer may arrive, and the next request begin, before the handler returns.
  net::post(core_.pool, [endpoint = incoming_.endpoint, request = incoming_.request, answer = std::move(answer)] {
    try {
      endpoint->async_handler(request, [answer](Response response) { answer->give(std::move(response)); });
    } catch (const std::exception& error) {
      log::error("http", "a handler failed",
                 {{"path", request.path}, {"request", request.request_id}, {"error", error.what()}});
      answer->give(
          problem(500, "internal", "an unexpected error; the server's log has it under this request id", request));
    }
  });
}

void Connection::deliver(Response response) {
  net::post(strand_,
            [self = shared_from_this(), response = std::move(response)]() mutable { self->send(std::move(response)); });
}

void Connection::receive(std::function<void()> then) {
  socket_.async_read_some(net::buffer(chunk_), [this, self = shared_from_this(), round = read_round_,
                                                then = std::move(then)](ErrorCodeAsio error, std::size_t size) {
    if (closed_ || round != read_round_) return;
    if (error) return close();
    in_.append(chunk_.data(), size);
    then();
  });
}

void Connection::give_up_reading(Response response) {
  ++read_round_;  // also for a read that has ended and whose handler is already queued
  ErrorCodeAsio ignored;
  socket_.cancel(ignored);
  send(std::move(response), true);
}

void serve_connection(Core& core, Tcp::socket socket, Strand strand, const std::string& address) {
  auto connection = std::make_shared<Connection>(core, std::move(socket), strand, address);
  const bool admitted = core.admit(connection.get(), connection, address);
  if (!admitted) ++core.rejected;
  net::dispatch(strand, [connection, admitted] { admitted ? connection->start() : connection->refuse_overload(); });
}

}  // namespace aether::http
