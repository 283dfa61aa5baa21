// Any bytes after a WebSocket handshake with the real server: frames, masks, fragments, control frames, closes.
#include "http/fuzz_server.h"

namespace {

using namespace aether;

std::unique_ptr<http::Server> start() {
  auto server = http::make_fuzz_server();
  http::SocketHandlers handlers;
  handlers.on_open = [](std::shared_ptr<http::Socket>, const http::Request&) {};
  handlers.on_message = [](const std::shared_ptr<http::Socket>& socket, std::string text) {
    AETHER_ASSERT(text.size() <= 64u << 10);
    socket->send(std::make_shared<const std::string>(std::move(text)));
  };
  handlers.on_close = [](const std::shared_ptr<http::Socket>&) {};
  server->socket("/stream", http::Access::kRead, handlers);
  server->start();
  return server;
}

constexpr const char* kHandshake =
    "GET /stream HTTP/1.1\r\nHost: @HOST\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto server = start();
  // A close that is not answered takes the server two seconds; the next input need not wait for it.
  const std::string answer =
      http::exchange(*server, kHandshake + std::string(fuzz::text_of(data, size)), std::chrono::milliseconds(50));
  AETHER_ASSERT(answer.empty() || answer.starts_with("HTTP/1.1 101"));
  return 0;
}
