#include "http/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "http/address.h"
#include "http/scripted_server.h"

namespace aether::http {
namespace {

Client client_of(const ScriptedServer& server, std::chrono::milliseconds timeout = std::chrono::seconds(10)) {
  return Client(ClientOptions{.base_url = server.url(), .timeout = timeout});
}

TEST(HttpClient, SendsMethodTargetBodyAndHeaders) {
  ScriptedServer server([](const ScriptedRequest&) { return scripted_reply(201, R"({"ok":true})"); });
  Client client({.base_url = server.url() + "/", .token = "aeth_test"});
  const auto response =
      client.request("POST", "/api/v1/jobs?dry_run=true", R"({"gpus":1})", {{"Idempotency-Key", "k1"}});
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->status, 201);
  EXPECT_EQ(response->body, R"({"ok":true})");
  EXPECT_EQ(response->headers.at("content-type"), "application/json");
  const ScriptedRequest seen = server.requests().at(0);
  EXPECT_EQ(seen.method, "POST");
  EXPECT_EQ(seen.target, "/api/v1/jobs?dry_run=true");
  EXPECT_EQ(seen.body, R"({"gpus":1})");
  EXPECT_EQ(seen.headers.at("idempotency-key"), "k1");
  EXPECT_EQ(seen.headers.at("content-type"), "application/json");
  EXPECT_EQ(seen.headers.at("authorization"), "Bearer aeth_test");
}

TEST(HttpClient, KeepsOneConnectionForSeveralRequests) {
  ScriptedServer server([](const ScriptedRequest& request) { return scripted_reply(200, request.method); });
  Client client = client_of(server);
  EXPECT_EQ(client.request("GET", "/a")->body, "GET");
  EXPECT_EQ(client.request("DELETE", "/b")->body, "DELETE");
  EXPECT_EQ(client.request("POST", "/c")->body, "POST");
  EXPECT_EQ(client.request("GET", "/d")->body, "GET");
  EXPECT_EQ(server.connection_count(), 1u);
  EXPECT_EQ(server.requests().at(3).headers.count("authorization"), 0u);
}

TEST(HttpClient, AnErrorStatusIsAResponse) {
  ScriptedServer server(
      [](const ScriptedRequest&) { return scripted_reply(404, R"({"code":"not_found"})"); });
  const auto response = client_of(server).request("GET", "/nothing");
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 404);
  EXPECT_EQ(response->body, R"({"code":"not_found"})");
}

TEST(HttpClient, NobodyThereIsUnavailable) {
  int port = 0;
  {
    ScriptedServer server([](const ScriptedRequest&) { return std::string(); });
    port = server.port();
  }
  Client client({.base_url = "http://127.0.0.1:" + std::to_string(port)});
  EXPECT_EQ(client.request("GET", "/").error().code, ErrorCode::kUnavailable);
}

TEST(HttpClient, ASilentServerIsATimeout) {
  ScriptedServer server([](const ScriptedRequest&) { return std::string(); });
  EXPECT_EQ(client_of(server, std::chrono::milliseconds(80)).request("GET", "/").error().code,
            ErrorCode::kTimeout);
}

TEST(HttpClient, AReplyCutShortIsUnavailable) {
  ScriptedServer server([](const ScriptedRequest&) {
    return std::string("HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\nhalf");
  });
  EXPECT_EQ(client_of(server).request("GET", "/").error().code, ErrorCode::kUnavailable);
}

TEST(HttpClient, AReplyLongerThanTheLimitIsRefused) {
  ScriptedServer server([](const ScriptedRequest&) { return scripted_reply(200, std::string(1025, 'x')); });
  Client client({.base_url = server.url(), .max_reply_bytes = 1024});
  EXPECT_EQ(client.request("GET", "/").error().code, ErrorCode::kResourceExhausted);
  Client wider({.base_url = server.url(), .max_reply_bytes = 1025});
  EXPECT_EQ(wider.request("GET", "/")->body.size(), 1025u);
}

TEST(HttpClient, FollowsNoRedirect) {
  ScriptedServer server(
      [](const ScriptedRequest&) { return scripted_reply(302, "", "text/plain", "Location: /other\r\n"); });
  const auto response = client_of(server).request("GET", "/");
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 302);
  EXPECT_EQ(server.requests().size(), 1u);
}

