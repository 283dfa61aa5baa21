#include "ai_core/ai_core.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <stdexcept>

#include "ai_core/wire.h"
#include "base/rng.h"
#include "http/client.h"
#include "predictor/features.h"
#include "predictor/test_model.h"
#include "predictor/xgboost/xgboost_predictor.h"

namespace aether::ai_core {
namespace {

using Json = nlohmann::json;

Error refused(const std::string& body) {
  const auto request = decode_predict_request(body);
  if (!request) return request.error();
  ADD_FAILURE() << "accepted: " << body;
  return {};
}

TEST(PredictBody, TakesTheTelemetryNames) {
  const auto request = decode_predict_request(R"({"job_type":"inference","job":{"gpus":2,"gpu_mem_mb":4096,"name":"x"},"explain":true,
    "candidates":[{"gpu_id":"a","temperature_c":61,"memory_used_mb":1024.5,"utilization_gpu":null,"throttling_reasons":"sw_thermal",
                   "clock_mem_mhz":1,"power_draw_w":2e2}]})");
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(request->job_type, JobType::kInference);
  EXPECT_EQ(request->gpus, 2);
  EXPECT_EQ(request->gpu_mem_mb, 4096);
  EXPECT_TRUE(request->explain);
  const CandidateFeatures& gpu = request->candidates.at(0);
  EXPECT_EQ(gpu.gpu_uuid, GpuUuid("a"));
  EXPECT_EQ(gpu.temperature_c, 61);
  EXPECT_EQ(gpu.memory_used_mb, 1024.5);
  EXPECT_EQ(gpu.utilization_gpu, std::nullopt);
  EXPECT_EQ(gpu.power_draw_w, 200);
  EXPECT_EQ(gpu.throttling_reasons, "sw_thermal");
}

TEST(PredictBody, TakesTheOriginalsNames) {
  const auto request = decode_predict_request(R"({"candidates":[
    {"gpu_id":"a","gpu_temp":70,"gpu_mem_used":2048,"utilization_gpu":5,"power_draw_w":80,"throttling_reasons":"None"},
    {"gpu_id":"b","gpu_temp":70,"temperature_c":50,"throttling_reasons":["hw_thermal","power_cap"]}]})");
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(request->job_type, JobType::kTraining);
  EXPECT_FALSE(request->explain);
  EXPECT_EQ(request->candidates[0].temperature_c, 70);
  EXPECT_EQ(request->candidates[0].memory_used_mb, 2048);
  EXPECT_EQ(request->candidates[1].temperature_c, 50) << "the telemetry name wins";
  EXPECT_EQ(request->candidates[1].throttling_reasons, "hw_thermal|power_cap");
}

TEST(PredictBody, WhatIsNoJsonObjectIsMalformed) {
  for (const char* body : {"", "[]", "{", "nonsense", "{\"candidates\":[}", "\"text\"", "{\"a\":\"\\ud800\"}", "{} {}"})
    EXPECT_EQ(refused(body).code, ErrorCode::kCorrupt) << body;
}

