#pragma once
// A machine with an agent, as the agent describes it.
#include <string>
#include <string_view>
#include <vector>

#include "model/gpu.h"
#include "model/ids.h"

namespace aether {

struct NodeInventory {
  NodeId node;
  std::string host_name;
  std::string agent_version;
  std::string agent_incarnation;  // random at each start of the agent
  std::uint64_t inventory_seq = 0;  // grows with each change, per incarnation
  std::string boot_id;
  std::string driver_version;     // empty when there is no NVIDIA driver
  std::string exec_mode;          // "pgrp-only", "cgroup2-delegated", "simulated" or "none" (telemetry only)
  std::string run_as;             // the account jobs run as
  std::string limits;             // what is limited by what: "memory=cgroup2,pids=cgroup2,cpus=none"
  GpuSource source = GpuSource::kNvml;
  std::vector<GpuInfo> gpus;
  friend bool operator==(const NodeInventory&, const NodeInventory&) = default;
};

enum class NodeState { kUp, kStale, kDown, kDrained };
std::string_view to_string(NodeState state);

}  // namespace aether
