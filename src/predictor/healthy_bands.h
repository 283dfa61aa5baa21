#pragma once
// Anomaly, a thin first form: per level of load, the band in which healthy GPUs keep temperature, power, clock and memory
// traffic. What lies outside is reported with the band. The bands come from the synthetic healthy data of synthetic.h, so
// they are wide and know no single card's habits; a learned detector on real history can replace this class.
#include <array>
#include <cstddef>
#include <string_view>
#include <vector>

#include "predictor/predictor.h"

namespace aether {

struct Band {
  double low = 0, high = 0;
  friend bool operator==(const Band&, const Band&) = default;
};

class HealthyBands {
 public:
  static constexpr std::size_t kLoadLevels = 10;  // of utilization_gpu: 0-10 %, 10-20 %, ...
  static constexpr std::array<std::string_view, 4> kFeatures = {"temperature_c", "power_share", "clock_share",
                                                                "utilization_memory_controller"};
  using Level = std::array<Band, kFeatures.size()>;
  using Levels = std::array<Level, kLoadLevels>;

  // The 0.2 % and 99.8 % quantiles of each level, widened by a tenth on both sides.
  static HealthyBands learn(const std::vector<CandidateFeatures>& healthy);
  explicit HealthyBands(const Levels& levels) : levels_(levels) {}

  // score = d / (1 + d) with d = the largest distance from a band's middle in half widths: 0.5 is the edge of the band
  // and the threshold. Harmful throttling counts as d = 3. Without utilization_gpu only throttling is judged.
  AnomalyVerdict judge(const AnomalySample& sample) const;
  const Levels& levels() const { return levels_; }

  static constexpr double kThreshold = 0.5;

 private:
  Levels levels_;
};

}  // namespace aether
