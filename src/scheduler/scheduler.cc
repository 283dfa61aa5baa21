#include "scheduler/scheduler.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <tuple>

#include <fmt/format.h>

#include "scheduler/constraints.h"
#include "scheduler/explain.h"
#include "scheduler/fleet_table.h"
#include "scheduler/score.h"
#include "scheduler/timeline.h"

namespace aether {
namespace {

constexpr std::size_t kTimelinePositions = 64;  // waiting jobs that get a latest start
constexpr double kDoesNotFit = -1;

bool goes_before(const Job* a, const Job* b) {
  if (a->spec.priority != b->spec.priority) return a->spec.priority > b->spec.priority;
  return a->number < b->number;
}

// What any job of one shape finds. Brought up to date node by node as the cycle makes promises.
struct Assessment {
  std::vector<Verdict> verdicts;      // per GPU of the table
  std::vector<double> node_scores;    // sum over the best GPUs of the node, kDoesNotFit where there are too few
  std::size_t seen = 0;               // promises of the cycle taken into account
  std::optional<WaitBasis> basis;     // of the state at `seen`
  std::optional<int> starts_with;     // fewer GPUs that would do now; 0 = none would
};
// GPUs, type, memory, sharing, and whether the reservation binds it.
using Shape = std::tuple<int, std::string, std::int64_t, Share, bool>;

// One cycle's work in progress.
class Cycle {
 public:
  Cycle(const SchedulerInput& input, const std::map<JobId, PredictionOutcome>& predictions,
        const SchedulerOptions& options)
      : input_(input), predictions_(predictions), options_(options), table_(input), timeline_(input, options) {}

  Plan run() {
    std::vector<const Job*> set_apart, competing;
    competing.reserve(input_.queue.size());
    for (const Job* job : input_.queue)
      (job->state == JobState::kHeld || input_.gated.contains(job->id) ? set_apart : competing).push_back(job);
    explain_set_apart(queue_order(std::move(set_apart)));
    const std::size_t window = std::min(options_.max_assessed, competing.size());
    std::partial_sort(competing.begin(), competing.begin() + static_cast<std::ptrdiff_t>(window), competing.end(),
                      goes_before);
    std::size_t position = 0;
    while (position < window && judged_ < options_.max_judged) {
      consider(*competing[position], static_cast<int>(position) + 1);
      ++position;
    }
    plan_.work = judged_ + input_.queue.size() + plan_.starts.size() * table_.gpus.size();
    plan_.behind_count = competing.size() - position;
    if (plan_.behind_count > 0)
      plan_.behind = std::make_shared<const WaitRecord>(explain_far_behind(input_, position));
    return std::move(plan_);
  }

  const std::vector<const Job*>& started() const { return started_; }  // in the order of the plan's starts

 private:
  void explain_set_apart(const std::vector<const Job*>& jobs) {
    for (const Job* job : jobs)
      plan_.waits.push_back(job->state == JobState::kHeld ? explain_held(*job, input_)
                                                          : explain_gated(*job, input_, input_.gated.at(job->id)));
  }

  void consider(const Job& job, int position) {
    Assessment& found = assess(job.spec, is_bound(job));
    if (auto placement = choose(job, found)) {
      plan_.starts.push_back({job.id, record_of(job, *placement, found)});
      started_.push_back(&job);
      promises_.push_back(promise(job, *placement));
      return;
    }
    if (!found.basis) found.basis = waiting_basis(job.spec, table_, found.verdicts);
    WaitRecord wait = explain_waiting(job, *found.basis, input_, position, waiting_ahead_);
    if (waiting_ahead_.size() < kTimelinePositions && wait.reasons.front().code != "INFEASIBLE") {
      if (auto reservation = timeline_.reserve(job.spec, input_.now)) {
        if (reservation->at > input_.now) wait.start_eta = reservation->at;
        if (!reservation_) reservation_ = std::move(reservation), reserved_for_ = job.number;
      }
    }
    add_verified_counterfactual(job, found, wait);
    waiting_ahead_.push_back(job.number);
    plan_.waits.push_back(std::move(wait));
  }

