// A GPU against its own past at the same load, and against what its job did before.
#include <cmath>

#include <fmt/format.h>

#include "anomaly/judge.h"

namespace aether {
namespace {

constexpr double kHeatTauS = 45;         // of a heat sink, about
constexpr double kLoadTauS = 30, kHeatSmoothS = 60;
constexpr double kDayS = 86400;
constexpr double kTwoHoursS = 7200;
constexpr double kBusyPct = 50;
constexpr double kKnownAfterS = 300;
constexpr std::uint64_t kIdleReason = 0x1;
constexpr std::uint64_t kHarmful = 0x8 | 0x20 | 0x40 | 0x80;

}  // namespace

void AnomalyDetector::observe_load(Gpu& gpu, const GpuSample& sample, double dt_s, Time now) {
  gpu.reasons = sample.throttling_reasons_mask.value_or(0);
  gpu.fan_pct = sample.fan_speed_pct;
  if (sample.utilization_gpu) gpu.util.add(*sample.utilization_gpu, dt_s, kLoadTauS);
  if (sample.utilization_memory_controller) gpu.bandwidth.add(*sample.utilization_memory_controller / 100, dt_s, kLoadTauS);
  const bool busy = gpu.util.known() && gpu.util.value() >= kBusyPct;
  if (sample.clock_sm_mhz && gpu.clock_max_mhz > 0 && busy) {
    gpu.clock.add(*sample.clock_sm_mhz / gpu.clock_max_mhz, dt_s, kLoadTauS);
    if (settled(gpu, now) && (gpu.reasons & ~kIdleReason) == 0) gpu.usual_clock.add(gpu.clock.value(), dt_s, kDayS, 0.01);
  } else {
    gpu.clock.clear();
  }
  if (sample.power_limit_w) gpu.power_limit_w = *sample.power_limit_w;
  if (gpu.power_scale_w <= 0) gpu.power_scale_w = gpu.power_limit_w;
  if (!sample.power_draw_w || gpu.power_scale_w <= 0) return;
  const double share = *sample.power_draw_w / gpu.power_scale_w;
  gpu.power.add(share, dt_s, kLoadTauS);
  gpu.heat_power.add(share, dt_s, kHeatTauS);
  if (busy && gpu.job && settled(gpu, now)) {
    gpu.busy_s += dt_s;
    gpu.job_power.add(share, dt_s, kTwoHoursS, 0.03);
    if (gpu.bandwidth.known()) gpu.job_bandwidth.add(gpu.bandwidth.value(), dt_s, kTwoHoursS, 0.03);
  }
  if (!sample.temperature_c) return;
  gpu.temperature_c = *sample.temperature_c;
  const auto expected = gpu.expected_c();
  if (expected) gpu.heat.add(gpu.temperature_c - *expected, dt_s, kHeatSmoothS);
  if (!settled(gpu, now)) return;
  if (expected) gpu.heat_spread.add(gpu.heat.value(), dt_s, kDayS, 0.5);
  gpu.temperature.add(gpu.heat_power.value(), gpu.temperature_c - Gpu::kRiseC * gpu.heat_power.value(), dt_s, kDayS, 2 * std::max(gpu.heat_spread.spread(), 1.0));
}

void AnomalyDetector::judge_heat(Gpu& gpu, Time now, Out& out) {
  if (!gpu.heat.known() && gpu.peers.count < options_.peers) return;
  const Node& node = nodes_[gpu.node];
  const double common = node.gpus > options_.peers ? std::max(0.0, node.gained_c) : 0;
  const double own = gpu.heat.known() ? gpu.heat.value() - common : 0;
  const Peers& peers = gpu.peers;
  const double limit = std::max(options_.heat_c, options_.deviations * gpu.heat_spread.spread());
  const bool past = own >= limit && gpu.heat_spread.known(kKnownAfterS);
  const bool gained = peers.gained_known && peers.gained_c >= options_.peer_heat_c && peers.gained_z >= options_.deviations;
  const bool unlike = peers.count >= options_.peers && peers.heat_c >= 2.4 * options_.peer_heat_c && peers.heat_z >= 3.5;
  const bool still = settled(gpu, now);
  const bool bad = still && (past || gained || unlike);
  const bool good = still && own < limit / 2 && peers.gained_c < options_.peer_heat_c / 2 && peers.heat_c < 1.8 * options_.peer_heat_c;
  judge(gpu, {Signal::kHeat, bad, good, gained || unlike ? options_.hold : 2 * options_.hold}, now, out, [&] {
    const bool by_peers = gained || unlike;
    const double excess = unlike ? peers.heat_c : gained ? peers.gained_c : own;
    std::string detail =
        by_peers ? fmt::format("{:.0f} °C hotter than the {} others {}, at equal power", excess, peers.count,
                               peers.same_job ? "that run the same job" : "of its model on this node")
                 : fmt::format("{:.0f} °C hotter than it was so far at {:.0f} % of its power limit", excess,
                               100 * gpu.heat_power.value());
    detail += fmt::format(": {:.0f} °C", gpu.temperature_c);
    if (gpu.fan_pct) detail += fmt::format("; fan at {:.0f} %", *gpu.fan_pct);
    return Words{"is hotter than its load explains", std::move(detail), "°C", excess, by_peers ? options_.peer_heat_c : limit};
  });
}

// All GPUs of a node at once: the air, not a GPU.
void AnomalyDetector::judge_node(const NodeId& name, Time now, Out& out) {
  Node& node = nodes_[name];
  if (node.gpus <= options_.peers || std::exchange(node.judged, true)) return;
  const bool bad = node.gained_c >= options_.node_heat_c;
  if (!node.hot.update(bad, node.gained_c < options_.node_heat_c / 2, now, 2 * options_.hold, 5 * options_.hold)) return;
  Alert alert;
  alert.kind = "hot_node";
  alert.id = AlertId("hot_node/" + name.str());
  alert.severity = Severity::kWarning;
  alert.node = name;
  alert.title = fmt::format("All GPUs of {} are hotter than their load explains", name.str());
  alert.detail = fmt::format("{} GPUs are {:.0f} °C hotter than they were so far at equal power: look at the room's cooling, the "
                             "air inlet and the node's fans", node.gpus, node.gained_c);
  alert.value = node.gained_c;
  alert.threshold = options_.node_heat_c;
  alert.unit = "°C";
  out.push_back({std::move(alert), node.hot.open});
}

void AnomalyDetector::judge_speed(Gpu& gpu, Time now, Out& out) {
  const Peers& peers = gpu.peers;
  const bool busy = gpu.clock.known() && settled(gpu, now);
  const double usual = gpu.usual_clock.known(kKnownAfterS) ? gpu.usual_clock.location() : 0;
  const bool no_reason = (gpu.reasons & ~kIdleReason) == 0;
  const double clock = gpu.clock.value();
  const bool past = busy && no_reason && (clock < (1 - options_.slow_share) * usual || clock < 0.5);
  const bool clock_peers = busy && peers.count >= options_.peers && peers.clock_share <= -options_.slow_share && peers.clock_z <= -options_.deviations;
  const auto dropped = [&](const Baseline& base, const std::optional<double>& ratio) {
    return ratio && base.known() ? base.location() - *ratio : 0;
  };
  const double power_drop = dropped(gpu.power_ratio, peers.power_ratio), util_drop = dropped(gpu.util_ratio, peers.util_ratio);
  const auto far = [&](double drop, const Baseline& base) {
    return drop >= options_.slow_share && drop >= options_.deviations * std::max(base.spread(), 0.01);
  };
  const bool work = far(power_drop, gpu.power_ratio) || far(util_drop, gpu.util_ratio);
  const bool bad = past || clock_peers || work;
  const double half = options_.slow_share / 2;
  const bool good = settled(gpu, now) && (clock >= (1 - half) * usual || !no_reason) && peers.clock_share > -half &&
                    power_drop < half && util_drop < half;
  judge(gpu, {Signal::kSlow, bad, good, past || clock_peers ? options_.hold : 2 * options_.hold}, now, out, [&] {
    std::string detail;
    double value = 0;
    if (clock_peers) {
      value = -100 * peers.clock_share / std::max(clock - peers.clock_share, 0.01);
      detail = fmt::format("Its clock is {:.0f} % below that of the {} others {}", value, peers.count,
                           peers.same_job ? "that run the same job" : "of its model on this node");
    } else if (past) {
      value = 100 * (1 - clock / std::max(usual, 0.01));
      detail = usual > 0 ? fmt::format("Its clock is {:.0f} % below what it was so far under load", value)
                         : fmt::format("Its clock is {:.0f} % of the highest under load", 100 * clock);
    } else {
      value = 100 * std::max(power_drop, util_drop);
      detail = fmt::format("Against the {} others that run the same job it {} {:.0f} % less than before: look at its links and "
                           "at what its process waits for", peers.count, power_drop >= util_drop ? "draws" : "is busy", value);
    }
    detail += fmt::format("; {:.0f} MHz, {:.0f} of {:.0f} W, reason shown: {}", clock * gpu.clock_max_mhz,
                          gpu.power.value() * gpu.power_scale_w, gpu.power_limit_w, throttling_reasons_text(gpu.reasons));
    return Words{"is slow", std::move(detail), "%", value, 100 * options_.slow_share};
  });
}

// Fully used without power: a busy loop. Not used at all after it was: a hang. Both keep the job's memory.
void AnomalyDetector::judge_job(Gpu& gpu, Time now, Out& out) {
  const double level = gpu.job_power.location();
  const bool worked = gpu.job && gpu.busy_s >= kKnownAfterS / 2;
  const double power = gpu.power.value(), util = gpu.util.value();
  const double traffic = gpu.job_bandwidth.location();
  const bool no_traffic = gpu.bandwidth.known() && traffic >= 0.1 && gpu.bandwidth.value() < 0.2 * traffic;
  const bool spinning = worked && util >= 90 && (gpu.reasons & kHarmful) == 0 &&
                        (no_traffic ? power < 0.8 * level : level >= 0.25 && power < 0.5 * level);
  judge(gpu, {Signal::kHung, spinning, !worked || power >= 0.85 * level || util < 60, options_.hold, options_.hold}, now, out, [&] {
    return Words{"is held by a job that seems to hang",
                 fmt::format("{:.0f} % busy but only {:.0f} W, after {:.0f} W before, memory traffic at {:.0f} %: waiting in a busy loop, "
                             "as for a peer that does not answer", util, power * gpu.power_scale_w, level * gpu.power_scale_w, 100 * gpu.bandwidth.value()),
                 "W", power * gpu.power_scale_w, 0.5 * level * gpu.power_scale_w};
  });
  const bool still = worked && gpu.util.known() && util < 3;
  judge(gpu, {Signal::kStalled, still, !still, 2 * options_.hold, options_.hold}, now, out, [&] {
    return Words{"is held by a job that stopped computing",
                 fmt::format("{:.0f} % busy for {} s or more after it had worked; its {:.0f} MiB stay taken", util,
                             std::chrono::duration_cast<std::chrono::seconds>(2 * options_.hold).count(), gpu.memory_mb),
                 "%", util, 3.0};
  });
}

}  // namespace aether
