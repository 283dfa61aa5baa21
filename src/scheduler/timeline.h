#pragma once
// When GPUs become free at the latest, if every job uses its whole time limit. From it: the reservation of the first
// job that does not fit now (backfill never delays it) and the latest start of those behind.
#include <map>
#include <set>
#include <vector>

#include "scheduler/scheduler.h"

namespace aether {

struct Reservation {
  Time at;
  NodeId node;
  std::set<GpuUuid> gpus;
};

class Timeline {
 public:
  // Only GPUs whose kind and health let them take jobs.
  Timeline(const SchedulerInput& input, const SchedulerOptions& options);

  // A start decided in this cycle.
  void occupy(const Placement& placement, Time until);
  // The earliest instant at which `spec` finds its GPUs on one node, and books them until its time limit. Nothing when
  // no node could ever take it.
  std::optional<Reservation> reserve(const JobSpec& spec, Time now);

 private:
  struct FreeGpu {
    const GpuRecord* gpu = nullptr;
    Time at;
  };
  std::map<NodeId, std::vector<FreeGpu>> free_at_;  // each by UUID
};

}  // namespace aether
