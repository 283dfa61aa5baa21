#include "scheduler/timeline.h"

#include <algorithm>

#include "scheduler/constraints.h"

namespace aether {

Timeline::Timeline(const SchedulerInput& input, const SchedulerOptions& options) {
  for (const auto& [uuid, gpu] : input.cluster.gpus()) {
    const NodeRecord* node = input.cluster.find_node(gpu.node);
    if (node == nullptr || gpu.info.source == GpuSource::kExternal) continue;
    if (check_health(gpu, *node, input.cluster, input.now)) continue;
    if (is_used_by_foreign_process(gpu, options)) continue;  // nobody knows until when
    free_at_[gpu.node].push_back({&gpu, input.now});
  }
  for (const RunningJob& running : input.running) occupy(running.placement, running.ends_at_latest);
}

void Timeline::occupy(const Placement& placement, Time until) {
  const auto node = free_at_.find(placement.node);
  if (node == free_at_.end()) return;
  const auto& taken = placement.gpu_uuids;
  for (FreeGpu& free : node->second)
    if (std::find(taken.begin(), taken.end(), free.gpu->info.gpu_uuid) != taken.end()) free.at = std::max(free.at, until);
}

std::optional<Reservation> Timeline::reserve(const JobSpec& spec, Time now) {
  const auto wanted = static_cast<std::size_t>(std::max(spec.gpus, 0));
  std::optional<Time> best;
  NodeId best_node;
  std::vector<FreeGpu*> chosen, usable;
  for (auto& [node, gpus] : free_at_) {
    usable.clear();
    for (FreeGpu& free : gpus)
      if (is_of_kind(*free.gpu, spec)) usable.push_back(&free);
    if (usable.size() < wanted) continue;
    std::stable_sort(usable.begin(), usable.end(), [](const FreeGpu* a, const FreeGpu* b) { return a->at < b->at; });
    usable.resize(wanted);
    const Time at = usable.empty() ? now : std::max(now, usable.back()->at);
    if (best && *best <= at) continue;
    best = at, best_node = node, chosen = usable;
  }
  if (!best) return std::nullopt;
  Reservation reservation{*best, best_node, {}};
  for (FreeGpu* free : chosen) {
    reservation.gpus.insert(free->gpu->info.gpu_uuid);
    free->at = *best + std::chrono::seconds(spec.time_limit_s);
  }
  return reservation;
}

}  // namespace aether
