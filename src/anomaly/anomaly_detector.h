#pragma once
// Finds GPUs that behave unlike themselves, unlike their peers, or whose measurement misbehaves. docs/anomalies.md says
// how and how well. Beside ThresholdAlerts, which judges by fixed limits.
// Pure: readings and time come in, findings go out. One owner thread. Constant work and memory per reading.
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "anomaly/robust.h"
#include "anomaly/threshold_alerts.h"

namespace aether {

struct AnomalyOptions {
  bool enabled = true;
  double heat_c = 7;                 // warmer than this GPU's own past at equal power
  double node_heat_c = 5;            // all GPUs of a node together
  double peer_heat_c = 5;            // warmer than its peers became; twice and more when nothing of it was seen before
  double slow_share = 0.07;          // of the clock, or of the work, below its own past or its peers
  double deviations = 5;             // of the peers' spread that a difference must pass, too
  std::size_t peers = 3;             // that a comparison needs
  double ecc_errors = 4;             // corrected memory errors within about ten minutes
  double pcie_replays = 30;          // likewise
  double leak_share = 0.01;          // of the board's memory, growing without a break
  std::chrono::seconds hold{60};     // how long a deviation lasts before it is told
  std::chrono::seconds settle{180};  // after a job came or went nothing is judged that depends on load
};

// Why an alert stands; the alert's kind is to_string() of it.
enum class Signal : std::uint8_t {
  kHeat, kSlow, kHung, kStalled, kMemoryLeak, kEccRate, kPcieReplays, kSensor, kStuckValues, kMissingValues, kReadings,
  kCount
};
std::string_view to_string(Signal signal);

// A condition that began (`bad`) or ended.
struct Finding {
  Alert alert;
  bool bad = true;
};

class AnomalyDetector {
 public:
  explicit AnomalyDetector(AnomalyOptions options = {}) : options_(options) {}

  // What this reading changed. Without a sample nothing: silence is ThresholdAlerts' finding.
  std::vector<Finding> update(const GpuReading& reading, Time now);
  // Open alerts of an earlier run end when their condition is known to be good.
  void restore(const std::vector<Alert>& open);
  void forget(const GpuUuid& gpu);

  // What is remembered of one GPU. Values of a struct, for tests and for the bound on its size.
  struct Peers {                       // of the last comparison; differences of this GPU from the others' median
    std::size_t count = 0;
    bool same_job = false;
    double heat_c = 0, heat_z = 0;     // warmer at equal power
    double gained_c = 0, gained_z = 0; // warmer than its own past, more than the others are
    bool gained_known = false;
    double clock_share = 0, clock_z = 0;
    std::optional<double> power_ratio, util_ratio;
  };
  struct Gpu {
    NodeId node;
    GpuUuid uuid;
    int index = 0;
    std::string model, gpu_id;
    std::optional<JobId> job;
    Time job_since{}, seen{}, sample_time{};
    // load, over half a minute
    Smooth power, util, bandwidth, clock, heat_power;
    double power_scale_w = 0;          // shares of power are of this: the limit as the GPU was attached
    double power_limit_w = 0, clock_max_mhz = 0, memory_total_mb = 0, temperature_c = 0, memory_mb = 0;
    std::optional<double> fan_pct;
    std::uint64_t reasons = 0;
    // against its own past
    // Over the share of power, less a rise that fits most boards: a load never seen before is then judged by it.
    static constexpr double kRiseC = 40;
    Curve temperature;
    Baseline heat_spread, usual_clock;
    Smooth heat;                       // above what the curve says
    Baseline job_power, job_bandwidth;  // shares of power and memory traffic while busy in this job
    double busy_s = 0;
    // memory of the job
    double minute_least_mb = 0, last_least_mb = 0, growth_from_mb = 0;
    Time minute_since{}, growth_since{};
    int growing_minutes = 0;
    // counters
    std::optional<std::uint64_t> ecc, replays, energy;
    RecentCount recent_ecc, recent_replays, jumps, gaps;
    Baseline usual_ecc, usual_replays;
    // the measurement
    std::optional<double> shown_c;
    double expected_low_c = 0, expected_high_c = 0, power_low = 0, power_high = 0;  // since it shows the same temperature
    Time same_temperature_since{}, same_values_since{};
    double values_sum = 0;
    std::array<std::uint16_t, 21> present{}, absent{};  // per metric, seconds in a row at most 65535
    Smooth interval;
    Baseline usual_interval;
    // against the others
    Peers peers;
    std::optional<double> expected_c() const {
      const auto above = temperature.at(heat_power.value());
      return above ? std::optional(*above + kRiseC * heat_power.value()) : std::nullopt;
    }
    Baseline power_ratio, util_ratio;  // of this job
    std::array<Held, static_cast<std::size_t>(Signal::kCount)> held;
  };
  const Gpu* find(const GpuUuid& gpu) const;

 private:
  struct Judgement {
    Signal signal;
    bool bad = false, good = false;
    std::optional<Duration> open_for = {}, clear_for = {};
  };
  struct Words {
    std::string title, detail, unit;
    std::optional<double> value, threshold;
  };
  using Out = std::vector<Finding>;
  struct Node {
    Held hot;
    double gained_c = 0;               // median over its GPUs
    std::size_t gpus = 0;
    bool judged = true;
  };

  void observe(Gpu& gpu, const GpuReading& reading, double dt_s, Time now);
  void observe_job(Gpu& gpu, const GpuReading& reading, Time now);
  void observe_load(Gpu& gpu, const GpuSample& sample, double dt_s, Time now);
  void observe_counters(Gpu& gpu, const GpuSample& sample, double dt_s);
  void observe_memory(Gpu& gpu, const GpuSample& sample, Time now);
  void observe_measurement(Gpu& gpu, const GpuSample& sample, double dt_s, Time now);
  void judge_heat(Gpu& gpu, Time now, Out& out);
  void judge_node(const NodeId& name, Time now, Out& out);
  void judge_speed(Gpu& gpu, Time now, Out& out);
  void judge_job(Gpu& gpu, Time now, Out& out);
  void judge_memory(Gpu& gpu, Time now, Out& out);
  void judge_counters(Gpu& gpu, Time now, Out& out);
  void judge_measurement(Gpu& gpu, const GpuSample& sample, Time now, Out& out);
  template <class Describe>
  void judge(Gpu& gpu, const Judgement& judgement, Time now, Out& out, Describe describe);
  Alert alert_of(const Gpu& gpu, Signal signal, const Words& words) const;
  bool settled(const Gpu& gpu, Time now) const { return now - gpu.job_since >= options_.settle; }

  void compare_all(Time now);
  void compare_group(const std::vector<Gpu*>& group, bool same_job);
  void learn_ratios(Gpu& gpu, double dt_s, Time now);

  AnomalyOptions options_;
  std::map<GpuUuid, Gpu> gpus_;
  std::map<NodeId, Node> nodes_;
  Time compared_{};
};

}  // namespace aether
