#pragma once
// Alerts from thresholds: open after the condition has held for a while, clear by themselves with hysteresis.
// Pure: readings and time come in, changed alerts go out. One owner thread.
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "model/alert.h"
#include "model/gpu.h"

namespace aether {

struct AlertOptions {
  double temperature_c = 87;              // also at temperature_slowdown_c - 3, whichever is lower
  double temperature_clear_c = 5;         // clears this far below
  std::chrono::seconds temperature_for{10};
  std::chrono::seconds throttling_for{10};  // harmful reasons only; a power cap is normal
  std::chrono::seconds throttling_clear_for{15};
  double idle_utilization_pct = 5;
  std::chrono::seconds idle_for{300};     // a job holds the GPU and hardly uses it
  std::chrono::seconds fault_clear_for{600};  // ECC and Xid alerts clear after this long without a new event
  std::chrono::seconds no_data_for{15};
};

// What the rules look at for one GPU.
struct GpuReading {
  const GpuInfo& info;
  NodeId node;
  std::string gpu_id;
  const GpuSample* sample = nullptr;      // null: no current reading
  bool present = true;                    // still in its node's inventory
  std::optional<JobId> job;               // that holds it (the first, when shared)
  std::optional<Time> held_since;
};

class ThresholdAlerts {
 public:
  explicit ThresholdAlerts(AlertOptions options = {}) : options_(options) {}

  // Open alerts of an earlier run, so that they can clear.
  void restore(std::vector<Alert> open);

  // Alerts that this reading opened, changed or cleared.
  std::vector<Alert> update(const GpuReading& reading, Time now);
  // An external GPU that nobody reports any more is forgotten with its alerts.
  void forget(const GpuUuid& gpu);

  // Findings that are not about one GPU: open while `bad`, under the id that `alert` brings. The alert, when it changed.
  std::optional<Alert> set(const Alert& alert, bool bad, Time now);

  // False when there is no such alert.
  bool acknowledge(const AlertId& id);
  bool is_idle(const GpuUuid& gpu) const;

  // Open ones, and those cleared within the last hour; newest first.
  std::vector<Alert> current(Time now) const;
  const Alert* find(const AlertId& id) const;

 private:
  struct Condition {
    std::optional<Time> bad_since;
    std::optional<Time> good_since;
  };
  struct Finding {
    Severity severity;
    std::string title, detail, unit;
    std::optional<double> value, threshold;
  };
  struct Verdict {                       // neither bad nor good: inside the hysteresis
    const char* kind;
    bool bad = false, good = false;
    std::chrono::seconds open_for{0}, clear_for{0};
  };
  struct GpuMemory {                     // per GPU, between readings
    std::map<std::string, Condition> conditions;
    std::optional<std::uint64_t> ecc_dbe;
    std::optional<Time> xid_time;
    std::optional<Time> ecc_seen, xid_seen;
  };

  // `describe` gives the Finding's words; asked for only when an alert opens or is open, not for every healthy reading.
  template <class Describe>
  void judge(const GpuReading& reading, Time now, const Verdict& verdict, std::vector<Alert>& out, Describe describe);
  void open(const GpuReading& reading, Time now, const char* kind, const Finding& finding, std::vector<Alert>& out);
  void clear(const std::string& kind, const GpuReading& reading, Time now, std::vector<Alert>& out);
  void judge_temperature(const GpuReading& reading, Time now, std::vector<Alert>& out);
  void judge_throttling(const GpuReading& reading, Time now, std::vector<Alert>& out);
  void judge_idle(const GpuReading& reading, Time now, std::vector<Alert>& out);
  void judge_faults(const GpuReading& reading, Time now, std::vector<Alert>& out);
  void judge_presence(const GpuReading& reading, Time now, std::vector<Alert>& out);

  AlertOptions options_;
  std::map<AlertId, Alert> alerts_;
  std::map<GpuUuid, GpuMemory> memory_;
};

}  // namespace aether
