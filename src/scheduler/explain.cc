#include "scheduler/explain.h"

#include <algorithm>

#include <fmt/format.h>

#include "scheduler/constraints.h"

namespace aether {
namespace {

std::string gpus_text(std::int64_t count) { return fmt::format("{} GPU{}", count, count == 1 ? "" : "s"); }

WaitRecord start_record(const Job& job, const SchedulerInput& input, int position) {
  WaitRecord record;
  record.job = job.id;
  record.evaluated_at = input.now;
  record.cycle = input.cycle;
  record.queue_position = position;
  record.nodes_evaluated = static_cast<int>(input.cluster.nodes().size());
  return record;
}

struct NodeCount {
  int eligible = 0;
  int fitting_kind = 0;  // could run it if everything else were gone
  int total = 0;
};

std::map<NodeId, NodeCount> count_by_node(const Job& job, const std::vector<Candidate>& candidates,
                                          const SchedulerInput& input) {
  std::map<NodeId, NodeCount> counts;
  for (const Candidate& candidate : candidates) {
    NodeCount& count = counts[candidate.node];
    ++count.total;
    if (candidate.rejected_by.empty()) ++count.eligible;
    const GpuRecord* gpu = input.cluster.find_gpu(candidate.gpu_uuid);
    if (gpu != nullptr && !check_kind(*gpu, job.spec)) ++count.fitting_kind;
  }
  return counts;
}

std::string wanted_text(const JobSpec& spec) {
  std::string text = gpus_text(spec.gpus) + (spec.gpus > 1 ? " on one node" : "");
  if (!spec.gpu_type.empty()) text += " of type " + spec.gpu_type;
  if (spec.gpu_mem_mb) text += fmt::format(" with {} MiB", *spec.gpu_mem_mb);
  return text;
}

Reason infeasible(const JobSpec& spec, int most) {
  Reason reason;
  reason.code = "INFEASIBLE";
  reason.need = spec.gpus;
  reason.best = most;
  reason.unit = "gpu";
  reason.text = most == 0 ? fmt::format("It needs {}; no GPU of this cluster is of that kind", wanted_text(spec))
                          : fmt::format("It needs {}; the largest node has {}", wanted_text(spec), most);
  return reason;
}

Reason too_few(const JobSpec& spec, const std::map<NodeId, NodeCount>& counts) {
  Reason reason;
  reason.need = spec.gpus;
  reason.unit = "gpu";
  int best = 0, total = 0;
  NodeId best_node;
  for (const auto& [node, count] : counts) {
    total += count.eligible;
    if (count.eligible > best) best = count.eligible, best_node = node;
    if (count.fitting_kind > 0) reason.evidence.push_back({node, count.eligible, count.total});
  }
  reason.best = best;
  reason.code = total >= spec.gpus ? "FRAGMENTATION" : "INSUFFICIENT_GPUS";
  if (best == 0)
    reason.text = fmt::format("It needs {}; none is free now", wanted_text(spec));
  else
    reason.text = fmt::format("It needs {}; the most free together is {}, on {}", wanted_text(spec), best, best_node.str());
  return reason;
}

// One reason for each constraint that keeps otherwise fitting GPUs from the job.
void add_constraint_reasons(const std::vector<Candidate>& candidates, WaitRecord& record) {
  std::map<std::string, std::pair<int, std::string>> by_code;
  for (const Candidate& candidate : candidates) {
    const std::string& code = candidate.rejected_by;
    if (code.empty() || code == "INFEASIBLE" || code == "INSUFFICIENT_GPUS") continue;
    auto& [count, text] = by_code[code];
    if (count++ == 0) text = candidate.gpu_id + ": " + candidate.rejected_text;
  }
  for (const auto& [code, found] : by_code) {
    Reason reason;
    reason.code = code;
    reason.best = found.first;
    reason.unit = "gpu";
    reason.text = found.first == 1 ? found.second : fmt::format("{} GPUs, for example {}", found.first, found.second);
    record.reasons.push_back(std::move(reason));
  }
}

void add_checks(const JobSpec& spec, const std::map<NodeId, NodeCount>& counts, int position, WaitRecord& record) {
  int eligible = 0, kind = 0;
  for (const auto& [node, count] : counts) {
    eligible = std::max(eligible, count.eligible);
    kind = std::max(kind, count.fitting_kind);
  }
  const auto verdict = [](bool pass) { return std::string(pass ? "pass" : "fail"); };
  record.checks.push_back({"INFEASIBLE", verdict(kind >= spec.gpus), static_cast<double>(kind),
                           static_cast<double>(spec.gpus), "gpu",
                           fmt::format("{} of the asked kind on the largest node", gpus_text(kind))});
  record.checks.push_back({"PRIORITY", verdict(position == 1), static_cast<double>(position), 1.0, "position",
                           position == 1 ? fmt::format("priority {}, first in line", spec.priority)
                                         : fmt::format("priority {}, number {} in line", spec.priority, position)});
  record.checks.push_back({"INSUFFICIENT_GPUS", verdict(eligible >= spec.gpus), static_cast<double>(eligible),
                           static_cast<double>(spec.gpus), "gpu",
                           fmt::format("{} of {} free together", eligible, spec.gpus)});
}

// The order in which codes give the summary: what can never be, holds, capacity, turn.
int rank_of(const std::string& code) {
  static const std::vector<std::string> order = {
      "INFEASIBLE",        "DEPENDENCY_NEVER", "HELD_BY_USER",    "QUOTA",           "INSUFFICIENT_GPUS", "FRAGMENTATION",
      "INSUFFICIENT_VRAM", "RESERVATION",      "FOREIGN_PROCESS", "GPU_QUARANTINED", "NODE_DRAINED",      "NODE_STALE",
      "BEGIN_TIME",        "RETRY_BACKOFF",    "DEPENDENCY",      "PRIORITY"};
  return static_cast<int>(std::find(order.begin(), order.end(), code) - order.begin());
}

}  // namespace

int most_together(const std::vector<Candidate>& candidates) {
  std::map<NodeId, int> counts;
  int best = 0;
  for (const Candidate& candidate : candidates)
    if (candidate.rejected_by.empty()) best = std::max(best, ++counts[candidate.node]);
  return best;
}

WaitRecord explain_held(const Job& job, const SchedulerInput& input) {
  WaitRecord record = start_record(job, input, 0);
  Reason reason;
  reason.code = "HELD_BY_USER";
  reason.text = fmt::format("It is on hold; `aether release {}` lets it into the queue", job.number);
  record.summary = reason.text;
  record.reasons.push_back(std::move(reason));
  return record;
}

WaitRecord explain_gated(const Job& job, const SchedulerInput& input, const std::vector<Reason>& reasons) {
  WaitRecord record = start_record(job, input, 0);
  record.reasons = reasons;
  std::stable_sort(record.reasons.begin(), record.reasons.end(),
                   [](const Reason& a, const Reason& b) { return rank_of(a.code) < rank_of(b.code); });
  record.summary = record.reasons.front().text;
  return record;
}

WaitRecord explain_far_behind(const Job& job, const SchedulerInput& input, int position) {
  WaitRecord record = start_record(job, input, position);
  Reason reason;
  reason.code = "PRIORITY";
  reason.text = fmt::format("{} jobs are ahead of it", position - 1);
  record.summary = reason.text;
  record.reasons.push_back(std::move(reason));
  return record;
}

WaitRecord explain_waiting(const Job& job, const std::vector<Candidate>& candidates, const SchedulerInput& input,
                           int position, const std::vector<std::int64_t>& ahead) {
  WaitRecord record = start_record(job, input, position);
  const auto counts = count_by_node(job, candidates, input);
  int largest = 0;
  for (const auto& [node, count] : counts) largest = std::max(largest, count.fitting_kind);
  if (candidates.empty()) {
    Reason reason;
    reason.code = "INSUFFICIENT_GPUS";
    reason.need = job.spec.gpus;
    reason.best = 0;
    reason.unit = "gpu";
    reason.text = job.spec.gpus == 0 ? "No node takes jobs now; start an agent or undrain one"
                                     : "No GPU reports yet; start an agent on a node";
    record.reasons.push_back(std::move(reason));
  } else if (largest < job.spec.gpus) {
    record.reasons.push_back(infeasible(job.spec, largest));
  } else {
    record.reasons.push_back(too_few(job.spec, counts));
    add_constraint_reasons(candidates, record);
  }
  if (!ahead.empty()) {
    Reason reason;
    reason.code = "PRIORITY";
    reason.blocking = false;
    reason.text = fmt::format("{} waiting job{} ahead of it", ahead.size(), ahead.size() == 1 ? " is" : "s are");
    reason.job_numbers.assign(ahead.begin(), ahead.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(ahead.size(), 10)));
    record.reasons.push_back(std::move(reason));
  }
  std::stable_sort(record.reasons.begin(), record.reasons.end(),
                   [](const Reason& a, const Reason& b) { return rank_of(a.code) < rank_of(b.code); });
  if (job.spec.gpus > 0) add_checks(job.spec, counts, position, record);
  record.summary = record.reasons.front().text;
  return record;
}

