#include "scheduler/scheduler.h"

#include <algorithm>

#include <fmt/format.h>

#include "scheduler/constraints.h"
#include "scheduler/explain.h"
#include "scheduler/score.h"
#include "scheduler/timeline.h"

namespace aether {
namespace {

constexpr std::size_t kTimelinePositions = 64;  // waiting jobs that get a latest start

struct Promised {
  std::int64_t memory_mb = 0;
  bool exclusive = false;
};

// One cycle's work in progress.
class Cycle {
 public:
  Cycle(const SchedulerInput& input, const std::map<JobId, PredictionOutcome>& predictions,
        const SchedulerOptions& options)
      : input_(input), predictions_(predictions), options_(options), timeline_(input, options) {}

  Plan run() {
    const std::vector<const Job*> order = queue_order(input_.queue);
    std::size_t position = 0;
    for (const Job* job : order) {
      if (job->state == JobState::kHeld) {
        plan_.waits.push_back(explain_held(*job, input_));
        continue;
      }
      if (const auto gated = input_.gated.find(job->id); gated != input_.gated.end()) {
        plan_.waits.push_back(explain_gated(*job, input_, gated->second));
        continue;
      }
      ++position;
      if (position > options_.max_assessed)
        plan_.waits.push_back(explain_far_behind(*job, input_, static_cast<int>(position)));
      else
        consider(*job, static_cast<int>(position));
    }
    return std::move(plan_);
  }

 private:
  void consider(const Job& job, int position) {
    std::vector<Candidate> candidates = judge(job);
    if (auto placement = choose(job, candidates)) {
      promise(job, *placement);
      plan_.starts.push_back({job.id, record_of(job, *placement, std::move(candidates))});
      return;
    }
    WaitRecord wait = explain_waiting(job, candidates, input_, position, waiting_ahead_);
    if (plan_.waits.size() < kTimelinePositions && wait.reasons.front().code != "INFEASIBLE") {
      if (const auto reservation = timeline_.reserve(job.spec, input_.now)) {
        if (reservation->at > input_.now) wait.start_eta = reservation->at;
        if (!reservation_) reservation_ = reservation, reserved_for_ = job.number;
      }
    }
    add_verified_counterfactual(job, candidates, wait);
    waiting_ahead_.push_back(job.number);
    plan_.waits.push_back(std::move(wait));
  }

  // Every GPU of the cluster, eligible or with the first constraint it fails.
  std::vector<Candidate> judge(const Job& job) const {
    std::vector<Candidate> candidates;
    if (job.spec.gpus == 0) return candidates;
    for (const auto& [uuid, gpu] : input_.cluster.gpus()) {
      const NodeRecord* node = input_.cluster.find_node(gpu.node);
      if (node == nullptr) continue;
      Candidate candidate;
      candidate.gpu_uuid = uuid;
      candidate.node = gpu.node;
      candidate.gpu_id = gpu_display_id(gpu.node, gpu.info.gpu_index);
      if (auto rejected = reject(gpu, *node, job)) {
        candidate.rejected_by = rejected->code;
        candidate.rejected_text = rejected->text;
      } else {
        score(job, gpu, *node, candidate);
      }
      candidates.push_back(std::move(candidate));
    }
    return candidates;
  }

  std::optional<Rejection> reject(const GpuRecord& gpu, const NodeRecord& node, const Job& job) const {
    if (auto rejected = check_kind(gpu, job.spec)) return rejected;
    if (auto rejected = check_health(gpu, node, input_.cluster, input_.now)) return rejected;
    const auto promised = promised_.find(gpu.info.gpu_uuid);
    const Promised extra = promised == promised_.end() ? Promised{} : promised->second;
    if (auto rejected = check_capacity(gpu, job.spec, extra.memory_mb, extra.exclusive, options_))
      return rejected;
    const bool ends_before = reservation_ && input_.now + std::chrono::seconds(job.spec.time_limit_s) <= reservation_->at;
    if (reservation_ && reserved_for_ != job.number && !ends_before && reservation_->gpus.contains(gpu.info.gpu_uuid))
      return Rejection{"RESERVATION", fmt::format("kept for job {}, which is ahead in the queue", reserved_for_)};
    return std::nullopt;
  }

  void score(const Job& job, const GpuRecord& gpu, const NodeRecord& node, Candidate& candidate) const {
    std::optional<double> model_score;
    if (const auto it = predictions_.find(job.id); it != predictions_.end()) {
      const auto found = it->second.scores.find(gpu.info.gpu_uuid);
      if (!it->second.scores.empty())  // a GPU that the model was not asked about never outranks those it was
        model_score = found == it->second.scores.end() ? 0.0 : found->second;
      const auto why = it->second.contributions.find(gpu.info.gpu_uuid);
      if (why != it->second.contributions.end()) candidate.contributions = why->second;
    }
    candidate.terms = score_terms(gpu, allocated_share(node), model_score, options_);
    candidate.score = total_score(candidate.terms);
  }

