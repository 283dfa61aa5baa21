#pragma once
// The cluster as one cycle sees it: flat, with what no job of the queue changes judged once. Promises made in the cycle
// are kept beside each GPU.
#include <optional>
#include <string>
#include <vector>

#include "scheduler/constraints.h"
#include "scheduler/scheduler.h"

namespace aether {

struct GpuSlot {
  const GpuRecord* gpu = nullptr;
  std::size_t node = 0;                 // index into FleetTable::nodes
  std::optional<Rejection> unhealthy;
  std::int64_t promised_mb = 0;         // to jobs ahead in this cycle
  bool promised = false, promised_whole = false;
};

struct NodeSlot {
  const NodeId* id = nullptr;
  const NodeRecord* record = nullptr;
  std::vector<std::size_t> gpus;        // indices into FleetTable::gpus, ascending
  std::size_t taken = 0;                // of its GPUs, allocated or promised

  double taken_share() const {
    return record->gpus.empty() ? 0 : static_cast<double>(taken) / static_cast<double>(record->gpus.size());
  }
};

struct FleetTable {
  explicit FleetTable(const SchedulerInput& input);
  // Books the placement; returns the index of its node.
  std::size_t promise(const Placement& placement);
  // Of a node of the table.
  const std::vector<std::size_t>& gpus_of(const NodeId& node) const { return nodes[index_of(node)].gpus; }
  std::size_t index_of(const NodeId& node) const;

  std::vector<GpuSlot> gpus;            // by UUID
  std::vector<NodeSlot> nodes;          // by name
};

// One job's verdict on one GPU.
struct Verdict {
  std::optional<Rejection> rejected;
  double score = 0;
};

}  // namespace aether
