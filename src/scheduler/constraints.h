#pragma once
// Hard constraints: may this job use this GPU now? Each has a code of the Explain vocabulary and a sentence.
#include <optional>
#include <string>

#include "cluster/cluster.h"
#include "model/job.h"
#include "scheduler/scheduler.h"

namespace aether {

struct Rejection {
  std::string code;
  std::string text;
};

// Constraints that no waiting can cure: model of GPU, memory size, kind of source.
std::optional<Rejection> check_kind(const GpuRecord& gpu, const JobSpec& spec);
bool is_of_kind(const GpuRecord& gpu, const JobSpec& spec);  // the same without a text
// Health of GPU and node.
std::optional<Rejection> check_health(const GpuRecord& gpu, const NodeRecord& node, const Cluster& cluster, Time now);
// What is free on it. `extra_mb` was promised to other jobs earlier in this cycle; `extra_exclusive` as a whole.
std::optional<Rejection> check_capacity(const GpuRecord& gpu, const JobSpec& spec, std::int64_t extra_mb,
                                        bool extra_exclusive, const SchedulerOptions& options);

// Memory in use although Aether has given the GPU to nobody, once the last release has settled.
bool is_used_by_foreign_process(const GpuRecord& gpu, const SchedulerOptions& options);

// A node that may take jobs at all, for jobs without GPUs.
std::optional<Rejection> check_node(const NodeRecord& node);

// Memory that the job reserves on each GPU; 0 = the whole GPU.
std::int64_t reserved_memory_mb(const JobSpec& spec);

}  // namespace aether