  // Whether the reservation of the first waiting job keeps this one off its GPUs.
  bool is_bound(const Job& job) const {
    return reservation_ && reserved_for_ != job.number && input_.now + std::chrono::seconds(job.spec.time_limit_s) > reservation_->at;
  }

  Assessment& assess(const JobSpec& spec, bool bound) {
    Assessment& found = assessments_[{spec.gpus, spec.gpu_type, spec.gpu_mem_mb.value_or(-1), spec.share, bound}];
    if (found.verdicts.empty() && spec.gpus > 0) {
      found.verdicts.resize(table_.gpus.size());
      found.node_scores.resize(table_.nodes.size(), kDoesNotFit);
      for (std::size_t node = 0; node < table_.nodes.size(); ++node) assess_node(spec, bound, node, found);
      found.seen = promises_.size();
    }
    if (found.seen < promises_.size()) found.basis.reset(), found.starts_with.reset();
    for (; found.seen < promises_.size(); ++found.seen)
      if (spec.gpus > 0) assess_node(spec, bound, promises_[found.seen], found);
    return found;
  }

  void assess_node(const JobSpec& spec, bool bound, std::size_t node, Assessment& found) {
    std::vector<double> scores;
    for (const std::size_t index : table_.nodes[node].gpus) {
      Verdict& verdict = found.verdicts[index];
      verdict.rejected = reject(spec, bound, table_.gpus[index]);
      if (verdict.rejected) continue;
      verdict.score = score_of(index, std::nullopt);
      scores.push_back(verdict.score);
    }
    judged_ += table_.nodes[node].gpus.size();
    found.node_scores[node] = sum_of_best(scores, spec.gpus);
  }

  static double sum_of_best(std::vector<double>& scores, int count) {
    if (scores.size() < static_cast<std::size_t>(count)) return kDoesNotFit;
    std::sort(scores.begin(), scores.end(), std::greater<>());
    return std::accumulate(scores.begin(), scores.begin() + count, 0.0);
  }

  std::optional<Rejection> reject(const JobSpec& spec, bool bound, const GpuSlot& slot) const {
    if (auto rejected = check_kind(*slot.gpu, spec)) return rejected;
    if (slot.unhealthy) return slot.unhealthy;
    if (auto rejected = check_capacity(*slot.gpu, spec, slot.promised_mb, slot.promised_whole, options_)) return rejected;
    if (bound && reservation_->gpus.contains(slot.gpu->info.gpu_uuid))
      return Rejection{"RESERVATION", fmt::format("kept for job {}, which is ahead in the queue", reserved_for_)};
    return std::nullopt;
  }

  double score_of(std::size_t index, std::optional<double> model_score) const {
    const GpuSlot& slot = table_.gpus[index];
    return total_score(*slot.gpu, table_.nodes[slot.node].taken_share(), model_score, options_);
  }

  // Absent without a prediction. A GPU that the model was not asked about never outranks those it was.
  std::optional<double> model_score(const PredictionOutcome* prediction, const GpuSlot& slot) const {
    if (prediction == nullptr || prediction->scores.empty()) return std::nullopt;
    const auto found = prediction->scores.find(slot.gpu->info.gpu_uuid);
    return found == prediction->scores.end() ? 0.0 : found->second;
  }

  const PredictionOutcome* prediction_of(const Job& job) const {
    const auto it = predictions_.find(job.id);
    return it == predictions_.end() ? nullptr : &it->second;
  }

  // The node whose best GPUs score highest together; within it the best GPUs. Ties by name, so the plan is repeatable.
  std::optional<Placement> choose(const Job& job, const Assessment& found) const {
    if (job.spec.gpus == 0) return choose_node_without_gpus();
    const PredictionOutcome* prediction = prediction_of(job);
    const bool by_model = prediction != nullptr && !prediction->scores.empty();
    double best_score = kDoesNotFit;
    std::size_t best = 0;
    for (std::size_t node = 0; node < table_.nodes.size(); ++node) {
      double score = found.node_scores[node];
      if (score == kDoesNotFit) continue;
      if (by_model) score = model_sum(job, *prediction, found, node);
      if (score > best_score) best_score = score, best = node;
    }
    if (best_score == kDoesNotFit) return std::nullopt;
    Placement placement{*table_.nodes[best].id, {}, reserved_memory_mb(job.spec)};
    for (const auto& [score, index] : ranking(prediction, found, table_.nodes[best].gpus, job.spec.gpus))
      placement.gpu_uuids.push_back(table_.gpus[index].gpu->info.gpu_uuid);
    return placement;
  }

