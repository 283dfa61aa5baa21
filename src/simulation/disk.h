#pragma once
// What a store's disk holds: the durable truth about jobs. Commits are all or nothing and keep the store's keys.
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "store/store.h"

namespace aether::simulation {

class Disk {
 public:
  // kConflict: a key is taken; nothing was written.
  Result<void> commit(const std::vector<Write>& writes);
  StoredState load() const;
  Epoch reserve_epochs(std::uint64_t count) { return std::exchange(next_epoch_, next_epoch_ + count); }

  const Job* find_job(const JobId& id) const;
  const Job* find_by_key(const std::string& user, const std::string& key) const;
  // Of an array, by the id of its first task; empty for any other job.
  std::vector<const Job*> tasks_of(const JobId& array) const;
  const std::map<JobId, Job>& jobs() const { return jobs_; }
  const std::map<std::pair<GpuUuid, int>, AllocationRow>& allocations() const { return allocations_; }
  std::size_t outbox_rows() const { return outbox_.size(); }

 private:
  Result<void> check(const std::vector<Write>& writes) const;
  void put(const PutJob& write);
  void put(const PutAttempt& write);
  void put(const PutAllocation& write);
  void put(const DeleteAllocations& write);
  void put(const PutOutbox& write);
  void put(const AckOutbox& write) { outbox_.erase({write.attempt, write.kind}); }
  void put(const PutEvent&) {}
  void put(const PutAudit&) {}
  void put(const PutPlacement& write) { placements_[write.record.job] = write.record; }
  void put(const PutAlert& write) { alerts_[write.alert.id] = write.alert; }
  void put(const PutSetting& write);

  std::map<JobId, Job> jobs_;
  std::map<std::pair<std::string, std::string>, JobId> keys_;
  std::map<std::pair<GpuUuid, int>, AllocationRow> allocations_;
  std::map<std::pair<AttemptId, std::string>, OutboxRow> outbox_;
  std::map<JobId, PlacementRecord> placements_;
  std::map<AlertId, Alert> alerts_;
  std::map<std::string, std::string> settings_;
  Epoch next_epoch_ = 1;
};

}  // namespace aether::simulation
