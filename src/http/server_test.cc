#include "http/server.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "base/rng.h"
#include "http/guard.h"
#include "http/head.h"
#include "http/raw_client.h"
#include "http/routes.h"

namespace aether::http {
namespace {

using std::chrono::milliseconds;

constexpr const char* kToken = "aeth_0123456789";
const std::string kBearer = std::string("Authorization: Bearer ") + kToken + "\r\n";
const std::string kJson = "Content-Type: application/json\r\n";

ServerOptions test_options() {
  ServerOptions options;
  options.tokens = {{sha256_hex(kToken), "admin"}};
  options.token_hint = "the token is in /state/token";
  options.threads = 2;
  return options;
}

Response echo(const Request& request) {
  std::string text = request.method + " " + request.path + "|" + request.identity + "|" + request.body;
  for (const auto& [key, value] : request.params) text += "|" + key + "=" + value;
  for (const auto& [key, value] : request.query) text += "|?" + key + "=" + value;
  return json(200, text);
}

class HttpServer : public testing::Test {
 protected:
  void open(ServerOptions options = test_options()) {
    auto server = Server::open(std::move(options));
    ASSERT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
    server_->route("GET", "/items/{id}", Access::kRead, Run::kInline, echo);
    server_->route("GET", "/items/special", Access::kRead, Run::kInline,
                   [](const Request&) { return json(200, "special"); });
    server_->route("POST", "/items/{id}/run", Access::kWrite, Run::kWorker, echo);
    server_->route("GET", "/health", Access::kPublic, Run::kInline, echo);
    server_->route("GET", "/slow", Access::kRead, Run::kWorker, [](const Request&) {
      std::this_thread::sleep_for(milliseconds(300));
      return json(200, "done");
    });
    server_->route("GET", "/fails", Access::kRead, Run::kWorker,
                   [](const Request&) -> Response { throw std::runtime_error("secret detail"); });
    server_->route("GET", "/count", Access::kRead, Run::kInline, [](const Request&) {
      Response response;
      response.content_type = "text/plain";
      response.stream = [n = 0](std::string& out) mutable {
        if (n != 2) out = fmt::format("line {}\n", n);  // the third call has nothing yet
        return n++ < 4;
      };
      return response;
    });
    server_->route_async("GET", "/later", Access::kRead, [this](const Request& request, Responder respond) {
      if (request.query_value("drop")) return;
      std::lock_guard lock(late_mutex_);
      late_.emplace_back([respond, path = request.path] { respond(json(200, path)); });
    });
    server_->start();
  }
  void TearDown() override {
    for (auto& thread : late_) thread.join();
  }
  std::string address() const { return server_->address(); }
  int status(const std::string& method, const std::string& target, const std::string& headers = {},
             const std::string& body = {}) {
    RawClient client(address());
    const auto response = client.request(method, target, headers, body);
    return response ? response->status : 0;
  }
  int raw_status(const std::string& bytes) {
    RawClient client(address());
    client.send(bytes);
    const auto response = client.receive();
    return response ? response->status : 0;
  }
  int status_for_host(const std::string& host_lines) {
    return raw_status("GET /health HTTP/1.1\r\n" + host_lines + "\r\n");
  }
  std::string port() const { return address().substr(address().rfind(':') + 1); }

