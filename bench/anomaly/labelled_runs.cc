#include "anomaly/labelled_runs.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include <fmt/format.h>

#include "telemetry/simulated/simulated_gpu_driver.h"

namespace aether::bench {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

enum class Where { kOneGpu, kItsJob, kNode };
struct KindPlan {
  const char* name;
  FaultKind fault;
  Where where;
  double low, high;            // of the level, drawn evenly
  int ramp_low_s, ramp_high_s; // 0: the kind's own
  bool jobs_go_on = false;     // the load changes after the onset, too
};

const std::vector<KindPlan>& kinds() {
  using K = FaultKind;
  static const std::vector<KindPlan> all = {
      {"cooling loss", K::kCoolingLoss, Where::kOneGpu, 0.8, 2, 120, 300},
      {"cooling drift", K::kCoolingLoss, Where::kOneGpu, 0.3, 0.6, 600, 1200},
      {"fan failure", K::kFanFailure, Where::kOneGpu, 0, 0, 0, 0},
      {"hot neighbour", K::kHotAir, Where::kOneGpu, 9, 15, 120, 300},
      {"hot room", K::kHotAir, Where::kNode, 9, 13, 300, 600},
      {"power brake", K::kPowerBrake, Where::kOneGpu, 0.4, 0.7, 0, 0},
      {"lowered power limit", K::kPowerCap, Where::kOneGpu, 0.4, 0.65, 0, 0},
      {"slow clock", K::kSlowClock, Where::kOneGpu, 0.75, 0.9, 0, 0},
      {"stuck clock", K::kStuckClock, Where::kOneGpu, 300, 800, 0, 0},
      {"ECC growth", K::kEccGrowth, Where::kOneGpu, 40, 300, 300, 600},
      {"double-bit ECC", K::kDoubleBitErrors, Where::kOneGpu, 6, 24, 0, 0},
      {"PCIe replays", K::kPcieReplays, Where::kOneGpu, 0.2, 3, 0, 0},
      {"degraded PCIe link", K::kPcieDegraded, Where::kOneGpu, 1, 4.99, 0, 0},
      {"NVLink retries", K::kNvlinkErrors, Where::kOneGpu, 40, 150, 0, 0},
      {"memory leak", K::kMemoryLeak, Where::kOneGpu, 60, 400, 0, 0},
      {"job spins", K::kJobSpin, Where::kItsJob, 0, 0, 0, 0},
      {"job stalls", K::kJobStall, Where::kItsJob, 0, 0, 0, 0},
      {"jumping sensor", K::kFlappingSensor, Where::kOneGpu, 12, 30, 0, 0},
      {"stuck sensor", K::kStuckSensor, Where::kOneGpu, 0, 0, 0, 0, true},
      {"stuck values", K::kStuckValues, Where::kOneGpu, 0, 0, 0, 0},
      {"missing values", K::kMissingValues, Where::kOneGpu, 0, 0, 0, 0},
      {"slow readings", K::kSlowReads, Where::kNode, 1200, 3500, 60, 300},
      {"unanswered readings", K::kUnansweredReads, Where::kOneGpu, 0.08, 0.3, 0, 0},
      {"hang", K::kHang, Where::kOneGpu, 0, 0, 0, 0},
      {"silent loss", K::kSilentLoss, Where::kOneGpu, 0, 0, 0, 0},
      {"off the bus", K::kOffTheBus, Where::kOneGpu, 0, 0, 0, 0},
  };
  return all;
}

// Jobs of a node: one over all GPUs, two halves, or one of four, one of two and two singles.
class Jobs {
 public:
  Jobs(std::uint64_t seed, double mean_s) : rng_(seed), mean_s_(mean_s), name_(fmt::format("run{}", seed)) {}

  // The layout that `until_s` does not end: see stay().
  void stay(double from_s) { stay_from_s_ = from_s; }

  // True when the assignment changed.
  bool advance(double now_s) {
    if (now_s < next_s_) return false;
    const bool was_busy = busy_;
    busy_ = stay_from_s_ >= 0 && now_s >= stay_from_s_ ? true : !was_busy;
    if (!busy_) {
      next_s_ = now_s + rng_.uniform(30, 600);
      std::fill(jobs_.begin(), jobs_.end(), "");
      return true;
    }
    const bool last = stay_from_s_ >= 0 && now_s >= stay_from_s_;
    next_s_ = last ? 1e18 : now_s + std::max(300.0, rng_.exponential(mean_s_));
    if (stay_from_s_ >= 0 && !last) next_s_ = std::min(next_s_, stay_from_s_);
    lay_out();
    return true;
  }
  const std::string& job_of(int gpu) const { return jobs_[static_cast<std::size_t>(gpu)]; }
  JobType type_of(const std::string& job) const { return job.back() == 'i' ? JobType::kInference : JobType::kTraining; }

