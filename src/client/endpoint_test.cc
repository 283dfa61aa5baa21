#include "client/endpoint.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/files.h"
#include "client/fake_api.h"

namespace aether::client {
namespace {

constexpr const char* kApi = "http://127.0.0.1:8080";

class EndpointTest : public testing::Test {
 protected:
  void record_endpoint() { ASSERT_TRUE(write_endpoint(dir.path(), {kApi, "http://127.0.0.1:3000", 42})); }
  ConnectionRequest request(std::string server = {}, std::string token_file = {}) const {
    return {std::move(server), std::move(token_file), dir.path()};
  }
  TemporaryDirectory dir;
};

TEST_F(EndpointTest, WhatIsWrittenIsRead) {
  record_endpoint();
  EXPECT_EQ(read_endpoint(dir.path()).value(), (Endpoint{kApi, "http://127.0.0.1:3000", 42}));
  ASSERT_TRUE(remove_endpoint(dir.path()));
  EXPECT_EQ(read_endpoint(dir.path()).error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(remove_endpoint(dir.path())) << "removing twice is no error";
}

TEST_F(EndpointTest, TheTokenIsMadeOnceAndPrivate) {
  const std::string token = ensure_token(dir.path() + "/new").value();
  EXPECT_EQ(token.size(), 5u + 64u);
  EXPECT_EQ(ensure_token(dir.path() + "/new").value(), token);
  struct stat info {};
  ASSERT_EQ(stat((dir.path() + "/new/token").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  ASSERT_EQ(stat((dir.path() + "/new").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

TEST_F(EndpointTest, RefusesATokenFileThatOthersCanRead) {
  ASSERT_TRUE(ensure_token(dir.path()));
  const std::string path = token_path(dir.path());
  for (const unsigned mode : {0640u, 0604u, 0620u, 0666u}) {
    ASSERT_EQ(chmod(path.c_str(), mode), 0);
    const auto token = read_token(path);
    ASSERT_FALSE(token) << std::oct << mode;
    EXPECT_EQ(token.error().code, ErrorCode::kPermissionDenied);
    EXPECT_NE(token.error().message.find("chmod 600 " + path), std::string::npos) << token.error().message;
    EXPECT_FALSE(ensure_token(dir.path())) << "and makes no new one in its place";
  }
  ASSERT_EQ(chmod(path.c_str(), 0400), 0);
  EXPECT_TRUE(read_token(path));
}

TEST_F(EndpointTest, RefusesLinksAndFilesThatHoldNoToken) {
  ASSERT_TRUE(ensure_token(dir.path()));
  const std::string link = dir.path() + "/link", other = dir.path() + "/other";
  ASSERT_EQ(symlink(token_path(dir.path()).c_str(), link.c_str()), 0);
  EXPECT_EQ(read_token(link).error().code, ErrorCode::kPermissionDenied);
  EXPECT_EQ(read_token(dir.path()).error().code, ErrorCode::kCorrupt);
  for (const char* content : {"", "hello\n", "aeth_\n", "aeth_0123456789abcdef0123456789abcdef\nX: y\n"}) {
    ASSERT_TRUE(write_file_durably(other, content));
    EXPECT_EQ(read_token(other).error().code, ErrorCode::kCorrupt) << content;
  }
}

TEST_F(EndpointTest, WithoutAnythingItIsTheDefaultAndNoToken) {
  const auto connection = find_connection(request());
  ASSERT_TRUE(connection);
  EXPECT_EQ(connection->api, kDefaultServer);
  EXPECT_EQ(connection->token, "");
  EXPECT_NE(connection->no_token_because, "");
}

TEST_F(EndpointTest, TheTokenGoesOnlyToTheRecordedAddress) {
  record_endpoint();
  const std::string token = ensure_token(dir.path()).value();
  EXPECT_EQ(find_connection(request())->token, token);
  EXPECT_EQ(find_connection(request())->api, kApi);
  EXPECT_EQ(find_connection(request("HTTP://127.0.0.1:8080/"))->token, token);
  EXPECT_EQ(find_connection(request("http://127.0.0.1:3000"))->token, token)
      << "the dashboard serves the same API";
  for (const char* elsewhere : {"http://127.0.0.1:8081", "https://127.0.0.1:8080", "http://example.org",
                                "http://127.0.0.1:8080@evil.example"})
    EXPECT_EQ(find_connection(request(elsewhere))->token, "") << elsewhere;
}

TEST_F(EndpointTest, ATokenWithoutARecordedAddressGoesNowhere) {
  ASSERT_TRUE(ensure_token(dir.path()));
  EXPECT_EQ(find_connection(request())->token, "");
  EXPECT_EQ(find_connection(request(kApi))->token, "");
}

TEST_F(EndpointTest, ANamedTokenFileGoesToTheNamedServerButNeverInPlainTextOverTheNet) {
  const std::string token = ensure_token(dir.path()).value(), file = token_path(dir.path());
  for (const char* server :
       {"http://127.0.0.1:9999", "http://localhost:9999", "http://[::1]:9999", "https://gpu.example.org"})
    EXPECT_EQ(find_connection(request(server, file))->token, token) << server;
  for (const char* server : {"http://gpu.example.org", "http://127.0.0.1.example.org",
                             "http://127.0.0.1@example.org", "http://[::1].example.org"})
    EXPECT_EQ(find_connection(request(server, file)).error().code, ErrorCode::kPermissionDenied) << server;
  EXPECT_EQ(find_connection(request(kApi, dir.path() + "/none")).error().code, ErrorCode::kNotFound);
}

TEST_F(EndpointTest, AnUnreadableTokenIsExplainedAndReadsGoOn) {
  record_endpoint();
  ASSERT_TRUE(ensure_token(dir.path()));
  ASSERT_EQ(chmod(token_path(dir.path()).c_str(), 0644), 0);
  const auto connection = find_connection(request());
  ASSERT_TRUE(connection);
  EXPECT_EQ(connection->token, "");
  EXPECT_NE(connection->no_token_because.find("chmod 600"), std::string::npos);
}

TEST_F(EndpointTest, ABrokenEndpointFileIsCorrupt) {
  for (const char* content : {"", "{", "[]", R"({"dashboard":"x"})", R"({"api":7})"}) {
    ASSERT_TRUE(write_file_durably(endpoint_path(dir.path()), content));
    EXPECT_EQ(read_endpoint(dir.path()).error().code, ErrorCode::kCorrupt) << content;
  }
}

TEST(StateDirectory, PrefersTheOptionThenTheEnvironment) {
  ASSERT_EQ(setenv("AETHER_STATE_DIR", "/from/environment", 1), 0);
  EXPECT_EQ(state_directory("/given"), "/given");
  EXPECT_EQ(state_directory(""), "/from/environment");
  unsetenv("AETHER_STATE_DIR");
  ASSERT_EQ(setenv("XDG_STATE_HOME", "/xdg", 1), 0);
  EXPECT_EQ(state_directory(""), geteuid() == 0 ? "/var/lib/aether" : "/xdg/aether");
  unsetenv("XDG_STATE_HOME");
}

}  // namespace
}  // namespace aether::client