  std::unique_ptr<Server> server_;
  std::mutex late_mutex_;
  std::vector<std::thread> late_;
};

TEST_F(HttpServer, RoutesByPatternAndALiteralWins) {
  open();
  RawClient client(address());
  EXPECT_EQ(client.request("GET", "/items/7?x=1&y=a%20b+c")->body, "GET /items/7|||id=7|?x=1|?y=a b c");
  EXPECT_EQ(client.request("GET", "/items/special")->body, "special");
  EXPECT_EQ(client.request("GET", "/items/a%2Fb")->body, "GET /items/a/b|||id=a/b");
  const auto missing = client.request("GET", "/nothing");
  EXPECT_EQ(missing->status, 404);
  EXPECT_EQ(missing->headers.at("content-type"), "application/problem+json");
  EXPECT_NE(missing->body.find("\"code\":\"not_found\""), std::string::npos);
  EXPECT_NE(missing->body.find(missing->headers.at("x-request-id")), std::string::npos);
}

TEST_F(HttpServer, AnswersHeadWithoutBody) {
  open();
  RawClient client(address());
  const auto head = client.request("HEAD", "/health");
  EXPECT_EQ(head->status, 200);
  EXPECT_EQ(head->headers.at("content-length"), "13");
  EXPECT_EQ(client.request("GET", "/health")->body, "GET /health||");
}

TEST_F(HttpServer, NamesTheAllowedMethods) {
  open();
  RawClient client(address());
  const auto wrong = client.request("DELETE", "/items/7", kBearer);
  EXPECT_EQ(wrong->status, 405);
  EXPECT_EQ(wrong->headers.at("allow"), "GET, HEAD");
  const auto options = client.request("OPTIONS", "/items/7/run", "Origin: http://evil.example\r\n");
  EXPECT_EQ(options->status, 204);
  EXPECT_EQ(options->headers.at("allow"), "POST");
  EXPECT_EQ(options->head.find("Access-Control"), std::string::npos);
}

TEST_F(HttpServer, SendsSecurityHeadersWithEveryAnswer) {
  open();
  RawClient client(address());
  for (const char* target : {"/health", "/nothing", "/fails"}) {
    const auto response = client.request("GET", target);
    EXPECT_EQ(response->headers.at("x-content-type-options"), "nosniff");
    EXPECT_EQ(response->headers.at("referrer-policy"), "no-referrer");
    EXPECT_EQ(response->headers.at("cross-origin-opener-policy"), "same-origin");
    EXPECT_EQ(response->headers.at("cross-origin-resource-policy"), "same-origin");
    EXPECT_EQ(response->headers.at("content-security-policy"), "default-src 'none'; frame-ancestors 'none'");
    EXPECT_EQ(response->headers.at("cache-control"), "no-store");
  }
}

TEST_F(HttpServer, HidesWhyAHandlerFailed) {
  open();
  RawClient client(address());
  const auto response = client.request("GET", "/fails");
  EXPECT_EQ(response->status, 500);
  EXPECT_EQ(response->body.find("secret detail"), std::string::npos);
}

TEST_F(HttpServer, AnswersPipelinedRequestsInOrder) {
  open();
  RawClient client(address());
  std::string all;
  for (int i = 0; i < 50; ++i) all += fmt::format("GET /items/{} HTTP/1.1\r\nHost: {}\r\n\r\n", i, address());
  all += fmt::format("GET /slow HTTP/1.1\r\nHost: {0}\r\n\r\nGET /items/last HTTP/1.1\r\nHost: {0}\r\n\r\n", address());
  client.send(all);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(client.receive()->body, fmt::format("GET /items/{0}|||id={0}", i));
  EXPECT_EQ(client.receive()->body, "done");
  EXPECT_EQ(client.receive()->body, "GET /items/last|||id=last");
}

TEST_F(HttpServer, ReadsBodiesWithLengthAndInChunks) {
  open();
  RawClient client(address());
  EXPECT_EQ(client.request("POST", "/items/1/run", kBearer + kJson, "{\"a\":1}")->body,
            "POST /items/1/run|admin|{\"a\":1}|id=1");
  const auto chunked = client.request(
      "POST", "/items/1/run", kBearer + kJson + "Transfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n");
  EXPECT_EQ(chunked->body, "POST /items/1/run|admin|{\"a\":1}|id=1");
  client.send(
      fmt::format("POST /items/1/run HTTP/1.1\r\nHost: {}\r\n{}{}Expect: 100-continue\r\nContent-Length: 2\r\n\r\n",
                  address(), kBearer, kJson));
  EXPECT_EQ(client.receive()->status, 100);
  client.send("{}");
  EXPECT_EQ(client.receive()->body, "POST /items/1/run|admin|{}|id=1");
}

TEST_F(HttpServer, SendsStreamsInChunks) {
  open();
  RawClient client(address());
  const auto response = client.request("GET", "/count");
  EXPECT_EQ(response->headers.at("transfer-encoding"), "chunked");
  EXPECT_EQ(response->body, "line 0\nline 1\nline 3\nline 4\n");
  client.send("GET /count HTTP/1.0\r\nHost: " + address() + "\r\n\r\n");
  EXPECT_EQ(client.receive()->body, "line 0\nline 1\nline 3\nline 4\n");
  EXPECT_TRUE(client.is_closed_by_server());
}

TEST_F(HttpServer, AnswersLaterFromAnotherThread) {
  open();
  RawClient client(address());
  for (int i = 0; i < 10; ++i) EXPECT_EQ(client.request("GET", "/later")->body, "/later");
  const auto dropped = client.request("GET", "/later?drop=1");
  EXPECT_EQ(dropped->status, 503);
}

TEST_F(HttpServer, AnswersOnlyForItsOwnHosts) {
  ServerOptions options = test_options();
  options.allowed_hosts = {"aether.example.org"};
  open(options);
  const std::string p = ":" + port();
  for (const std::string& host :
       {"127.0.0.1" + p, "localhost" + p, "LocalHost" + p, "[::1]" + p, std::string("aether.example.org")})
    EXPECT_EQ(status_for_host("Host: " + host + "\r\n"), 200) << host;
  for (const std::string& host :
       {std::string("attacker.tld"), "attacker.tld" + p, "127.0.0.1.nip.io" + p, "localhost." + p, "127.0.0.1." + p,
        std::string("localhost"), std::string("127.0.0.1:1"), "127.0.0.2" + p, "aether.example.org.evil.tld" + p,
        std::string("evil-aether.example.org"), std::string(), "localhost" + p + "@evil.tld",
        "127.0.0.1" + p + ",evil.tld", "0x7f000001" + p})
    EXPECT_EQ(status_for_host("Host: " + host + "\r\n"), 421) << host;
  EXPECT_EQ(status_for_host(""), 400);
  EXPECT_EQ(status_for_host("Host: localhost" + p + "\r\nHost: localhost" + p + "\r\n"), 400);
  EXPECT_EQ(status_for_host("Host: localhost" + p + "\r\nhost: attacker.tld\r\n"), 400);
}

TEST_F(HttpServer, ChecksTheHostBeforeAnythingElse) {
  open();
  EXPECT_EQ(raw_status("POST /items/1/run HTTP/1.1\r\nHost: attacker.tld\r\nContent-Length: 9999999\r\n\r\n"), 413);
  EXPECT_EQ(raw_status("POST /items/1/run HTTP/1.1\r\nHost: attacker.tld\r\n\r\n"), 421);
  EXPECT_EQ(raw_status("GET /unknown HTTP/1.1\r\nHost: attacker.tld\r\n\r\n"), 421);
}

TEST_F(HttpServer, TakesAbsoluteAddressesOnlyOfItsOwnHosts) {
  open();
  const std::string host = "Host: " + address() + "\r\n\r\n";
  EXPECT_EQ(raw_status("GET http://" + address() + "/health HTTP/1.1\r\n" + host), 200);
  EXPECT_EQ(raw_status("GET http://attacker.tld/health HTTP/1.1\r\n" + host), 421);
  EXPECT_EQ(raw_status("GET http://" + address() + "/health HTTP/1.1\r\nHost: attacker.tld\r\n\r\n"), 421);
  EXPECT_EQ(raw_status("GET http:///health HTTP/1.1\r\n" + host), 400);
  EXPECT_EQ(raw_status("GET ftp://" + address() + "/health HTTP/1.1\r\n" + host), 400);
  EXPECT_EQ(raw_status("CONNECT attacker.tld:443 HTTP/1.1\r\n" + host), 400);
}

TEST_F(HttpServer, RefusesHeadsThatCouldBeReadTwoWays) {
  open();
  const std::string host = "Host: " + address() + "\r\n";
  const std::string post = "POST /items/1/run HTTP/1.1\r\n" + host + kBearer + kJson;
  const std::vector<std::string> wrong = {
      post + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
      post + "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
      post + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
      post + "Content-Length: -1\r\n\r\n",
      post + "Content-Length: 0x2\r\n\r\n{}",
      post + "Transfer-Encoding: gzip\r\n\r\n",
      post + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
      post + "X-A: 1\r\n folded\r\n\r\n",
      post + "X-A: 1\rX-B: 2\r\n\r\n",
      post + "X-A : 1\r\n\r\n",
      post + std::string("X-A: \0\r\n\r\n", 10),
      "GET /health HTTP/1.1\nHost: " + address() + "\n\n",
      "GET /health HTTP/2.0\r\n" + host + "\r\n",
      "GET  /health HTTP/1.1\r\n" + host + "\r\n",
      "GET /health\r\n" + host + "\r\n",
      "GET /health%zz HTTP/1.1\r\n" + host + "\r\n",
      "GET /health%00 HTTP/1.1\r\n" + host + "\r\n",
      "GET /health#x HTTP/1.1\r\n" + host + "\r\n",
      post + "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
  };
  for (const std::string& bytes : wrong) {
    RawClient client(address());
    client.send(bytes);
    const auto response = client.receive();
    ASSERT_TRUE(response) << bytes;
    EXPECT_EQ(response->status, 400) << bytes;
  }
}

TEST_F(HttpServer, HoldsItsLimitsOnSizes) {
  ServerOptions options = test_options();
  options.limits.body_bytes = 1000;
  open(options);
  EXPECT_EQ(status("GET", "/" + std::string(9000, 'a')), 414);
  EXPECT_EQ(status("GET", "/" + std::string(8000, 'a')), 404);
  EXPECT_EQ(status("GET", "/health", "X-A: " + std::string(20000, 'a') + "\r\n"), 431);
  EXPECT_EQ(status("GET", "/health", "X-A: " + std::string(15000, 'a') + "\r\n"), 200);
  EXPECT_EQ(raw_status(std::string(40000, 'a')), 431);
  EXPECT_EQ(status("POST", "/items/1/run", kBearer + kJson, std::string(1001, ' ')), 413);
  EXPECT_EQ(status("POST", "/items/1/run", kBearer + kJson, std::string(1000, ' ')), 200);
  std::string chunks = "\r\n";
  for (int i = 0; i < 5; ++i) chunks += "fa\r\n" + std::string(250, ' ') + "\r\n";
  EXPECT_EQ(status("POST", "/items/1/run", kBearer + kJson + "Transfer-Encoding: chunked\r\n" + chunks + "0\r\n"), 413);
}

TEST_F(HttpServer, ABigRefusedBodyStillGetsItsAnswer) {
  open();
  RawClient client(address());
  client.send(fmt::format("POST /items/1/run HTTP/1.1\r\nHost: {}\r\n{}{}Content-Length: 3000000\r\n\r\n", address(),
                          kBearer, kJson));
  client.send(std::string(3000000, 'x'));
  const auto response = client.receive();
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 413);
  EXPECT_TRUE(client.is_closed_by_server());
}

TEST_F(HttpServer, WritesNeedJson) {
  open();
  EXPECT_EQ(status("POST", "/items/1/run", kBearer + "Content-Type: text/plain\r\n", "{}"), 415);
  EXPECT_EQ(status("POST", "/items/1/run", kBearer + "Content-Type: application/jsonp\r\n", "{}"), 415);
  EXPECT_EQ(status("POST", "/items/1/run", kBearer, "{}"), 415);
  EXPECT_EQ(status("POST", "/items/1/run", kBearer + "Content-Type: Application/JSON ; charset=utf-8\r\n", "{}"), 200);
  EXPECT_EQ(status("POST", "/items/1/run", kBearer), 200);
}

TEST_F(HttpServer, DropsAClientThatSendsItsHeaderTooSlowly) {
  ServerOptions options = test_options();
  options.limits.header_timeout = milliseconds(150);
  open(options);
  RawClient silent(address());
  EXPECT_TRUE(silent.is_closed_by_server());
  RawClient slow(address());
  slow.send("GET /health HTTP/1.1\r\n");
  std::thread drip([&] {
    for (int i = 0; i < 20; ++i) {
      std::this_thread::sleep_for(milliseconds(20));
      slow.send("X: y\r\n");
    }
  });
  const auto response = slow.receive();
  drip.join();
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 408);
  EXPECT_TRUE(slow.is_closed_by_server());
}

