#include "scheduler/score.h"

#include <algorithm>

namespace aether {
namespace {

constexpr double kComfortable_c = 30;      // nothing to gain below
constexpr double kDefaultSlowdown_c = 90;  // where the device does not say

double temperature_headroom(const GpuRecord& gpu) {
  if (!gpu.sample || !gpu.sample->temperature_c) return 0.5;
  const double limit = gpu.info.temperature_slowdown_c.value_or(static_cast<int>(kDefaultSlowdown_c));
  return std::clamp((limit - *gpu.sample->temperature_c) / (limit - kComfortable_c), 0.0, 1.0);
}

double low_utilization(const GpuRecord& gpu) {
  if (!gpu.sample || !gpu.sample->utilization_gpu) return 0.5;
  return std::clamp(1.0 - *gpu.sample->utilization_gpu / 100.0, 0.0, 1.0);
}

}  // namespace

std::vector<ScoreTerm> score_terms(const GpuRecord& gpu, double node_allocated_share,
                                   std::optional<double> model_score, const SchedulerOptions& options) {
  std::vector<ScoreTerm> terms;
  const double factor = model_score ? options.weight_tie_break : 1.0;
  if (model_score) terms.push_back({"model", std::clamp(*model_score, 0.0, 1.0), options.weight_model});
  terms.push_back({"temperature_headroom", temperature_headroom(gpu), options.weight_temperature_headroom * factor});
  terms.push_back({"low_utilization", low_utilization(gpu), options.weight_low_utilization * factor});
  terms.push_back({"packing", node_allocated_share, options.weight_packing * factor});
  return terms;
}

double total_score(const GpuRecord& gpu, double node_allocated_share, std::optional<double> model_score,
                   const SchedulerOptions& options) {
  const double factor = model_score ? options.weight_tie_break : 1.0;
  double sum = 0, weights = 0;
  const auto add = [&](double value, double weight) { sum += value * weight, weights += weight; };
  if (model_score) add(std::clamp(*model_score, 0.0, 1.0), options.weight_model);
  add(temperature_headroom(gpu), options.weight_temperature_headroom * factor);
  add(low_utilization(gpu), options.weight_low_utilization * factor);
  add(node_allocated_share, options.weight_packing * factor);
  return weights > 0 ? sum / weights : 0;
}

}  // namespace aether
