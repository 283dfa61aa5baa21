#include "scheduler/fleet_table.h"

#include <algorithm>

namespace aether {

FleetTable::FleetTable(const SchedulerInput& input) {
  nodes.reserve(input.cluster.nodes().size());
  for (const auto& [id, record] : input.cluster.nodes()) nodes.push_back({&id, &record, {}, 0});
  gpus.reserve(input.cluster.gpus().size());
  for (const auto& [uuid, gpu] : input.cluster.gpus()) {
    const auto node = std::lower_bound(nodes.begin(), nodes.end(), gpu.node,
                                       [](const NodeSlot& slot, const NodeId& id) { return *slot.id < id; });
    if (node == nodes.end() || *node->id != gpu.node) continue;
    node->gpus.push_back(gpus.size());
    if (!gpu.allocations.empty()) ++node->taken;
    gpus.push_back({&gpu, static_cast<std::size_t>(node - nodes.begin()),
                    check_health(gpu, *node->record, input.cluster, input.now), 0, false, false});
  }
}

std::size_t FleetTable::promise(const Placement& placement) {
  const std::size_t at = index_of(placement.node);
  NodeSlot& node = nodes[at];
  for (const std::size_t index : node.gpus) {
    GpuSlot& slot = gpus[index];
    const auto& wanted = placement.gpu_uuids;
    if (std::find(wanted.begin(), wanted.end(), slot.gpu->info.gpu_uuid) == wanted.end()) continue;
    if (!slot.promised && slot.gpu->allocations.empty()) ++node.taken;
    slot.promised = true;
    slot.promised_mb += placement.memory_mb_per_gpu;
    if (placement.memory_mb_per_gpu == 0) slot.promised_whole = true;
  }
  return at;
}

std::size_t FleetTable::index_of(const NodeId& node) const {
  const auto found = std::lower_bound(nodes.begin(), nodes.end(), node,
                                      [](const NodeSlot& slot, const NodeId& id) { return *slot.id < id; });
  return static_cast<std::size_t>(found - nodes.begin());
}

}  // namespace aether
