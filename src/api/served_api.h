#pragma once
// For tests: the API over a fake orchestrator on a real server, and requests that come back as JSON.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/api.h"
#include "api/fake_control.h"
#include "http/raw_client.h"

namespace aether::api {

using Json = nlohmann::json;

inline constexpr const char* kBearer = "Authorization: Bearer aeth_test\r\n";

struct Reply {
  int status = 0;
  std::map<std::string, std::string> headers;
  std::string body;
  Json json;
};

class ServedApi : public testing::Test {
 protected:
  void serve(ApiOptions options = {}, Store* store = nullptr, bool anonymous_reads = true) {
    options.version = "0.1.0";
    JobSpec demo;
    demo.argv = {"sleep", "5"};
    demo.gpus = 2;
    options.job_types.emplace("training", demo);
    api_ = std::make_unique<Api>(control_, store, clock_, std::move(options));
    http::ServerOptions server_options;
    server_options.tokens = {{http::sha256_hex("aeth_test"), "admin"}};
    server_options.anonymous_reads = anonymous_reads;
    // A test's slow client is slow, not gone, however busy the machine is.
    server_options.limits.socket_progress_timeout = server_options.limits.socket_silence_timeout = std::chrono::minutes(1);
    auto server = http::Server::open(server_options);
    ASSERT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
    api_->register_on(*server_, true);
    api_->start();
    server_->start();
  }
  void TearDown() override {
    if (api_) api_->stop();
    server_.reset();
  }
  Reply ask(const std::string& method, const std::string& target, const std::string& headers = {},
            const std::string& body = {}) {
    http::RawClient client(server_->address());
    const auto response = client.request(method, target, headers, body);
    if (!response) return {};
    Reply reply{response->status, response->headers, response->body, nullptr};
    if (response->headers.contains("content-type") &&
        response->headers.at("content-type").find("json") != std::string::npos && method != "HEAD")
      reply.json = Json::parse(response->body);
    return reply;
  }
  Reply get(const std::string& target, const std::string& headers = {}) { return ask("GET", target, headers); }
  Reply write(const std::string& method, const std::string& target, const std::string& body = {},
              const std::string& headers = {}) {
    return ask(method, target, std::string(kBearer) + "Content-Type: application/json\r\n" + headers, body);
  }
  Reply post(const std::string& target, const std::string& body = {}, const std::string& headers = {}) {
    return write("POST", target, body, headers);
  }

  FakeControl control_;
  ManualClock clock_{Time(std::chrono::hours(24 * 365 * 56))};
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<Api> api_;
};

}  // namespace aether::api
