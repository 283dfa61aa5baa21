#include "anomaly/anomaly_detector.h"

#include <fmt/format.h>

#include "anomaly/judge.h"

namespace aether {
namespace {

constexpr Duration kCompareEvery = std::chrono::seconds(5);
constexpr double kLongGapS = 60;  // after a gap this long filters begin anew

// What has to do with one stay of a job on the GPU.
void begin_job(AnomalyDetector::Gpu& gpu, const std::optional<JobId>& job, Time now) {
  gpu.job = job;
  gpu.job_since = now;
  gpu.job_power.clear();
  gpu.job_bandwidth.clear();
  gpu.power_ratio.clear();
  gpu.util_ratio.clear();
  gpu.busy_s = 0;
  gpu.growing_minutes = 0;
  gpu.minute_since = {};
}

}  // namespace

std::string_view to_string(Signal signal) {
  switch (signal) {
    case Signal::kHeat: return "heat";
    case Signal::kSlow: return "slow";
    case Signal::kHung: return "hung";
    case Signal::kStalled: return "stalled";
    case Signal::kMemoryLeak: return "memory_leak";
    case Signal::kEccRate: return "ecc_rate";
    case Signal::kPcieReplays: return "pcie_replays";
    case Signal::kSensor: return "sensor";
    case Signal::kStuckValues: return "stuck_values";
    case Signal::kMissingValues: return "missing_values";
    case Signal::kReadings: return "readings";
    case Signal::kCount: break;
  }
  return "unknown";
}

std::vector<Finding> AnomalyDetector::update(const GpuReading& reading, Time now) {
  Out out;
  if (!options_.enabled || reading.sample == nullptr || !reading.present) return out;
  Gpu& gpu = gpus_[reading.info.gpu_uuid];
  const Time sample_time = reading.sample->sample_time;
  if (sample_time <= gpu.sample_time) return out;
  const bool first = gpu.sample_time == Time{};
  const double dt_s = first ? 1 : seconds_of(sample_time - gpu.sample_time);
  if (first) gpu.job_since = now - options_.settle;
  observe(gpu, reading, dt_s, now);
  gpu.sample_time = sample_time;
  gpu.seen = now;
  if (now - compared_ >= kCompareEvery) {
    compare_all(now);
    compared_ = now;
  }
  if (dt_s > kLongGapS) return out;
  learn_ratios(gpu, dt_s, now);
  judge_heat(gpu, now, out);
  judge_node(gpu.node, now, out);
  judge_speed(gpu, now, out);
  judge_job(gpu, now, out);
  judge_memory(gpu, now, out);
  judge_counters(gpu, now, out);
  judge_measurement(gpu, *reading.sample, now, out);
  return out;
}

void AnomalyDetector::observe(Gpu& gpu, const GpuReading& reading, double dt_s, Time now) {
  gpu.uuid = reading.info.gpu_uuid;
  gpu.node = reading.node;
  gpu.index = reading.info.gpu_index;
  if (gpu.gpu_id != reading.gpu_id) gpu.gpu_id = reading.gpu_id;
  if (gpu.model != reading.info.gpu_name) gpu.model = reading.info.gpu_name;
  if (reading.info.power_limit_w) gpu.power_scale_w = *reading.info.power_limit_w;
  gpu.clock_max_mhz = reading.info.clock_gpu_max_mhz.value_or(0);
  gpu.memory_total_mb = static_cast<double>(reading.info.memory_total_mb);
  if (gpu.job != reading.job) begin_job(gpu, reading.job, now);
  if (dt_s > kLongGapS) {
    for (Smooth* filter : {&gpu.power, &gpu.util, &gpu.bandwidth, &gpu.clock, &gpu.heat_power, &gpu.heat, &gpu.interval}) filter->clear();
    gpu.job_since = std::max(gpu.job_since, now);
  }
  observe_load(gpu, *reading.sample, std::min(dt_s, kLongGapS), now);
  observe_counters(gpu, *reading.sample, dt_s);
  observe_memory(gpu, *reading.sample, now);
  observe_measurement(gpu, *reading.sample, dt_s, now);
}

void AnomalyDetector::restore(const std::vector<Alert>& open) {
  for (const Alert& alert : open) {
    for (std::size_t i = 0; i < static_cast<std::size_t>(Signal::kCount); ++i)
      if (alert.kind == to_string(static_cast<Signal>(i)) && !alert.gpu_uuid.empty()) gpus_[alert.gpu_uuid].held[i].open = true;
    if (alert.kind == "hot_node") nodes_[alert.node].hot.open = true;
  }
}

void AnomalyDetector::forget(const GpuUuid& gpu) { gpus_.erase(gpu); }

const AnomalyDetector::Gpu* AnomalyDetector::find(const GpuUuid& gpu) const {
  const auto found = gpus_.find(gpu);
  return found == gpus_.end() ? nullptr : &found->second;
}

Alert AnomalyDetector::alert_of(const Gpu& gpu, Signal signal, const Words& words) const {
  Alert alert;
  alert.kind = to_string(signal);
  alert.id = AlertId(alert.kind + "/" + gpu.uuid.str());
  alert.severity = Severity::kWarning;
  alert.title = fmt::format("GPU {} on {} {}", gpu.index, gpu.node.str(), words.title);
  alert.detail = words.detail;
  alert.node = gpu.node;
  alert.gpu_uuid = gpu.uuid;
  alert.gpu_id = gpu.gpu_id;
  alert.job = gpu.job;
  alert.value = words.value;
  alert.threshold = words.threshold;
  alert.unit = words.unit;
  return alert;
}

}  // namespace aether
