#include <gtest/gtest.h>

#include "queueing/dispatcher.h"

namespace aether::queueing {
namespace {

Belief belief_in_bin(int bin) {
  BinProbabilities weights{};
  weights[bin] = 1;
  return std::make_shared<RunTimeDistribution>(weights);
}

DispatchOptions options_of(Policy policy) {
  DispatchOptions options;
  options.policy = policy;
  options.overhead_s = [](int) -> std::int64_t { return 40; };
  return options;
}

std::vector<int> started(const std::vector<Action>& actions) {
  std::vector<int> jobs;
  for (const Action& action : actions)
    if (action.kind == Action::Kind::kStart) jobs.push_back(action.job);
  return jobs;
}

TEST(ConsolidatedPlacement, ASmallJobTakesTheTightestNode) {
  const auto shares = place_consolidated(std::vector<int>{8, 3, 2, 3}, 3);
  ASSERT_TRUE(shares);
  ASSERT_EQ(shares->size(), 1u);
  EXPECT_EQ((*shares)[0].node, 1);
  EXPECT_FALSE(place_consolidated(std::vector<int>{3, 3}, 4));
}

TEST(ConsolidatedPlacement, ALargeJobTakesWholeNodesAndTheWidestForTheRest) {
  const auto shares = place_consolidated(std::vector<int>{5, 8, 6, 8}, 20);
  ASSERT_TRUE(shares);
  ASSERT_EQ(shares->size(), 3u);
  EXPECT_EQ((*shares)[0].node, 1);
  EXPECT_EQ((*shares)[1].node, 3);
  EXPECT_EQ((*shares)[2].node, 2);
  EXPECT_EQ((*shares)[2].gpus, 4);
  EXPECT_FALSE(place_consolidated(std::vector<int>{5, 8, 6, 7}, 16));
}

TEST(RunTimeDistribution, BinsDoubleFromThirtySeconds) {
  EXPECT_EQ(bin_of(29), 0);
  EXPECT_EQ(bin_of(30), 1);
  EXPECT_EQ(bin_of(119), 2);
  EXPECT_EQ(bin_of(1e9), kRunTimeBins - 1);
}

TEST(RunTimeDistribution, AShortJobHasTheHigherIndexUntilItOutlivesItsBin) {
  const Belief shorter = belief_in_bin(2), longer = belief_in_bin(9);
  EXPECT_GT(shorter->gittins_index(0), longer->gittins_index(0));
  EXPECT_LT(shorter->gittins_index(1000), shorter->gittins_index(0));
  EXPECT_GT(longer->gittins_index(10000), longer->gittins_index(0));
}

TEST(Dispatcher, FifoIsBlockedByItsHeadAndFifoSkipIsNot) {
  for (const Policy policy : {Policy::kFifo, Policy::kFifoSkip}) {
    Dispatcher dispatcher({1}, options_of(policy));
    dispatcher.submit({.job = 0, .gpus = 6, .submit_s = 1});
    dispatcher.submit({.job = 1, .gpus = 4, .submit_s = 1});
    dispatcher.submit({.job = 2, .gpus = 2, .submit_s = 1});
    const std::vector<int> expected = policy == Policy::kFifo ? std::vector<int>{0} : std::vector<int>{0, 2};
    EXPECT_EQ(started(dispatcher.decide(1)), expected);
  }
}

TEST(Dispatcher, ABackfilledJobDoesNotDelayTheReservedHead) {
  Dispatcher dispatcher({1}, options_of(Policy::kEasy));
  dispatcher.submit({.job = 0, .gpus = 6, .submit_s = 0, .true_run_time_s = 100});
  dispatcher.submit({.job = 1, .gpus = 8, .submit_s = 0, .true_run_time_s = 10});
  dispatcher.submit({.job = 2, .gpus = 2, .submit_s = 0, .true_run_time_s = 101});
  dispatcher.submit({.job = 3, .gpus = 2, .submit_s = 0, .true_run_time_s = 100});
  EXPECT_EQ(started(dispatcher.decide(0)), (std::vector<int>{0, 3}));
}

TEST(Dispatcher, ShortestRemainingTimeStopsTheLongJob) {
  Dispatcher dispatcher({1}, options_of(Policy::kSrtf));
  dispatcher.submit({.job = 0, .gpus = 8, .submit_s = 0, .true_run_time_s = 1000});
  dispatcher.decide(0);
  dispatcher.submit({.job = 1, .gpus = 1, .submit_s = 10, .true_run_time_s = 5});
  const auto actions = dispatcher.decide(10);
  ASSERT_EQ(actions.size(), 2u);
  EXPECT_EQ(actions[0].kind, Action::Kind::kStop);
  EXPECT_EQ(actions[0].job, 0);
  EXPECT_EQ(actions[1].job, 1);
}

TEST(Dispatcher, TheIndexStopsALongJobButNotOneThatHasJustStarted) {
  Dispatcher dispatcher({1}, options_of(Policy::kGittins));
  dispatcher.submit({.job = 0, .gpus = 8, .submit_s = 0, .belief = belief_in_bin(12)});
  dispatcher.decide(0);
  dispatcher.submit({.job = 1, .gpus = 8, .submit_s = 10, .belief = belief_in_bin(1)});
  EXPECT_TRUE(dispatcher.decide(10).empty());
  ASSERT_TRUE(dispatcher.wake_s());
  EXPECT_EQ(*dispatcher.wake_s(), 60);
  EXPECT_EQ(started(dispatcher.decide(600)), std::vector<int>{1});
}

TEST(Dispatcher, ABeliefThatChangesMovesAWaitingJob) {
  Dispatcher dispatcher({1}, options_of(Policy::kAi));
  dispatcher.submit({.job = 0, .gpus = 8, .submit_s = 0, .belief = belief_in_bin(3)});
  dispatcher.decide(0);
  dispatcher.submit({.job = 1, .gpus = 8, .submit_s = 1, .belief = belief_in_bin(10)});
  dispatcher.submit({.job = 2, .gpus = 8, .submit_s = 2, .belief = belief_in_bin(9)});
  dispatcher.believe(1, belief_in_bin(0));
  dispatcher.end(0);
  EXPECT_EQ(started(dispatcher.decide(100)), std::vector<int>{1});
}

}  // namespace
}  // namespace aether::queueing
