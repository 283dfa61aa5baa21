#include "predictor/http/http_predictor.h"

#include <atomic>
#include <future>
#include <stdexcept>
#include <thread>

#include "ai_core/ai_core.h"
#include "http/scripted_server.h"
#include "http/server.h"
#include "predictor/contract_test.h"
#include "predictor/http/wire.h"
#include "predictor/xgboost/xgboost_predictor.h"

namespace aether {
namespace {

constexpr const char* kToken = "aeth_test_token";

const SystemClock& system_clock() {
  static const SystemClock clock;
  return clock;
}

// A real AI core on a free port, and a predictor that talks to it.
class Service {
 public:
  explicit Service(Predictor& model, std::string token = kToken) : core_(model, {}) {
    http::ServerOptions options;
    options.tokens = {{http::sha256_hex(kToken), "admin"}};
    auto opened = http::Server::open(options);
    if (!opened) throw std::runtime_error(opened.error().message);
    server_ = std::move(*opened);
    core_.register_routes(*server_);
    server_->start();
    client_ = std::make_unique<HttpPredictor>(HttpPredictorOptions{.base_url = "http://" + server_->address(), .token = std::move(token)},
                                              system_clock());
  }
  ~Service() { server_->stop(); }
  HttpPredictor& client() { return *client_; }
  const ai_core::AiCore& core() const { return core_; }

 private:
  ai_core::AiCore core_;
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<HttpPredictor> client_;
};

class OverHttp final : public PredictorUnderTest {
 public:
  OverHttp() {
    const auto loaded = model_.load(trained_directory());
    if (!loaded) throw std::runtime_error(loaded.error().message);
  }
  Predictor& with_model() override { return full_.client(); }
  Predictor& without_model() override { return empty_.client(); }

