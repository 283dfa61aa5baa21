#include "queueing/run_time_distribution.h"

#include <algorithm>
#include <cmath>

namespace aether::queueing {
namespace {

constexpr int kPointsPerBin = 4;
constexpr int kPoints = kRunTimeBins * kPointsPerBin;
constexpr double kFirstEdge_s = 30;
constexpr double kSmallest_s = 2;
constexpr double kLeastSurvival = 1e-4;

// A bin's mass lies on four points, evenly spaced in the logarithm.
const std::array<double, kPoints>& support() {
  static const std::array<double, kPoints> points = [] {
    std::array<double, kPoints> out{};
    for (int bin = 0; bin < kRunTimeBins; ++bin) {
      const double low = bin == 0 ? kSmallest_s : kFirstEdge_s * std::exp2(bin - 1);
      const double high = kFirstEdge_s * std::exp2(bin);
      for (int i = 0; i < kPointsPerBin; ++i)
        out[bin * kPointsPerBin + i] = low * std::pow(high / low, (i + 0.5) / kPointsPerBin);
    }
    return out;
  }();
  return points;
}

double best_ratio(const std::array<double, kPoints>& mass, int from) {
  const auto& points = support();
  const double age = from == 0 ? 0 : points[from - 1];
  double alive = 0;
  for (int i = from; i < kPoints; ++i) alive += mass[i];
  double ended = 0, spent = 0, best = 0, previous = age;
  for (int i = from; i < kPoints; ++i) {
    spent += (points[i] - previous) * (alive - ended);
    ended += mass[i];
    previous = points[i];
    best = std::max(best, ended / spent);
  }
  return best;
}

}  // namespace

int bin_of(double run_time_s) {
  if (run_time_s < kFirstEdge_s) return 0;
  return std::min(kRunTimeBins - 1, 1 + static_cast<int>(std::log2(run_time_s / kFirstEdge_s)));
}

RunTimeDistribution::RunTimeDistribution(const BinProbabilities& weights) {
  double total = 0;
  for (const double weight : weights) total += weight;
  std::array<double, kPoints> mass{};
  double log_mean = 0;
  alive_.fill(1);
  for (int i = 0; i < kPoints; ++i) {
    // A hundredth is spread evenly, so that no age is impossible.
    const double share = total > 0 ? weights[i / kPointsPerBin] / total : 1.0 / kRunTimeBins;
    mass[i] = (0.99 * share + 0.01 / kRunTimeBins) / kPointsPerBin;
    for (int edge = i / kPointsPerBin + 1; edge <= kRunTimeBins; ++edge) alive_[edge] -= mass[i];
    mean_s_ += mass[i] * support()[i];
    log_mean += mass[i] * std::log(support()[i]);
  }
  geometric_mean_s_ = std::exp(log_mean);
  alive_[kRunTimeBins] = kLeastSurvival;
  index_.reserve(kPoints);
  for (int i = 0; i < kPoints; ++i) index_.push_back(best_ratio(mass, i));
}

double RunTimeDistribution::gittins_index(double age_s) const {
  const auto& points = support();
  const auto next = std::upper_bound(points.begin(), points.end(), age_s);
  // Beyond the last point a job is as likely to need its age once more.
  if (next == points.end()) return 1 / age_s;
  return index_[next - points.begin()];
}

double RunTimeDistribution::survival(double run_time_s) const {
  if (run_time_s <= kSmallest_s) return 1;
  if (run_time_s < kFirstEdge_s) {
    const double part = std::log(run_time_s / kSmallest_s) / std::log(kFirstEdge_s / kSmallest_s);
    return 1 + (alive_[1] - 1) * part;
  }
  const double doublings = std::log2(run_time_s / kFirstEdge_s);
  const int bin = 1 + static_cast<int>(doublings);
  // Beyond the last edge the chance halves with each doubling.
  if (bin >= kRunTimeBins) return kLeastSurvival * std::exp2(kRunTimeBins - 1 - doublings);
  return alive_[bin] + (alive_[bin + 1] - alive_[bin]) * (doublings - (bin - 1));
}

void EndedJobs::add(double run_time_s) {
  counts_[bin_of(run_time_s)] += 1;
  total_ += 1;
}

std::shared_ptr<const RunTimeDistribution> EndedJobs::distribution() {
  if (!current_ || total_ > total_at_renewal_ * 1.05 + 10) {
    BinProbabilities weights = counts_;
    for (double& weight : weights) weight += 1;
    current_ = std::make_shared<RunTimeDistribution>(weights);
    total_at_renewal_ = total_;
  }
  return current_;
}

}  // namespace aether::queueing
