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

TEST(RunTimeDistribution, SurvivalFallsFromOneAndIsNeverZero) {
  const Belief belief = belief_in_bin(4);
  EXPECT_EQ(belief->survival(0), 1);
  double before = 1;
  for (double run_time_s = 1; run_time_s < 1e8; run_time_s *= 1.1) {
    const double now = belief->survival(run_time_s);
    EXPECT_LE(now, before) << run_time_s;
    EXPECT_GT(now, 0) << run_time_s;
    before = now;
  }
  EXPECT_GT(belief->survival(200), 0.98) << "bin 4 begins at 240 s";
  EXPECT_LT(belief->survival(500), 0.02) << "and ends at 480 s";
}

TEST(ReleaseForecast, AJobExtendsAnEmptyNodeByItsWholeTimeAndALongerOneHardly) {
  const Forecast brief = forecast_end(*belief_in_bin(2), 0), longer = forecast_end(*belief_in_bin(9), 0);
  NodeForecasts nodes(3);
  nodes.add(1, longer);
  nodes.add(2, brief);
  EXPECT_NEAR(nodes.expected_extension_s(0, longer), belief_in_bin(9)->mean_s(), 0.2 * belief_in_bin(9)->mean_s());
  EXPECT_LT(nodes.expected_extension_s(1, brief), nodes.expected_extension_s(2, brief));
  EXPECT_LT(nodes.expected_extension_s(1, longer), nodes.expected_extension_s(2, longer));
  EXPECT_EQ(least_extended_node(std::vector<int>{8, 4, 4}, 2, brief, nodes), 1);
  EXPECT_EQ(least_extended_node(std::vector<int>{8, 1, 4}, 2, brief, nodes), 2) << "the first choice has no room";
  EXPECT_EQ(least_extended_node(std::vector<int>{1, 1, 1}, 2, brief, nodes), -1);
}

TEST(Dispatcher, AShortJobStartsBesideALongOneAndLeavesTheOtherNodeToDrain) {
  for (const bool align : {true, false}) {
    DispatchOptions options = options_of(Policy::kAi);
    options.align_releases = align;
    Dispatcher dispatcher({2}, options);
    dispatcher.submit({.job = 0, .gpus = 6, .submit_s = 0, .belief = belief_in_bin(12)});
    dispatcher.decide(0);
    dispatcher.submit({.job = 1, .gpus = 7, .submit_s = 1, .belief = belief_in_bin(1)});
    dispatcher.decide(1);
    dispatcher.submit({.job = 2, .gpus = 1, .submit_s = 2, .belief = belief_in_bin(12)});
    const auto actions = dispatcher.decide(2);
    ASSERT_EQ(actions.size(), 1u);
    EXPECT_EQ(actions[0].shares[0].node, align ? 0 : 1) << "the tightest node is the one that would soon be free";
  }
}

TEST(Dispatcher, AgeingIsMeasuredInMeanRunTimes) {
  DispatchOptions options = options_of(Policy::kAi);
  Dispatcher dispatcher({1}, options);
  for (int job = 0; job < 2000; ++job) {
    dispatcher.submit({.job = job, .gpus = 8, .submit_s = job, .belief = belief_in_bin(0)});
    dispatcher.decide(job);
    dispatcher.end(job, 10);
  }
  // The mean is about 500 s now, so 10,000 s of waiting outweigh 13 doublings; at the first three hours they would not.
  dispatcher.submit({.job = 2000, .gpus = 8, .submit_s = 2000, .belief = belief_in_bin(0)});
  dispatcher.decide(2000);
  dispatcher.submit({.job = 2001, .gpus = 8, .submit_s = 2001, .belief = belief_in_bin(12)});
  dispatcher.submit({.job = 2002, .gpus = 8, .submit_s = 2001 + 10000, .belief = belief_in_bin(0)});
  dispatcher.end(2000, 10);
  EXPECT_EQ(started(dispatcher.decide(2001 + 10000)), std::vector<int>{2001});
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
  dispatcher.end(0, 100);
  EXPECT_EQ(started(dispatcher.decide(100)), std::vector<int>{1});
}

}  // namespace
}  // namespace aether::queueing
