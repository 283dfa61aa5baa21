#include "agent/gpu_check.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace aether {

std::string_view to_string(GpuFinding::Kind kind) {
  return kind == GpuFinding::Kind::kLeak ? "leak" : "unkillable";
}

void GpuCheck::observe(const GpuSample& sample, Mono at) {
  Reading& reading = readings_[sample.gpu_uuid];
  reading.sample = sample;
  reading.at = at;
  if (!sample.processes) return;  // a list is asked for more rarely than the rest
  reading.processes = sample.processes;
  reading.processes_at = at;
}

void GpuCheck::set_processes(const std::map<AttemptId, std::vector<int>>& processes) {
  own_pids_.clear();
  for (const auto& [attempt, pids] : processes) own_pids_.insert(pids.begin(), pids.end());
  for (auto& [gpu, holders] : held_)
    for (Held& held : holders) {
      if (const auto found = processes.find(held.attempt); found != processes.end() && !held.ended_at)
        held.pids.insert(found->second.begin(), found->second.end());
      own_pids_.insert(held.pids.begin(), held.pids.end());
    }
}

bool GpuCheck::is_foreign(const GpuProcess& process) const {
  return !own_pids_.contains(process.pid) && process.memory_used_mb.value_or(options_.resident_memory_mb) >= options_.resident_memory_mb;
}

std::map<GpuUuid, std::size_t> GpuCheck::foreign() const {
  std::map<GpuUuid, std::size_t> found;
  for (const auto& [gpu, reading] : readings_)
    if (reading.processes)
      found[gpu] = static_cast<std::size_t>(std::count_if(reading.processes->begin(), reading.processes->end(),
                                                          [&](const GpuProcess& process) { return is_foreign(process); }));
  return found;
}

std::optional<GpuCheck::Refusal> GpuCheck::refuse_start(const std::vector<GpuUuid>& gpus, const JobSpec& spec, Mono now) const {
  for (const GpuUuid& gpu : gpus) {
    if (const auto held = held_.find(gpu); held != held_.end())
      for (const Held& holder : held->second)
        if (holder.ended_at)
          return Refusal{"GPU_UNAVAILABLE", fmt::format("GPU {} is not measured free of {} yet", gpu.str(), to_string(holder.attempt))};
    const auto found = readings_.find(gpu);
    if (found == readings_.end() || now - found->second.at > options_.stale)
      return Refusal{"GPU_UNAVAILABLE", fmt::format("GPU {} gives no readings now", gpu.str())};
    const Reading& reading = found->second;
    if (spec.share == Share::kExclusive && reading.processes)
      for (const GpuProcess& process : *reading.processes)
        if (is_foreign(process))
          return Refusal{"FOREIGN_PROCESS", fmt::format("process {}, which Aether did not start, uses {} MiB of GPU {}", process.pid,
                                                        process.memory_used_mb.value_or(0), gpu.str())};
    if (!reading.sample.memory_used_mb || !reading.sample.memory_total_mb || !spec.gpu_mem_mb) continue;
    const std::int64_t free_mb = *reading.sample.memory_total_mb - *reading.sample.memory_used_mb;
    if (free_mb < *spec.gpu_mem_mb)
      return Refusal{"INSUFFICIENT_VRAM",
                     fmt::format("GPU {} has {} MiB free, the job needs {}", gpu.str(), free_mb, *spec.gpu_mem_mb)};
  }
  return std::nullopt;
}

void GpuCheck::begin(const AttemptId& attempt, const std::vector<GpuUuid>& gpus, Share share) {
  for (const GpuUuid& gpu : gpus) {
    auto& holders = held_[gpu];
    if (std::any_of(holders.begin(), holders.end(), [&](const Held& held) { return held.attempt == attempt; })) continue;
    Held held{attempt, share, {}, {}, {}};
    if (const auto found = readings_.find(gpu); found != readings_.end()) held.baseline_mb = found->second.sample.memory_used_mb;
    holders.push_back(std::move(held));
  }
}

void GpuCheck::end(const AttemptId& attempt, Mono now) {
  for (auto& [gpu, holders] : held_)
    for (Held& held : holders)
      if (held.attempt == attempt && !held.ended_at) held.ended_at = now;
}

bool GpuCheck::is_checking(const AttemptId& attempt) const {
  return std::any_of(held_.begin(), held_.end(), [&](const auto& entry) {
    return std::any_of(entry.second.begin(), entry.second.end(),
                       [&](const Held& held) { return held.attempt == attempt && held.ended_at; });
  });
}

std::vector<int> GpuCheck::pids_left(const GpuUuid& gpu, const Held& held) const {
  std::vector<int> left;
  const auto found = readings_.find(gpu);
  if (found == readings_.end() || !found->second.processes || found->second.processes_at <= *held.ended_at) return left;
  for (const GpuProcess& process : *found->second.processes)
    if (held.pids.contains(process.pid)) left.push_back(process.pid);
  return left;
}

std::optional<std::string> GpuCheck::why_not_free(const GpuUuid& gpu, const Held& held) const {
  const auto found = readings_.find(gpu);
  if (found == readings_.end() || found->second.at <= *held.ended_at) return "it has given no reading since";
  const Reading& reading = found->second;
  // A driver that never lists processes is judged by memory alone.
  if (reading.processes && reading.processes_at <= *held.ended_at) return "it has listed no processes since";
  if (const auto left = pids_left(gpu, held); !left.empty())
    return fmt::format("its processes {} are still on it", fmt::join(left, ", "));
  if (held.share == Share::kMemory) return std::nullopt;  // the rest of the memory is others'
  if (!reading.sample.memory_used_mb) return "it does not tell its memory";
  // A foreign process that came meanwhile is no leak of this attempt; it is refused to the next one by itself.
  std::int64_t foreign_mb = 0;
  for (const GpuProcess& process : reading.processes.value_or(std::vector<GpuProcess>{}))
    if (!own_pids_.contains(process.pid)) foreign_mb += process.memory_used_mb.value_or(0);
  const std::int64_t baseline_mb = held.baseline_mb.value_or(reading.sample.memory_total_mb.value_or(0) / 10);
  if (*reading.sample.memory_used_mb <= baseline_mb + foreign_mb + options_.tolerance_mb) return std::nullopt;
  return fmt::format("{} MiB are in use, {} were before it", *reading.sample.memory_used_mb, baseline_mb);
}

void GpuCheck::set_unkillable(const std::vector<Unkillable>& unkillable) {
  std::set<AttemptId> now;
  for (const Unkillable& one : unkillable) {
    now.insert(one.attempt);
    if (known_unkillable_.contains(one.attempt)) continue;
    for (const GpuUuid& gpu : one.gpu_uuids)
      findings_.push_back({gpu, GpuFinding::Kind::kUnkillable, one.attempt, one.pids,
                           fmt::format("processes {} of {} outlive SIGKILL", fmt::join(one.pids, ", "), to_string(one.attempt))});
  }
  known_unkillable_ = std::move(now);
}

std::vector<GpuFinding> GpuCheck::take_findings(Mono now) {
  for (auto& [gpu, holders] : held_)
    std::erase_if(holders, [&, &uuid = gpu](const Held& held) {
      if (!held.ended_at) return false;
      const auto why = why_not_free(uuid, held);
      if (!why) return true;
      if (now - *held.ended_at < options_.limit) return false;
      findings_.push_back({uuid, GpuFinding::Kind::kLeak, held.attempt, pids_left(uuid, held),
                           fmt::format("not free after {}: {}", to_string(held.attempt), *why)});
      return true;
    });
  return std::exchange(findings_, {});
}

}  // namespace aether
