#include "scheduler/timeline.h"

#include <algorithm>

#include "scheduler/constraints.h"

namespace aether {

Timeline::Timeline(const SchedulerInput& input, const SchedulerOptions& options) : cluster_(input.cluster) {
  for (const auto& [uuid, gpu] : input.cluster.gpus()) {
    const NodeRecord* node = input.cluster.find_node(gpu.node);
    if (node == nullptr || gpu.info.source == GpuSource::kExternal) continue;
    if (check_health(gpu, *node, input.cluster, input.now)) continue;
    if (is_used_by_foreign_process(gpu, options)) continue;  // nobody knows until when
    free_at_[gpu.node][uuid] = input.now;
  }
  for (const RunningJob& running : input.running) occupy(running.placement, running.ends_at_latest);
}

void Timeline::occupy(const Placement& placement, Time until) {
  const auto node = free_at_.find(placement.node);
  if (node == free_at_.end()) return;
  for (const GpuUuid& uuid : placement.gpu_uuids)
    if (auto it = node->second.find(uuid); it != node->second.end()) it->second = std::max(it->second, until);
}

std::optional<Reservation> Timeline::reserve(const JobSpec& spec, Time now) {
  const auto wanted = static_cast<std::size_t>(std::max(spec.gpus, 0));
  std::optional<Reservation> best;
  for (const auto& [node, gpus] : free_at_) {
    std::vector<std::pair<Time, GpuUuid>> usable;
    for (const auto& [uuid, at] : gpus)
      if (!check_kind(*cluster_.find_gpu(uuid), spec)) usable.emplace_back(at, uuid);
    if (usable.size() < wanted) continue;
    std::sort(usable.begin(), usable.end());
    usable.resize(wanted);
    const Time at = usable.empty() ? now : std::max(now, usable.back().first);
    if (best && best->at <= at) continue;
    best = Reservation{at, node, {}};
    for (const auto& [free, uuid] : usable) best->gpus.insert(uuid);
  }
  if (best) {
    const Time until = best->at + std::chrono::seconds(spec.time_limit_s);
    for (const GpuUuid& uuid : best->gpus) free_at_[best->node][uuid] = until;
  }
  return best;
}

}  // namespace aether
