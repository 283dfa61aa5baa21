// WebSocket clients: one bounded queue each, shared buffers, and nobody waits for anybody.
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/websocket.hpp>
#include <deque>

#include "base/log.h"
#include "http/guard.h"
#include "http/server_core.h"

namespace aether::http {

namespace beast = boost::beast;
namespace websocket = boost::beast::websocket;

namespace {

using Text = std::shared_ptr<const std::string>;
struct Message {
  Text payload;  // null: no message
  bool is_binary = false;
};
constexpr std::chrono::seconds kCloseTime{2};  // for the client's part in closing

class Session;

// What the owner of a client holds. Outlives the session and the server without harm.
class SocketQueue final : public Socket {
 public:
  SocketQueue(const ServerLimits& limits, std::shared_ptr<Gate> gate)
      : max_messages_(limits.socket_messages), max_bytes_(limits.socket_bytes), gate_(std::move(gate)) {}

  void attach(std::weak_ptr<Session> session) {
    session_ = std::move(session);
  }  // before anyone else knows this object
  bool send(Text text) override { return push({std::move(text), false}); }
  bool send_binary(Text bytes) override { return push({std::move(bytes), true}); }
  std::size_t queued() const override {
    std::lock_guard lock(mutex_);
    return messages_.size();
  }
  void close(int code, std::string reason) override;

  // For the session: the message to write now (kept in the queue until pop), or none.
  Message front() const {
    std::lock_guard lock(mutex_);
    return messages_.empty() ? Message() : messages_.front();
  }
  void pop() {
    std::lock_guard lock(mutex_);
    bytes_ -= messages_.front().payload->size();
    messages_.pop_front();
  }
  std::optional<websocket::close_reason> close_request() const {
    std::lock_guard lock(mutex_);
    return close_request_;
  }
  void end() {
    std::lock_guard lock(mutex_);
    ended_ = true;
    messages_.clear();
    bytes_ = 0;
  }

 private:
  bool push(Message message);
  void wake();

  const std::size_t max_messages_;
  const std::size_t max_bytes_;
  const std::shared_ptr<Gate> gate_;
  std::weak_ptr<Session> session_;
  mutable std::mutex mutex_;
  std::deque<Message> messages_;
  std::size_t bytes_ = 0;
  std::optional<websocket::close_reason> close_request_;
  bool ended_ = false;
};

// Lives on its strand.
class Session final : public Peer, public std::enable_shared_from_this<Session> {
 public:
  Session(Core& core, Tcp::socket socket, Strand strand, Request request, const SocketHandlers& handlers)
      : core_(core),
        strand_(std::move(strand)),
        websocket_(std::move(socket)),
        watch_(websocket_.get_executor()),
        request_(std::move(request)),
        handlers_(handlers),
        queue_(std::make_shared<SocketQueue>(core.options.limits, core.gate)) {}

  void start(std::string head);
  void wake();  // from any thread inside the Gate
  void shut_down() override { queue_->close(1001, "the server stops"); }
  void abandon() override { finish(); }

 private:
  void on_open();
  void read();
  void write();
  void begin_close(const websocket::close_reason& reason);
  void watch();
  bool has_progress();
  void finish();

