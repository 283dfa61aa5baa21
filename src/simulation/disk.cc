#include "simulation/disk.h"

#include <algorithm>
#include <set>

namespace aether::simulation {

Result<void> Disk::commit(const std::vector<Write>& writes) {
  AETHER_TRY(check(writes));
  for (const Write& write : writes) std::visit([this](const auto& value) { put(value); }, write);
  return {};
}

// The unique keys of the real stores. A row that this very commit deletes first is free.
Result<void> Disk::check(const std::vector<Write>& writes) const {
  std::set<AttemptId> released;
  std::set<std::pair<GpuUuid, int>> taken;
  for (const Write& write : writes) {
    if (const auto* gone = std::get_if<DeleteAllocations>(&write)) released.insert(gone->attempt);
    if (const auto* put = std::get_if<PutAllocation>(&write)) {
      const auto row = allocations_.find({put->gpu_uuid, put->slot});
      const bool held = row != allocations_.end() && row->second.attempt != put->attempt &&
                        !released.contains(row->second.attempt);
      if (held || !taken.insert({put->gpu_uuid, put->slot}).second)
        return fail(ErrorCode::kConflict, "GPU " + put->gpu_uuid.str() + " is already allocated");
    }
    if (const auto* put = std::get_if<PutJob>(&write); put != nullptr && !put->job.idempotency_key.empty()) {
      const auto key = keys_.find({put->job.user, put->job.idempotency_key});
      if (key != keys_.end() && key->second != put->job.id)
        return fail(ErrorCode::kConflict, "the idempotency key of job " + put->job.id.str() + " is taken by job " + key->second.str());
    }
  }
  return {};
}

void Disk::put(const PutJob& write) {
  Job& row = jobs_[write.job.id];
  std::vector<Attempt> attempts = std::move(row.attempts);
  row = write.job;
  row.attempts = std::move(attempts);
  if (!row.idempotency_key.empty()) keys_[{row.user, row.idempotency_key}] = row.id;
}

void Disk::put(const PutAttempt& write) {
  auto& attempts = jobs_.at(write.attempt.id.job).attempts;
  const auto row = std::find_if(attempts.begin(), attempts.end(),
                                [&](const Attempt& attempt) { return attempt.id == write.attempt.id; });
  if (row == attempts.end())
    attempts.push_back(write.attempt);
  else
    *row = write.attempt;
}

void Disk::put(const PutAllocation& write) {
  allocations_[{write.gpu_uuid, write.slot}] = {write.gpu_uuid, write.slot, write.attempt, write.memory_mb};
}

void Disk::put(const DeleteAllocations& write) {
  std::erase_if(allocations_, [&](const auto& entry) { return entry.second.attempt == write.attempt; });
}

void Disk::put(const PutOutbox& write) {
  outbox_[{write.attempt, write.kind}] = {write.attempt, write.epoch, write.kind, write.subject, write.payload};
}

void Disk::put(const PutSetting& write) {
  settings_.erase(write.key);
  if (write.value) settings_[write.key] = *write.value;
}

StoredState Disk::load() const {
  StoredState state;
  for (const auto& [id, job] : jobs_) {
    (is_terminal(job.state) ? state.recent_jobs : state.live_jobs).push_back(job);
    state.last_job_number = std::max(state.last_job_number, job.number);
    if (const auto placement = placements_.find(id); placement != placements_.end() && !is_terminal(job.state))
      state.placements.push_back(placement->second);
  }
  for (const auto& [key, row] : allocations_) state.allocations.push_back(row);
  for (const auto& [key, row] : outbox_) state.outbox.push_back(row);
  for (const auto& [id, alert] : alerts_)
    if (!alert.cleared_at) state.open_alerts.push_back(alert);
  state.settings = settings_;
  state.last_epoch = next_epoch_ - 1;
  return state;
}

const Job* Disk::find_job(const JobId& id) const {
  const auto row = jobs_.find(id);
  return row == jobs_.end() ? nullptr : &row->second;
}

std::vector<const Job*> Disk::tasks_of(const JobId& array) const {
  std::vector<const Job*> tasks;
  for (const auto& [id, job] : jobs_)
    if (job.array_parent == array) tasks.push_back(&job);
  return tasks;
}

const Job* Disk::find_by_key(const std::string& user, const std::string& key) const {
  const auto row = keys_.find({user, key});
  return row == keys_.end() ? nullptr : &jobs_.at(row->second);
}

}  // namespace aether::simulation