TEST_F(HttpServer, DropsAClientThatSendsItsBodyTooSlowlyOrStaysIdle) {
  ServerOptions options = test_options();
  options.limits.body_timeout = milliseconds(100);
  options.limits.idle_timeout = milliseconds(100);
  open(options);
  RawClient slow(address());
  slow.send(fmt::format("POST /items/1/run HTTP/1.1\r\nHost: {}\r\n{}{}Content-Length: 10\r\n\r\n{{", address(),
                        kBearer, kJson));
  EXPECT_EQ(slow.receive()->status, 408);
  RawClient idle(address());
  EXPECT_EQ(idle.request("GET", "/health")->status, 200);
  EXPECT_TRUE(idle.is_closed_by_server());
}

TEST_F(HttpServer, RefusesConnectionsAboveItsLimit) {
  ServerOptions options = test_options();
  options.limits.connections = 2;
  open(options);
  RawClient a(address()), b(address());
  EXPECT_EQ(a.request("GET", "/health")->status, 200);
  EXPECT_EQ(b.request("GET", "/health")->status, 200);
  RawClient c(address());
  const auto response = c.receive();
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 503);
  EXPECT_EQ(response->headers.at("retry-after"), "1");
}

TEST_F(HttpServer, WritesNeedATokenAndReadsDoNot) {
  open();
  RawClient client(address());
  EXPECT_EQ(client.request("GET", "/items/1")->status, 200);
  const auto refused = client.request("POST", "/items/1/run");
  EXPECT_EQ(refused->status, 401);
  EXPECT_EQ(refused->headers.at("www-authenticate"), "Bearer realm=\"aether\"");
  EXPECT_NE(refused->body.find("the token is in /state/token"), std::string::npos);
  EXPECT_EQ(client.request("POST", "/items/1/run", kBearer)->status, 200);
  EXPECT_EQ(client.request("POST", "/items/1/run", std::string("authorization: bearer  ") + kToken + "\r\n")->status,
            200);
  EXPECT_EQ(client.request("GET", "/items/1", kBearer)->body, "GET /items/1|admin||id=1");
  EXPECT_EQ(client.request("GET", std::string("/items/1?token=") + kToken)->status, 400);
  EXPECT_EQ(client.request("POST", std::string("/items/1/run?x=") + kToken)->status, 400);
}