  Core& core_;
  Strand strand_;
  websocket::stream<beast::tcp_stream> websocket_;
  net::steady_timer watch_;
  const Request request_;
  const SocketHandlers& handlers_;
  const std::shared_ptr<SocketQueue> queue_;
  beast::flat_buffer buffer_;
  std::string head_;
  Message writing_;
  bool is_open_ = false;
  bool is_closing_ = false;
  bool is_finished_ = false;
  std::uint64_t written_ = 0, watched_written_ = 0;
  int watched_unsent_ = 0;
  std::chrono::steady_clock::time_point progress_at_;
};

bool SocketQueue::push(Message message) {
  {
    std::lock_guard lock(mutex_);
    const std::size_t size = message.payload->size();
    if (ended_ || close_request_ || messages_.size() >= max_messages_ || bytes_ + size > max_bytes_) return false;
    bytes_ += size;
    messages_.push_back(std::move(message));
    if (messages_.size() > 1) return true;  // the session is at it already
  }
  wake();
  return true;
}

void SocketQueue::close(int code, std::string reason) {
  {
    std::lock_guard lock(mutex_);
    if (ended_ || close_request_) return;
    reason.resize(std::min<std::size_t>(reason.size(), 120));
    close_request_ = websocket::close_reason(static_cast<websocket::close_code>(code), reason);
  }
  wake();
}

void SocketQueue::wake() {
  gate_->enter([&] {
    if (const auto session = session_.lock()) session->wake();
  });
}

void Session::start(std::string head) {
  head_ = std::move(head);
  queue_->attach(weak_from_this());
  const ServerLimits& limits = core_.options.limits;
  beast::get_lowest_layer(websocket_).expires_never();
  websocket_.set_option(websocket::stream_base::timeout{limits.header_timeout, limits.socket_silence_timeout, true});
  websocket_.set_option(websocket::permessage_deflate{});
  websocket_.auto_fragment(false);
  // A browser that offers subprotocols ends the connection unless one of them is chosen.
  if (offered_protocol(request_, kStreamProtocol) == kStreamProtocol)
    websocket_.set_option(websocket::stream_base::decorator([](websocket::response_type& response) {
      response.set(beast::http::field::sec_websocket_protocol, std::string(kStreamProtocol));
    }));
  websocket_.read_message_max(limits.socket_inbound_bytes);
  websocket_.async_accept(net::buffer(head_), [self = shared_from_this()](beast::error_code error) {
    if (error) return self->finish();
    self->on_open();
  });
}

void Session::on_open() {
  is_open_ = true;
  ++core_.sockets;
  head_ = {};
  progress_at_ = std::chrono::steady_clock::now();
  if (handlers_.on_open) handlers_.on_open(queue_, request_);
  if (core_.stopping) shut_down();
  watch();
  read();
  write();
}

void Session::wake() {
  net::post(strand_, [self = shared_from_this()] { self->write(); });
}

void Session::read() {
  websocket_.async_read(buffer_, [self = shared_from_this()](beast::error_code error, std::size_t) {
    if (error) return self->finish();
    if (!self->websocket_.got_text()) {
      self->begin_close({websocket::close_code::unknown_data, "text frames only"});
    } else if (!self->is_closing_ && self->handlers_.on_message) {
      self->handlers_.on_message(self->queue_, beast::buffers_to_string(self->buffer_.data()));
    }
    self->buffer_.consume(self->buffer_.size());
    self->read();
  });
}

void Session::write() {
  if (!is_open_ || writing_.payload || is_closing_ || is_finished_) return;
  writing_ = queue_->front();
  if (!writing_.payload) {
    if (const auto reason = queue_->close_request()) begin_close(*reason);
    return;
  }
  websocket_.binary(writing_.is_binary);
  websocket_.async_write(net::buffer(*writing_.payload), [self = shared_from_this()](beast::error_code error, std::size_t) {
    self->writing_ = {};
    if (error || self->is_finished_) return self->finish();
    ++self->written_;
    self->queue_->pop();
    self->write();
  });
}

// The pending read ends with websocket::error::closed once the client has answered, or by the time limit.
void Session::begin_close(const websocket::close_reason& reason) {
  if (is_closing_ || is_finished_) return;
  is_closing_ = true;
  watch_.expires_after(kCloseTime);  // ends the watch on progress, too
  watch_.async_wait([self = shared_from_this()](ErrorCodeAsio error) {
    if (!error) self->finish();
  });
  websocket_.async_close(reason, [self = shared_from_this()](beast::error_code) { self->finish(); });
}

bool Session::has_progress() {
  int unsent = 0;
  if (::ioctl(beast::get_lowest_layer(websocket_).socket().native_handle(), SIOCOUTQ, &unsent) != 0) unsent = 0;
  const bool moved = !writing_.payload || written_ != watched_written_ || unsent != watched_unsent_;
  watched_written_ = written_;
  watched_unsent_ = unsent;
  return moved;
}

// A client that takes no byte for too long is dropped. The close frame (1013) cannot overtake what it does not read,
// so it learns by the end of the connection.
void Session::watch() {
  const auto limit = core_.options.limits.socket_progress_timeout;
  watch_.expires_after(std::max<std::chrono::milliseconds>(limit / 10, std::chrono::milliseconds(10)));
  watch_.async_wait([self = shared_from_this(), limit](ErrorCodeAsio error) {
    if (error || self->is_finished_ || self->is_closing_) return;
    const auto now = std::chrono::steady_clock::now();
    if (self->has_progress()) self->progress_at_ = now;
    if (now - self->progress_at_ <= limit) return self->watch();
    ++self->core_.slow_sockets;
    log::info("http", "a stream client takes nothing and is dropped", {{"address", self->request_.remote_address}});
    self->finish();
  });
}

void Session::finish() {
  if (is_finished_) return;
  is_finished_ = true;
  const auto keep = shared_from_this();
  queue_->end();
  watch_.cancel();
  ErrorCodeAsio ignored;
  auto& socket = beast::get_lowest_layer(websocket_).socket();
  socket.shutdown(Tcp::socket::shutdown_both, ignored);
  beast::get_lowest_layer(websocket_).close();
  if (is_open_) {
    --core_.sockets;
    if (handlers_.on_close) handlers_.on_close(queue_);
  }
  core_.forget(this);
}

}  // namespace

void serve_socket(Core& core, Tcp::socket socket, Strand strand, Peer* connection, std::string head, Request request,
                  const SocketHandlers& handlers) {
  auto session = std::make_shared<Session>(core, std::move(socket), std::move(strand), std::move(request), handlers);
  core.replace(connection, session.get(), session);
  session->start(std::move(head));
}

}  // namespace aether::http
