#pragma once
// The agent's /metrics: aether_* by the conventions of Prometheus, and the same readings under the names of dcgm-exporter,
// so that dashboards and alerts written for it go on. docs/telemetry.md has the tables.
#include <map>
#include <string>
#include <vector>

#include "agent/agent.h"
#include "agent/text_writer.h"

namespace aether {

enum class DcgmNames { kOff, kOld, kNew, kBoth };
enum class HostLabel { kNone, kUpper, kLower, kBoth };  // Hostname, hostname

struct MetricsOptions {
  TextFormat format = TextFormat::kPrometheus;
  DcgmNames dcgm_names = DcgmNames::kOld;
  HostLabel host_label = HostLabel::kUpper;
  Duration stale_after = std::chrono::seconds(3);  // an older reading is left out: a value shown is a value measured
};

// What is shown, taken at one moment.
struct MetricsInput {
  std::string host_name, driver_version, version;
  Mono now{};
  std::vector<Agent::KnownGpu> gpus;
  std::vector<Agent::Reading> readings;
  std::vector<HealthWatch::XidCount> xids;
  std::map<GpuUuid, std::size_t> foreign_processes;
  AgentCounters counters;
  GpuDriverHealth driver;
  std::uint64_t bus_dropped = 0;
  struct Process {
    std::string role;  // "agent", "nvml_worker"
    double cpu_s = 0, resident_bytes = 0;
  };
  std::vector<Process> processes;
};

std::string metrics_text(const MetricsInput& input, const MetricsOptions& options);

// The families with DCGM's names alone; part of metrics_text().
void write_dcgm(TextWriter& out, const MetricsInput& input, const MetricsOptions& options);

// The reading of this GPU if it is fresh enough to be shown.
const Agent::Reading* find_fresh(const MetricsInput& input, const MetricsOptions& options, const GpuUuid& gpu);

}  // namespace aether
