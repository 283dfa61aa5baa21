#pragma once
// The model behind `aether ai-core`: one HTTP request per call (in parts of 1,024 candidates).
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "http/client.h"
#include "predictor/http/circuit_breaker.h"
#include "predictor/predictor.h"

namespace aether {

struct HttpPredictorOptions {
  std::string base_url = {};                       // "http://127.0.0.1:8000"
  std::string token = {};                          // POST needs one
  std::chrono::milliseconds model_deadline{1000};  // of model()
  CircuitBreaker::Options breaker = {};
};

// Thread-safe; concurrent calls use connections of their own. Beyond the port's errors: kCorrupt for a reply that makes no
// sense, kUnauthenticated and kPermissionDenied for the token. After breaker.failures of kUnavailable, kTimeout or
// kCorrupt in a row, kUnavailable at once for breaker.pause.
class HttpPredictor final : public Predictor {
 public:
  HttpPredictor(HttpPredictorOptions options, const Clock& clock);
  ~HttpPredictor() override;

  Result<Prediction> predict(const PredictRequest& request, std::chrono::milliseconds deadline) override;
  Result<std::vector<AnomalyVerdict>> anomaly(const std::vector<AnomalySample>& samples,
                                              std::chrono::milliseconds deadline) override;
  Result<ModelVersion> model() override;

 private:
  using ClientPtr = std::unique_ptr<http::Client>;
  // The body of a reply with status 200; everything else is an error. Feeds the breaker.
  Result<std::string> call(const char* method, const char* path, const std::string& body, std::chrono::milliseconds deadline);
  Result<std::string> exchange(const char* method, const char* path, const std::string& body,
                               std::chrono::milliseconds deadline);
  ClientPtr take_client(std::chrono::milliseconds deadline);
  void keep_client(std::chrono::milliseconds deadline, ClientPtr client);
  template <class Value>
  Result<Value> noted(Result<Value> result);

  const HttpPredictorOptions options_;
  const Clock& clock_;
  CircuitBreaker breaker_;
  std::mutex mutex_;
  std::vector<std::pair<std::chrono::milliseconds, ClientPtr>> idle_clients_;  // by their timeout
};

}  // namespace aether
