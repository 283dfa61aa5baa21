#include "simulation/referee.h"

#include <algorithm>

#include <fmt/format.h>

namespace aether::simulation {
namespace {

// From API.md's table of states, as pairs; "" is before submission. Reports may be lost, so a later state may follow
// directly: what must never happen is a way back, except to PENDING when an attempt never ran.
const std::map<std::string, std::set<std::string>>& ways() {
  static const std::set<std::string> ends = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "PREEMPTED",
                                             "NODE_FAIL", "DEADLINE", "LAUNCH_FAILED", "LOST"};
  static const auto with_ends = [](std::set<std::string> more) {
    more.insert(ends.begin(), ends.end());
    return more;
  };
  static const std::map<std::string, std::set<std::string>> table = {
      {"", {"PENDING", "HELD"}},
      {"HELD", {"PENDING", "CANCELLED"}},
      {"PENDING", {"HELD", "ASSIGNED", "CANCELLED", "DEADLINE"}},
      {"ASSIGNED", with_ends({"STARTING", "RUNNING", "STOPPING", "COMPLETING", "PENDING"})},
      {"STARTING", with_ends({"RUNNING", "STOPPING", "COMPLETING", "PENDING"})},
      {"RUNNING", with_ends({"SUSPENDED", "STOPPING", "COMPLETING", "PENDING"})},
      {"SUSPENDED", with_ends({"RUNNING", "STOPPING", "COMPLETING", "PENDING"})},
      {"STOPPING", with_ends({"COMPLETING", "RUNNING", "PENDING"})},
      {"COMPLETING", with_ends({"PENDING"})}};
  return table;
}

constexpr Duration kRounding = std::chrono::milliseconds(1);  // of times on drifting clocks
constexpr std::int64_t kGpuMemoryMb = 16384;                  // of every simulated GPU

bool overlap(const Execution& a, const Execution& b) {
  return (!a.ended || *a.ended > b.began) && (!b.ended || *b.ended > a.began);
}

bool uses(const Execution& execution, const GpuUuid& gpu) {
  return std::find(execution.gpu_uuids.begin(), execution.gpu_uuids.end(), gpu) != execution.gpu_uuids.end();
}

}  // namespace

void Referee::blame(std::string promise, std::string what) {
  world_.trace("referee", promise + ": " + what);
  failures_.push_back(fmt::format("{} at {:.3f} s: {}", promise, static_cast<double>(world_.now().count()) / 1e6, what));
}

void Referee::on_commit(const std::vector<Write>& writes) {
  check_audit(writes);
  for (const Write& write : writes) {
    if (const auto* put = std::get_if<PutEvent>(&write)) check_event(put->event);
    if (const auto* put = std::get_if<PutAttempt>(&write)) check_attempt(put->attempt);
  }
}

// What somebody ordered and its line in the audit log are one transaction.
void Referee::check_audit(const std::vector<Write>& writes) {
  const bool is_audited = std::any_of(writes.begin(), writes.end(), [](const Write& write) { return std::holds_alternative<PutAudit>(write); });
  for (const Write& write : writes)
    if (const auto* put = std::get_if<PutEvent>(&write); put != nullptr && put->event.actor == "user" && !is_audited)
      blame("I7", fmt::format("job {} becomes {} by its user without a line in the audit log", put->event.job.str(), put->event.to));
}

void Referee::check_event(const JobEvent& event) {
  Model& model = models_[event.job];
  world_.trace("job", fmt::format("{} {} -> {} by {} ({})", event.job.str(), event.from, event.to, event.actor, event.reason));
  if (event.from != model.state && !(event.from.empty() && model.state.empty()))
    blame("reference model", fmt::format("job {} goes from {} to {}, but it is {}", event.job.str(), event.from, event.to, model.state));
  const auto way = ways().find(model.state);
  if (way == ways().end() || !way->second.contains(event.to))
    blame("reference model", fmt::format("job {} must not go from '{}' to {} ({})", event.job.str(), model.state, event.to, event.reason));
  model.state = event.to;
}

