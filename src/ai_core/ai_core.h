#pragma once
// The prediction service: POST /predict, POST /anomaly, GET /healthz (API.md §1.2) over a Predictor.
// Small requests are answered on the server's network thread, the others on one thread of its own, so that a long list
// does not hold up short ones.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <thread>

#include "base/bounded_queue.h"
#include "http/server.h"
#include "predictor/predictor.h"

namespace aether::ai_core {

struct Options {
  std::chrono::milliseconds deadline{1000};  // of one prediction
  std::size_t inline_bytes = 32 * 1024;      // longer bodies, and those asking for contributions, leave the network thread
};

struct Counters {
  std::uint64_t predictions = 0, anomaly_checks = 0, refused = 0;  // refused: any answer of 400 and more
};

// Lives from before server.start() until after server.stop().
class AiCore {
 public:
  AiCore(Predictor& predictor, Options options);
  ~AiCore();
  AiCore(const AiCore&) = delete;
  AiCore& operator=(const AiCore&) = delete;

  void register_routes(http::Server& server);
  Counters counters() const;

 private:
  using Answer = http::Response (AiCore::*)(const http::Request&);
  void dispatch(const http::Request& request, http::Responder respond, Answer answer);
  http::Response predict(const http::Request& request);
  http::Response anomaly(const http::Request& request);
  http::Response health(const http::Request& request);
  http::Response refuse(const Error& error, const http::Request& request);
  void work();

  Predictor& predictor_;
  const Options options_;
  std::atomic<std::uint64_t> predictions_{0}, anomaly_checks_{0}, refused_{0};
  BoundedQueue<std::function<void()>> tasks_{64, WhenFull::kReject};
  std::thread worker_;
};

}  // namespace aether::ai_core
