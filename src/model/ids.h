#pragma once
// What identifies things. Forms: docs/glossary.md.
#include <cstdint>
#include <string>

#include "base/strong_id.h"

namespace aether {

using JobId = StrongId<struct JobTag>;     // ULID
using NodeId = StrongId<struct NodeTag>;   // ^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$
using GpuUuid = StrongId<struct GpuTag>;   // "GPU-..." as the driver names it; an index is for display only
using AlertId = StrongId<struct AlertTag>;

// Strictly increasing for the life of the cluster; a command with a lower epoch than one already seen is stale.
using Epoch = std::uint64_t;

// Unit of execution: attempt n (from 1) of a job. Text form "<job>.<n>".
struct AttemptId {
  JobId job;
  int n = 0;
  friend bool operator==(const AttemptId&, const AttemptId&) = default;
  friend auto operator<=>(const AttemptId&, const AttemptId&) = default;
};

inline std::string to_string(const AttemptId& id) { return id.job.str() + "." + std::to_string(id.n); }

// "<node>-<index>": what a person calls a GPU; also the last token of its telemetry subject after "gpu-".
inline std::string gpu_display_id(const NodeId& node, int gpu_index) {
  return node.str() + "-" + std::to_string(gpu_index);
}

}  // namespace aether
