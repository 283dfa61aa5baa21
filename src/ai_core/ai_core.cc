#include "ai_core/ai_core.h"

#include <utility>

#include "ai_core/wire.h"

namespace aether::ai_core {
namespace {

// Contributions are asked for inside the body; looking for the key's text is enough to choose the thread.
bool asks_to_explain(const std::string& body) { return body.find("\"explain\"") != std::string::npos; }

}  // namespace

AiCore::AiCore(Predictor& predictor, Options options)
    : predictor_(predictor), options_(options), worker_([this] { work(); }) {}

AiCore::~AiCore() {
  tasks_.close();
  worker_.join();
}

void AiCore::work() {
  while (!tasks_.closed())
    for (const auto& task : tasks_.drain(std::chrono::milliseconds(500))) task();
  for (const auto& task : tasks_.drain(std::chrono::microseconds(0))) task();
}

void AiCore::register_routes(http::Server& server) {
  server.route_async("POST", "/predict", http::Access::kWrite, [this](const http::Request& request, http::Responder respond) {
    dispatch(request, std::move(respond), &AiCore::predict);
  });
  server.route_async("POST", "/anomaly", http::Access::kWrite, [this](const http::Request& request, http::Responder respond) {
    dispatch(request, std::move(respond), &AiCore::anomaly);
  });
  server.route("GET", "/healthz", http::Access::kPublic, http::Run::kInline,
               [this](const http::Request& request) { return health(request); });
}

void AiCore::dispatch(const http::Request& request, http::Responder respond, Answer answer) {
  if (request.body.size() <= options_.inline_bytes && !asks_to_explain(request.body)) {
    respond((this->*answer)(request));
    return;
  }
  const auto copy = std::make_shared<const http::Request>(request);
  const auto reply = std::make_shared<http::Responder>(std::move(respond));
  if (tasks_.push([this, copy, reply, answer] { (*reply)((this->*answer)(*copy)); })) return;
  (*reply)(refuse({ErrorCode::kUnavailable, "the prediction queue is full; try again", {}}, request));
}

http::Response AiCore::refuse(const Error& error, const http::Request& request) {
  refused_.fetch_add(1, std::memory_order_relaxed);
  if (error.code == ErrorCode::kCorrupt) return http::problem(400, "malformed", error.message, request);
  return http::problem(error, request);
}

http::Response AiCore::predict(const http::Request& request) {
  const auto decoded = decode_predict_request(request.body);
  if (!decoded) return refuse(decoded.error(), request);
  const auto prediction = predictor_.predict(*decoded, options_.deadline);
  if (!prediction) return refuse(prediction.error(), request);
  predictions_.fetch_add(1, std::memory_order_relaxed);
  return http::json(200, encode_prediction(*prediction, decoded->explain));
}

http::Response AiCore::anomaly(const http::Request& request) {
  const auto samples = decode_anomaly_request(request.body);
  if (!samples) return refuse(samples.error(), request);
  const auto model = predictor_.model();
  if (!model) return refuse(model.error(), request);
  const auto verdicts = predictor_.anomaly(*samples, options_.deadline);
  if (!verdicts) return refuse(verdicts.error(), request);
  anomaly_checks_.fetch_add(1, std::memory_order_relaxed);
  return http::json(200, encode_anomaly(*verdicts, *model));
}

http::Response AiCore::health(const http::Request& request) {
  const auto model = predictor_.model();
  if (!model) return http::problem(503, "no_model", model.error().message, request);
  return http::json(200, encode_health(*model));
}

Counters AiCore::counters() const {
  return {predictions_.load(std::memory_order_relaxed), anomaly_checks_.load(std::memory_order_relaxed),
          refused_.load(std::memory_order_relaxed)};
}

}  // namespace aether::ai_core