TEST(PredictBody, AWrongValueIsRefusedByCandidateAndField) {
  const Error text = refused(R"({"candidates":[{"gpu_id":"a"},{"gpu_id":"b","temperature_c":"hot"}]})");
  EXPECT_EQ(text.code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(text.field, "/candidates/1/temperature_c");
  EXPECT_THAT(text.message, testing::AllOf(testing::HasSubstr("'b'"), testing::HasSubstr("temperature_c")));
  EXPECT_EQ(refused(R"({"candidates":[{"temperature_c":1}]})").field, "/candidates/0/gpu_id");
  EXPECT_EQ(refused(R"({"candidates":[{"gpu_id":7}]})").field, "/candidates/0/gpu_id");
  EXPECT_EQ(refused(R"({"candidates":[{"gpu_id":""}]})").field, "/candidates/0/gpu_id");
  EXPECT_EQ(refused(R"({"candidates":[7]})").field, "/candidates/0");
  EXPECT_EQ(refused(R"({"candidates":{}})").field, "/candidates");
  EXPECT_EQ(refused(R"({"candidates":[{"gpu_id":"a","throttling_reasons":7}]})").field, "/candidates/0/throttling_reasons");
  EXPECT_EQ(refused(R"({"candidates":[{"gpu_id":"a","gpu_temp":true}]})").field, "/candidates/0/gpu_temp");
  EXPECT_EQ(refused(R"({})").field, "/candidates");
  EXPECT_EQ(refused(R"({"candidates":[],"job_type":"mining"})").field, "/job_type");
  EXPECT_EQ(refused(R"({"candidates":[],"job":{"gpus":1.5}})").field, "/job/gpus");
  EXPECT_EQ(refused(R"({"candidates":[],"job":{"gpu_mem_mb":"big"}})").field, "/job/gpu_mem_mb");
  EXPECT_EQ(refused(R"({"candidates":[],"job":7})").field, "/job");
  EXPECT_EQ(refused(R"({"candidates":[],"explain":1})").field, "/explain");
}

// Python's json.dumps writes these although JSON has no such numbers.
TEST(PredictBody, NumbersThatAreNotFiniteAreRefusedByCandidateAndField) {
  for (const char* value : {"NaN", "Infinity", "-Infinity", "1e999", "-1e400"}) {
    const Error error = refused(fmt::format(R"({{"candidates":[{{"gpu_id":"a NaN","power_draw_w":{}}}]}})", value));
    EXPECT_EQ(error.code, ErrorCode::kInvalidArgument) << value;
    EXPECT_EQ(error.field, "/candidates/0/power_draw_w") << value;
    EXPECT_THAT(error.message, testing::HasSubstr(value));
  }
  EXPECT_EQ(refused(R"({"candidates":[{"gpu_id":"a","clock_mem_mhz":NaN}]})").code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused(R"({"candidates":[{"gpu_id":NaN}]})").code, ErrorCode::kInvalidArgument);
}

TEST(PredictBody, DamagedTextIsNeverMoreThanAnError) {
  const std::string good = R"({"job_type":"training","job":{"gpus":1},"candidates":[{"gpu_id":"a","gpu_temp":-6.5e1,"throttling_reasons":["x"]}]})";
  ASSERT_TRUE(decode_predict_request(good));
  Rng rng(11);
  int errors = 0;
  for (int i = 0; i < 5000; ++i) {
    std::string damaged = good.substr(0, good.size() - (rng.chance(0.3) ? rng.below(good.size()) : 0));
    for (int k = 0; k < 3 && !damaged.empty(); ++k) damaged[rng.below(damaged.size())] = static_cast<char>(rng.below(256));
    errors += !decode_predict_request(damaged);
    static_cast<void>(decode_anomaly_request(damaged));
  }
  EXPECT_GT(errors, 2500);
}

TEST(AnomalyBody, IsAListOfSamples) {
  const auto samples = decode_anomaly_request(R"({"samples":[{"gpu_id":"a","ts":"2026-01-15T09:42:17Z","gpu_temp":90}]})");
  ASSERT_TRUE(samples);
  EXPECT_EQ(samples->at(0).gpu_uuid, GpuUuid("a"));
  EXPECT_EQ(samples->at(0).features.temperature_c, 90);
  EXPECT_EQ(decode_anomaly_request(R"({"samples":[{"gpu_id":"a","gpu_temp":"x"}]})").error().field, "/samples/0/gpu_temp");
  EXPECT_EQ(decode_anomaly_request(R"({"candidates":[]})").error().field, "/samples");
}

class AiCoreOverHttp : public testing::Test {
 protected:
  AiCoreOverHttp() {
    if (!model_.load(trained_directory())) throw std::runtime_error("no model");
    http::ServerOptions options;
    options.tokens = {{http::sha256_hex("aeth_token"), "admin"}};
    auto opened = http::Server::open(options);
    if (!opened) throw std::runtime_error(opened.error().message);
    server_ = std::move(*opened);
    core_.register_routes(*server_);
    server_->start();
  }
  ~AiCoreOverHttp() override { server_->stop(); }

  http::ClientResponse send(const std::string& method, const std::string& path, const std::string& body = {},
                            const std::string& token = "aeth_token") {
    http::Client client({.base_url = "http://" + server_->address(), .token = token});
    auto response = client.request(method, path, body);
    if (!response) throw std::runtime_error(response.error().message);
    return *response;
  }

  xgboost::XgboostPredictor model_;
  AiCore core_{model_, {}};
  std::unique_ptr<http::Server> server_;
};

constexpr const char* kTwo = R"({"candidates":[{"gpu_id":"hot","gpu_temp":88,"gpu_mem_used":9000,"utilization_gpu":97,
  "power_draw_w":300,"throttling_reasons":"sw_thermal"},{"gpu_id":"cool","gpu_temp":31,"gpu_mem_used":10,"utilization_gpu":0,
  "power_draw_w":40,"throttling_reasons":"None"}],"job_type":"training"})";

TEST_F(AiCoreOverHttp, TheReplyHasTheKeysOfTheContractInOrder) {
  const http::ClientResponse response = send("POST", "/predict", kTwo);
  ASSERT_EQ(response.status, 200) << response.body;
  const auto reply = nlohmann::ordered_json::parse(response.body);
  std::vector<std::string> keys;
  for (const auto& [key, value] : reply.items()) keys.push_back(key);
  EXPECT_THAT(keys, testing::ElementsAre("best_gpu_id", "scores", "ranking", "runtime_s", "peak_vram_mb", "model",
                                         "missing_features", "fallback"));
  EXPECT_EQ(reply["best_gpu_id"], "cool");
  EXPECT_EQ(reply["ranking"], nlohmann::ordered_json::parse(R"(["cool","hot"])"));
  EXPECT_GT(reply["scores"]["cool"], reply["scores"]["hot"]);
  EXPECT_TRUE(reply["runtime_s"].is_null());
  EXPECT_EQ(reply["fallback"], false);
  EXPECT_EQ(reply["model"]["features_sha256"].get<std::string>().size(), 64u);
  EXPECT_THAT(reply["missing_features"].get<std::vector<std::string>>(), testing::Contains("clock_share"));
}

