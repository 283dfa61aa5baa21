// Answers on their way out: whole, in chunks, or the last one before the connection closes.
#include <fmt/format.h>
#include <sys/socket.h>

#include "base/log.h"
#include "http/connection.h"

namespace aether::http {
namespace {

constexpr std::chrono::milliseconds kLingerTime{1000};
constexpr std::chrono::milliseconds kStreamPollInterval{200};
constexpr std::size_t kLingerBytes = 4u << 20;

std::string_view body_of(const Response& response) {
  return response.shared_body ? std::string_view(*response.shared_body) : std::string_view(response.body);
}

}  // namespace

void Connection::refuse_overload() {
  incoming_.request.remote_address = address_;
  send(problem(503, "too_many_connections", "too many connections are open; try again soon", incoming_.request), true);
}

void Connection::shut_down() {
  net::post(strand_, [self = shared_from_this()] {
    self->close_after_ = true;
    if (!self->busy_) self->close();
  });
}

void Connection::send(Response response, bool must_close) {
  if (closed_) return;
  busy_ = true;
  timer_.cancel();
  if (response.status >= 500)
    log::warn(
        "http", "answered with an error",
        {{"status", response.status}, {"path", incoming_.request.path}, {"request", incoming_.request.request_id}});
  response_ = std::move(response);
  if (response_.stream && incoming_.is_http_1_0) must_close = true;
  if (must_close || !incoming_.keep_alive || core_.stopping) close_after_ = true;
  chunked_ = response_.stream && !incoming_.is_http_1_0;
  const BodyFraming framing = chunked_           ? BodyFraming::kChunked
                              : response_.stream ? BodyFraming::kUntilClose
                                                 : BodyFraming::kLength;
  out_ = format_head(response_, framing, body_of(response_).size(), !close_after_, incoming_.request.request_id);
  const bool has_body = !incoming_.is_head && response_.status != 204 && response_.status != 304;
  if (!has_body) {
    response_.body.clear();
    response_.shared_body.reset();
    response_.stream = nullptr;
  }
  out_sent_ = 0;
  write_some([this] {
    if (!response_.stream) return finish_response();
    response_.body.clear();
    response_.shared_body.reset();
    pump_stream();
  });
}

void Connection::write(std::string bytes, std::function<void()> then) {
  response_ = {};
  out_ = std::move(bytes);
  out_sent_ = 0;
  write_some(std::move(then));
}

// Everything of out_ and then of the body, with the time limit starting anew whenever the client takes some bytes.
void Connection::write_some(std::function<void()> then) {
  const std::string_view body = body_of(response_);
  if (out_sent_ >= out_.size() + body.size()) {
    timer_.cancel();
    return then();
  }
  arm(core_.options.limits.write_timeout, [this] { close(); });
  const std::size_t head_sent = std::min(out_sent_, out_.size());
  const std::size_t body_sent = out_sent_ - head_sent;
  const std::array<net::const_buffer, 2> buffers = {net::buffer(out_.data() + head_sent, out_.size() - head_sent),
                                                    net::buffer(body.data() + body_sent, body.size() - body_sent)};
  socket_.async_write_some(buffers, [this, self = shared_from_this(), then = std::move(then)](
                                        ErrorCodeAsio error, std::size_t size) mutable {
    if (closed_) return;
    if (error) return close();
    out_sent_ += size;
    write_some(std::move(then));
  });
}

void Connection::pump_stream() {
  if (core_.stopping || peer_has_left()) return close();
  net::post(core_.pool, [self = shared_from_this()] {
    std::string piece;
    bool more = false;
    try {
      more = self->response_.stream(piece);
    } catch (const std::exception& error) {
      log::error("http", "a stream failed", {{"request", self->incoming_.request.request_id}, {"error", error.what()}});
      net::post(self->strand_, [self] { self->close(); });  // without the last chunk: the client sees that it is cut
      return;
    }
    net::post(self->strand_,
              [self, more, piece = std::move(piece)]() mutable { self->on_stream_piece(std::move(piece), more); });
  });
}

void Connection::on_stream_piece(std::string piece, bool more) {
  if (closed_) return;
  if (piece.empty() && more) {
    arm(kStreamPollInterval, [this] { pump_stream(); });
    return;
  }
  out_.clear();
  if (!piece.empty()) out_ = chunked_ ? fmt::format("{:x}\r\n", piece.size()) + piece + "\r\n" : std::move(piece);
  if (!more && chunked_) out_ += "0\r\n\r\n";
  out_sent_ = 0;
  write_some([this, more] { more ? pump_stream() : finish_response(); });
}

void Connection::finish_response() {
  response_ = {};
  busy_ = false;
  if (close_after_ || core_.stopping) return linger();
  next_request();
}

// Nothing is read while an answer is on its way, so a client that left is noticed by asking.
bool Connection::peer_has_left() {
  char byte = 0;
  const auto got = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

void Connection::arm(std::chrono::milliseconds timeout, std::function<void()> on_timeout) {
  timer_.expires_after(timeout);
  timer_.async_wait([this, self = shared_from_this(), on_timeout = std::move(on_timeout)](ErrorCodeAsio error) {
    if (error || closed_ || timer_.expiry() > std::chrono::steady_clock::now()) return;
    on_timeout();
  });
}

// Closing while unread bytes wait would reset the connection and could take the answer with it.
void Connection::linger() {
  ErrorCodeAsio ignored;
  socket_.shutdown(Tcp::socket::shutdown_send, ignored);
  if (core_.stopping) return close();
  arm(kLingerTime, [this] { close(); });
  auto discard = std::make_shared<std::function<void()>>();
  auto total = std::make_shared<std::size_t>(0);
  *discard = [this, weak = std::weak_ptr(discard), total] {
    *total += in_.size();
    in_.clear();
    const auto again = weak.lock();
    if (!again || *total > kLingerBytes) return close();
    receive([again] { (*again)(); });
  };
  (*discard)();
}

void Connection::close() {
  if (closed_) return;
  closed_ = true;
  timer_.cancel();
  ErrorCodeAsio ignored;
  socket_.shutdown(Tcp::socket::shutdown_both, ignored);
  socket_.close(ignored);
  core_.forget(this);
}

}  // namespace aether::http
