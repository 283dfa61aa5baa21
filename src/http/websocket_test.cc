#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <set>
#include <thread>

#include "http/raw_client.h"
#include "http/server.h"

namespace aether::http {
namespace {

using std::chrono::milliseconds;
using Text = std::shared_ptr<const std::string>;

class WebSocket : public testing::Test {
 protected:
  void open(ServerLimits limits = {}, bool anonymous_reads = true) {
    ServerOptions options;
    options.tokens = {{sha256_hex("aeth_t"), "admin"}};
    options.allowed_hosts = {"aether.example.org"};
    options.limits = limits;
    options.anonymous_reads = anonymous_reads;
    auto server = Server::open(options);
    ASSERT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
    server_->socket("/stream", Access::kRead,
                    {.on_open =
                         [this](std::shared_ptr<Socket> socket, const Request&) {
                           std::lock_guard lock(mutex_);
                           sockets_.insert(std::move(socket));
                         },
                     .on_message =
                         [](const std::shared_ptr<Socket>& socket, std::string text) {
                           if (text == "close") return socket->close(4000, "asked to");
                           socket->send(std::make_shared<const std::string>("echo " + text));
                         },
                     .on_close =
                         [this](const std::shared_ptr<Socket>& socket) {
                           std::lock_guard lock(mutex_);
                           sockets_.erase(socket);
                           ++closed_;
                         }});
    server_->start();
  }
  std::string address() const { return server_->address(); }
  int upgrade_status(const std::string& headers) {
    RawClient client(address());
    return client.upgrade("/stream", headers)->status;
  }
  void wait_for_sockets(std::size_t count) {
    for (int i = 0; i < 1000 && server_->counters().sockets != count; ++i) std::this_thread::sleep_for(milliseconds(5));
    ASSERT_EQ(server_->counters().sockets, count);
  }
  int broadcast(const Text& text) {
    std::lock_guard lock(mutex_);
    int taken = 0;
    for (const auto& socket : sockets_) taken += socket->send(text) ? 1 : 0;
    return taken;
  }

