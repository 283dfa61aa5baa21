#pragma once
// The baseline, one for each GPU model: an isolation forest after Liu, Ting and Zhou, "Isolation Forest", ICDM 2008: 100 trees of 256 points
// each, score 2^(-E(h)/c(256)). It judges single readings, so it gets help: an alarm needs half a minute of them.
#include <array>
#include <map>
#include <string>
#include <vector>

#include "anomaly/labelled_runs.h"
#include "base/rng.h"

namespace aether::bench {

constexpr std::size_t kForestFeatures = 11;
using ForestPoint = std::array<float, kForestFeatures>;

class IsolationForest {
 public:
  static constexpr std::size_t kTrees = 100, kPoints = 256;
  IsolationForest(const std::vector<ForestPoint>& points, Rng& rng);
  double score(const ForestPoint& point) const;

 private:
  struct Node {
    std::size_t feature = 0;
    float split = 0;
    int left = -1, right = -1;
    double path = 0;  // of a leaf: depth plus what an average tree of its points would add
  };
  int grow(std::vector<Node>& tree, std::vector<ForestPoint> points, int depth, Rng& rng);
  std::vector<std::vector<Node>> trees_;
};

// Turns readings into points; counters into their growth. Absent values become those of a middling GPU.
class ForestFeatures {
 public:
  ForestPoint of(const GpuReading& reading);

 private:
  struct Last {
    double ecc = 0, replays = 0;
  };
  std::map<int, Last> last_;
};

// Every 60th reading of each GPU, to learn from.
class ForestSampler final : public Watcher {
 public:
  void observe(const GpuReading& reading, double at_s, Time now) override;
  std::map<std::string, std::vector<ForestPoint>> points;  // by model

 private:
  ForestFeatures features_;
};

using Forests = std::map<std::string, IsolationForest>;

// Watches with several thresholds at once; `alarms` are those of `threshold`, `counts` of all.
class ForestWatcher final : public Watcher {
 public:
  static constexpr std::size_t kThresholds = 120;
  static double threshold_of(std::size_t i) { return 0.4 + 0.005 * static_cast<double>(i); }
  ForestWatcher(const Forests& forests, double threshold) : forests_(forests), threshold_(threshold) {}
  void observe(const GpuReading& reading, double at_s, Time now) override;
  std::array<int, kThresholds> counts{};

 private:
  struct State {
    std::array<std::int8_t, kThresholds> above{}, below{};
    std::array<bool, kThresholds> open{};
  };
  const Forests& forests_;
  const double threshold_;
  ForestFeatures features_;
  std::map<int, State> states_;
};

}  // namespace aether::bench
