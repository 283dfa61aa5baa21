#pragma once
// Something a person should look at. Opens on evidence, clears by itself when the evidence is gone.
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "model/ids.h"

namespace aether {

enum class Severity { kInfo, kWarning, kCritical };
std::string_view to_string(Severity severity);

struct Alert {
  AlertId id;            // "<kind>/<gpu uuid or node>"
  Severity severity = Severity::kWarning;
  std::string kind;      // "temperature", "throttling", "ecc", "xid", "idle", "memory", "no_data", "gpu_lost"
  std::string title;     // "GPU 2 on node-03 is throttling"
  std::string detail;    // what was measured against which threshold
  NodeId node;
  GpuUuid gpu_uuid;
  std::string gpu_id;
  std::optional<JobId> job;
  Time since;
  std::optional<Time> cleared_at;
  std::optional<double> value, threshold;
  std::string unit;
  bool acknowledged = false;
  friend bool operator==(const Alert&, const Alert&) = default;
};

}  // namespace aether
