// Predictions in process; candidates as the first argument. Items are candidates.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include <fmt/format.h>
#include <unistd.h>

#include "predictor/synthetic.h"
#include "predictor/xgboost/xgboost_predictor.h"

namespace {

using aether::PredictRequest;
using aether::xgboost::XgboostPredictor;

XgboostPredictor& trained() {
  // Never destroyed: see booster.h.
  static XgboostPredictor* const predictor = [] {
    const std::string directory = fmt::format("{}/aether_predictor_bench_{}", std::filesystem::temp_directory_path().string(), getpid());
    aether::xgboost::TrainOptions options;
    options.directory = directory;
    options.evaluation_clusters = 5;
    static const aether::SystemClock clock;
    auto opened = aether::xgboost::open_or_train(options, clock);
    std::filesystem::remove_all(directory);
    if (!opened) std::abort();
    return opened->release();
  }();
  return *predictor;
}

PredictRequest request_of(std::size_t candidates, bool explain) {
  PredictRequest request;
  request.explain = explain;
  for (std::uint64_t seed = 1; request.candidates.size() < candidates; ++seed) {
    auto decision = aether::synthetic_cluster(seed, {1, candidates - request.candidates.size()}).front();
    for (auto& candidate : decision.request.candidates) {
      candidate.gpu_uuid = aether::GpuUuid(fmt::format("GPU-{}-{}", seed, candidate.gpu_uuid.str()));
      request.candidates.push_back(std::move(candidate));
    }
  }
  return request;
}

void predict(benchmark::State& state, bool explain) {
  const PredictRequest request = request_of(static_cast<std::size_t>(state.range(0)), explain);
  XgboostPredictor& predictor = trained();
  for (auto _ : state) {
    auto prediction = predictor.predict(request, std::chrono::seconds(1));
    if (!prediction) state.SkipWithError(prediction.error().message.c_str());
    benchmark::DoNotOptimize(prediction);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

void scores_only(benchmark::State& state) { predict(state, false); }
void with_contributions(benchmark::State& state) { predict(state, true); }
BENCHMARK(scores_only)->Arg(3)->Arg(8)->Arg(64)->Arg(4096);
BENCHMARK(with_contributions)->Arg(3)->Arg(8)->Arg(64)->Arg(4096);

}  // namespace