  double allocated_share(const NodeRecord& node) const {
    std::size_t allocated = 0;
    for (const GpuUuid& uuid : node.gpus) {
      const GpuRecord* gpu = input_.cluster.find_gpu(uuid);
      if ((gpu != nullptr && !gpu->allocations.empty()) || promised_.contains(uuid)) ++allocated;
    }
    return node.gpus.empty() ? 0 : static_cast<double>(allocated) / static_cast<double>(node.gpus.size());
  }

  // The node whose best GPUs score highest together; within it the best GPUs. Ties by name, so the plan is repeatable.
  std::optional<Placement> choose(const Job& job, std::vector<Candidate>& candidates) const {
    if (job.spec.gpus == 0) return choose_node_without_gpus();
    std::map<NodeId, std::vector<Candidate*>> by_node;
    for (Candidate& candidate : candidates)
      if (candidate.rejected_by.empty()) by_node[candidate.node].push_back(&candidate);
    const auto wanted = static_cast<std::size_t>(job.spec.gpus);
    std::vector<Candidate*> best;
    double best_score = -1;
    for (auto& [node, eligible] : by_node) {
      if (eligible.size() < wanted) continue;
      std::stable_sort(eligible.begin(), eligible.end(), [](const Candidate* a, const Candidate* b) {
        return *a->score != *b->score ? *a->score > *b->score : a->gpu_uuid < b->gpu_uuid;
      });
      double sum = 0;
      for (std::size_t i = 0; i < wanted; ++i) sum += *eligible[i]->score;
      if (sum <= best_score) continue;
      best_score = sum;
      best.assign(eligible.begin(), eligible.begin() + static_cast<std::ptrdiff_t>(wanted));
    }
    if (best.empty()) return std::nullopt;
    Placement placement{best.front()->node, {}, reserved_memory_mb(job.spec)};
    for (Candidate* candidate : best) {
      candidate->chosen = true;
      placement.gpu_uuids.push_back(candidate->gpu_uuid);
    }
    return placement;
  }

  std::optional<Placement> choose_node_without_gpus() const {
    for (const auto& [id, node] : input_.cluster.nodes())
      if (!check_node(node)) return Placement{id, {}, 0};
    return std::nullopt;
  }

  void promise(const Job& job, const Placement& placement) {
    for (const GpuUuid& uuid : placement.gpu_uuids) {
      Promised& promised = promised_[uuid];
      promised.memory_mb += placement.memory_mb_per_gpu;
      if (placement.memory_mb_per_gpu == 0) promised.exclusive = true;
    }
    timeline_.occupy(placement, input_.now + std::chrono::seconds(job.spec.time_limit_s));
  }

  PlacementRecord record_of(const Job& job, const Placement& placement, std::vector<Candidate> candidates) const {
    const auto it = predictions_.find(job.id);
    return explain_placement(job, placement, std::move(candidates), it == predictions_.end() ? nullptr : &it->second,
                             input_);
  }

  // "It would start now with n GPUs": only after the same rules have said so.
  void add_verified_counterfactual(const Job& job, const std::vector<Candidate>& candidates, WaitRecord& wait) const {
    const int best = most_together(candidates);
    if (best <= 0 || best >= job.spec.gpus) return;
    Job smaller = job;
    smaller.spec.gpus = best;
    std::vector<Candidate> again = judge(smaller);
    if (choose(smaller, again))
      wait.counterfactuals.push_back({fmt::format("it asks for {} GPU{}", best, best == 1 ? "" : "s"), "now"});
  }

  const SchedulerInput& input_;
  const std::map<JobId, PredictionOutcome>& predictions_;
  const SchedulerOptions& options_;
  Timeline timeline_;
  Plan plan_;
  std::map<GpuUuid, Promised> promised_;
  std::optional<Reservation> reservation_;
  std::int64_t reserved_for_ = 0;
  std::vector<std::int64_t> waiting_ahead_;
};

}  // namespace

std::vector<const Job*> queue_order(std::vector<const Job*> queue) {
  std::stable_sort(queue.begin(), queue.end(), [](const Job* a, const Job* b) {
    if (a->spec.priority != b->spec.priority) return a->spec.priority > b->spec.priority;
    return a->number < b->number;
  });
  return queue;
}

std::vector<Shortlisted> shortlist(const SchedulerInput& input, const SchedulerOptions& options) {
  const Plan plan = place(input, {}, options);
  std::map<JobId, const Job*> jobs;
  for (const Job* job : input.queue) jobs[job->id] = job;
  std::vector<Shortlisted> out;
  for (const PlannedStart& start : plan.starts) {
    Shortlisted entry{jobs[start.job], {}};
    for (const Candidate& candidate : start.record.candidates)
      if (candidate.rejected_by.empty()) entry.candidates.push_back(candidate.gpu_uuid);
    if (!entry.candidates.empty()) out.push_back(std::move(entry));
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