  std::mutex mutex_;
  std::set<std::shared_ptr<Socket>> sockets_;
  std::atomic<int> closed_{0};
  std::unique_ptr<Server> server_;
};

TEST_F(WebSocket, EchoesAndCloses) {
  open();
  auto connection = std::make_unique<RawClient>(address());
  RawClient& client = *connection;
  const auto response = client.upgrade("/stream");
  EXPECT_EQ(response->status, 101);
  EXPECT_EQ(response->headers.at("sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  EXPECT_FALSE(response->headers.contains("sec-websocket-extensions"));
  for (int i = 0; i < 20; ++i) {
    client.send_text(fmt::format("m{}", i));
    EXPECT_EQ(client.receive_text(), fmt::format("echo m{}", i));
  }
  client.send_text("close");
  EXPECT_EQ(client.receive_close_code(), 4000);
  EXPECT_TRUE(client.is_closed_by_server());
  connection.reset();
  wait_for_sockets(0);
  EXPECT_EQ(closed_, 1);
}

TEST_F(WebSocket, SharesOneMessageAmongManyClients) {
  open();
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(std::make_unique<RawClient>(address()));
    EXPECT_EQ(clients.back()->upgrade("/stream")->status, 101);
  }
  wait_for_sockets(20);
  const Text big = std::make_shared<const std::string>(std::string(200000, 'x'));
  EXPECT_EQ(broadcast(big), 20);
  for (auto& client : clients) EXPECT_EQ(client->receive_text(), *big);
}

TEST_F(WebSocket, OnlyPagesOfItsOwnOriginMayOpenIt) {
  open();
  const std::string a = address();
  const std::string port = a.substr(a.rfind(':'));
  EXPECT_EQ(upgrade_status(""), 101);
  for (const std::string& origin :
       {"http://" + a, "http://localhost" + port, "http://[::1]" + port, std::string("https://aether.example.org"),
        std::string("http://aether.example.org")})
    EXPECT_EQ(upgrade_status("Origin: " + origin + "\r\n"), 101) << origin;
  for (const std::string& origin :
       {std::string("null"), std::string("http://evil.tld"), "http://" + a + ".evil.tld", "http://evil" + a,
        std::string("http://127.0.0.1:1"), std::string("http://127.0.0.1"), "https://" + a, "http://" + a + "/",
        "http://" + a + ", http://evil.tld", std::string(), a, std::string("https://aether.example.org.evil.tld")})
    EXPECT_EQ(upgrade_status("Origin: " + origin + "\r\n"), 403) << origin;
}

TEST_F(WebSocket, ATicketLetsOnePageInOnce) {
  open({}, false);
  server_->stop();
  server_.reset();
  ServerOptions options;
  options.tokens = {{sha256_hex("aeth_t"), "admin"}};
  options.anonymous_reads = false;
  server_ = std::move(*Server::open(options));
  std::mutex mutex;
  std::vector<std::string> identities;
  SocketHandlers handlers;
  handlers.on_open = [&](std::shared_ptr<Socket>, const Request& request) {
    std::lock_guard lock(mutex);
    identities.push_back(request.identity);
  };
  server_->socket("/stream", Access::kRead, std::move(handlers));
  server_->route("POST", "/act", Access::kWrite, Run::kInline, [](const Request&) { return Response{}; });
  server_->start();
  const auto offer = [](const std::string& ticket) {
    return "Sec-WebSocket-Protocol: aether.v1, ticket." + ticket + "\r\n";
  };
  const std::string first = server_->issue_ticket("admin"), second = server_->issue_ticket("viewer");
  EXPECT_EQ(first.size(), 32u);
  EXPECT_NE(first, second);
  for (const std::string& wrong : {std::string(), std::string(32, '0'), first + "0", first.substr(1)})
    EXPECT_EQ(upgrade_status(offer(wrong)), 401) << wrong;
  {
    RawClient client(address());
    EXPECT_EQ(client.request("POST", "/act", offer(first) + "Content-Type: application/json\r\nContent-Length: 0\r\n")->status,
              401)
        << "a ticket is for streams only";
  }
  RawClient client(address());
  const auto response = client.upgrade("/stream", offer(first));
  EXPECT_EQ(response->status, 101);
  EXPECT_EQ(response->headers.at("sec-websocket-protocol"), "aether.v1");
  EXPECT_EQ(upgrade_status(offer(first)), 401) << "it is used up";
  EXPECT_EQ(upgrade_status(offer(second)), 101);
  for (int i = 0; i < 1000 && server_->counters().sockets < 2; ++i) std::this_thread::sleep_for(milliseconds(5));
  std::size_t issued = 0;
  while (!server_->issue_ticket("admin").empty() && issued < 5000) ++issued;
  EXPECT_EQ(issued, 1024u) << "tickets that nobody takes are bounded";
  server_->stop();
  std::lock_guard lock(mutex);
  EXPECT_EQ(identities, (std::vector<std::string>{"admin", "viewer"}));
}

TEST_F(WebSocket, IsAReadLikeAnyOther) {
  open({}, false);
  EXPECT_EQ(upgrade_status(""), 401);
  EXPECT_EQ(upgrade_status("Authorization: Bearer aeth_t\r\n"), 101);
  RawClient client(address());
  EXPECT_EQ(client.request("GET", "/stream", "Authorization: Bearer aeth_t\r\n")->status, 426);
  EXPECT_EQ(client.request("POST", "/stream", "Authorization: Bearer aeth_t\r\n")->status, 405);
  client.send("GET /stream HTTP/1.1\r\nHost: attacker.tld\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  EXPECT_EQ(client.receive()->status, 421);
}

TEST_F(WebSocket, RefusesBinaryAndTooLongMessages) {
  open();
  RawClient binary(address());
  binary.upgrade("/stream");
  binary.send_frame(2, "bytes");
  EXPECT_EQ(binary.receive_close_code(), 1003);
  RawClient longer(address());
  longer.upgrade("/stream");
  longer.send_text(std::string((64 << 10) + 1, 'x'));
  EXPECT_EQ(longer.receive_close_code(), 1009);
  RawClient exact(address());
  exact.upgrade("/stream");
  exact.send_text(std::string(64 << 10, 'x'));
  EXPECT_EQ(exact.receive_text()->size(), (64u << 10) + 5);
}

TEST_F(WebSocket, PingsASilentClientAndDropsIt) {
  ServerLimits limits;
  limits.socket_silence_timeout = milliseconds(300);
  open(limits);
  RawClient answering(address()), silent(address());
  answering.upgrade("/stream");
  silent.upgrade("/stream");
  int pings = 0;
  while (pings < 4) {
    const auto frame = answering.receive_frame();
    ASSERT_TRUE(frame);
    if (frame->opcode != 9) continue;
    ++pings;
    answering.send_frame(10, frame->payload);
  }
  EXPECT_TRUE(silent.is_closed_by_server());
  answering.send_text("still here");
  EXPECT_EQ(answering.receive_text(), "echo still here");
}

TEST_F(WebSocket, ASlowClientHoldsUpNobodyAndIsDropped) {
  ServerLimits limits;
  limits.socket_progress_timeout = milliseconds(300);
  open(limits);
  RawClient slow(address(), 4096), quick(address());
  slow.upgrade("/stream");
  quick.upgrade("/stream");
  wait_for_sockets(2);
  const Text text = std::make_shared<const std::string>(std::string(100000, 'x'));
  bool slow_was_full = false;
  for (int i = 0; i < 200 && !slow_was_full; ++i) {
    slow_was_full = broadcast(text) < 2;
    EXPECT_EQ(quick.receive_text()->size(), text->size());
  }
  EXPECT_TRUE(slow_was_full);
  wait_for_sockets(1);
  EXPECT_EQ(server_->counters().slow_sockets, 1u);
  broadcast(text);
  EXPECT_EQ(quick.receive_text()->size(), text->size());
}

TEST_F(WebSocket, TakesNoMoreThanItsBounds) {
  open();
  RawClient client(address(), 4096);
  client.upgrade("/stream");
  wait_for_sockets(1);
  EXPECT_EQ(broadcast(std::make_shared<const std::string>(std::string((1 << 20) + 1, 'x'))), 0);
  const Text half = std::make_shared<const std::string>(std::string(600 << 10, 'x'));
  for (int i = 0; i < 20; ++i) broadcast(half);
  std::lock_guard lock(mutex_);
  EXPECT_LE((*sockets_.begin())->queued(), 1u);
}

TEST_F(WebSocket, StopSaysBye) {
  open();
  RawClient client(address());
  client.upgrade("/stream");
  wait_for_sockets(1);
  std::shared_ptr<Socket> kept;
  {
    std::lock_guard lock(mutex_);
    kept = *sockets_.begin();
  }
  std::thread stopper([&] { server_->stop(); });
  EXPECT_EQ(client.receive_close_code(), 1001);
  stopper.join();
  EXPECT_EQ(closed_, 1);
  server_.reset();
  EXPECT_FALSE(kept->send(std::make_shared<const std::string>("late")));
  kept->close(1000, "late");
}

TEST_F(WebSocket, StopDropsClientsThatDoNotAnswer) {
  ServerLimits limits;
  limits.drain_timeout = milliseconds(100);
  open(limits);
  RawClient client(address());
  client.upgrade("/stream");
  wait_for_sockets(1);
  server_->stop();
  EXPECT_EQ(closed_, 1);
}

}  // namespace
}  // namespace aether::http