void Referee::check_attempt(const Attempt& attempt) {
  Model& model = models_[attempt.id.job];
  const int n = attempt.id.n;
  if (const auto known = model.attempts.find(n); known != model.attempts.end()) {
    if (is_terminal(known->second) && known->second != attempt.state)
      blame("reference model", fmt::format("attempt {} was {} and becomes {}", to_string(attempt.id), to_string(known->second), to_string(attempt.state)));
    if (is_terminal(known->second) && attempt.exit && model.exits.at(n).cause != attempt.exit->cause)
      blame("reference model", fmt::format("the end of attempt {} changes", to_string(attempt.id)));
    if (model.epochs.at(n) != attempt.epoch) blame("reference model", fmt::format("attempt {} changes its epoch", to_string(attempt.id)));
  } else {
    for (const auto& [earlier, epoch] : model.epochs)
      if (epoch >= attempt.epoch) blame("reference model", fmt::format("attempt {} has no higher epoch than attempt {}", to_string(attempt.id), earlier));
    for (const auto& [earlier, state] : model.attempts)
      if (!is_terminal(state)) blame("I9", fmt::format("attempt {} is placed while attempt {} is {}", to_string(attempt.id), earlier, to_string(state)));
  }
  // No disk of a node is ever lost here, so no exit code may be.
  if (attempt.exit && attempt.exit->cause == ExitCause::kLostExit && attempt.state != model.attempts[n])
    blame("exit code", fmt::format("that of attempt {} is said to be lost: {}", to_string(attempt.id), attempt.exit->message));
  model.attempts[n] = attempt.state;
  model.epochs[n] = attempt.epoch;
  if (attempt.exit && is_terminal(attempt.state)) {
    model.exits.emplace(n, *attempt.exit);
    model.ended.emplace(n, world_.now());
  }
}

void Referee::on_accepted(const std::string& key, const JobId& job, const Expected& expected) {
  const auto [known, is_new] = accepted_.emplace(key, job);
  if (!is_new && known->second != job)
    blame("I1", fmt::format("the key {} was answered with job {} and now with {}", key, known->second.str(), job.str()));
  expected_.emplace(job, expected);
}

void Referee::on_cancelled(const JobId& job) { cancelled_.emplace(job, world_.now()); }

void Referee::judge(const Disk& disk, const std::vector<Execution>& executions, bool must_be_settled) {
  check_accepted(disk, must_be_settled);
  check_executions(executions);
  check_dependencies(disk, executions);
  check_arrays(disk, executions);
  if (must_be_settled && !disk.allocations().empty())
    blame("I4", fmt::format("{} GPUs are still allocated to {}", disk.allocations().size(), to_string(disk.allocations().begin()->second.attempt)));
  if (must_be_settled && disk.outbox_rows() > 0)
    blame("I4", fmt::format("{} commands are still waiting for an acknowledgement", disk.outbox_rows()));
}

void Referee::check_accepted(const Disk& disk, bool must_be_settled) {
  for (const auto& [key, id] : accepted_) {
    const Job* job = disk.find_job(id);
    if (job == nullptr) {
      blame("I1", fmt::format("job {} was accepted and is gone", id.str()));
      continue;
    }
    if (must_be_settled && !is_terminal(job->state)) blame("I4", fmt::format("job {} is still {}", id.str(), to_string(job->state)));
    if (is_terminal(job->state)) check_exit(*job, expected_.at(id));
  }
  std::map<std::string, int> per_key;
  for (const auto& [id, job] : disk.jobs())
    if (!job.idempotency_key.empty() && ++per_key[job.idempotency_key] > 1) blame("I1", fmt::format("the key {} made two jobs", job.idempotency_key));
}

void Referee::check_exit(const Job& job, const Expected& expected) {
  const Attempt* attempt = job.last_attempt();
  if (attempt == nullptr || !attempt->exit || attempt->exit->cause != ExitCause::kSelf) return;
  const ExitStatus& exit = *attempt->exit;
  if (expected.exec_fails || exit.exit_code != expected.exit_code || exit.signal != expected.signal)
    blame("exit code", fmt::format("job {} should end with {}/{} and is said to have ended with {}/{}", job.id.str(),
                                   expected.exit_code.value_or(-1), expected.signal.value_or(0), exit.exit_code.value_or(-1),
                                   exit.signal.value_or(0)));
}

void Referee::check_executions(std::vector<Execution> executions) {
  std::sort(executions.begin(), executions.end(), [](const Execution& a, const Execution& b) {
    return std::tuple(a.began, a.attempt, a.node) < std::tuple(b.began, b.attempt, b.node);
  });
  for (std::size_t i = 0; i < executions.size(); ++i) {
    check_one(executions[i]);
    for (std::size_t k = i + 1; k < executions.size(); ++k) check_pair(executions[i], executions[k]);
  }
  check_shared_memory(executions);
}