 private:
  xgboost::XgboostPredictor model_, no_model_;
  Service full_{model_}, empty_{no_model_};
};

INSTANTIATE_TEST_SUITE_P(Http, PredictorContract, testing::Values([] { return std::make_unique<OverHttp>(); }));

TEST(HttpPredictor, GivesExactlyTheAnswersOfTheModelBehindIt) {
  xgboost::XgboostPredictor model;
  ASSERT_TRUE(model.load(trained_directory()));
  Service service(model);
  const PredictRequest request = request_of(50);
  const auto here = model.predict(request, seconds(20));
  const auto there = service.client().predict(request, seconds(20));
  ASSERT_TRUE(here && there);
  EXPECT_EQ(here->model, there->model);
  EXPECT_EQ(here->features_sha256, there->features_sha256);
  EXPECT_EQ(here->missing_features, there->missing_features);
  for (std::size_t i = 0; i < here->scores.size(); ++i) {
    EXPECT_EQ(here->scores[i].score, there->scores[i].score);
    EXPECT_EQ(here->scores[i].contributions, there->scores[i].contributions);
  }
  EXPECT_EQ(service.core().counters().predictions, 1u);
}

TEST(HttpPredictor, AWrongTokenIsSaidPlainly) {
  xgboost::XgboostPredictor model;
  ASSERT_TRUE(model.load(trained_directory()));
  Service service(model, "aeth_wrong");
  EXPECT_EQ(service.client().predict(request_of(2), seconds(20)).error().code, ErrorCode::kUnauthenticated);
  EXPECT_TRUE(service.client().model()) << "health needs no token";
}

TEST(HttpPredictor, ManyThreadsGetTheSameAnswers) {
  xgboost::XgboostPredictor model;
  ASSERT_TRUE(model.load(trained_directory()));
  Service service(model);
  const PredictRequest request = request_of(4);
  const auto expected = model.predict(request, seconds(20));
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 25; ++i) {
        const auto mine = service.client().predict(request, seconds(20));
        if (!mine || ranking(*mine) != ranking(*expected)) ++wrong;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

HttpPredictor client_of(const http::ScriptedServer& server, const Clock& clock = system_clock(), int failures = 1000) {
  return HttpPredictor({.base_url = server.url(), .token = kToken, .breaker = {.failures = failures}}, clock);
}

TEST(HttpPredictor, SendsTheTokenAndOnlyWhatIsKnown) {
  http::ScriptedServer server([](const http::ScriptedRequest&) { return http::scripted_reply(500, "{}"); });
  PredictRequest request;
  request.candidates.resize(1);
  request.candidates[0].gpu_uuid = GpuUuid("g");
  request.candidates[0].temperature_c = 61.5;
  EXPECT_FALSE(client_of(server).predict(request, seconds(5)));
  const http::ScriptedRequest seen = server.requests().at(0);
  EXPECT_EQ(seen.method + " " + seen.target, "POST /predict");
  EXPECT_EQ(seen.headers.at("authorization"), std::string("Bearer ") + kToken);
  EXPECT_EQ(seen.body, R"({"job_type":"training","job":{"gpus":1},"explain":true,"candidates":[{"gpu_id":"g","temperature_c":61.5}]})");
}

TEST(HttpPredictor, ASilentServiceIsATimeout) {
  std::promise<void> done;
  const auto released = done.get_future().share();
  {
    http::ScriptedServer server([released](const http::ScriptedRequest&) {
      released.wait();
      return std::string();
    });
    HttpPredictor client = client_of(server);
    EXPECT_EQ(client.predict(request_of(2), milliseconds(60)).error().code, ErrorCode::kTimeout);
    EXPECT_EQ(client.anomaly({{GpuUuid("a"), {}}}, milliseconds(60)).error().code, ErrorCode::kTimeout);
    done.set_value();
  }
}

TEST(HttpPredictor, EveryReplyThatMakesNoSenseIsCorrupt) {
  const std::string model = R"("model":{"name":"m","version":"1","features_sha256":"x"},"missing_features":[])";
  for (const std::string& body : std::vector<std::string>{
           "", "[]", "not json", "{}", "{" + model + "}", R"({"scores":{"GPU-0000":0.5,"GPU-0001":0.5}})",
           R"({"scores":{"GPU-0000":0.5},)" + model + "}", R"({"scores":{"GPU-0000":0.5,"GPU-0001":1.5},)" + model + "}",
           R"({"scores":{"GPU-0000":0.5,"GPU-0001":-0.1},)" + model + "}", R"({"scores":{"GPU-0000":0.5,"GPU-0001":"high"},)" + model + "}",
           R"({"scores":{"GPU-0000":0.5,"GPU-0001":0.5,"GPU-9":0.5},)" + model + "}",
           R"({"scores":{"GPU-0000":0.5,"GPU-0000":0.5},)" + model + "}", R"({"scores":[0.5,0.5],)" + model + "}",
           R"({"scores":{"GPU-0000":0.5,"GPU-0001":0.5},"contributions":{"GPU-0000":[{"feature":1}]},)" + model + "}",
           R"({"scores":{"GPU-0000":0.5,"GPU-0001":0.5},"contributions":{"GPU-9":[]},)" + model + "}"}) {
    http::ScriptedServer server([&](const http::ScriptedRequest&) { return http::scripted_reply(200, body); });
    const auto prediction = client_of(server).predict(request_of(2), seconds(5));
    ASSERT_FALSE(prediction) << body;
    EXPECT_EQ(prediction.error().code, ErrorCode::kCorrupt) << body;
  }
}

TEST(HttpPredictor, EveryVerdictThatMakesNoSenseIsCorrupt) {
  for (const std::string& body : std::vector<std::string>{
           "{}", R"({"results":[]})", R"({"results":[{"gpu_id":"b"}]})", R"({"results":[{"gpu_id":"a","anomaly":true,"score":0.9}]})",
           R"({"results":[{"gpu_id":"a","anomaly":true,"score":0.9,"threshold":0.5,"reasons":[{"feature":"t"}]}]})",
           R"({"results":[{"gpu_id":"a","anomaly":true,"score":0.9,"threshold":0.5,"reasons":[{"feature":"t","value":1,"expected":[0]}]}]})"}) {
    http::ScriptedServer server([&](const http::ScriptedRequest&) { return http::scripted_reply(200, body); });
    const auto verdicts = client_of(server).anomaly({{GpuUuid("a"), {}}}, seconds(5));
    ASSERT_FALSE(verdicts) << body;
    EXPECT_EQ(verdicts.error().code, ErrorCode::kCorrupt) << body;
  }
}

TEST(HttpPredictor, AnEmptyDetailDoesNotEmptyTheMessage) {
  EXPECT_EQ(decode_problem(500, R"({"detail":""})").message, "the AI core answered with status 500");
}

TEST(HttpPredictor, AStatusBecomesTheErrorItStandsFor) {
  const std::pair<int, ErrorCode> cases[] = {{422, ErrorCode::kInvalidArgument}, {401, ErrorCode::kUnauthenticated},
                                             {503, ErrorCode::kUnavailable}, {500, ErrorCode::kUnavailable},
                                             {504, ErrorCode::kTimeout}, {413, ErrorCode::kResourceExhausted}};
  for (const auto& [status, code] : cases) {
    http::ScriptedServer server([status = status](const http::ScriptedRequest&) {
      return http::scripted_reply(status, R"({"detail":"the reason","errors":[{"pointer":"/candidates/1"}]})");
    });
    const auto prediction = client_of(server).predict(request_of(2), seconds(5));
    ASSERT_FALSE(prediction);
    EXPECT_EQ(prediction.error().code, code) << status;
    EXPECT_EQ(prediction.error().message, "the reason");
    EXPECT_EQ(prediction.error().field, "/candidates/1");
  }
}

TEST(HttpPredictor, AFailingServiceIsLeftAloneForAWhile) {
  ManualClock clock;
  std::atomic<bool> healthy{false};
  http::ScriptedServer server([&](const http::ScriptedRequest&) {
    return healthy ? http::scripted_reply(200, R"({"model":{"name":"m","version":"1"}})") : http::scripted_reply(500, "{}");
  });
  HttpPredictor client = client_of(server, clock, 3);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(client.model().error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(server.requests().size(), 3u);
  healthy = true;
  const auto left_alone = client.predict(request_of(1), seconds(5));
  ASSERT_FALSE(left_alone);
  EXPECT_EQ(left_alone.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(left_alone.error().message, testing::HasSubstr("3 times in a row"));
  EXPECT_EQ(server.requests().size(), 3u) << "nobody called";
  clock.advance(seconds(1));
  EXPECT_TRUE(client.model());
  EXPECT_TRUE(client.model());
  EXPECT_EQ(server.requests().size(), 5u);
}

TEST(HttpPredictor, NobodyThereIsUnavailable) {
  int port = 0;
  {
    http::ScriptedServer server([](const http::ScriptedRequest&) { return std::string(); });
    port = server.port();
  }
  HttpPredictor client({.base_url = "http://127.0.0.1:" + std::to_string(port)}, system_clock());
  EXPECT_EQ(client.predict(request_of(1), seconds(5)).error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(client.model().error().code, ErrorCode::kUnavailable);
}

TEST(CircuitBreaker, OneTriesAfterThePauseAndTheOthersWait) {
  ManualClock clock;
  CircuitBreaker breaker({2, milliseconds(1000)}, clock);
  breaker.failed();
  EXPECT_TRUE(breaker.allow());
  breaker.failed();
  EXPECT_FALSE(breaker.allow());
  clock.advance(milliseconds(999));
  EXPECT_FALSE(breaker.allow());
  clock.advance(milliseconds(1));
  EXPECT_TRUE(breaker.allow());
  EXPECT_FALSE(breaker.allow());
  breaker.succeeded();
  EXPECT_TRUE(breaker.allow());
  breaker.failed();
  EXPECT_TRUE(breaker.allow()) << "only failures in a row count";
}

}  // namespace
}  // namespace aether