TEST_F(HttpServer, WrongTokensAreRefusedAlsoForReads) {
  open();
  for (const std::string& header :
       {std::string("Authorization: Bearer wrong\r\n"), std::string("Authorization: Basic YTpi\r\n"),
        std::string("Authorization: Bearer\r\n"), "Authorization: Bearer " + sha256_hex(kToken) + "\r\n"})
    EXPECT_EQ(status("GET", "/items/1", header), 401) << header;
  EXPECT_EQ(status("GET", "/health", "Authorization: Bearer wrong\r\n"), 200);
  EXPECT_EQ(status("POST", "/items/1/run", kBearer + kBearer), 400);
}

TEST_F(HttpServer, ReadsNeedATokenWhereAnonymousReadsAreOff) {
  ServerOptions options = test_options();
  options.anonymous_reads = false;
  open(options);
  EXPECT_EQ(status("GET", "/items/1"), 401);
  EXPECT_EQ(status("GET", "/items/1", kBearer), 200);
  EXPECT_EQ(status("GET", "/health"), 200);
}

TEST_F(HttpServer, FiveWrongTokensAMinuteAreEnough) {
  open();
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(status("POST", "/items/1/run", fmt::format("Authorization: Bearer guess{}\r\n", i)), 401);
  RawClient client(address());
  const auto blocked = client.request("POST", "/items/1/run", "Authorization: Bearer guess6\r\n");
  EXPECT_EQ(blocked->status, 429);
  EXPECT_EQ(blocked->headers.at("retry-after"), "60");
  // All local accounts share one address: the right token still works, and anonymous reads too.
  EXPECT_EQ(client.request("POST", "/items/1/run", kBearer)->status, 200);
  EXPECT_EQ(client.request("GET", "/items/1")->status, 200);
}

