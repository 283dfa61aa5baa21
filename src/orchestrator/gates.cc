// What keeps a job out of the queue's competition, whatever is free: each gate is a reason that people read.
#include <algorithm>

#include <fmt/format.h>

#include "orchestrator/orchestrator.h"

namespace aether {
namespace {

constexpr std::size_t kNamedJobs = 10;

Reason gate(std::string code, std::string text) {
  Reason reason;
  reason.code = std::move(code);
  reason.text = std::move(text);
  return reason;
}

std::string in_text(Time at, Time now) {
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(at - now).count();
  if (seconds < 120) return fmt::format("{} s", seconds);
  return seconds < 7200 ? fmt::format("{} min", seconds / 60) : fmt::format("{} h", seconds / 3600);
}

}  // namespace

void Orchestrator::add_dependency_gates(const Job& job, std::vector<Reason>& gates) const {
  Reason waiting = gate("DEPENDENCY", "");
  for (std::size_t i = 0; i < job.dependencies.size(); ++i) {
    const Dependency& dependency = job.spec.depends_on[i];
    if (job.dependencies[i] == DependencyState::kNever) {
      gates.push_back(gate("DEPENDENCY_NEVER",
                           fmt::format("{} can't be met any more; cancel it, or submit it without", to_string(dependency))));
      continue;
    }
    if (job.dependencies[i] == DependencyState::kMet || dependency.kind == DependencyKind::kSingleton) continue;
    bool whole = false;
    const auto target = watched(dependency, whole);
    const auto other = target ? live_.find(*target) : live_.end();
    const std::string kind(to_string(dependency.kind));
    const std::string named = other == live_.end() ? dependency.job : fmt::format("{}", other->second.number);
    if (waiting.text.empty()) waiting.text = fmt::format("It waits for {} {} ({})", whole ? "array" : "job", named, kind);
    if (other != live_.end() && waiting.job_numbers.size() < kNamedJobs)
      waiting.job_numbers.push_back(other->second.number);
  }
  if (!waiting.text.empty()) gates.push_back(std::move(waiting));
}

void Orchestrator::add_singleton_gate(const Job& job, std::vector<Reason>& gates) const {
  const auto wants = [](const Dependency& dependency) { return dependency.kind == DependencyKind::kSingleton; };
  if (std::none_of(job.spec.depends_on.begin(), job.spec.depends_on.end(), wants)) return;
  const auto names = same_name_.find({job.user, job.spec.name});
  if (names == same_name_.end()) return;
  for (const auto& [number, id] : names->second) {
    if (number >= job.number) return;
    if (job.is_array_task() && live_.at(id).array_parent == job.array_parent) continue;
    Reason reason = gate("DEPENDENCY", fmt::format("It waits for job {} of the same name (singleton)", number));
    reason.job_numbers.push_back(number);
    gates.push_back(std::move(reason));
    return;
  }
}

void Orchestrator::add_time_gates(const Job& job, Time now, std::vector<Reason>& gates) const {
  if (job.spec.begin && *job.spec.begin > now) {
    gates.push_back(gate("BEGIN_TIME", fmt::format("It begins in {}, not before {}", in_text(*job.spec.begin, now),
                                                   format_rfc3339(*job.spec.begin))));
    gates.back().until = job.spec.begin;
  }
  if (job.not_before && *job.not_before > now) {
    const Attempt* attempt = job.last_attempt();
    gates.push_back(gate("RETRY_BACKOFF",
                         fmt::format("Attempt {} ended {}; the next try is in {}", attempt == nullptr ? 0 : attempt->id.n,
                                     attempt == nullptr ? "early" : to_string(attempt->state), in_text(*job.not_before, now))));
    gates.back().until = job.not_before;
  }
}

// Tasks of an array with a limit: those that are next may go, the rest wait for their turn.
void Orchestrator::add_array_gates(std::map<JobId, std::vector<Reason>>& gates) const {
  for (const auto& [parent, tasks] : array_tasks_) {
    const std::size_t percent = live_.at(tasks.begin()->second).spec.array.find('%');
    if (percent == std::string::npos) continue;
    const int limit = std::atoi(live_.at(tasks.begin()->second).spec.array.c_str() + percent + 1);
    int running = 0;
    std::vector<const Job*> ready;
    for (const auto& [index, id] : tasks) {
      const Job& task = live_.at(id);
      if (holds_gpus(task.state)) ++running;
      if (task.state == JobState::kPending && !gates.contains(id)) ready.push_back(&task);
    }
    std::stable_sort(ready.begin(), ready.end(),
                     [](const Job* a, const Job* b) { return a->spec.priority > b->spec.priority; });
    const auto room = static_cast<std::size_t>(std::max(0, limit - running));
    for (std::size_t i = room; i < ready.size(); ++i)
      gates[ready[i]->id].push_back(
          gate("QUOTA", fmt::format("At most {} tasks of array {} run at once", limit, ready[i]->array_number)));
  }
}

std::map<JobId, std::vector<Reason>> Orchestrator::gates(Time now) const {
  std::map<JobId, std::vector<Reason>> gates;
  for (const auto& [id, job] : live_) {
    if (job.state != JobState::kPending) continue;
    std::vector<Reason> found;
    if (!job.dependencies.empty()) {
      add_dependency_gates(job, found);
      add_singleton_gate(job, found);
    }
    add_time_gates(job, now, found);
    if (!found.empty()) gates[id] = std::move(found);
  }
  add_array_gates(gates);
  return gates;
}

}  // namespace aether
