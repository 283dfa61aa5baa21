#pragma once
// What outlives an attempt: the epochs that each GPU's slots have seen, and stop orders for attempts that never came.
//
// fences/<gpu>.json, version 2: the mark of each slot, and beside them the highest one under the names of version 1, so
// that the program before this one reads a fence of the whole GPU. Version 1 is such a fence.
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "executor/gpu_fence.h"
#include "executor/posix/attempt_files.h"
#include "model/job.h"
#include "model/message.h"

namespace aether::executor {

struct Tombstone {
  AttemptId attempt;
  Epoch epoch = 0;
  std::string reason;      // an ExitCause name
  std::int64_t time_us = 0;
  bool forgotten = false;
};

// What a tombstone says to the orchestrator: stopped before it was started.
AttemptReport report_of(const Tombstone& tombstone);

// One small file per fact, each replaced durably. Not thread-safe.
class Journal {
 public:
  static Result<Journal> open(const std::string& directory);

  // kConflict ("STALE_EPOCH: ...") when what the slot stands for has seen a higher epoch, or this one with another attempt.
  Result<void> check_fence(const GpuUuid& gpu, int slot, Epoch epoch, const AttemptId& attempt) const;
  Result<void> raise_fence(const GpuUuid& gpu, int slot, Epoch epoch, const AttemptId& attempt);
  // The epoch that a fence remembers for this attempt; 0 when none does.
  Epoch find_epoch(const AttemptId& attempt) const;

  std::optional<Tombstone> find_tombstone(const AttemptId& attempt) const;
  Result<void> write_tombstone(const Tombstone& tombstone);
  std::vector<Tombstone> tombstones() const;
  void remove_tombstones_before(std::int64_t time_us);

 private:
  explicit Journal(std::string directory) : directory_(std::move(directory)) {}
  std::string fence_path(const GpuUuid& gpu) const;
  Result<GpuFence> read_fence_of(const GpuUuid& gpu) const;
  std::string tombstone_path(const AttemptId& attempt) const;

  std::string directory_;
};

}  // namespace aether::executor