void Referee::check_one(const Execution& one) {
  const Model& model = models_[one.attempt.job];
  if (!model.epochs.contains(one.attempt.n)) blame("I1", fmt::format("attempt {} ran and was never stored", to_string(one.attempt)));
  if (const auto ended = model.ended.find(one.attempt.n); ended != model.ended.end()) {
    if (one.began > ended->second)
      blame("I2", fmt::format("attempt {} began on {} after its end was stored", to_string(one.attempt), one.node.str()));
    else if (!one.ended || *one.ended > ended->second + kRounding)
      blame("P6", fmt::format("attempt {} ran on, on {}, when its end was already stored", to_string(one.attempt), one.node.str()));
  }
  if (const auto told = cancelled_.find(one.attempt.job); told != cancelled_.end() && one.began > told->second)
    blame("I2", fmt::format("job {} began on {} after its user was told that it is cancelled", one.attempt.job.str(), one.node.str()));
}

void Referee::check_pair(const Execution& one, const Execution& other) {
  if (one.attempt == other.attempt) blame("I2", fmt::format("attempt {} was executed twice, on {} and {}", to_string(one.attempt), one.node.str(), other.node.str()));
  if (!overlap(one, other)) return;
  if (one.attempt.job == other.attempt.job && one.attempt != other.attempt)
    blame("I9", fmt::format("{} and {} ran at the same time", to_string(one.attempt), to_string(other.attempt)));
  const bool share_one = std::any_of(one.gpu_uuids.begin(), one.gpu_uuids.end(), [&](const GpuUuid& gpu) { return uses(other, gpu); });
  if (share_one && (one.exclusive || other.exclusive))
    blame("I3", fmt::format("{} and {} ran on one GPU at the same time", to_string(one.attempt), to_string(other.attempt)));
}

// What is reserved on a GPU is most when somebody begins.
void Referee::check_shared_memory(const std::vector<Execution>& executions) {
  for (const Execution& one : executions)
    for (const GpuUuid& gpu : one.gpu_uuids) {
      std::int64_t reserved_mb = 0;
      for (const Execution& other : executions)
        if (uses(other, gpu) && other.began <= one.began && (!other.ended || *other.ended > one.began)) reserved_mb += other.memory_mb;
      if (reserved_mb > kGpuMemoryMb)
        blame("I3", fmt::format("{} MiB of GPU {} are promised at once", reserved_mb, gpu.str()));
    }
}

void Referee::check_dependencies(const Disk& disk, const std::vector<Execution>& executions) {
  for (const Execution& one : executions)
    if (const Job* job = disk.find_job(one.attempt.job))
      for (const Dependency& dependency : job->spec.depends_on) check_dependency(dependency, disk, one, executions);
}

// A job is ok when it completed, an array when each of its tasks did. What waits for an array's failure needs only one.
void Referee::check_dependency(const Dependency& dependency, const Disk& disk, const Execution& one,
                               const std::vector<Execution>& executions) {
  std::vector<const Job*> others = disk.tasks_of(JobId(dependency.job));
  const bool is_array = !others.empty();
  if (const Job* other = disk.find_job(JobId(dependency.job)); other != nullptr && !is_array) others.push_back(other);
  if (dependency.kind == DependencyKind::kAfter || others.empty()) return;
  const bool ok = std::all_of(others.begin(), others.end(), [](const Job* other) { return other->state == JobState::kCompleted; });
  if ((dependency.kind == DependencyKind::kAfterOk && !ok) || (dependency.kind == DependencyKind::kAfterNotOk && ok))
    blame("dependency", fmt::format("job {} ran in spite of {}", one.attempt.job.str(), to_string(dependency)));
  if (is_array && dependency.kind == DependencyKind::kAfterNotOk) return;
  for (const Job* other : others)
    for (const Execution& earlier : executions)
      if (earlier.attempt.job == other->id && (!earlier.ended || *earlier.ended > one.began + kRounding))
        blame("dependency", fmt::format("job {} ran before {} was over", one.attempt.job.str(), to_string(dependency)));
}

// "0-9%2": two of them at a time.
void Referee::check_arrays(const Disk& disk, const std::vector<Execution>& executions) {
  for (const Execution& one : executions) {
    const Job* job = disk.find_job(one.attempt.job);
    if (job == nullptr || job->array_parent.empty()) continue;
    const int limit = parse_array_range(job->spec.array)->limit;
    const auto running = std::count_if(executions.begin(), executions.end(), [&](const Execution& other) {
      const Job* task = disk.find_job(other.attempt.job);
      return task != nullptr && task->array_parent == job->array_parent && other.began <= one.began &&
             (!other.ended || *other.ended > one.began);
    });
    if (limit > 0 && running > limit) blame("array", fmt::format("{} tasks of array {} ran at once", running, job->array_parent.str()));
  }
}

}  // namespace aether::simulation