 private:
  void lay_out() {
    const double kind = rng_.uniform();
    const std::vector<int> sizes = kind < 0.6 ? std::vector{8} : kind < 0.85 ? std::vector{4, 4} : std::vector{4, 2, 1, 1};
    int gpu = 0;
    for (int size : sizes) {
      const std::string job = fmt::format("{}-{}{}", name_, ++number_, rng_.chance(0.25) ? "i" : "t");
      for (int i = 0; i < size; ++i) jobs_[static_cast<std::size_t>(gpu++)] = job;
    }
  }
  Rng rng_;
  const double mean_s_;
  const std::string name_;
  double next_s_ = 0, stay_from_s_ = -1;
  bool busy_ = false;
  int number_ = 0;
  std::vector<std::string> jobs_ = std::vector<std::string>(kRunGpus);
};

SimulatedOptions options_of(std::uint64_t seed, Rng& rng) {
  SimulatedOptions options{.gpus = kRunGpus, .seed = seed};
  const auto types = simulated_gpu_types();
  options.models = {std::string(types[rng.below(types.size())].key)};
  if (rng.chance(0.3)) options.models.emplace_back(types[rng.below(types.size())].key);
  return options;
}

class Run {
 public:
  explicit Run(const RunPlan& plan)
      : plan_(plan),
        rng_(plan.seed * 0x9e3779b97f4a7c15ull + std::hash<std::string_view>{}(plan.kind)),
        options_(options_of(plan.seed, rng_)),
        node_(fmt::format("n{}", plan.seed)),
        jobs_(rng_.next(), plan.kind == "healthy" ? 7200 : 1200) {}

  std::vector<int> play(const std::vector<Watcher*>& watchers) {
    plan_fault();
    SimulatedGpuDriver driver(options_, node_, clock_, [this](Duration time) { clock_.advance(time); });
    const Mono start = clock_.mono();
    infos_ = driver.enumerate().value();
    samples_.resize(infos_.size());
    read_at_.resize(infos_.size());
    lost_.resize(infos_.size());
    for (Duration tick{0}; tick < plan_.length; tick += seconds(1)) {
      const Duration age = clock_.mono() - start;
      if (age > tick) continue;  // a round took longer than its second
      clock_.advance(tick - age);
      const double at_s = static_cast<double>(tick / seconds(1));
      if (jobs_.advance(at_s)) driver.set_loads(loads());
      for (std::size_t i = 0; i < infos_.size(); ++i) read(driver, i);
      for (std::size_t i = 0; i < infos_.size(); ++i) tell(watchers, i, at_s);
    }
    return faulty_;
  }

 private:
  void plan_fault() {
    const auto found = std::find_if(kinds().begin(), kinds().end(), [&](const KindPlan& kind) { return kind.name == plan_.kind; });
    if (found == kinds().end()) return;
    if (!found->jobs_go_on) jobs_.stay(std::chrono::duration<double>(plan_.onset - minutes(20)).count());
    const int gpu = static_cast<int>(rng_.below(kRunGpus));
    const FaultKindInfo& info = info_of(found->fault);
    Fault fault{.kind = found->fault, .level = rng_.uniform(found->low, found->high), .from = plan_.onset, .ramp = seconds(info.ramp_s)};
    if (found->ramp_high_s > 0) fault.ramp = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(rng_.uniform(found->ramp_low_s, found->ramp_high_s)));
    if (fault.kind == FaultKind::kMissingValues) {
      const std::string_view names[] = {"temperature_c", "power_draw_w", "utilization_gpu", "clock_sm_mhz", "memory_used_mb"};
      fault.metrics = std::uint64_t{1} << (find_gpu_metric(names[rng_.below(5)]) - gpu_metrics().data());
    }
    faulty_ = {gpu};
    if (found->where == Where::kItsJob) faulty_ = members_at_onset(gpu);
    if (found->where == Where::kNode) {
      faulty_.resize(kRunGpus);
      std::iota(faulty_.begin(), faulty_.end(), 0);
    }
    fault.gpus = fault.kind == FaultKind::kSlowReads ? std::vector{gpu} : faulty_;  // one slow reading delays all
    options_.scenario.faults = {fault};
  }

