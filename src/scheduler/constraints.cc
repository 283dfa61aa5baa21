#include "scheduler/constraints.h"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include "base/mutant.h"

namespace aether {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

bool type_matches(const std::string& gpu_name, const std::string& wanted) {
  const std::string name = lower(gpu_name);
  std::size_t start = 0;
  while (start <= wanted.size()) {
    const std::size_t comma = std::min(wanted.find(',', start), wanted.size());
    const std::string token = lower(std::string_view(wanted).substr(start, comma - start));
    if (!token.empty() && name.find(token) != std::string::npos) return true;
    start = comma + 1;
  }
  return false;
}

// The largest ones first; all of a GPU that Aether has given to nobody are foreign.
std::string describe_processes(const GpuSample& sample) {
  constexpr std::size_t kMost = 3;
  auto processes = sample.processes.value_or(std::vector<GpuProcess>{});
  if (processes.empty()) return "a process";  // its driver lists none
  std::stable_sort(processes.begin(), processes.end(), [](const GpuProcess& a, const GpuProcess& b) {
    return a.memory_used_mb.value_or(0) > b.memory_used_mb.value_or(0);
  });
  std::string text = processes.size() == 1 ? "process " : "processes ";
  for (std::size_t i = 0; i < std::min(kMost, processes.size()); ++i)
    text += fmt::format("{}{} ({})", i > 0 ? ", " : "", processes[i].pid,
                        processes[i].memory_used_mb ? fmt::format("{} MiB", *processes[i].memory_used_mb) : "memory unknown");
  return processes.size() > kMost ? text + fmt::format(" and {} more", processes.size() - kMost) : text;
}

}  // namespace

bool is_used_by_foreign_process(const GpuRecord& gpu, const SchedulerOptions& options) {
  const bool settled = gpu.sample && gpu.sample_received > gpu.released_at + options.release_settle;
  return gpu.allocations.empty() && settled && gpu.sample->memory_used_mb.value_or(0) > options.foreign_memory_mb;
}

std::int64_t reserved_memory_mb(const JobSpec& spec) {
  return spec.share == Share::kMemory ? spec.gpu_mem_mb.value_or(0) : 0;
}

std::optional<Rejection> check_kind(const GpuRecord& gpu, const JobSpec& spec) {
  if (gpu.info.source == GpuSource::kExternal)
    return Rejection{"NODE_STALE", "telemetry only: no Aether agent runs there"};
  if (!spec.gpu_type.empty() && !type_matches(gpu.info.gpu_name, spec.gpu_type))
    return Rejection{"INFEASIBLE", fmt::format("it is a {}, the job asks for {}", gpu.info.gpu_name, spec.gpu_type)};
  if (spec.gpu_mem_mb && gpu.info.memory_total_mb < *spec.gpu_mem_mb)
    return Rejection{"INSUFFICIENT_VRAM", fmt::format("it has {} MiB in all, the job asks for {} MiB",
                                                      gpu.info.memory_total_mb, *spec.gpu_mem_mb)};
  return std::nullopt;
}

bool is_of_kind(const GpuRecord& gpu, const JobSpec& spec) {
  return gpu.info.source != GpuSource::kExternal && (spec.gpu_type.empty() || type_matches(gpu.info.gpu_name, spec.gpu_type)) &&
         (!spec.gpu_mem_mb || gpu.info.memory_total_mb >= *spec.gpu_mem_mb);
}

std::optional<Rejection> check_node(const NodeRecord& node) {
  if (node.inventory.exec_mode == "none" || node.inventory.exec_mode.empty())
    return Rejection{"NODE_STALE", "telemetry only: it runs no jobs"};
  if (node.drain) return Rejection{"NODE_DRAINED", "node drained: " + *node.drain};
  if (node.state != NodeState::kUp) return Rejection{"NODE_STALE", "no recent sign of life from its agent"};
  return std::nullopt;
}

std::optional<Rejection> check_health(const GpuRecord& gpu, const NodeRecord& node, const Cluster& cluster, Time now) {
  if (!gpu.present) return Rejection{"NODE_STALE", "the GPU is gone from its node's inventory"};
  if (gpu.quarantine) return Rejection{"GPU_QUARANTINED", "quarantined: " + *gpu.quarantine};
  if (auto rejected = check_node(node)) return rejected;
  if (!cluster.has_current_sample(gpu, now)) return Rejection{"NODE_STALE", "no recent reading of this GPU"};
  return std::nullopt;
}

std::optional<Rejection> check_capacity(const GpuRecord& gpu, const JobSpec& spec, std::int64_t extra_mb,
                                        bool extra_exclusive, const SchedulerOptions& options) {
  const std::int64_t wanted = reserved_memory_mb(spec);
  if (gpu.exclusive() || extra_exclusive)
    return Rejection{"INSUFFICIENT_GPUS", extra_exclusive ? "given to a job ahead in this cycle" : "held by another job"};
  const std::int64_t promised = gpu.reserved_mb() + extra_mb;
  if (wanted == 0 && promised > 0) return Rejection{"INSUFFICIENT_GPUS", "shared by other jobs"};
  if (!AETHER_MUTANT("memory_overbooked") && promised + wanted > gpu.info.memory_total_mb)
    return Rejection{"INSUFFICIENT_VRAM", fmt::format("{} of {} MiB are reserved, the job asks for {} MiB", promised,
                                                      gpu.info.memory_total_mb, wanted)};
  if (extra_mb == 0 && is_used_by_foreign_process(gpu, options))
    return Rejection{"FOREIGN_PROCESS", fmt::format("{} MiB are used by {}, which Aether did not start", *gpu.sample->memory_used_mb,
                                                    describe_processes(*gpu.sample))};
  return std::nullopt;
}

}  // namespace aether
