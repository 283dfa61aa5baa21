#include "predictor/healthy_bands.h"

#include <algorithm>
#include <cmath>

#include "base/assert.h"
#include "predictor/features.h"

namespace aether {
namespace {

constexpr double kTail = 0.002;
constexpr double kMargin = 0.1;
constexpr double kThrottlingDistance = 3;

std::size_t load_level(double utilization_gpu) {
  const double level = std::clamp(utilization_gpu, 0.0, 100.0) / 100 * HealthyBands::kLoadLevels;
  return std::min(static_cast<std::size_t>(level), HealthyBands::kLoadLevels - 1);
}

std::array<std::optional<double>, HealthyBands::kFeatures.size()> measured(const CandidateFeatures& gpu) {
  const FeatureRow row = feature_row({}, gpu);
  std::array<std::optional<double>, HealthyBands::kFeatures.size()> values;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto& names = feature_names();
    const auto at = std::find(names.begin(), names.end(), HealthyBands::kFeatures[i]);
    AETHER_ASSERT(at != names.end());
    const float value = row[static_cast<std::size_t>(at - names.begin())];
    if (!std::isnan(value)) values[i] = value;
  }
  return values;
}

Band band_of(std::vector<double>& values) {
  AETHER_ASSERT(!values.empty());
  std::sort(values.begin(), values.end());
  const double last = static_cast<double>(values.size() - 1);
  const double low = values[static_cast<std::size_t>(std::floor(kTail * last))];
  const double high = values[static_cast<std::size_t>(std::ceil((1 - kTail) * last))];
  const double margin = std::max(kMargin * (high - low), 1e-3);
  return {low - margin, high + margin};
}

double distance(const Band& band, double value) {
  const double half = (band.high - band.low) / 2;
  return std::abs(value - (band.low + half)) / half;
}

}  // namespace

HealthyBands HealthyBands::learn(const std::vector<CandidateFeatures>& healthy) {
  std::array<std::array<std::vector<double>, kFeatures.size()>, kLoadLevels> values;
  for (const CandidateFeatures& gpu : healthy) {
    if (!gpu.utilization_gpu) continue;
    const auto seen = measured(gpu);
    for (std::size_t i = 0; i < seen.size(); ++i)
      if (seen[i]) values[load_level(*gpu.utilization_gpu)][i].push_back(*seen[i]);
  }
  Levels levels;
  for (std::size_t level = 0; level < kLoadLevels; ++level)
    for (std::size_t i = 0; i < kFeatures.size(); ++i) levels[level][i] = band_of(values[level][i]);
  return HealthyBands(levels);
}

AnomalyVerdict HealthyBands::judge(const AnomalySample& sample) const {
  AnomalyVerdict verdict;
  verdict.gpu_uuid = sample.gpu_uuid;
  verdict.threshold = kThreshold;
  double largest = 0;
  const auto& throttling = sample.features.throttling_reasons;
  if (throttling && is_harmful_throttling(*throttling)) {
    largest = kThrottlingDistance;
    verdict.reasons.push_back({"harmful_throttling", 1, 0, 0});
  }
  if (sample.features.utilization_gpu) {
    const auto values = measured(sample.features);
    const Level& level = levels_[load_level(*sample.features.utilization_gpu)];
    for (std::size_t i = 0; i < kFeatures.size(); ++i) {
      if (!values[i]) continue;
      const double away = distance(level[i], *values[i]);
      largest = std::max(largest, away);
      if (away > 1) verdict.reasons.push_back({std::string(kFeatures[i]), *values[i], level[i].low, level[i].high});
    }
  }
  verdict.score = largest / (1 + largest);
  verdict.anomaly = !verdict.reasons.empty();
  return verdict;
}

}  // namespace aether