  double model_sum(const Job& job, const PredictionOutcome& prediction, const Assessment& found, std::size_t node) const {
    std::vector<double> scores;
    for (const std::size_t index : table_.nodes[node].gpus)
      if (!found.verdicts[index].rejected) scores.push_back(score_of(index, model_score(&prediction, table_.gpus[index])));
    return sum_of_best(scores, job.spec.gpus);
  }

  // The best eligible of these GPUs, best first, then by UUID.
  std::vector<std::pair<double, std::size_t>> ranking(const PredictionOutcome* prediction, const Assessment& found,
                                                      const std::vector<std::size_t>& among, std::size_t most) const {
    std::vector<std::pair<double, std::size_t>> ranked;
    for (const std::size_t index : among)
      if (!found.verdicts[index].rejected)
        ranked.emplace_back(score_of(index, model_score(prediction, table_.gpus[index])), index);
    const auto kept = static_cast<std::ptrdiff_t>(std::min(most, ranked.size()));
    std::partial_sort(ranked.begin(), ranked.begin() + kept, ranked.end(), [](const auto& a, const auto& b) {
      return a.first != b.first ? a.first > b.first : a.second < b.second;
    });
    ranked.resize(static_cast<std::size_t>(kept));
    return ranked;
  }

  std::optional<Placement> choose_node_without_gpus() const {
    for (const NodeSlot& node : table_.nodes)
      if (!check_node(*node.record)) return Placement{*node.id, {}, 0};
    return std::nullopt;
  }

  std::size_t promise(const Job& job, const Placement& placement) {
    timeline_.occupy(placement, input_.now + std::chrono::seconds(job.spec.time_limit_s));
    return table_.promise(placement);
  }

  // Of the cluster as it was before this placement is promised. The chosen first, then the best, then rejected ones.
  PlacementRecord record_of(const Job& job, const Placement& placement, const Assessment& found) const {
    const PredictionOutcome* prediction = prediction_of(job);
    std::vector<Candidate> candidates;
    std::size_t eligible = 0;
    if (job.spec.gpus > 0) {
      std::vector<std::size_t> all(table_.gpus.size());
      std::iota(all.begin(), all.end(), std::size_t{0});
      eligible = static_cast<std::size_t>(
          std::count_if(found.verdicts.begin(), found.verdicts.end(), [](const Verdict& v) { return !v.rejected; }));
      const auto is_chosen = [&](std::size_t index) {
        const auto& uuids = placement.gpu_uuids;
        return std::find(uuids.begin(), uuids.end(), table_.gpus[index].gpu->info.gpu_uuid) != uuids.end();
      };
      auto ranked = ranking(prediction, found, all, kMaxRecordedCandidates + placement.gpu_uuids.size());
      for (const std::size_t index : table_.gpus_of(placement.node))
        if (is_chosen(index)) candidates.push_back(candidate_of(job, found, index, true));
      std::stable_sort(candidates.begin(), candidates.end(),
                       [](const Candidate& a, const Candidate& b) { return *a.score > *b.score; });
      for (const auto& [score, index] : ranked)
        if (candidates.size() < kMaxRecordedCandidates && !is_chosen(index))
          candidates.push_back(candidate_of(job, found, index, false));
      for (std::size_t i = 0; i < all.size() && candidates.size() < kMaxRecordedCandidates; ++i)
        if (found.verdicts[i].rejected) candidates.push_back(candidate_of(job, found, i, false));
    }
    return explain_placement(job, placement, std::move(candidates), eligible, prediction, input_);
  }

