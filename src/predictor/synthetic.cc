#include "predictor/synthetic.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include <fmt/format.h>

#include "base/rng.h"

namespace aether {
namespace {

// Round figures in the range of public data sheets; resistance is what keeps the card near 70 degrees at its limit.
struct GpuKind {
  double memory_mb, limit_w, idle_w, clock_max_mhz, slowdown_c, resistance_c_per_w;
};
constexpr std::array<GpuKind, 4> kKinds = {{{16384, 70, 10, 1590, 85, 0.60},
                                            {24576, 350, 25, 1980, 86, 0.125},
                                            {40960, 400, 45, 1410, 85, 0.105},
                                            {81920, 700, 70, 1980, 87, 0.062}}};

struct Load {
  double compute = 0, bandwidth = 0;  // 0..1
};

struct HiddenGpu {
  std::string id;
  double resistance = 0;  // degrees per watt, airflow included
  double sensor_bias_c = 0;
  bool link_degraded = false;
  bool clock_stuck = false;
  double residual_c = 0;  // of a job that has just ended; fades, so it does no harm
  double memory_used_mb = 0;
  bool may_wake = false;  // idle process that holds memory
  Load others;
  double power_w = 0;
};

struct HiddenNode {
  GpuKind kind;
  double limit_w = 0;  // below kind.limit_w when an operator capped the node
  double inlet_c = 0;
  double airflow = 1;
  bool lacks_memory_controller = false;
  bool lacks_power_limit = false;
  std::vector<HiddenGpu> gpus;
};

struct HiddenJob {
  Load demand;
  bool inference = false;
  int gpus = 1;
};

double softplus(double x) { return x > 30 ? x : std::log1p(std::exp(x)); }
double clamp01(double x) { return std::clamp(x, 0.0, 1.0); }

double power_demand_w(const GpuKind& kind, const Load& load) {
  return kind.idle_w + (kind.limit_w - kind.idle_w) * (0.75 * load.compute + 0.25 * load.bandwidth);
}

HiddenNode draw_node(Rng& rng, std::size_t index, bool healthy) {
  HiddenNode node;
  node.kind = kKinds[rng.below(kKinds.size())];
  node.limit_w = node.kind.limit_w * (rng.chance(0.15) ? rng.uniform(0.6, 0.85) : 1.0);
  node.inlet_c = std::clamp(rng.normal(25, healthy ? 2.5 : 4.0), 14.0, 38.0);
  node.airflow = std::clamp(rng.normal(1, healthy ? 0.06 : 0.12), 0.6, 1.3);
  node.lacks_memory_controller = rng.chance(0.08);
  node.lacks_power_limit = rng.chance(0.08);
  const std::size_t count = std::size_t{2} << rng.below(3);
  for (std::size_t i = 0; i < count; ++i) {
    HiddenGpu gpu;
    gpu.id = fmt::format("node{:02}-{}", index, i);
    const double dust = !healthy && rng.chance(0.15) ? rng.uniform(1.15, 1.5) : 1.0;
    gpu.resistance = node.kind.resistance_c_per_w * std::exp(rng.normal(0, 0.07)) * dust / node.airflow;
    gpu.sensor_bias_c = rng.normal(0, 1.5);
    gpu.link_degraded = !healthy && rng.chance(0.05);
    gpu.clock_stuck = !healthy && rng.chance(0.02);
    node.gpus.push_back(gpu);
  }
  return node;
}

// What runs on a GPU when the job arrives.
void draw_load(Rng& rng, const HiddenNode& node, HiddenGpu& gpu) {
  gpu.others = {};
  gpu.residual_c = 0;
  gpu.may_wake = false;
  const double kind_of_load = rng.uniform();
  if (kind_of_load < 0.5) {  // free
    gpu.memory_used_mb = rng.uniform(0, 0.02) * node.kind.memory_mb;
    gpu.others.compute = rng.chance(0.7) ? 0 : rng.uniform(0, 0.04);
    if (rng.chance(0.35)) gpu.residual_c = rng.uniform(2, 22);
  } else if (kind_of_load < 0.62) {  // a process that holds memory and sleeps
    gpu.memory_used_mb = rng.uniform(0.1, 0.8) * node.kind.memory_mb;
    gpu.others.compute = rng.uniform(0, 0.03);
    gpu.may_wake = true;
  } else if (kind_of_load < 0.84) {  // inference
    gpu.memory_used_mb = rng.uniform(0.1, 0.7) * node.kind.memory_mb;
    gpu.others.compute = rng.uniform(0.05, 0.6);
    gpu.others.bandwidth = clamp01(gpu.others.compute * rng.uniform(0.4, 1.3));
  } else {  // training
    gpu.memory_used_mb = rng.uniform(0.3, 0.95) * node.kind.memory_mb;
    gpu.others.compute = rng.uniform(0.6, 1.0);
    gpu.others.bandwidth = gpu.others.compute * rng.uniform(0.2, 0.8);
  }
  gpu.power_w = std::min(node.limit_w, power_demand_w(node.kind, gpu.others) * rng.uniform(0.92, 1.05));
}

double mean_load(const HiddenNode& node) {
  double sum = 0;
  for (const HiddenGpu& gpu : node.gpus) sum += gpu.others.compute;
  return sum / static_cast<double>(node.gpus.size());
}

double neighbours_power_share(const HiddenNode& node, const HiddenGpu& gpu) {
  double sum = 0;
  for (const HiddenGpu& other : node.gpus)
    if (&other != &gpu) sum += other.power_w / node.kind.limit_w;
  return sum / static_cast<double>(node.gpus.size() - 1);
}

double steady_temperature_c(const HiddenNode& node, const HiddenGpu& gpu, double power_w, double neighbours_share) {
  return node.inlet_c + gpu.resistance * power_w + 14 * neighbours_share / node.airflow;
}

// Telemetry of one GPU: what a sampler would report, with noise and gaps.
CandidateFeatures observe(Rng& rng, const HiddenNode& node, const HiddenGpu& gpu) {
  const double hot_c = steady_temperature_c(node, gpu, gpu.power_w, neighbours_power_share(node, gpu)) + gpu.residual_c;
  const bool throttles_hot = hot_c > node.kind.slowdown_c - 1;
  const bool busy = gpu.others.compute > 0.05;
  const bool capped = gpu.power_w > 0.98 * node.limit_w;
  double clock_share = busy ? rng.uniform(0.93, 1.0) : (rng.chance(0.6) ? rng.uniform(0.1, 0.2) : 1.0);
  if (throttles_hot) clock_share *= rng.uniform(0.6, 0.9);
  if (capped) clock_share *= rng.uniform(0.75, 0.95);
  if (gpu.clock_stuck) clock_share = std::min(clock_share, rng.uniform(0.3, 0.5));

  CandidateFeatures seen;
  seen.gpu_uuid = GpuUuid(gpu.id);
  const auto keep = [&] { return !rng.chance(0.02); };
  const double capped_c = std::min(hot_c, node.kind.slowdown_c + 3);
  if (keep()) seen.temperature_c = std::round(capped_c + gpu.sensor_bias_c + rng.normal(0, 1));
  if (keep()) seen.memory_used_mb = std::round(gpu.memory_used_mb);
  if (keep()) seen.memory_total_mb = node.kind.memory_mb;
  if (keep()) seen.utilization_gpu = std::round(100 * clamp01(gpu.others.compute + (busy ? rng.normal(0, 0.06) : 0)));
  if (!node.lacks_memory_controller && keep())
    seen.utilization_memory_controller = std::round(100 * clamp01(gpu.others.bandwidth + (busy ? rng.normal(0, 0.05) : 0)));
  if (keep()) seen.power_draw_w = std::max(1.0, gpu.power_w * (1 + rng.normal(0, 0.03)));
  if (!node.lacks_power_limit && keep()) seen.power_limit_w = node.limit_w;
  if (keep()) seen.clock_gpu_mhz = std::round(clock_share * node.kind.clock_max_mhz);
  if (keep()) seen.clock_gpu_max_mhz = node.kind.clock_max_mhz;
  if (keep())
    seen.throttling_reasons = throttles_hot ? "sw_thermal" : gpu.clock_stuck && rng.chance(0.8) ? "hw_slowdown"
                              : capped      ? "power_cap" : busy ? "none" : "gpu_idle";
  if (!rng.chance(0.1)) seen.node_busy_pct = 100 * clamp01(mean_load(node) + rng.normal(0, 0.02));
  return seen;
}

// The load of others while the job runs is not the one at its start.
Load future_load(Rng& rng, const HiddenGpu& gpu) {
  if (gpu.may_wake) return rng.chance(0.4) ? Load{rng.uniform(0.2, 0.7), rng.uniform(0.1, 0.5)} : Load{};
  const double change = rng.uniform(0.6, 1.3);
  return {clamp01(gpu.others.compute * change), clamp01(gpu.others.bandwidth * change)};
}

double memory_penalty(const PredictRequest& request, const HiddenNode& node, const HiddenGpu& gpu) {
  if (!request.gpu_mem_mb) return 0;
  const double after = (gpu.memory_used_mb + *request.gpu_mem_mb) / node.kind.memory_mb;
  return after > 1 ? 1.0 : std::max(0.0, after - 0.9);
}

double slowdown(Rng& rng, const PredictRequest& request, const HiddenJob& job, const HiddenNode& node,
                const HiddenGpu& gpu) {
  const Load others = future_load(rng, gpu);
  const Load together{job.demand.compute + others.compute, job.demand.bandwidth + others.bandwidth};
  const double demand_w = power_demand_w(node.kind, together);
  const double own_neighbours = job.gpus > 1 ? 0.3 * job.demand.compute : 0;
  const double temperature_c = steady_temperature_c(node, gpu, std::min(demand_w, node.limit_w),
                                                    clamp01(neighbours_power_share(node, gpu) + own_neighbours));
  const double heat = 0.03 * 3 * softplus((temperature_c - (node.kind.slowdown_c - 6)) / 3);
  const double interference = 0.9 * others.compute * job.demand.compute +
                              (job.inference ? 1.2 : 0.6) * others.bandwidth * job.demand.bandwidth;
  const double power = 0.7 * std::max(0.0, demand_w / node.limit_w - 1);
  const double host = 0.18 * mean_load(node) * (job.gpus > 1 ? 1.0 : 0.5);
  double fault = gpu.link_degraded ? rng.uniform(0.15, 0.4) : 0;
  if (gpu.clock_stuck) fault += 0.5;
  return (1 + heat) * (1 + interference) * (1 + power) * (1 + host) * (1 + fault) *
         (1 + memory_penalty(request, node, gpu));
}

HiddenJob draw_job(Rng& rng, PredictRequest& request) {
  HiddenJob job;
  job.inference = rng.chance(0.4);
  job.demand = job.inference ? Load{rng.uniform(0.1, 0.55), rng.uniform(0.3, 0.9)}
                             : Load{rng.uniform(0.55, 1.0), rng.uniform(0.2, 0.7)};
  job.gpus = rng.chance(0.65) ? 1 : 2 << rng.below(3);
  request.job_type = job.inference ? JobType::kInference : JobType::kTraining;
  request.gpus = job.gpus;
  if (rng.chance(0.7)) request.gpu_mem_mb = std::round(rng.uniform(1000, 20000));
  return job;
}

struct Place {
  const HiddenNode* node;
  const HiddenGpu* gpu;
};

std::vector<Place> draw_places(Rng& rng, const std::vector<HiddenNode>& nodes, std::size_t count) {
  std::vector<Place> places;
  for (const HiddenNode& node : nodes)
    for (const HiddenGpu& gpu : node.gpus) places.push_back({&node, &gpu});
  for (std::size_t i = 0; i + 1 < places.size(); ++i) std::swap(places[i], places[i + rng.below(places.size() - i)]);
  places.resize(std::min(places.size(), count));
  return places;
}

SyntheticDecision draw_decision(Rng& rng, std::vector<HiddenNode>& nodes, std::size_t candidates) {
  for (HiddenNode& node : nodes)
    for (HiddenGpu& gpu : node.gpus) draw_load(rng, node, gpu);
  SyntheticDecision decision;
  const HiddenJob job = draw_job(rng, decision.request);
  for (const Place& place : draw_places(rng, nodes, candidates)) {
    decision.request.candidates.push_back(observe(rng, *place.node, *place.gpu));
    const double expected = slowdown(rng, decision.request, job, *place.node, *place.gpu);
    decision.expected_slowdown.push_back(expected);
    decision.ran_well.push_back(expected * std::exp(rng.normal(0, 0.05)) < 1.15 * std::exp(rng.normal(0, 0.08)));
  }
  return decision;
}

}  // namespace

std::vector<SyntheticDecision> synthetic_cluster(std::uint64_t seed, const SyntheticOptions& options) {
  Rng rng(seed * 0x9e3779b97f4a7c15ull + 1);
  std::vector<HiddenNode> nodes;
  const std::size_t count = 4 + rng.below(8);
  for (std::size_t i = 0; i < count; ++i) nodes.push_back(draw_node(rng, i, false));
  std::vector<SyntheticDecision> decisions;
  for (std::size_t i = 0; i < options.decisions; ++i) decisions.push_back(draw_decision(rng, nodes, options.candidates));
  return decisions;
}

std::vector<CandidateFeatures> synthetic_healthy_samples(std::uint64_t seed, std::size_t count) {
  Rng rng(seed * 0x9e3779b97f4a7c15ull + 2);
  std::vector<CandidateFeatures> samples;
  while (samples.size() < count) {
    HiddenNode node = draw_node(rng, samples.size(), true);
    for (HiddenGpu& gpu : node.gpus) draw_load(rng, node, gpu);
    for (const HiddenGpu& gpu : node.gpus) {
      CandidateFeatures seen = observe(rng, node, gpu);
      if (seen.throttling_reasons && is_harmful_throttling(*seen.throttling_reasons)) continue;
      if (samples.size() < count) samples.push_back(std::move(seen));
    }
  }
  return samples;
}

}  // namespace aether
