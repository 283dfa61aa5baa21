// Readings, alerts, energy and the last hour of the fleet.
#include <algorithm>

#include "carbon/accounting.h"
#include "orchestrator/orchestrator.h"

namespace aether {
namespace {
constexpr std::size_t kHistoryMinutes = 60;
constexpr std::chrono::minutes kMaxClockSkew{5};

void push_bounded(std::vector<double>& values, double value) {
  values.push_back(value);
  if (values.size() > kHistoryMinutes) values.erase(values.begin());
}
}  // namespace

void Orchestrator::apply(SampleInput& input, Time now, Effects& effects) {
  ++counters_.samples_received;
  const auto skew = now - input.sample->sample_time;
  // A wrong clock would poison the history; what the GPU is doing now is known all the same.
  if (skew < -kMaxClockSkew || skew > std::chrono::hours(48))
    ++counters_.samples_rejected;
  else
    effects.samples.push_back(input.sample);
  if (!cluster_.apply_sample(input.sample, now)) return;
  const GpuRecord& gpu = *cluster_.find_gpu(input.sample->gpu_uuid);
  touched_gpus_.insert(gpu.info.gpu_uuid);
  if (!shown_gpus_.contains(gpu.info.gpu_uuid)) refresh_fleet_ = true;  // perhaps with a node that is new too
  charge_energy(gpu);
  judge_gpu(gpu, now, effects);
  effects.view_changed = true;
}

void Orchestrator::apply(CarbonInput& input, Time, Effects& effects) {
  carbon_ = std::move(input.report);
  effects.view_changed = true;
}

void Orchestrator::apply(RejectedInput& input, Time, Effects&) {
  if (input.telemetry)
    ++counters_.samples_rejected;
  else
    ++counters_.events_rejected;
}

// Energy of the GPU since its last reading goes to the attempts on it in equal parts. With neither counter nor power
// reading the attempt's energy stays unknown.
void Orchestrator::charge_energy(const GpuRecord& gpu) {
  std::shared_ptr<const GpuSample>& previous = last_charged_[gpu.info.gpu_uuid];
  std::optional<EnergyUse> use;
  if (previous) {
    const GpuSample pair[] = {*previous, *gpu.sample};
    use = energy_of(pair, previous->sample_time, gpu.sample->sample_time);
  }
  previous = gpu.sample;
  if (!use || gpu.allocations.empty()) return;
  const double share_j = use->energy_j / static_cast<double>(gpu.allocations.size());
  for (const Allocation& allocation : gpu.allocations) {
    Job* job = find_live(allocation.attempt.job);
    if (job == nullptr || job->attempts.empty()) continue;
    Attempt& attempt = job->attempts.back();
    if (attempt.id != allocation.attempt || !attempt.started_at) continue;
    attempt.energy_j = attempt.energy_j.value_or(0) + share_j;
    if (carbon_) attempt.carbon_g = attempt.carbon_g.value_or(0) + carbon_g(share_j, carbon_->intensity_g_per_kwh);
    touch(*job);
  }
}

void Orchestrator::judge_gpu(const GpuRecord& gpu, Time now, Effects& effects) {
  if (gpu.info.gpu_name.empty()) return;  // recovered, its node has not said hello yet
  std::optional<JobId> job;
  std::optional<Time> held_since;
  if (!gpu.allocations.empty()) {
    job = gpu.allocations.front().attempt.job;
    if (const Job* live = find_live(*job); live != nullptr && !live->attempts.empty()) held_since = live->attempts.back().started_at;
  }
  const GpuSample* sample = cluster_.has_current_sample(gpu, now) ? gpu.sample.get() : nullptr;
  const GpuReading reading{gpu.info, gpu.node, gpu_display_id(gpu.node, gpu.info.gpu_index), sample, gpu.present, job, held_since};
  for (Alert& alert : alerts_.update(reading, now)) {
    effects.writes.push_back(PutAlert{std::move(alert)});
    effects.view_changed = true;
  }
  for (Finding& finding : anomalies_.update(reading, now)) set_alert(std::move(finding.alert), finding.bad, now, effects);
}

// Also GPUs that send nothing: silence is a finding.
void Orchestrator::judge_alerts(Time now, Effects& effects) {
  for (const auto& [uuid, gpu] : cluster_.gpus())
    if (!cluster_.has_current_sample(gpu, now)) judge_gpu(gpu, now, effects);
}

void Orchestrator::record_history(Time now) {
  double busy = 0, memory = 0, power = 0;
  int read = 0;
  for (const auto& [uuid, gpu] : cluster_.gpus()) {
    if (!cluster_.has_current_sample(gpu, now)) continue;
    ++read;
    busy += gpu.sample->utilization_gpu.value_or(0);
    memory += static_cast<double>(gpu.sample->memory_used_mb.value_or(0));
    power += gpu.sample->power_draw_w.value_or(0);
  }
  if (read == 0) return;
  const auto pending = std::count_if(live_.begin(), live_.end(), [](const auto& e) { return e.second.state == JobState::kPending; });
  history_.times.push_back(now);
  if (history_.times.size() > kHistoryMinutes) history_.times.erase(history_.times.begin());
  push_bounded(history_.busy_pct, busy / read);
  push_bounded(history_.memory_used_mb, memory);
  push_bounded(history_.power_draw_w, power);
  push_bounded(history_.jobs_pending, static_cast<double>(pending));
}

}  // namespace aether
