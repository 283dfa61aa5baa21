#include "scheduler/explain.h"

#include <algorithm>

#include <fmt/format.h>

#include "scheduler/constraints.h"

namespace aether {
namespace {

constexpr std::size_t kNamedNodes = 64;  // as evidence

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

// Per node of the table.
std::vector<NodeCount> count_by_node(const JobSpec& spec, const FleetTable& table, const std::vector<Verdict>& verdicts) {
  std::vector<NodeCount> counts(table.nodes.size());
  for (std::size_t i = 0; i < verdicts.size(); ++i) {
    NodeCount& count = counts[table.gpus[i].node];
    ++count.total;
    if (!verdicts[i].rejected) ++count.eligible;
    if (!verdicts[i].rejected || is_of_kind(*table.gpus[i].gpu, spec)) ++count.fitting_kind;
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

Reason too_few(const JobSpec& spec, const FleetTable& table, const std::vector<NodeCount>& counts) {
  Reason reason;
  reason.need = spec.gpus;
  reason.unit = "gpu";
  int best = 0, total = 0;
  NodeId best_node;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const NodeCount& count = counts[i];
    total += count.eligible;
    if (count.eligible > best) best = count.eligible, best_node = *table.nodes[i].id;
    if (count.fitting_kind > 0 && reason.evidence.size() < kNamedNodes)
      reason.evidence.push_back({*table.nodes[i].id, count.eligible, count.total});
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
void add_constraint_reasons(const FleetTable& table, const std::vector<Verdict>& verdicts, std::vector<Reason>& reasons) {
  std::map<std::string, std::pair<int, std::size_t>> by_code;  // how many, and the first
  for (std::size_t i = 0; i < verdicts.size(); ++i) {
    if (!verdicts[i].rejected) continue;
    const std::string& code = verdicts[i].rejected->code;
    if (code == "INFEASIBLE" || code == "INSUFFICIENT_GPUS") continue;
    ++by_code.try_emplace(code, 0, i).first->second.first;
  }
  for (const auto& [code, found] : by_code) {
    const GpuRecord& first = *table.gpus[found.second].gpu;
    const std::string text =
        gpu_display_id(first.node, first.info.gpu_index) + ": " + verdicts[found.second].rejected->text;
    Reason reason;
    reason.code = code;
    reason.best = found.first;
    reason.unit = "gpu";
    reason.text = found.first == 1 ? text : fmt::format("{} GPUs, for example {}", found.first, text);
    reasons.push_back(std::move(reason));
  }
}

void add_checks(const JobSpec& spec, const WaitBasis& basis, int position, WaitRecord& record) {
  const int eligible = basis.most_together, kind = basis.of_kind;
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
      "NODE_STARTING",     "BEGIN_TIME",        "RETRY_BACKOFF",    "DEPENDENCY",      "PRIORITY"};
  return static_cast<int>(std::find(order.begin(), order.end(), code) - order.begin());
}

}  // namespace

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

WaitRecord explain_far_behind(const SchedulerInput& input, std::size_t assessed) {
  WaitRecord record;
  record.evaluated_at = input.now;
  record.cycle = input.cycle;
  record.nodes_evaluated = static_cast<int>(input.cluster.nodes().size());
  Reason reason;
  reason.code = "PRIORITY";
  reason.text = fmt::format("At least {} job{} ahead of it", assessed, assessed == 1 ? " is" : "s are");
  record.summary = reason.text;
  record.reasons.push_back(std::move(reason));
  return record;
}

WaitBasis waiting_basis(const JobSpec& spec, const FleetTable& table, const std::vector<Verdict>& verdicts) {
  WaitBasis basis;
  const auto counts = count_by_node(spec, table, verdicts);
  for (const NodeCount& count : counts) {
    basis.of_kind = std::max(basis.of_kind, count.fitting_kind);
    basis.most_together = std::max(basis.most_together, count.eligible);
  }
  if (verdicts.empty()) {
    Reason reason;
    reason.code = "INSUFFICIENT_GPUS";
    reason.need = spec.gpus;
    reason.best = 0;
    reason.unit = "gpu";
    reason.text = spec.gpus == 0 ? "No node takes jobs now; start an agent or undrain one"
                                 : "No GPU reports yet; start an agent on a node";
    basis.reasons.push_back(std::move(reason));
  } else if (basis.of_kind < spec.gpus) {
    basis.reasons.push_back(infeasible(spec, basis.of_kind));
  } else {
    basis.reasons.push_back(too_few(spec, table, counts));
    add_constraint_reasons(table, verdicts, basis.reasons);
  }
  return basis;
}

WaitRecord explain_waiting(const Job& job, const WaitBasis& basis, const SchedulerInput& input, int position,
                           const std::vector<std::int64_t>& ahead) {
  WaitRecord record = start_record(job, input, position);
  record.reasons = basis.reasons;
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
  if (job.spec.gpus > 0) add_checks(job.spec, basis, position, record);
  record.summary = record.reasons.front().text;
  return record;
}

PlacementRecord explain_placement(const Job& job, const Placement& placement, std::vector<Candidate> candidates,
                                  std::size_t eligible, const PredictionOutcome* prediction,
                                  const SchedulerInput& input) {
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
    record.fallback_reason = prediction != nullptr ? prediction->fallback_reason
                             : job.spec.gpus == 0  ? "the job asks for no GPU"
                                                   : input.no_prediction;
  for (const GpuUuid& uuid : placement.gpu_uuids)
    record.gpu_ids.push_back(
        gpu_display_id(placement.node, input.cluster.find_gpu(uuid)->info.gpu_index));
  if (placement.gpu_uuids.empty())
    record.summary = fmt::format("Runs on {} without a GPU", placement.node.str());
  else if (eligible == placement.gpu_uuids.size())
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