TEST_F(AiCoreOverHttp, ContributionsComeWhenAskedFor) {
  std::string body = kTwo;
  body.insert(1, R"("explain":true,)");
  const Json reply = Json::parse(send("POST", "/predict", body).body);
  ASSERT_EQ(reply["contributions"]["hot"].size(), kFeatureCount + 1);
  EXPECT_EQ(reply["contributions"]["hot"][0]["feature"], "temperature_c");
  EXPECT_EQ(reply["contributions"]["hot"][0]["value"], 88);
  EXPECT_TRUE(reply["contributions"]["hot"][kFeatureCount]["value"].is_null()) << "bias";
}

TEST_F(AiCoreOverHttp, BadRequestsAreProblemsThatNameTheField) {
  const http::ClientResponse wrong = send("POST", "/predict", R"({"candidates":[{"gpu_id":"a","gpu_temp":NaN}]})");
  EXPECT_EQ(wrong.status, 422);
  const Json problem = Json::parse(wrong.body);
  EXPECT_EQ(problem["errors"][0]["pointer"], "/candidates/0/gpu_temp");
  EXPECT_THAT(problem["detail"].get<std::string>(), testing::HasSubstr("'a'"));
  EXPECT_EQ(send("POST", "/predict", R"({"candidates":[]})").status, 422);
  EXPECT_EQ(send("POST", "/predict", R"({"candidates":[{"gpu_id":"a"},{"gpu_id":"a"}]})").status, 422);
  EXPECT_EQ(send("POST", "/predict", "{").status, 400);
  EXPECT_EQ(send("GET", "/predict").status, 405);
  EXPECT_EQ(core_.counters().refused, 4u);
}

TEST_F(AiCoreOverHttp, APostNeedsTheToken) {
  EXPECT_EQ(send("POST", "/predict", kTwo, "").status, 401);
  EXPECT_EQ(send("POST", "/anomaly", "{}", "aeth_other").status, 401);
  EXPECT_EQ(send("GET", "/healthz", "", "").status, 200);
}

TEST_F(AiCoreOverHttp, AnomaliesCarryTheirReasons) {
  const http::ClientResponse response =
      send("POST", "/anomaly", R"({"samples":[{"gpu_id":"a","utilization_gpu":0,"gpu_temp":99},{"gpu_id":"b"}]})");
  ASSERT_EQ(response.status, 200) << response.body;
  const Json reply = Json::parse(response.body);
  EXPECT_EQ(reply["results"][0]["anomaly"], true);
  EXPECT_EQ(reply["results"][0]["reasons"][0]["feature"], "temperature_c");
  EXPECT_LT(reply["results"][0]["reasons"][0]["expected"][1], 99);
  EXPECT_EQ(reply["results"][1]["anomaly"], false);
  EXPECT_EQ(reply["model"]["name"], "gpu-fitness");
}

TEST_F(AiCoreOverHttp, LongListsAreAnsweredTooAndInTheSameWay) {
  std::string body = R"({"candidates":[)";
  for (std::size_t i = 0; i < kMaxCandidates; ++i)
    body += fmt::format(R"({}{{"gpu_id":"g{:04}","gpu_temp":{},"utilization_gpu":{}}})", i == 0 ? "" : ",", i, 30 + i % 60, i % 100);
  const http::ClientResponse response = send("POST", "/predict", body + "]}");
  ASSERT_EQ(response.status, 200) << response.body.substr(0, 300);
  const Json reply = Json::parse(response.body);
  EXPECT_EQ(reply["ranking"].size(), kMaxCandidates);
  const Json alone = Json::parse(send("POST", "/predict", R"({"candidates":[{"gpu_id":"g0007","gpu_temp":37,"utilization_gpu":7}]})").body);
  EXPECT_EQ(alone["scores"]["g0007"], reply["scores"]["g0007"]);
}

TEST(AiCoreWithoutModel, IsUnavailableUntilOneIsLoaded) {
  xgboost::XgboostPredictor model;
  AiCore core(model, {});
  http::ServerOptions options;
  options.tokens = {{http::sha256_hex("aeth_token"), "admin"}};
  auto server = http::Server::open(options);
  ASSERT_TRUE(server);
  core.register_routes(**server);
  (*server)->start();
  http::Client client({.base_url = "http://" + (*server)->address(), .token = "aeth_token"});
  EXPECT_EQ(client.request("GET", "/healthz")->status, 503);
  EXPECT_EQ(client.request("POST", "/predict", kTwo)->status, 503);
  ASSERT_TRUE(model.load(trained_directory()));
  EXPECT_EQ(client.request("GET", "/healthz")->status, 200);
  EXPECT_EQ(client.request("POST", "/predict", kTwo)->status, 200);
  (*server)->stop();
}

}  // namespace
}  // namespace aether::ai_core
