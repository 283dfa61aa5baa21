// A GPU against the others: of its job where that has enough GPUs, else of its model on its node.
#include <algorithm>
#include <cmath>

#include "anomaly/anomaly_detector.h"

namespace aether {
namespace {

constexpr Duration kFresh = std::chrono::seconds(15);
constexpr double kAirC = 24;              // heat at equal power is compared as resistance to air of about this
constexpr double kLeastShare = 0.25;      // of the power limit, for that comparison
constexpr double kHourS = 3600;

double median(std::vector<double>& values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

// Of a group, one value per member; a member's own value counts in both, which makes them a little cautious.
struct Centre {
  double median = 0, spread = 0;          // 1.4826 times the median absolute deviation
};
Centre centre_of(std::vector<double> values, double least_spread) {
  Centre out;
  out.median = median(values);
  for (double& value : values) value = std::abs(value - out.median);
  out.spread = std::max(1.4826 * median(values), least_spread);
  return out;
}

}  // namespace

void AnomalyDetector::compare_all(Time now) {
  std::map<std::pair<JobId, std::string>, std::vector<Gpu*>> by_job;  // of one model in it
  std::map<std::pair<NodeId, std::string>, std::vector<Gpu*>> by_model;
  std::map<NodeId, std::vector<double>> gained;
  for (auto& [uuid, gpu] : gpus_) {
    gpu.peers = {};
    if (now - gpu.seen > kFresh || gpu.node.empty()) continue;
    if (!settled(gpu, now)) continue;
    if (gpu.heat.known()) gained[gpu.node].push_back(gpu.heat.value());
    if (gpu.job) by_job[{*gpu.job, gpu.model}].push_back(&gpu);
    by_model[{gpu.node, gpu.model}].push_back(&gpu);
  }
  for (const auto& [job, group] : by_job) compare_group(group, true);
  for (auto& [model, group] : by_model) {
    std::erase_if(group, [](const Gpu* gpu) { return gpu->peers.same_job; });
    compare_group(group, false);
  }
  for (auto& [name, node] : nodes_) node.gpus = 0;
  for (auto& [name, values] : gained) {
    Node& node = nodes_[name];
    node.gpus = values.size();
    node.gained_c = median(values);
    node.judged = false;
  }
}

void AnomalyDetector::compare_group(const std::vector<Gpu*>& group, bool same_job) {
  if (group.size() <= options_.peers) return;
  std::vector<double> resistances, gains, clocks, powers, utils;
  for (const Gpu* gpu : group) {
    const double w = gpu->heat_power.value() * gpu->power_scale_w;
    if (gpu->heat_power.value() >= kLeastShare) resistances.push_back((gpu->temperature_c - kAirC) / w);
    if (gpu->heat.known()) gains.push_back(gpu->heat.value());
    if (gpu->clock.known()) clocks.push_back(gpu->clock.value());
    powers.push_back(gpu->power.value());
    utils.push_back(gpu->util.value());
  }
  const double power_median = median(powers), util_median = median(utils);
  const auto enough = [&](const std::vector<double>& values) { return values.size() > options_.peers; };
  const Centre resistance = enough(resistances) ? centre_of(resistances, 0) : Centre{};
  const Centre gain = enough(gains) ? centre_of(gains, 0.8) : Centre{};
  const Centre clock = enough(clocks) ? centre_of(clocks, 0.01) : Centre{};
  for (Gpu* gpu : group) {
    Peers& peers = gpu->peers;
    peers.count = group.size() - 1;
    peers.same_job = same_job;
    const double w = gpu->heat_power.value() * gpu->power_scale_w;
    if (enough(resistances) && gpu->heat_power.value() >= kLeastShare) {
      peers.heat_c = (gpu->temperature_c - kAirC) - resistance.median * w;
      peers.heat_z = peers.heat_c / std::max(resistance.spread * w, 2.0);
    }
    if (enough(gains) && gpu->heat.known()) {
      peers.gained_known = true;
      peers.gained_c = gpu->heat.value() - gain.median;
      peers.gained_z = peers.gained_c / gain.spread;
    }
    // GPUs of different jobs clock as their work wants; only those of one job must agree.
    if (same_job && enough(clocks) && gpu->clock.known()) {
      peers.clock_share = gpu->clock.value() - clock.median;
      peers.clock_z = peers.clock_share / clock.spread;
    }
    if (same_job && power_median > 0.1) peers.power_ratio = gpu->power.value() / power_median;
    if (same_job && util_median > 30) peers.util_ratio = gpu->util.value() / util_median;
  }
}

// Jobs may divide their work unevenly: what counts is a change within the job.
void AnomalyDetector::learn_ratios(Gpu& gpu, double dt_s, Time now) {
  if (!gpu.peers.same_job || !settled(gpu, now)) return;
  if (gpu.peers.power_ratio) gpu.power_ratio.add(*gpu.peers.power_ratio, dt_s, kHourS, 0.01);
  if (gpu.peers.util_ratio) gpu.util_ratio.add(*gpu.peers.util_ratio, dt_s, kHourS, 0.01);
}

}  // namespace aether