TEST_F(HttpServer, TheFallbackServesWhatNoRouteKnows) {
  auto server = Server::open(test_options());
  ASSERT_TRUE(server);
  server_ = std::move(*server);
  server_->route("GET", "/api/x", Access::kRead, Run::kInline, echo);
  server_->fallback([](const Request& request) {
    if (request.path == "/page") return json(200, "page");
    return problem(404, "not_found", "no page", request);
  });
  server_->start();
  EXPECT_EQ(status("GET", "/page"), 200);
  EXPECT_EQ(status("GET", "/api/x"), 200);
  EXPECT_EQ(status("GET", "/other"), 404);
  EXPECT_EQ(status("POST", "/page"), 405);
  EXPECT_EQ(status("POST", "/other"), 404);
}

TEST_F(HttpServer, RandomBytesNeverBringItDown) {
  ServerOptions options = test_options();
  options.limits.header_timeout = milliseconds(50);
  options.limits.body_timeout = milliseconds(50);
  open(options);
  Rng rng(20260115);
  const std::string valid =
      fmt::format("POST /items/1/run?x=%41 HTTP/1.1\r\nHost: {}\r\n{}{}Content-Length: 7\r\n\r\n{{\"a\":1}}", address(),
                  kBearer, kJson);
  for (int round = 0; round < 300; ++round) {
    std::string bytes = valid;
    if (round % 3 == 0) {
      bytes.resize(rng.below(400));
      for (char& c : bytes) c = static_cast<char>(rng.below(256));
    } else {
      const std::uint64_t flips = 1 + rng.below(6);
      for (std::uint64_t i = 0; i < flips; ++i) bytes[rng.below(bytes.size())] = static_cast<char>(rng.below(256));
    }
    RawClient client(address());
    client.send(bytes);
    if (round % 10 == 0) client.receive();
  }
  EXPECT_EQ(status("GET", "/health"), 200);
}

