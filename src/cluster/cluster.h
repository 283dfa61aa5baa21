#pragma once
// What the orchestrator believes about nodes and GPUs: a fold over what agents say. Pure: time comes in as an argument,
// nothing is read or sent. One owner thread.
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "model/gpu.h"
#include "model/job.h"
#include "model/node.h"

namespace aether {

struct ClusterOptions {
  std::chrono::seconds sample_stale{5};  // a reading older than this is not shown as current
  std::chrono::seconds node_stale{10};   // no heartbeat: no new jobs there
  std::chrono::seconds node_down{60};    // shown as down; its jobs are kept, they may still run
};

struct Allocation {
  AttemptId attempt;
  std::int64_t memory_mb = 0;  // 0 = the whole GPU, exclusively
  int slot = 0;                // 0 exclusive, from 1 shared
  friend bool operator==(const Allocation&, const Allocation&) = default;
};

struct GpuRecord {
  GpuInfo info;
  NodeId node;
  std::shared_ptr<const GpuSample> sample;  // the newest; null before the first
  Time sample_received;
  bool present = true;                      // in the node's last inventory
  std::optional<std::string> quarantine;    // the operator's or the rule's reason
  std::vector<Allocation> allocations;
  Time released_at;                         // end of the last allocation

  bool exclusive() const { return !allocations.empty() && allocations.front().slot == 0; }
  std::int64_t reserved_mb() const;
};

struct NodeRecord {
  NodeInventory inventory;
  NodeState state = NodeState::kUp;         // as of the last refresh()
  std::optional<std::string> drain;
  Time last_seen;
  std::vector<GpuUuid> gpus;                // by index
};

class Cluster {
 public:
  explicit Cluster(ClusterOptions options = {}) : options_(options) {}

  // A node describes itself. GPUs that it no longer names stay known as absent while something is allocated on them.
  void apply_inventory(const NodeInventory& inventory, Time now);
  void apply_heartbeat(const NodeId& node, Time now);
  // A reading from a node without an agent of ours makes an external GPU: shown, never given a job.
  // False when the reading is older than the one already held, unless that one is stale.
  bool apply_sample(std::shared_ptr<const GpuSample> sample, Time now);
  // Node states from the age of their last sign of life.
  void refresh(Time now);

  // Shared allocations take the lowest free slot of each GPU, or the one that `stored_slots` names for it: the slot is
  // part of the key under which the store holds the allocation.
  void allocate(const Attempt& attempt, const std::map<GpuUuid, int>& stored_slots = {});
  void release(const AttemptId& attempt, Time now);
  // A node that never comes back, with its GPUs. Nothing is allocated on them any more.
  void forget(const NodeId& node);
  void set_quarantine(const GpuUuid& gpu, std::optional<std::string> reason);
  void set_drain(const NodeId& node, std::optional<std::string> reason);

  const std::map<NodeId, NodeRecord>& nodes() const { return nodes_; }
  const std::map<GpuUuid, GpuRecord>& gpus() const { return gpus_; }
  const GpuRecord* find_gpu(const GpuUuid& gpu) const;
  const NodeRecord* find_node(const NodeId& node) const;
  const ClusterOptions& options() const { return options_; }

  bool has_current_sample(const GpuRecord& gpu, Time now) const;
  struct StateAndReason {
    GpuState state = GpuState::kNoData;
    std::string reason;
  };
  // What the dashboard shows for this GPU. `idle` comes from the alert rules.
  StateAndReason gpu_state(const GpuRecord& gpu, bool idle, Time now) const;

 private:
  const ClusterOptions options_;
  std::map<NodeId, NodeRecord> nodes_;
  std::map<GpuUuid, GpuRecord> gpus_;
  std::map<AttemptId, std::vector<GpuUuid>> allocated_;  // what release() has to look at
  std::map<GpuUuid, std::string> quarantined_;  // also of GPUs not seen yet
  std::map<NodeId, std::string> drained_;
};

}  // namespace aether
