#include "executor/gpu_fence.h"

#include <gtest/gtest.h>

namespace aether::executor {
namespace {

AttemptId attempt(int n) { return {JobId("j" + std::to_string(n)), 1}; }

TEST(GpuFence, SharedStartsArriveInAnyOrder) {
  GpuFence fence;
  fence.raise(2, 8, attempt(8));
  EXPECT_FALSE(fence.find_obstacle(1, 7, attempt(7)));
  fence.raise(1, 7, attempt(7));
  EXPECT_EQ(fence.find_obstacle(1, 6, attempt(6))->attempt, attempt(7));
  EXPECT_EQ(fence.find_obstacle(2, 7, attempt(7))->attempt, attempt(8)) << "the same attempt on a slot that another has";
  EXPECT_FALSE(fence.find_obstacle(3, 1, attempt(1)));
  EXPECT_EQ(fence.highest(), (FenceMark{8, attempt(8)}));
}

TEST(GpuFence, TheWholeGpuAndItsSlotsKeepEachOtherOut) {
  GpuFence fence;
  fence.raise(1, 5, attempt(5));
  fence.raise(2, 9, attempt(9));
  EXPECT_EQ(fence.find_obstacle(kWholeGpu, 7, attempt(7))->epoch, 9U);
  EXPECT_FALSE(fence.find_obstacle(kWholeGpu, 10, attempt(10)));
  fence.raise(kWholeGpu, 10, attempt(10));
  EXPECT_EQ(fence.marks().size(), 1U) << "what it is newer than need not be kept";
  for (const int slot : {1, 2, 3}) EXPECT_EQ(fence.find_obstacle(slot, 9, attempt(9))->epoch, 10U) << slot;
  EXPECT_FALSE(fence.find_obstacle(1, 11, attempt(11)));
}

TEST(GpuFence, AnEpochBelongsToOneAttempt) {
  GpuFence fence;
  fence.raise(1, 5, attempt(5));
  EXPECT_FALSE(fence.find_obstacle(1, 5, attempt(5))) << "the same command may come again";
  EXPECT_TRUE(fence.find_obstacle(1, 5, attempt(6)));
  fence.raise(kWholeGpu, 6, attempt(6));
  EXPECT_FALSE(fence.find_obstacle(kWholeGpu, 6, attempt(6)));
  EXPECT_TRUE(fence.find_obstacle(1, 6, attempt(7)));
}

}  // namespace
}  // namespace aether::executor
