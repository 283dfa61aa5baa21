#pragma once
// The fence of one GPU: which epochs its slots have seen. A start must be newer than everything that could hold what it
// takes: one on a shared slot newer than that slot and than the last start on the whole GPU, one on the whole GPU newer
// than all. So two shared starts may arrive in any order, and nothing old gets in.
#include <map>
#include <optional>

#include "model/ids.h"

namespace aether::executor {

inline constexpr int kWholeGpu = 0;  // shared slots count from 1

struct FenceMark {
  Epoch epoch = 0;
  AttemptId attempt;
  friend bool operator==(const FenceMark&, const FenceMark&) = default;
};

class GpuFence {
 public:
  // The mark that keeps this start out; nothing when it may go on. The very attempt that left a mark may come again.
  std::optional<FenceMark> find_obstacle(int slot, Epoch epoch, const AttemptId& attempt) const;
  // Only for a start without an obstacle. One on the whole GPU replaces every mark: it is newer than all.
  void raise(int slot, Epoch epoch, const AttemptId& attempt);

  const std::map<int, FenceMark>& marks() const { return marks_; }
  FenceMark highest() const;

 private:
  std::map<int, FenceMark> marks_;  // by slot
};

}  // namespace aether::executor
