#include "queueing/release_forecast.h"

#include <cmath>

namespace aether::queueing {
namespace {

constexpr double kFirst_s = 8;
constexpr double kGrowth = 1.333;
constexpr double kSame = 1e-9;  // relative; the order in which a node's jobs are multiplied must not decide

}  // namespace

const std::array<double, kForecastPoints>& forecast_times_s() {
  static const std::array<double, kForecastPoints> times = [] {
    std::array<double, kForecastPoints> out{};
    double next = kFirst_s;
    for (int i = 1; i < kForecastPoints; ++i, next *= kGrowth) out[i] = next;
    return out;
  }();
  return times;
}

Forecast forecast_end(const RunTimeDistribution& belief, double age_s) {
  const auto& times = forecast_times_s();
  const double alive = belief.survival(age_s);
  Forecast out{};
  for (int i = 1; i < kForecastPoints; ++i) out[i] = 1 - belief.survival(age_s + times[i]) / alive;
  return out;
}

NodeForecasts::NodeForecasts(std::size_t nodes) : all_ended_(nodes) {
  for (Forecast& node : all_ended_) node.fill(1);
}

void NodeForecasts::add(std::size_t node, const Forecast& job) {
  for (int i = 0; i < kForecastPoints; ++i) all_ended_[node][i] *= job[i];
}

double NodeForecasts::expected_extension_s(std::size_t node, const Forecast& job) const {
  const auto& times = forecast_times_s();
  const Forecast& others = all_ended_[node];
  double sum_s = 0;
  for (int i = 1; i < kForecastPoints; ++i) {
    const double runs = 1 - (job[i - 1] + job[i]) / 2;
    sum_s += runs * (others[i - 1] + others[i]) / 2 * (times[i] - times[i - 1]);
  }
  return sum_s;
}

int least_extended_node(std::span<const int> free_gpus, int gpus, const Forecast& job, const NodeForecasts& nodes) {
  int best = -1;
  double best_s = 0;
  for (int node = 0; node < static_cast<int>(free_gpus.size()); ++node) {
    if (free_gpus[node] < gpus) continue;
    const double extension_s = nodes.expected_extension_s(node, job);
    const bool same = std::abs(extension_s - best_s) <= kSame * best_s;
    const bool better = best < 0 || (same ? free_gpus[node] < free_gpus[best] : extension_s < best_s);
    if (!better) continue;
    best = node;
    best_s = extension_s;
  }
  return best;
}

}  // namespace aether::queueing
