#pragma once
// One TCP connection: requests one after the other. Inside of the server, for its own .cc files only.
#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "http/head.h"
#include "http/server_core.h"

namespace aether::http {

// A parsed and accepted head; the body follows.
struct Incoming {
  Request request;
  bool keep_alive = true;
  bool is_http_1_0 = false;
  bool is_head = false;
  bool is_upgrade = false;
  const Endpoint* endpoint = nullptr;
};

// Lives on its strand. Always waiting for one thing: bytes, a handler, or the client taking bytes.
class Connection final : public Peer, public std::enable_shared_from_this<Connection> {
 public:
  Connection(Core& core, Tcp::socket socket, Strand strand, std::string address);
  ~Connection() override;

  void start();
  void refuse_overload();
  void shut_down() override;
  void abandon() override {}

  // From any thread inside the Gate: the answer of a handler that was started on this connection.
  void deliver(Response response);

 private:
  struct Parser;  // Beast's

  void next_request();
  void read_head();
  void on_head(std::size_t head_bytes);
  // The refusal, or nothing when the request may go on.
  std::optional<Response> admit();
  std::optional<Response> check_host();
  std::optional<Response> find_endpoint();
  std::optional<Response> check_socket();
  void read_body();
  void after_body();
  void dispatch();
  void run_async();

  void send(Response response, bool must_close = false);
  void pump_stream();
  void on_stream_piece(std::string piece, bool more);
  void finish_response();
  void write(std::string bytes, std::function<void()> then);
  void write_some(std::function<void()> then);
  bool peer_has_left();

  void receive(std::function<void()> then);
  void give_up_reading(Response response);
  void arm(std::chrono::milliseconds timeout, std::function<void()> on_timeout);
  void linger();
  void close();

  Core& core_;
  Tcp::socket socket_;
  Strand strand_;
  net::steady_timer timer_;
  const std::string address_;
  std::array<char, 16384> chunk_{};
  std::string in_;  // received and not yet consumed
  std::unique_ptr<Parser> parser_;
  Incoming incoming_;
  Response response_;
  std::string out_;           // head, or one chunk
  std::size_t out_sent_ = 0;  // of out_ and the body together
  int read_round_ = 0;        // reads of an older round are ignored
  bool close_after_ = false;
  bool chunked_ = false;
  bool busy_ = false;  // between the first byte of a request and the last of its answer
  bool closed_ = false;
};

}  // namespace aether::http