TEST_F(HttpServer, StopFinishesRunningRequests) {
  open();
  RawClient client(address()), idle(address());
  EXPECT_EQ(idle.request("GET", "/health")->status, 200);
  client.send("GET /slow HTTP/1.1\r\nHost: " + address() + "\r\n\r\n");
  while (server_->counters().requests < 2) std::this_thread::yield();
  server_->stop();
  const auto response = client.receive();
  ASSERT_TRUE(response);
  EXPECT_EQ(response->body, "done");
  EXPECT_TRUE(client.is_closed_by_server());
  EXPECT_TRUE(idle.is_closed_by_server());
  RawClient late(address());
  EXPECT_FALSE(late.is_connected());
  server_->stop();
}

TEST_F(HttpServer, LateAnswersAfterTheEndDoNoHarm) {
  ServerOptions options = test_options();
  options.limits.drain_timeout = milliseconds(50);
  auto server = Server::open(options);
  ASSERT_TRUE(server);
  Responder kept;
  std::atomic<bool> has_responder{false};
  (*server)->route_async("GET", "/never", Access::kRead, [&](const Request&, Responder respond) {
    kept = std::move(respond);
    has_responder = true;
  });
  (*server)->start();
  RawClient client((*server)->address());
  client.send("GET /never HTTP/1.1\r\nHost: " + (*server)->address() + "\r\n\r\n");
  while (!has_responder) std::this_thread::yield();
  server->reset();
  kept(json(200, "too late"));
  EXPECT_TRUE(client.is_closed_by_server());
}