PlacementRecord explain_placement(const Job& job, const Placement& placement, std::vector<Candidate> candidates,
                                  const PredictionOutcome* prediction, const SchedulerInput& input) {
  PlacementRecord record;
  record.job = job.id;
  record.attempt = static_cast<int>(job.attempts.size()) + 1;
  record.decided_at = input.now;
  record.cycle = input.cycle;
  record.placement = placement;
  const bool by_model = prediction != nullptr && !prediction->scores.empty();
  record.policy = by_model ? "model" : "heuristic";
  if (by_model) record.model = prediction->model;
  if (!by_model)
    record.fallback_reason = prediction != nullptr ? prediction->fallback_reason : "the job asks for no GPU";
  for (const GpuUuid& uuid : placement.gpu_uuids)
    record.gpu_ids.push_back(
        gpu_display_id(placement.node, input.cluster.find_gpu(uuid)->info.gpu_index));
  std::stable_sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    if (a.chosen != b.chosen) return a.chosen;
    return a.score.value_or(-1) > b.score.value_or(-1);
  });
  const auto eligible = std::count_if(candidates.begin(), candidates.end(),
                                      [](const Candidate& c) { return c.rejected_by.empty(); });
  if (candidates.size() > kMaxRecordedCandidates) candidates.resize(kMaxRecordedCandidates);
  if (placement.gpu_uuids.empty())
    record.summary = fmt::format("Runs on {} without a GPU", placement.node.str());
  else if (eligible == static_cast<std::ptrdiff_t>(placement.gpu_uuids.size()))
    record.summary = fmt::format("Runs on {}: nothing else was free for it", fmt::join(record.gpu_ids, ", "));
  else if (by_model)
    record.summary = fmt::format("Runs on {}: the model gives it {:.0f} of 100, the best of {} free GPUs",
                                 fmt::join(record.gpu_ids, ", "), 100 * candidates.front().terms.front().value, eligible);
  else
    record.summary = fmt::format("Runs on {}: the coolest and least used of {} free GPUs (no model: {})",
                                 fmt::join(record.gpu_ids, ", "), eligible, *record.fallback_reason);
  record.candidates = std::move(candidates);
  return record;
}

}  // namespace aether
