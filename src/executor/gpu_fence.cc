#include "executor/gpu_fence.h"

namespace aether::executor {

std::optional<FenceMark> GpuFence::find_obstacle(int slot, Epoch epoch, const AttemptId& attempt) const {
  for (const auto& [marked, mark] : marks_) {
    const bool meets = slot == kWholeGpu || marked == kWholeGpu || marked == slot;
    const bool newer = epoch > mark.epoch || (epoch == mark.epoch && attempt == mark.attempt);
    if (meets && !newer) return mark;
  }
  return std::nullopt;
}

void GpuFence::raise(int slot, Epoch epoch, const AttemptId& attempt) {
  if (slot == kWholeGpu) marks_.clear();
  marks_[slot] = {epoch, attempt};
}

FenceMark GpuFence::highest() const {
  FenceMark highest;
  for (const auto& [slot, mark] : marks_)
    if (mark.epoch >= highest.epoch) highest = mark;
  return highest;
}

}  // namespace aether::executor