TEST_F(HttpServer, ManyClientsAtOnceGetTheirOwnAnswers) {
  open();
  std::atomic<int> right{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      RawClient client(address());
      for (int i = 0; i < 50; ++i) {
        const auto response = client.request("POST", fmt::format("/items/{}-{}/run", t, i), kBearer);
        if (response && response->body.find(fmt::format("id={}-{}", t, i)) != std::string::npos) ++right;
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(right, 400);
}

TEST(HttpServerOpen, RefusesAddressesOthersCanReach) {
  for (const char* listen : {"0.0.0.0:0", "[::]:0", "192.0.2.1:8080"}) {
    ServerOptions options = test_options();
    options.listen = listen;
    const auto server = Server::open(options);
    ASSERT_FALSE(server) << listen;
    EXPECT_EQ(server.error().code, ErrorCode::kPermissionDenied);
    EXPECT_NE(server.error().message.find("both TLS and tokens"), std::string::npos);
    EXPECT_NE(server.error().message.find("ssh -L"), std::string::npos);
  }
}

TEST(HttpServerOpen, NamesThePortThatIsTaken) {
  const auto first = Server::open(test_options());
  ASSERT_TRUE(first);
  ServerOptions options = test_options();
  options.listen = (*first)->address();
  const auto second = Server::open(options);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(second.error().message.find("port " + options.listen.substr(10)), std::string::npos);
}

TEST(HttpServerOpen, RefusesMalformedOptions) {
  for (const char* listen : {"", "8080", "127.0.0.1", "127.0.0.1:99999", "example.org:80", "127.0.0.1:x"}) {
    ServerOptions options = test_options();
    options.listen = listen;
    EXPECT_EQ(Server::open(options).error().code, ErrorCode::kInvalidArgument) << listen;
  }
  ServerOptions options = test_options();
  options.tokens = {{"abc", "admin"}};
  EXPECT_EQ(Server::open(options).error().code, ErrorCode::kInvalidArgument);
}

TEST(Problem, KeepsTextAndEscapesOtherBytes) {
  Request request;
  request.path = "/a\"b";
  EXPECT_NE(problem(400, "x", "grüße \"q\" \n", request).body.find("\"grüße \\\"q\\\" \\u000a\""), std::string::npos);
  EXPECT_NE(problem(400, "x", "\xff", request).body.find("\"\\u00ff\""), std::string::npos);
  const Response with_field = problem(Error{ErrorCode::kInvalidArgument, "too many", "/gpus"}, request);
  EXPECT_EQ(with_field.status, 422);
  EXPECT_NE(with_field.body.find("\"pointer\":\"/gpus\""), std::string::npos);
}

TEST(Head, DataCannotStartAnotherHeader) {
  Response response;
  response.headers["X-Name"] = "a\r\nSet-Cookie: b";
  const std::string head = format_head(response, BodyFraming::kLength, 0, true, "1");
  EXPECT_EQ(head.find("\r\nSet-Cookie"), std::string::npos);
}

TEST(Sha256, MatchesTheStandardsExample) {
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace aether::http
