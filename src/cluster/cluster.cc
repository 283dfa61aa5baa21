#include "cluster/cluster.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/mutant.h"

namespace aether {

std::int64_t GpuRecord::reserved_mb() const {
  std::int64_t total = 0;
  for (const Allocation& allocation : allocations)
    total += allocation.memory_mb > 0 ? allocation.memory_mb : info.memory_total_mb;
  return total;
}

void Cluster::apply_inventory(const NodeInventory& inventory, Time now) {
  NodeRecord& node = nodes_[inventory.node];
  for (const GpuUuid& old : node.gpus)
    if (auto it = gpus_.find(old); it != gpus_.end()) it->second.present = false;
  const std::vector<GpuUuid> before = node.gpus;
  node.inventory = inventory;
  node.last_seen = now;
  node.gpus.clear();
  for (const GpuInfo& info : inventory.gpus) {
    GpuRecord& gpu = gpus_[info.gpu_uuid];
    gpu.info = info;
    gpu.node = inventory.node;
    gpu.present = true;
    if (auto it = quarantined_.find(info.gpu_uuid); it != quarantined_.end()) gpu.quarantine = it->second;
    node.gpus.push_back(info.gpu_uuid);
  }
  for (const GpuUuid& old : before) {
    const auto it = gpus_.find(old);
    if (it == gpus_.end() || it->second.present) continue;
    const bool external = it->second.info.source == GpuSource::kExternal;
    if (external && it->second.allocations.empty())
      gpus_.erase(it);  // the same GPU, now described by an agent
    else
      node.gpus.push_back(old);
  }
  if (auto it = drained_.find(inventory.node); it != drained_.end()) node.drain = it->second;
  refresh(now);
}

void Cluster::apply_heartbeat(const NodeId& node, Time now) {
  if (auto it = nodes_.find(node); it != nodes_.end()) {
    it->second.last_seen = now;
    refresh(now);
  }
}

namespace {
// A node's wall clock may step back, and its numbering starts anew with its agent: only both together mean older.
bool is_older(const GpuSample& sample, const GpuSample& held) {
  return sample.sample_time < held.sample_time && (sample.sample_seq <= held.sample_seq || AETHER_MUTANT("old_looking_sample"));
}
}  // namespace

bool Cluster::apply_sample(std::shared_ptr<const GpuSample> sample, Time now) {
  auto it = gpus_.find(sample->gpu_uuid);
  if (it == gpus_.end()) {
    NodeRecord& node = nodes_[sample->node];
    if (node.inventory.node.empty()) {
      node.inventory.node = sample->node;
      node.inventory.source = GpuSource::kExternal;
      node.inventory.exec_mode = "none";
    }
    GpuRecord record;
    record.info.gpu_uuid = sample->gpu_uuid;
    record.info.gpu_index = sample->gpu_index;
    record.info.gpu_name = sample->gpu_name;
    record.info.source = GpuSource::kExternal;
    record.info.memory_total_mb = sample->memory_total_mb.value_or(0);
    record.info.power_limit_w = sample->power_limit_w;
    record.node = sample->node;
    node.gpus.push_back(sample->gpu_uuid);
    it = gpus_.emplace(sample->gpu_uuid, std::move(record)).first;
  }
  GpuRecord& gpu = it->second;
  if (gpu.sample && is_older(*sample, *gpu.sample) && (now - gpu.sample_received <= options_.sample_stale || AETHER_MUTANT("old_looking_sample")))
    return false;
  NodeRecord& node = nodes_[gpu.node];
  if (node.inventory.source == GpuSource::kExternal) node.last_seen = now;
  gpu.sample = std::move(sample);
  gpu.sample_received = now;
  return true;
}

void Cluster::refresh(Time now) {
  for (auto& [id, node] : nodes_) {
    const auto age = now - node.last_seen;
    if (age > options_.node_down)
      node.state = NodeState::kDown;
    else if (age > options_.node_stale)
      node.state = NodeState::kStale;
    else
      node.state = node.drain ? NodeState::kDrained : NodeState::kUp;
  }
}

void Cluster::allocate(const Attempt& attempt, const std::map<GpuUuid, int>& stored_slots) {
  if (!attempt.placement.gpu_uuids.empty()) allocated_[attempt.id] = attempt.placement.gpu_uuids;
  for (const GpuUuid& uuid : attempt.placement.gpu_uuids) {
    GpuRecord& gpu = gpus_[uuid];
    if (gpu.info.gpu_uuid.empty()) {  // recovered before its node said hello
      gpu.info.gpu_uuid = uuid;
      gpu.node = attempt.placement.node;
      gpu.present = false;
    }
    Allocation allocation{attempt.id, attempt.placement.memory_mb_per_gpu, 0};
    if (allocation.memory_mb > 0) {
      int slot = 1;
      const auto taken = [&](int s) {
        return std::any_of(gpu.allocations.begin(), gpu.allocations.end(), [&](const Allocation& a) { return a.slot == s; });
      };
      while (taken(slot)) ++slot;
      const auto stored = stored_slots.find(uuid);
      allocation.slot = stored == stored_slots.end() ? slot : stored->second;
    }
    gpu.allocations.push_back(allocation);
  }
}

void Cluster::release(const AttemptId& attempt, Time now) {
  const auto allocated = allocated_.extract(attempt);
  if (allocated.empty()) return;
  for (const GpuUuid& uuid : allocated.mapped()) {
    const auto gpu = gpus_.find(uuid);
    if (gpu == gpus_.end()) continue;
    const auto removed = std::erase_if(gpu->second.allocations, [&](const Allocation& a) { return a.attempt == attempt; });
    if (removed > 0) gpu->second.released_at = now;
  }
}

void Cluster::forget(const NodeId& node) {
  std::erase_if(gpus_, [&](const auto& entry) { return entry.second.node == node; });
  nodes_.erase(node);
  drained_.erase(node);
}

void Cluster::set_quarantine(const GpuUuid& gpu, std::optional<std::string> reason) {
  if (reason)
    quarantined_[gpu] = *reason;
  else
    quarantined_.erase(gpu);
  if (auto it = gpus_.find(gpu); it != gpus_.end()) it->second.quarantine = std::move(reason);
}

void Cluster::set_drain(const NodeId& node, std::optional<std::string> reason) {
  if (reason)
    drained_[node] = *reason;
  else
    drained_.erase(node);
  if (auto it = nodes_.find(node); it != nodes_.end()) {
    it->second.drain = std::move(reason);
    if (it->second.state == NodeState::kUp || it->second.state == NodeState::kDrained)
      it->second.state = it->second.drain ? NodeState::kDrained : NodeState::kUp;
  }
}

const GpuRecord* Cluster::find_gpu(const GpuUuid& gpu) const {
  const auto it = gpus_.find(gpu);
  return it == gpus_.end() ? nullptr : &it->second;
}

const NodeRecord* Cluster::find_node(const NodeId& node) const {
  const auto it = nodes_.find(node);
  return it == nodes_.end() ? nullptr : &it->second;
}

bool Cluster::has_current_sample(const GpuRecord& gpu, Time now) const {
  return gpu.sample && now - gpu.sample_received <= options_.sample_stale;
}

Cluster::StateAndReason Cluster::gpu_state(const GpuRecord& gpu, bool idle, Time now) const {
  const NodeRecord* node = find_node(gpu.node);
  if (!gpu.present) return {GpuState::kLost, "not in the node's inventory any more"};
  if (gpu.quarantine) return {GpuState::kQuarantined, *gpu.quarantine};
  if (!has_current_sample(gpu, now)) {
    if (!gpu.sample) return {GpuState::kNoData, "no reading yet"};
    const auto age = std::chrono::duration_cast<std::chrono::seconds>(now - gpu.sample_received);
    return {GpuState::kNoData, fmt::format("last reading {} s ago", age.count())};
  }
  if (gpu.sample->throttling_reasons && is_harmful_throttling(*gpu.sample->throttling_reasons))
    return {GpuState::kThrottling, *gpu.sample->throttling_reasons};
  if (!gpu.allocations.empty()) {
    if (idle) return {GpuState::kIdle, "held by a job, hardly used"};
    return {GpuState::kBusy, ""};
  }
  if (node != nullptr && node->drain) return {GpuState::kOut, "node drained: " + *node->drain};
  if (gpu.info.source == GpuSource::kExternal) {
    if (gpu.sample->utilization_gpu.value_or(0) > 0) return {GpuState::kBusy, "reported by an agent that is not Aether's"};
    return {GpuState::kOut, "reported by an agent that is not Aether's; gets no jobs"};
  }
  return {GpuState::kFree, ""};
}

}  // namespace aether
