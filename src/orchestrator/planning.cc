// From a queue and a cluster to starts: shortlist, ask the predictor, place.
#include <algorithm>

#include <fmt/format.h>

#include "orchestrator/orchestrator.h"

namespace aether {
namespace {
constexpr std::chrono::seconds kLongestPause{1};
constexpr std::chrono::seconds kPredictionsLost{3};  // the service always answers; this only guards against a bug there

// For what a node must do first, though there is room.
WaitRecord wait_for_node(const Job& job, const PlacementRecord& record, const char* code, std::string summary) {
  WaitRecord wait;
  wait.job = job.id;
  wait.evaluated_at = record.decided_at;
  wait.cycle = record.cycle;
  wait.summary = std::move(summary);
  Reason reason;
  reason.code = code;
  reason.text = wait.summary;
  wait.reasons.push_back(std::move(reason));
  return wait;
}
}  // namespace

SchedulerInput Orchestrator::scheduler_input(Time now) const {
  SchedulerInput input{cluster_, {}, {}, now, counters_.cycles};
  for (const auto& [id, job] : live_) {
    if (job.state == JobState::kPending || job.state == JobState::kHeld) {
      input.queue.push_back(&job);
    } else if (const Attempt* attempt = job.last_attempt(); attempt != nullptr && holds_gpus(attempt->state)) {
      const Time from = attempt->started_at.value_or(now);
      input.running.push_back({attempt->id, job.number, attempt->placement,
                               from + std::chrono::seconds(job.spec.time_limit_s + job.spec.grace_s)});
    }
  }
  input.gated = gates(now);
  return input;
}

void Orchestrator::plan(Time now, Effects& effects) {
  if (awaiting_ && now - awaiting_->second < kPredictionsLost) return;
  awaiting_.reset();
  if (!needs_plan_) return;
  if (now < next_plan_ && now >= last_plan_) return;
  needs_plan_ = false;
  effects.planned = true;
  last_plan_ = now;
  ++counters_.cycles;
  SchedulerInput input = scheduler_input(now);
  if (input.queue.empty()) {
    behind_.reset();
    return;
  }
  if (!options_.use_predictor) {
    input.no_prediction = "no predictor is configured";
    return adopt(place(input, {}, options_.scheduler), {}, now, effects);
  }
  Shortlist ready = shortlist(input, options_.scheduler);
  if (ready.jobs.empty()) return adopt(std::move(ready.plan), {}, now, effects);
  PredictionsAsked asked{counters_.cycles, {}};
  const auto busy = busy_by_node(now);
  for (const Shortlisted& entry : ready.jobs)
    asked.requests.emplace_back(entry.job->id, predict_request(*entry.job, entry.candidates, busy));
  awaiting_ = {counters_.cycles, now};
  counters_.predictions += asked.requests.size();
  effects.predictions = std::move(asked);
}

// The next cycle with this job in the queue, and nothing of it kept. Of a job that depends on others, or of an array,
// one cycle says nothing: no answer.
SubmitReply Orchestrator::what_if(const SubmitRequest& request, Time now) const {
  if (!request.spec.depends_on.empty() || !request.spec.array.empty()) return {};
  Job job;
  job.id = JobId("what-if");
  job.number = last_number_ + 1;
  job.spec = request.spec;
  if (job.spec.time_limit_s == 0) job.spec.time_limit_s = options_.default_time_limit_s;
  job.user = request.user;
  job.submitted_at = now;
  job.state = job.spec.hold ? JobState::kHeld : JobState::kPending;
  SchedulerInput input = scheduler_input(now);
  input.queue.push_back(&job);
  if (std::vector<Reason> reasons; add_time_gates(job, now, reasons), !reasons.empty())
    input.gated[job.id] = std::move(reasons);
  input.no_prediction = "a dry run does not ask the predictor";
  Plan plan = place(input, {}, options_.scheduler);
  SubmitReply reply;
  for (PlannedStart& start : plan.starts)
    if (start.job == job.id) reply.would_start = std::make_shared<const PlacementRecord>(std::move(start.record));
  for (WaitRecord& wait : plan.waits)
    if (wait.job == job.id) reply.would_wait = std::make_shared<const WaitRecord>(std::move(wait));
  if (!reply.would_start && !reply.would_wait) reply.would_wait = plan.behind;
  return reply;
}

// Mean utilization of the GPUs that report.
std::map<NodeId, double> Orchestrator::busy_by_node(Time now) const {
  std::map<NodeId, double> busy;
  for (const auto& [id, node] : cluster_.nodes()) {
    double sum = 0;
    int read = 0;
    for (const GpuUuid& uuid : node.gpus) {
      const GpuRecord* gpu = cluster_.find_gpu(uuid);
      if (gpu == nullptr || !cluster_.has_current_sample(*gpu, now) || !gpu->sample->utilization_gpu) continue;
      sum += *gpu->sample->utilization_gpu;
      ++read;
    }
    if (read > 0) busy[id] = sum / read;
  }
  return busy;
}

PredictRequest Orchestrator::predict_request(const Job& job, const std::vector<GpuUuid>& candidates,
                                             const std::map<NodeId, double>& busy) const {
  PredictRequest request;
  request.job_type = job.spec.type;
  request.gpus = job.spec.gpus;
  if (job.spec.gpu_mem_mb) request.gpu_mem_mb = static_cast<double>(*job.spec.gpu_mem_mb);
  const auto number = [](const auto& value) { return value ? std::optional(static_cast<double>(*value)) : std::nullopt; };
  for (const GpuUuid& uuid : candidates) {
    const GpuRecord& gpu = *cluster_.find_gpu(uuid);
    CandidateFeatures features;
    features.gpu_uuid = uuid;
    features.memory_total_mb = static_cast<double>(gpu.info.memory_total_mb);
    features.power_limit_w = gpu.info.power_limit_w;
    features.clock_gpu_max_mhz = number(gpu.info.clock_gpu_max_mhz);
    if (const auto it = busy.find(gpu.node); it != busy.end()) features.node_busy_pct = it->second;
    if (gpu.sample) {
      const GpuSample& sample = *gpu.sample;
      features.temperature_c = sample.temperature_c;
      features.memory_used_mb = number(sample.memory_used_mb);
      features.utilization_gpu = sample.utilization_gpu;
      features.utilization_memory_controller = sample.utilization_memory_controller;
      features.power_draw_w = sample.power_draw_w;
      features.clock_gpu_mhz = sample.clock_gpu_mhz;
      features.throttling_reasons = sample.throttling_reasons;
    }
    request.candidates.push_back(std::move(features));
  }
  return request;
}

void Orchestrator::apply(PredictionsInput& input, Time now, Effects& effects) {
  if (!awaiting_ || awaiting_->first != input.cycle) return;
  awaiting_.reset();
  for (const auto& [job, outcome] : input.outcomes) {
    if (outcome.scores.empty()) ++counters_.prediction_fallbacks;
    if (outcome.model) model_ = outcome.model;
  }
  effects.planned = true;
  adopt(place(scheduler_input(now), input.outcomes, options_.scheduler), input.outcomes, now, effects);
}

void Orchestrator::adopt(Plan plan, const std::map<JobId, PredictionOutcome>& outcomes, Time now, Effects& effects) {
  // Every submission would set off the next cycle; a unit of work takes some 0.2 us of the thread that also answers.
  const std::size_t beyond = plan.work - std::min(plan.work, options_.unpaused_work);
  next_plan_ = now + std::min<Duration>(std::chrono::microseconds(beyond), kLongestPause);
  for (PlannedStart& planned : plan.starts) {
    Job* job = find_live(planned.job);
    if (job == nullptr || job->state != JobState::kPending) continue;
    const bool asked = !options_.use_predictor || outcomes.contains(planned.job) || job->spec.gpus == 0;
    // Room that appeared while the predictor was thinking: the next cycle asks for this job too.
    if (!asked || !still_fits(cluster_, *job, planned.record.placement, now, options_.scheduler)) {
      needs_plan_ = true;
      continue;
    }
    // Its place is given away when the node falls silent: without the node's clock its start could come after that.
    const bool may_be_replaced = job->spec.on_partition == OnPartition::kStopAfter;
    if (may_be_replaced && !leases_.clock(planned.record.placement.node)) {
      plan.waits.push_back(wait_for_node(*job, planned.record, "NODE_STALE",
                                         "It waits for the next heartbeat of node " + planned.record.placement.node.str()));
      needs_plan_ = true;
      continue;
    }
    const NodeId& node = planned.record.placement.node;
    const auto unanswered = unanswered_starts_.find(node);
    if (unanswered != unanswered_starts_.end() && unanswered->second >= options_.max_unanswered_starts) {
      starting_fully_.insert(node);
      plan.waits.push_back(wait_for_node(*job, planned.record, "NODE_STARTING",
                                         fmt::format("It is next on node {}, which is starting {} jobs", node.str(), unanswered->second)));
      continue;
    }
    start(*job, std::move(planned.record), now, effects);
  }
  waiting_.clear();
  for (WaitRecord& wait : plan.waits) {
    const JobId id = wait.job;
    waiting_[id] = std::make_shared<const WaitRecord>(std::move(wait));
  }
  behind_ = std::move(plan.behind);
  effects.view_changed = true;
}

}  // namespace aether