  // The GPUs that share a job with this one when the fault begins: the course of jobs does not depend on the GPUs.
  std::vector<int> members_at_onset(int gpu) const {
    Jobs future = jobs_;
    for (double s = 0; s <= std::chrono::duration<double>(plan_.onset).count(); ++s) future.advance(s);
    std::vector<int> members;
    for (int other = 0; other < kRunGpus; ++other)
      if (future.job_of(other) == future.job_of(gpu)) members.push_back(other);
    return members;
  }

  std::vector<GpuLoad> loads() {
    std::vector<GpuLoad> out;
    for (const GpuInfo& info : infos_)
      if (const std::string& job = jobs_.job_of(info.gpu_index); !job.empty())
        out.push_back({info.gpu_uuid, {JobId(job), 1}, jobs_.type_of(job), 0});
    return out;
  }

  void read(SimulatedGpuDriver& driver, std::size_t i) {
    if (lost_[i]) return;
    const Time now = clock_.now();
    auto sample = driver.read(infos_[i].gpu_uuid);
    if (!sample) {
      lost_[i] = sample.error().code == ErrorCode::kNotFound;
      return;
    }
    sample->node = node_;
    sample->sample_time = now;
    samples_[i] = *std::move(sample);
    read_at_[i] = now;
  }

  void tell(const std::vector<Watcher*>& watchers, std::size_t i, double at_s) {
    const std::string& job = jobs_.job_of(infos_[i].gpu_index);
    GpuReading reading{infos_[i], node_, gpu_display_id(node_, infos_[i].gpu_index), nullptr, !lost_[i], {}, {}};
    const Time now = clock_.now();
    if (read_at_[i] != Time{} && now - read_at_[i] < seconds(10) && !lost_[i]) reading.sample = &samples_[i];
    if (!job.empty()) reading.job = JobId(job);
    if (reading.job) reading.held_since = now;
    for (Watcher* watcher : watchers) watcher->observe(reading, at_s, now);
  }

  const RunPlan plan_;
  Rng rng_;
  SimulatedOptions options_;
  const NodeId node_;
  ManualClock clock_;
  Jobs jobs_;
  std::vector<int> faulty_;
  std::vector<GpuInfo> infos_;
  std::vector<GpuSample> samples_;
  std::vector<Time> read_at_;
  std::vector<char> lost_;
};

}  // namespace

const std::vector<std::string>& run_kinds() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> out;
    for (const KindPlan& kind : kinds()) out.emplace_back(kind.name);
    return out;
  }();
  return names;
}

std::vector<int> play(const RunPlan& plan, const std::vector<Watcher*>& watchers) { return Run(plan).play(watchers); }

void ThresholdWatcher::observe(const GpuReading& reading, double at_s, Time now) {
  for (const Alert& alert : alerts_.update(reading, now))
    if (!alert.cleared_at && alert.severity >= Severity::kWarning)
      alarms.push_back({at_s, reading.info.gpu_index, alert.kind, alert.title + ": " + alert.detail});
}

void DetectorWatcher::observe(const GpuReading& reading, double at_s, Time now) {
  for (const Finding& finding : detector_.update(reading, now))
    if (finding.bad)
      alarms.push_back({at_s, finding.alert.gpu_uuid.empty() ? -1 : reading.info.gpu_index, finding.alert.kind,
                        finding.alert.title + ": " + finding.alert.detail});
}

Score score(const RunPlan& plan, const std::vector<int>& faulty, const std::vector<Alarm>& alarms) {
  Score out;
  const double onset_s = std::chrono::duration<double>(plan.onset).count();
  for (const Alarm& alarm : alarms) {
    const bool concerns = alarm.gpu < 0 ? faulty.size() == kRunGpus
                                        : std::find(faulty.begin(), faulty.end(), alarm.gpu) != faulty.end();
    if (!concerns || alarm.at_s < onset_s) {
      ++out.wrong;
      continue;
    }
    ++out.correct;
    if (out.detected_after_s < 0) out.detected_after_s = alarm.at_s - onset_s;
  }
  return out;
}

}  // namespace aether::bench