  Candidate candidate_of(const Job& job, const Assessment& found, std::size_t index, bool chosen) const {
    const GpuSlot& slot = table_.gpus[index];
    Candidate candidate;
    candidate.gpu_uuid = slot.gpu->info.gpu_uuid;
    candidate.gpu_id = gpu_display_id(slot.gpu->node, slot.gpu->info.gpu_index);
    candidate.node = slot.gpu->node;
    candidate.chosen = chosen;
    if (const auto& rejected = found.verdicts[index].rejected) {
      candidate.rejected_by = rejected->code;
      candidate.rejected_text = rejected->text;
      return candidate;
    }
    const PredictionOutcome* prediction = prediction_of(job);
    candidate.terms = score_terms(*slot.gpu, table_.nodes[slot.node].taken_share(), model_score(prediction, slot), options_);
    candidate.score = score_of(index, model_score(prediction, slot));
    if (prediction != nullptr)
      if (const auto why = prediction->contributions.find(candidate.gpu_uuid); why != prediction->contributions.end())
        candidate.contributions = why->second;
    return candidate;
  }

  // "It would start now with n GPUs": only after the same rules have said so.
  void add_verified_counterfactual(const Job& job, Assessment& found, WaitRecord& wait) {
    if (job.spec.gpus == 0) return;
    if (!found.starts_with) {
      const int best = found.basis->most_together;
      found.starts_with = 0;
      if (best > 0 && best < job.spec.gpus) {
        Job smaller = job;
        smaller.spec.gpus = best;
        if (choose(smaller, assess(smaller.spec, is_bound(job)))) found.starts_with = best;
      }
    }
    if (const int best = *found.starts_with; best > 0)
      wait.counterfactuals.push_back({fmt::format("it asks for {} GPU{}", best, best == 1 ? "" : "s"), "now"});
  }

  const SchedulerInput& input_;
  const std::map<JobId, PredictionOutcome>& predictions_;
  const SchedulerOptions& options_;
  FleetTable table_;
  Timeline timeline_;
  Plan plan_;
  std::map<Shape, Assessment> assessments_;
  std::vector<std::size_t> promises_;        // the node of each, in order
  std::vector<const Job*> started_;
  std::optional<Reservation> reservation_;   // of the first waiting job that can ever start
  std::int64_t reserved_for_ = 0;
  std::size_t judged_ = 0;                   // verdicts so far
  std::vector<std::int64_t> waiting_ahead_;
};

}  // namespace

std::vector<const Job*> queue_order(std::vector<const Job*> queue) {
  std::stable_sort(queue.begin(), queue.end(), goes_before);
  return queue;
}

Shortlist shortlist(const SchedulerInput& input, const SchedulerOptions& options) {
  const std::map<JobId, PredictionOutcome> no_predictions;
  Cycle cycle(input, no_predictions, options);
  Shortlist out{{}, cycle.run()};
  for (std::size_t i = 0; i < out.plan.starts.size(); ++i) {
    Shortlisted entry{cycle.started()[i], {}};
    for (const Candidate& candidate : out.plan.starts[i].record.candidates)
      if (candidate.rejected_by.empty()) entry.candidates.push_back(candidate.gpu_uuid);
    if (!entry.candidates.empty()) out.jobs.push_back(std::move(entry));
  }
  return out;
}

Plan place(const SchedulerInput& input, const std::map<JobId, PredictionOutcome>& predictions,
           const SchedulerOptions& options) {
  return Cycle(input, predictions, options).run();
}

bool still_fits(const Cluster& cluster, const Job& job, const Placement& placement, Time now,
                const SchedulerOptions& options) {
  const NodeRecord* node = cluster.find_node(placement.node);
  if (node == nullptr || check_node(*node)) return false;
  return std::all_of(placement.gpu_uuids.begin(), placement.gpu_uuids.end(), [&](const GpuUuid& uuid) {
    const GpuRecord* gpu = cluster.find_gpu(uuid);
    return gpu != nullptr && !check_kind(*gpu, job.spec) && !check_health(*gpu, *node, cluster, now) &&
           !check_capacity(*gpu, job.spec, 0, false, options);
  });
}

}  // namespace aether