TEST(HttpClient, RefusesHeadersThatWouldBreakTheRequest) {
  ScriptedServer server([](const ScriptedRequest&) { return scripted_reply(200, ""); });
  Client client = client_of(server);
  EXPECT_EQ(client.request("GET", "/", {}, {{"X", "a\r\nY: b"}}).error().code, ErrorCode::kInvalidArgument);
  Client with_bad_token({.base_url = server.url(), .token = "a\nb"});
  EXPECT_EQ(with_bad_token.request("GET", "/").error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(server.requests().empty());
}

TEST(HttpClient, RefusesOtherProtocols) {
  EXPECT_EQ(Client({.base_url = "file:///etc"}).request("GET", "/passwd").error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(Client({.base_url = "gopher://127.0.0.1"}).request("GET", "/").error().code,
            ErrorCode::kInvalidArgument);
}

TEST(HttpClient, IgnoresTheProxyOfTheEnvironment) {
  ScriptedServer server([](const ScriptedRequest&) { return scripted_reply(200, "direct"); });
  ASSERT_EQ(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
  const auto response = client_of(server).request("GET", "/");
  unsetenv("http_proxy");
  ASSERT_TRUE(response);
  EXPECT_EQ(response->body, "direct");
}

TEST(HttpClientStream, HandsTheBodyOverInPieces) {
  ScriptedServer server([](const ScriptedRequest&) {
    return std::string(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nAether-Log-Offset: 7\r\n\r\n"
        "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  });
  std::string got;
  const auto response = client_of(server).stream("/log", [&](std::string_view bytes) {
    got += bytes;
    return true;
  });
  ASSERT_TRUE(response);
  EXPECT_EQ(got, "abcde");
  EXPECT_EQ(response->headers.at("aether-log-offset"), "7");
  EXPECT_TRUE(response->body.empty());
}

TEST(HttpClientStream, TheCallerEndsASilentTransfer) {
  ScriptedServer server([](const ScriptedRequest&) {
    return std::string(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");  // and then nothing, ever
  });
  std::string got;
  const auto response = client_of(server).stream("/log", [&](std::string_view bytes) {
    got += bytes;
    return !(bytes.empty() && got == "abc");
  });
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(got, "abc");
}

TEST(HttpClientStream, TheBodyOfAnErrorGoesToTheResponse) {
  ScriptedServer server([](const ScriptedRequest&) { return scripted_reply(404, "no such job"); });
  std::string got;
  const auto response = client_of(server).stream("/log", [&](std::string_view bytes) {
    got += bytes;
    return true;
  });
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 404);
  EXPECT_EQ(response->body, "no such job");
  EXPECT_EQ(got, "");
}

TEST(PublicInternetOnly, RefusesAddressesThatAreNotPublic) {
  for (const char* host :
       {"127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "[::1]", "[fe80::1]",
        "[fc00::1]", "[::ffff:127.0.0.1]", "[::ffff:8.8.8.8]", "0.0.0.0", "localhost"}) {
    Client client({.base_url = std::string("https://") + host, .public_internet_only = true});
    const auto response = client.request("GET", "/");
    ASSERT_FALSE(response) << host;
    EXPECT_EQ(response.error().code, ErrorCode::kPermissionDenied)
        << host << ": " << response.error().message;
  }
}

TEST(PublicInternetOnly, RefusesPlainHttp) {
  ScriptedServer server([](const ScriptedRequest&) { return scripted_reply(200, ""); });
  Client client({.base_url = server.url(), .public_internet_only = true});
  EXPECT_EQ(client.request("GET", "/").error().code, ErrorCode::kPermissionDenied);
  EXPECT_EQ(server.connection_count(), 0u);
}

TEST(PublicAddress, KnowsTheSpecialRanges) {
  for (const char* text :
       {"8.8.8.8", "172.15.0.1", "172.32.0.1", "100.128.0.1", "2a00:1450::1", "64:ff9b::808:808"})
    EXPECT_TRUE(is_public_address(text)) << text;
  for (const char* text :
       {"127.9.9.9", "100.64.0.1", "172.31.255.255", "192.0.2.1", "198.19.0.1", "224.0.0.1",
        "255.255.255.255", "::", "::1", "::7f00:1", "fec0::1", "ff02::1", "2001:db8::1", "2001::1",
        "2002:7f00:1::", "64:ff9b::7f00:1", "64:ff9b::a00:1", "no address", ""})
    EXPECT_FALSE(is_public_address(text)) << text;
}

TEST(UrlEncode, LeavesOnlyUnreservedCharacters) {
  EXPECT_EQ(url_encode("a b/c?d=é~"), "a%20b%2Fc%3Fd%3D%C3%A9~");
}

}  // namespace
}  // namespace aether::http
