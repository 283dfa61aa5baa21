#include "predictor/http/http_predictor.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <span>

#include <fmt/format.h>

#include "predictor/http/wire.h"

namespace aether {
namespace {

// The server takes bodies up to 1 MiB; a candidate with every field needs about 320 bytes.
constexpr std::size_t kCandidatesPerCall = 1024;
constexpr std::size_t kMaxIdleClients = 8;

bool is_failure_of_the_service(ErrorCode code) {
  return code == ErrorCode::kUnavailable || code == ErrorCode::kTimeout || code == ErrorCode::kCorrupt;
}

tl::unexpected<Error> too_late(std::chrono::milliseconds deadline) {
  return fail(ErrorCode::kTimeout, fmt::format("no answer from the AI core within {} ms", deadline.count()));
}

class Remaining {
 public:
  Remaining(const Clock& clock, std::chrono::milliseconds deadline) : clock_(clock), deadline_(deadline), start_(clock.mono()) {}
  std::chrono::milliseconds left() const {
    return deadline_ - std::chrono::duration_cast<std::chrono::milliseconds>(clock_.mono() - start_);
  }

 private:
  const Clock& clock_;
  std::chrono::milliseconds deadline_;
  Mono start_;
};

// What is missing in every part is missing in the whole.
void merge(Prediction& whole, Prediction part) {
  std::erase_if(whole.missing_features, [&](const std::string& name) {
    return std::find(part.missing_features.begin(), part.missing_features.end(), name) == part.missing_features.end();
  });
  std::move(part.scores.begin(), part.scores.end(), std::back_inserter(whole.scores));
}

// Each part explains its own best; the port promises those of the whole.
void keep_best_contributions(Prediction& prediction) {
  const std::vector<GpuUuid> order = ranking(prediction);
  if (order.size() <= kMaxRecordedCandidates) return;
  std::vector<GpuUuid> best(order.begin(), order.begin() + kMaxRecordedCandidates);
  std::sort(best.begin(), best.end());
  for (CandidateScore& score : prediction.scores)
    if (!std::binary_search(best.begin(), best.end(), score.gpu_uuid)) score.contributions.clear();
}

}  // namespace

HttpPredictor::HttpPredictor(HttpPredictorOptions options, const Clock& clock)
    : options_(std::move(options)), clock_(clock), breaker_(options_.breaker, clock) {}
HttpPredictor::~HttpPredictor() = default;

HttpPredictor::ClientPtr HttpPredictor::take_client(std::chrono::milliseconds deadline) {
  {
    std::lock_guard lock(mutex_);
    const auto at = std::find_if(idle_clients_.begin(), idle_clients_.end(), [&](const auto& c) { return c.first == deadline; });
    if (at != idle_clients_.end()) {
      ClientPtr client = std::move(at->second);
      idle_clients_.erase(at);
      return client;
    }
  }
  http::ClientOptions options;
  options.base_url = options_.base_url;
  options.token = options_.token;
  options.timeout = deadline;
  options.connect_timeout = deadline;
  return std::make_unique<http::Client>(std::move(options));
}

void HttpPredictor::keep_client(std::chrono::milliseconds deadline, ClientPtr client) {
  std::lock_guard lock(mutex_);
  if (idle_clients_.size() >= kMaxIdleClients) idle_clients_.erase(idle_clients_.begin());
  idle_clients_.emplace_back(deadline, std::move(client));
}

Result<std::string> HttpPredictor::exchange(const char* method, const char* path, const std::string& body,
                                            std::chrono::milliseconds deadline) {
  ClientPtr client = take_client(deadline);
  auto response = client->request(method, path, body);
  if (!response && response.error().code == ErrorCode::kTimeout) return too_late(deadline);
  if (!response) return fail_with_context("asking the AI core", response.error());
  keep_client(deadline, std::move(client));
  if (response->status == 200) return std::move(response->body);
  return fail(decode_problem(response->status, response->body));
}

Result<std::string> HttpPredictor::call(const char* method, const char* path, const std::string& body,
                                        std::chrono::milliseconds deadline) {
  if (deadline.count() <= 0) return too_late(deadline);
  if (!breaker_.allow())
    return fail(ErrorCode::kUnavailable,
                fmt::format("the AI core at {} failed {} times in a row; it is left alone for {} ms", options_.base_url,
                            options_.breaker.failures, options_.breaker.pause.count()));
  return noted(exchange(method, path, body, deadline));
}

template <class Value>
Result<Value> HttpPredictor::noted(Result<Value> result) {
  if (!result && is_failure_of_the_service(result.error().code)) breaker_.failed();
  if (!result && !is_failure_of_the_service(result.error().code)) breaker_.succeeded();  // it answered with a refusal
  return result;
}

Result<Prediction> HttpPredictor::predict(const PredictRequest& request, std::chrono::milliseconds deadline) {
  AETHER_TRY(validate(request));
  const Remaining remaining(clock_, deadline);
  const std::span<const CandidateFeatures> all(request.candidates);
  std::optional<Prediction> whole;
  for (std::size_t begin = 0; begin < all.size(); begin += kCandidatesPerCall) {
    const auto part = all.subspan(begin, std::min(kCandidatesPerCall, all.size() - begin));
    const auto left = begin == 0 ? deadline : remaining.left();
    const auto body = call("POST", "/predict", encode_predict_body(request, part), left);
    if (!body) return fail(body.error());
    auto prediction = noted(decode_prediction(*body, part));
    if (!prediction) return fail(prediction.error());
    breaker_.succeeded();
    if (whole && whole->model != prediction->model)
      return fail(ErrorCode::kUnavailable, "the AI core changed its model between two parts of one request; try again");
    if (whole) merge(*whole, std::move(*prediction));
    else whole = std::move(*prediction);
  }
  keep_best_contributions(*whole);
  return std::move(*whole);
}

Result<std::vector<AnomalyVerdict>> HttpPredictor::anomaly(const std::vector<AnomalySample>& samples,
                                                           std::chrono::milliseconds deadline) {
  AETHER_TRY(validate(samples));
  const Remaining remaining(clock_, deadline);
  const std::span<const AnomalySample> all(samples);
  std::vector<AnomalyVerdict> verdicts;
  for (std::size_t begin = 0; begin < all.size(); begin += kCandidatesPerCall) {
    const auto part = all.subspan(begin, std::min(kCandidatesPerCall, all.size() - begin));
    const auto left = begin == 0 ? deadline : remaining.left();
    const auto body = call("POST", "/anomaly", encode_anomaly_body(part), left);
    if (!body) return fail(body.error());
    auto decoded = noted(decode_verdicts(*body, part));
    if (!decoded) return fail(decoded.error());
    breaker_.succeeded();
    std::move(decoded->begin(), decoded->end(), std::back_inserter(verdicts));
  }
  return verdicts;
}

Result<ModelVersion> HttpPredictor::model() {
  const auto body = call("GET", "/healthz", {}, options_.model_deadline);
  if (!body) return fail(body.error());
  auto model = noted(decode_health(*body));
  if (model) breaker_.succeeded();
  return model;
}

}  // namespace aether
