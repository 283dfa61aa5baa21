#include "anomaly/isolation_forest.h"

#include <algorithm>
#include <cmath>

namespace aether::bench {
namespace {

constexpr double kEveryS = 5;
constexpr std::int8_t kOpenAfter = 6, kClearAfter = 12;  // scores in a row
constexpr int kDeepest = 8;                              // log2 of the points

// c(n): the mean path of an unsuccessful search in a binary search tree of n points.
double mean_path(std::size_t n) {
  if (n <= 1) return 0;
  const double m = static_cast<double>(n);
  return 2 * (std::log(m - 1) + 0.5772156649) - 2 * (m - 1) / m;
}

}  // namespace

IsolationForest::IsolationForest(const std::vector<ForestPoint>& points, Rng& rng) {
  for (std::size_t t = 0; t < kTrees; ++t) {
    std::vector<ForestPoint> chosen;
    for (std::size_t i = 0; i < std::min(kPoints, points.size()); ++i) chosen.push_back(points[rng.below(points.size())]);
    grow(trees_.emplace_back(), std::move(chosen), 0, rng);
  }
}

int IsolationForest::grow(std::vector<Node>& tree, std::vector<ForestPoint> points, int depth, Rng& rng) {
  const int here = static_cast<int>(tree.size());
  tree.push_back({.path = depth + mean_path(points.size())});
  if (depth >= kDeepest || points.size() <= 1) return here;
  std::vector<std::size_t> usable;  // features that differ
  const auto bounds = [&](std::size_t f) {
    return std::minmax_element(points.begin(), points.end(), [f](const auto& a, const auto& b) { return a[f] < b[f]; });
  };
  for (std::size_t f = 0; f < kForestFeatures; ++f)
    if (const auto [low, high] = bounds(f); (*low)[f] < (*high)[f]) usable.push_back(f);
  if (usable.empty()) return here;
  const std::size_t feature = usable[rng.below(usable.size())];
  const auto [low, high] = bounds(feature);
  const float split = static_cast<float>(rng.uniform((*low)[feature], (*high)[feature]));
  std::vector<ForestPoint> left, right;
  for (const ForestPoint& point : points) (point[feature] < split ? left : right).push_back(point);
  const int left_node = grow(tree, std::move(left), depth + 1, rng), right_node = grow(tree, std::move(right), depth + 1, rng);
  Node& node = tree[static_cast<std::size_t>(here)];
  node.feature = feature;
  node.split = split;
  node.left = left_node;
  node.right = right_node;
  return here;
}

double IsolationForest::score(const ForestPoint& point) const {
  double sum = 0;
  for (const std::vector<Node>& tree : trees_) {
    const Node* node = tree.data();
    while (node->left >= 0) node = &tree[static_cast<std::size_t>(point[node->feature] < node->split ? node->left : node->right)];
    sum += node->path;
  }
  return std::exp2(-sum / static_cast<double>(trees_.size()) / mean_path(kPoints));
}

ForestPoint ForestFeatures::of(const GpuReading& reading) {
  const GpuSample& sample = *reading.sample;
  const auto share = [](const auto& value, double of, double otherwise) {
    return static_cast<float>(value && of > 0 ? static_cast<double>(*value) / of : otherwise);
  };
  Last& last = last_[reading.info.gpu_index];
  const double ecc = static_cast<double>(sample.ecc_sbe_volatile_total.value_or(0) + sample.ecc_dbe_volatile_total.value_or(0));
  const double replays = static_cast<double>(sample.pcie_replay_total.value_or(0));
  const ForestPoint point = {share(sample.temperature_c, 100, 0.55),
                             share(sample.temperature_mem_c, 100, 0.6),
                             share(sample.utilization_gpu, 100, 0.9),
                             share(sample.utilization_memory_controller, 100, 0.5),
                             share(sample.memory_used_mb, static_cast<double>(reading.info.memory_total_mb), 0.8),
                             share(sample.power_draw_w, reading.info.power_limit_w.value_or(0), 0.7),
                             share(sample.clock_sm_mhz, reading.info.clock_gpu_max_mhz.value_or(0), 1),
                             share(sample.fan_speed_pct, 100, 0.4),
                             static_cast<float>(is_harmful_throttling(sample.throttling_reasons.value_or("none"))),
                             static_cast<float>(std::max(0.0, ecc - last.ecc)),
                             static_cast<float>(std::max(0.0, replays - last.replays))};
  last = {ecc, replays};
  return point;
}

void ForestSampler::observe(const GpuReading& reading, double at_s, Time) {
  if (reading.sample == nullptr) return;
  const ForestPoint point = features_.of(reading);
  if (static_cast<long>(at_s) % 60 == 0) points[reading.info.gpu_name].push_back(point);
}

void ForestWatcher::observe(const GpuReading& reading, double at_s, Time) {
  if (reading.sample == nullptr || std::fmod(at_s, kEveryS) != 0) return;
  const auto forest = forests_.find(reading.info.gpu_name);
  if (forest == forests_.end()) return;
  const double score = forest->second.score(features_.of(reading));
  State& state = states_[reading.info.gpu_index];
  for (std::size_t i = 0; i < kThresholds; ++i) {
    const bool above = score >= threshold_of(i);
    state.above[i] = above ? static_cast<std::int8_t>(std::min(state.above[i] + 1, 100)) : std::int8_t{0};
    state.below[i] = above ? std::int8_t{0} : static_cast<std::int8_t>(std::min(state.below[i] + 1, 100));
    if (!state.open[i] && state.above[i] >= kOpenAfter) {
      state.open[i] = true;
      ++counts[i];
      if (std::abs(threshold_of(i) - threshold_) < 1e-9) alarms.push_back({at_s, reading.info.gpu_index, "forest", ""});
    }
    if (state.below[i] >= kClearAfter) state.open[i] = false;
  }
}

}  // namespace aether::bench
