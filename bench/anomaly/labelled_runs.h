#pragma once
// Labelled runs of a node of eight simulated GPUs at compressed time: which fault begins when on which GPU, or none, while
// jobs of several kinds come and go. Everything follows from kind and seed.
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "anomaly/anomaly_detector.h"
#include "anomaly/threshold_alerts.h"
#include "telemetry/simulated/scenario.h"

namespace aether::bench {

constexpr int kRunGpus = 8;

struct RunPlan {
  std::string kind;            // of run_kinds(), or "healthy"
  std::uint64_t seed = 1;
  Duration onset{std::chrono::minutes(60)};
  Duration length{std::chrono::minutes(90)};
};
// The labelled kinds.
const std::vector<std::string>& run_kinds();

struct Alarm {
  double at_s = 0;             // since the run's beginning
  int gpu = 0;                 // -1: the node
  std::string kind, text;
};

// Something that watches a run and raises alarms.
class Watcher {
 public:
  virtual ~Watcher() = default;
  virtual void observe(const GpuReading& reading, double at_s, Time now) = 0;
  std::vector<Alarm> alarms;
};

class ThresholdWatcher final : public Watcher {
 public:
  void observe(const GpuReading& reading, double at_s, Time now) override;

 private:
  ThresholdAlerts alerts_;
};

class DetectorWatcher final : public Watcher {
 public:
  void observe(const GpuReading& reading, double at_s, Time now) override;

 private:
  AnomalyDetector detector_;
};

// Plays the plan to all watchers. Returns which GPUs had the fault.
std::vector<int> play(const RunPlan& plan, const std::vector<Watcher*>& watchers);

// Of one watcher in one run.
struct Score {
  int correct = 0, wrong = 0;  // alarms: on a GPU that has the fault while it has it, and all others
  double detected_after_s = -1;  // -1: not within the run
};
Score score(const RunPlan& plan, const std::vector<int>& faulty, const std::vector<Alarm>& alarms);

}  // namespace aether::bench
