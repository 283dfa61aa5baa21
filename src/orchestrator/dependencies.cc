// Which jobs wait for which. What an end means for a waiting job is written in the same commit as the end itself, so a
// restart never has to ask again about a job that is no longer in memory.
#include <fmt/format.h>

#include "orchestrator/orchestrator.h"

namespace aether {
namespace {

bool has_started(JobState state) { return state >= JobState::kRunning; }

DependencyState judge(DependencyKind kind, JobState other) {
  const bool ended = is_terminal(other), completed = other == JobState::kCompleted;
  switch (kind) {
    case DependencyKind::kAfter: return has_started(other) ? DependencyState::kMet : DependencyState::kWaiting;
    case DependencyKind::kAfterAny: return ended ? DependencyState::kMet : DependencyState::kWaiting;
    case DependencyKind::kAfterOk:
    case DependencyKind::kAfterCorr:
      if (!ended) return DependencyState::kWaiting;
      return completed ? DependencyState::kMet : DependencyState::kNever;
    case DependencyKind::kAfterNotOk:
      if (!ended) return DependencyState::kWaiting;
      return completed ? DependencyState::kNever : DependencyState::kMet;
    case DependencyKind::kSingleton: return DependencyState::kWaiting;
  }
  return DependencyState::kWaiting;
}

std::string task_reference(const JobId& parent, int index) { return fmt::format("{}_{}", parent.str(), index); }

tl::unexpected<Error> bad_dependency(std::size_t entry, std::string message) {
  return fail(ErrorCode::kInvalidArgument, std::move(message), fmt::format("/depends_on/{}", entry));
}

}  // namespace

// Of an array as a whole: "ok" means every task, "not ok" means any.
DependencyState Orchestrator::judge_array(DependencyKind kind, const JobId& parent, bool any_failed) const {
  const auto live = array_tasks_.find(parent);
  const bool all_ended = live == array_tasks_.end();
  if (kind == DependencyKind::kAfter) {
    if (!all_ended)
      for (const auto& [index, id] : live->second)
        if (!has_started(live_.at(id).state)) return DependencyState::kWaiting;
    return DependencyState::kMet;
  }
  if (kind == DependencyKind::kAfterOk && any_failed) return DependencyState::kNever;
  if (kind == DependencyKind::kAfterNotOk && any_failed) return DependencyState::kMet;
  if (!all_ended) return DependencyState::kWaiting;
  return kind == DependencyKind::kAfterNotOk ? DependencyState::kNever : DependencyState::kMet;
}

Result<JobState> Orchestrator::state_now(const std::shared_ptr<const Job>& job) const {
  if (const auto live = live_.find(job->id); live != live_.end()) return live->second.state;
  if (const auto shown = shown_.find(job->id); shown != shown_.end()) return shown->second->state;
  if (is_terminal(job->state)) return job->state;
  return fail(ErrorCode::kUnavailable, fmt::format("job {} has just moved; try again", job->number));
}

Result<void> Orchestrator::resolve(Dependency& dependency, std::size_t entry, int array_index, const SubmitInput& input,
                                   DependencyState& state) const {
  if (dependency.kind == DependencyKind::kSingleton) return {};
  const auto found = input.dependencies.find(dependency.job);
  if (found == input.dependencies.end() || !found->second.job)
    return bad_dependency(entry, fmt::format("there is no job {} to depend on", dependency.job));
  const bool names_a_task = dependency.job.find('_') != std::string::npos;
  std::shared_ptr<const Job> job = found->second.job;
  const bool whole = job->is_array_task() && !names_a_task && job->id == job->array_parent;
  if (dependency.kind == DependencyKind::kAfterCorr) {
    if (!whole) return bad_dependency(entry, fmt::format("job {} is no array, so its tasks can't be paired", dependency.job));
    const auto task = found->second.tasks.find(array_index);
    if (task == found->second.tasks.end())
      return bad_dependency(entry, fmt::format("array {} has no task {}", dependency.job, array_index));
    job = task->second;
  } else if (whole) {
    dependency.job = job->id.str();
    state = judge_array(dependency.kind, job->id, found->second.any_failed || failed_arrays_.contains(job->id));
    return {};
  }
  dependency.job = job->is_array_task() ? task_reference(job->array_parent, job->array_index) : job->id.str();
  const auto now = state_now(job);
  if (!now) return fail(now.error());
  state = judge(dependency.kind, *now);
  return {};
}

Result<void> Orchestrator::resolve_dependencies(Job& job, const SubmitInput& input) const {
  job.dependencies.assign(job.spec.depends_on.size(), DependencyState::kWaiting);
  for (std::size_t i = 0; i < job.dependencies.size(); ++i)
    AETHER_TRY(resolve(job.spec.depends_on[i], i, job.array_index, input, job.dependencies[i]));
  return {};
}

// The live job that an accepted dependency names; `whole` for an array.
std::optional<JobId> Orchestrator::watched(const Dependency& dependency, bool& whole) const {
  whole = false;
  const std::size_t underscore = dependency.job.find('_');
  const JobId id(dependency.job.substr(0, underscore));
  const auto array = array_tasks_.find(id);
  if (underscore == std::string::npos) {
    whole = array != array_tasks_.end();
    return whole || live_.contains(id) ? std::optional(id) : std::nullopt;
  }
  if (array == array_tasks_.end()) return std::nullopt;
  const auto task = array->second.find(std::atoi(dependency.job.c_str() + underscore + 1));
  return task == array->second.end() ? std::nullopt : std::optional(task->second);
}

// Keeps the indices of a job that is live now.
void Orchestrator::index_job(const Job& job) {
  same_name_[{job.user, job.spec.name}].emplace(job.number, job.id);
  if (job.is_array_task()) array_tasks_[job.array_parent][job.array_index] = job.id;
  if (job.spec.deadline) deadlines_.emplace(latest_start(job), job.id);
}

void Orchestrator::watch_dependencies(const Job& job) {
  for (std::size_t i = 0; i < job.dependencies.size() && i < job.spec.depends_on.size(); ++i) {
    const Dependency& dependency = job.spec.depends_on[i];
    if (job.dependencies[i] == DependencyState::kNever && job.spec.kill_on_invalid_dep) doomed_.insert(job.id);
    if (job.dependencies[i] != DependencyState::kWaiting || dependency.kind == DependencyKind::kSingleton) continue;
    bool whole = false;
    if (const auto target = watched(dependency, whole)) (whole ? array_dependents_ : dependents_)[*target].insert(job.id);
  }
}

void Orchestrator::unindex_job(const Job& job) {
  const auto names = same_name_.find({job.user, job.spec.name});
  if (names != same_name_.end()) {
    names->second.erase({job.number, job.id});
    if (names->second.empty()) same_name_.erase(names);
  }
  for (const Dependency& dependency : job.spec.depends_on) {
    bool whole = false;
    if (const auto target = watched(dependency, whole)) {
      auto& watchers = whole ? array_dependents_ : dependents_;
      if (const auto it = watchers.find(*target); it != watchers.end()) it->second.erase(job.id);
    }
  }
}

// `job` has started or ended: those that wait for it learn what that means.
void Orchestrator::tell_dependents(const Job& job, Effects& effects) {
  const bool ended = is_terminal(job.state);
  if (ended && job.is_array_task()) {
    const auto array = array_tasks_.find(job.array_parent);
    if (array != array_tasks_.end()) {
      array->second.erase(job.array_index);
      if (array->second.empty()) array_tasks_.erase(array);
    }
    if (job.state != JobState::kCompleted) failed_arrays_.insert(job.array_parent);
  }
  if (const auto waiting = dependents_.find(job.id); waiting != dependents_.end()) {
    const std::string name = job.is_array_task() ? task_reference(job.array_parent, job.array_index) : job.id.str();
    for (const JobId& id : std::set<JobId>(waiting->second))
      update_dependencies(id, name, [&](DependencyKind kind) { return judge(kind, job.state); }, effects);
    if (ended) dependents_.erase(job.id);
  }
  if (!job.is_array_task()) return;
  if (const auto waiting = array_dependents_.find(job.array_parent); waiting != array_dependents_.end()) {
    const bool any_failed = failed_arrays_.contains(job.array_parent);
    for (const JobId& id : std::set<JobId>(waiting->second))
      update_dependencies(
          id, job.array_parent.str(),
          [&](DependencyKind kind) { return judge_array(kind, job.array_parent, any_failed); }, effects);
    if (!array_tasks_.contains(job.array_parent)) array_dependents_.erase(job.array_parent);
  }
}

void Orchestrator::update_dependencies(const JobId& id, const std::string& name,
                                       const std::function<DependencyState(DependencyKind)>& judged, Effects& effects) {
  Job* job = find_live(id);
  if (job == nullptr) return;
  bool changed = false;
  for (std::size_t i = 0; i < job->dependencies.size(); ++i) {
    const Dependency& dependency = job->spec.depends_on[i];
    if (job->dependencies[i] != DependencyState::kWaiting || dependency.job != name) continue;
    job->dependencies[i] = judged(dependency.kind);
    changed = changed || job->dependencies[i] != DependencyState::kWaiting;
    if (job->dependencies[i] == DependencyState::kNever && job->spec.kill_on_invalid_dep) doomed_.insert(id);
  }
  if (!changed) return;
  put_row(*job, effects);
  needs_plan_ = true;
}

// An end can doom others, whose end can doom others again.
void Orchestrator::cancel_doomed(Time now, Effects& effects) {
  while (!doomed_.empty()) {
    Job* job = find_live(*doomed_.begin());
    doomed_.erase(doomed_.begin());
    if (job == nullptr || holds_gpus(job->state)) continue;
    set_job_state(*job, JobState::kCancelled, "scheduler", "a dependency can never be met", now, effects);
    finish(*job, now);
  }
}

}  // namespace aether
