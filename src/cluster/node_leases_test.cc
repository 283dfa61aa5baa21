#include "cluster/node_leases.h"

#include <gtest/gtest.h>

namespace aether {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Admission = NodeLeases::Admission;

class NodeLeasesTest : public testing::Test {
 protected:
  Admission admit(const std::string& node, const std::string& agent, const std::string& boot = "boot-1") {
    NodeInventory inventory;
    inventory.node = NodeId(node);
    inventory.agent_incarnation = agent;
    inventory.boot_id = boot;
    return leases_.admit(inventory, now_);
  }
  NodeLeases::Heard hear(const std::string& node, const std::string& agent, std::uint64_t seq, int part = 1, int parts = 1,
                         std::vector<AttemptReport> attempts = {}) {
    return leases_.hear(NodeId(node), agent, {seq, 0, std::move(attempts), {"boot-1", 1000}, part, parts}, now_);
  }
  static AttemptReport report(const std::string& job) { return {{JobId(job), 1}, 1, JobState::kRunning, {}, {}, {}}; }

  NodeLeases leases_;
  Mono now_{seconds(1000)};
};

TEST_F(NodeLeasesTest, AHeartbeatIsWholeOnlyWithAllItsParts) {
  admit("n1", "a");
  EXPECT_FALSE(hear("n1", "a", 1, 2, 3, {report("B")}).whole);
  EXPECT_FALSE(hear("n1", "a", 1, 2, 3, {report("B")}).whole) << "a doubled part is one part";
  EXPECT_FALSE(hear("n1", "a", 1, 1, 3, {report("A")}).whole);
  const auto last = hear("n1", "a", 1, 3, 3, {report("C")});
  EXPECT_TRUE(last.whole);
  EXPECT_EQ(last.listed.size(), 3u);
}

TEST_F(NodeLeasesTest, PartsOfDifferentHeartbeatsAreNotMixed) {
  admit("n1", "a");
  EXPECT_FALSE(hear("n1", "a", 1, 1, 2, {report("A")}).whole);
  EXPECT_FALSE(hear("n1", "a", 2, 1, 2, {report("A")}).whole);
  EXPECT_FALSE(hear("n1", "a", 1, 2, 2, {report("B")}).whole) << "the rest of the first one comes late";
  EXPECT_TRUE(hear("n1", "a", 2, 2, 2).whole);
}

TEST_F(NodeLeasesTest, SilenceCountsFromTheLastWholeHeartbeatAndAnOldOneIsNoSignOfLife) {
  admit("n1", "a");
  EXPECT_TRUE(hear("n1", "a", 5).whole);
  now_ += seconds(20);
  EXPECT_FALSE(hear("n1", "a", 5).whole);
  EXPECT_FALSE(hear("n1", "a", 4).whole);
  EXPECT_FALSE(hear("n1", "a", 6, 1, 2).whole);
  EXPECT_EQ(leases_.silence(NodeId("n1"), now_), Duration(seconds(20)));
  EXPECT_FALSE(leases_.is_silent(NodeId("n1"), now_));
  now_ += seconds(11);
  EXPECT_TRUE(leases_.is_silent(NodeId("n1"), now_));
  EXPECT_FALSE(leases_.silence(NodeId("n9"), now_));
}

TEST_F(NodeLeasesTest, AStartMayBeTakenForItsTimeOnTheNodesOwnClock) {
  admit("n1", "a");
  EXPECT_FALSE(leases_.start_limit(NodeId("n1")));
  hear("n1", "a", 1);
  EXPECT_EQ(leases_.start_limit(NodeId("n1")), (BootTime{"boot-1", 46'000}));
}

TEST_F(NodeLeasesTest, AnAgentThatStartsAgainReplacesItself) {
  EXPECT_EQ(admit("n1", "a"), Admission::kNew);
  EXPECT_EQ(admit("n1", "a"), Admission::kSame);
  EXPECT_EQ(admit("n1", "b"), Admission::kRestarted);
  EXPECT_EQ(hear("n1", "a", 1).sender, Admission::kRefused);
  EXPECT_EQ(hear("n1", "b", 1).sender, Admission::kSame);
  EXPECT_EQ(hear("n1", "c", 1).sender, Admission::kNew);
  EXPECT_FALSE(leases_.has_rival(NodeId("n1"), now_)) << "one straggler is no second agent";
}

TEST_F(NodeLeasesTest, AReplacedAgentThatGoesOnIsARival) {
  admit("n1", "a");
  hear("n1", "a", 1);
  admit("n1", "b");
  for (std::uint64_t seq = 2; seq <= 5; ++seq) EXPECT_EQ(hear("n1", "a", seq).sender, Admission::kRefused);
  EXPECT_EQ(admit("n1", "a"), Admission::kRefused);
  EXPECT_TRUE(leases_.has_rival(NodeId("n1"), now_));
  EXPECT_FALSE(leases_.has_rival(NodeId("n1"), now_ + seconds(61)));
}

TEST_F(NodeLeasesTest, AnAgentThatOnlyAnOldMessageReplacedComesBack) {
  admit("n1", "b");
  hear("n1", "b", 20);
  EXPECT_EQ(admit("n1", "a"), Admission::kRestarted) << "the hello of its dead predecessor, out of some buffer";
  now_ += seconds(9);
  EXPECT_EQ(hear("n1", "b", 25).sender, Admission::kRefused) << "nobody can tell yet which of them lives";
  now_ += seconds(1);
  EXPECT_EQ(admit("n1", "b"), Admission::kRefused) << "a hello may be old: only heartbeats that go on are believed";
  EXPECT_EQ(hear("n1", "b", 22).sender, Admission::kRefused) << "a straggler";
  EXPECT_EQ(hear("n1", "b", 26).sender, Admission::kNew) << "it is asked to introduce itself again";
  EXPECT_EQ(admit("n1", "b"), Admission::kRestarted);
  EXPECT_TRUE(hear("n1", "b", 27).whole);
  EXPECT_EQ(admit("n1", "a"), Admission::kRefused) << "the dead one's hello once more";
  EXPECT_EQ(hear("n1", "b", 28).sender, Admission::kSame);
}

TEST_F(NodeLeasesTest, WhatWasSentBeforeTheLastHeartbeatOfThatBootReplacesNobody) {
  const auto heartbeat = [&](const std::string& agent, std::uint64_t seq, std::int64_t boot_ms) {
    return leases_.hear(NodeId("n1"), agent, {seq, 0, {}, {"boot-1", boot_ms}, 1, 1}, now_);
  };
  NodeInventory dead, living;
  dead.node = living.node = NodeId("n1");
  dead.boot_id = living.boot_id = "boot-1";
  dead.agent_incarnation = "a";
  living.agent_incarnation = "b";
  leases_.admit(living, now_, {"boot-1", 50'000});
  EXPECT_TRUE(heartbeat("b", 1, 51'000).whole);
  now_ += seconds(60);
  EXPECT_EQ(leases_.admit(dead, now_, {"boot-1", 40'000}), NodeLeases::Admission::kRefused) << "also when the living one stands still";
  EXPECT_EQ(leases_.incarnation(NodeId("n1")), "b");
  dead.agent_incarnation = "c";
  EXPECT_EQ(leases_.admit(dead, now_, {"boot-1", 110'000}), NodeLeases::Admission::kRestarted) << "a new one is newer";
  EXPECT_EQ(heartbeat("b", 9, 60'000).sender, NodeLeases::Admission::kRefused);
  now_ += seconds(60);
  EXPECT_EQ(heartbeat("b", 10, 61'000).sender, NodeLeases::Admission::kRefused) << "old words are no sign of life";
  EXPECT_EQ(heartbeat("b", 11, 170'000).sender, NodeLeases::Admission::kNew);
}

TEST_F(NodeLeasesTest, AReplacedAgentStaysOutWhileItsSuccessorAnswers) {
  admit("n1", "a");
  admit("n1", "b");
  for (std::uint64_t seq = 1; seq <= 20; ++seq) {
    now_ += seconds(2);
    EXPECT_TRUE(hear("n1", "b", seq).whole);
    EXPECT_EQ(hear("n1", "a", seq).sender, Admission::kRefused);
    EXPECT_EQ(admit("n1", "a"), Admission::kRefused);
  }
}

TEST_F(NodeLeasesTest, ASecondMachineOfTheSameNameIsRefusedWhileTheFirstLives) {
  admit("n1", "a");
  hear("n1", "a", 1);
  now_ += seconds(5);
  EXPECT_EQ(admit("n1", "b", "boot-2"), Admission::kRefused);
  EXPECT_FALSE(leases_.has_rival(NodeId("n1"), now_)) << "it may be the same machine, started again";
  EXPECT_EQ(hear("n1", "a", 2).sender, Admission::kSame);
  EXPECT_TRUE(leases_.has_rival(NodeId("n1"), now_));
}

TEST_F(NodeLeasesTest, AMachineThatWasStartedAgainIsAdmittedOnceItsFormerSelfIsSilent) {
  admit("n1", "a");
  hear("n1", "a", 1);
  now_ += seconds(5);
  EXPECT_EQ(admit("n1", "b", "boot-2"), Admission::kRefused);
  now_ += seconds(6);
  EXPECT_EQ(admit("n1", "b", "boot-2"), Admission::kRebooted);
  EXPECT_FALSE(leases_.has_rival(NodeId("n1"), now_));
}

TEST_F(NodeLeasesTest, MostOfTheFleetSilentAtOnceIsMassLoss) {
  for (const char* node : {"n1", "n2", "n3", "n4"}) admit(node, "a");
  now_ += seconds(31);
  hear("n1", "a", 1);
  hear("n2", "a", 1);
  EXPECT_FALSE(leases_.mass_loss(now_)) << "half of it";
  now_ += seconds(31);
  hear("n1", "a", 2);
  EXPECT_FALSE(leases_.mass_loss(now_)) << "three of four, but one after the other";
}

TEST_F(NodeLeasesTest, MassLossEndsWhenNodesComeBackOrAreForgotten) {
  for (const char* node : {"n1", "n2", "n3", "n4"}) admit(node, "a");
  now_ += seconds(31);
  hear("n1", "a", 1);
  EXPECT_TRUE(leases_.mass_loss(now_));
  leases_.forget(NodeId("n4"));
  EXPECT_TRUE(leases_.mass_loss(now_));
  hear("n2", "a", 1);
  EXPECT_FALSE(leases_.mass_loss(now_));
}

TEST_F(NodeLeasesTest, TwoNodesAreTooFewForMassLoss) {
  admit("n1", "a");
  admit("n2", "a");
  now_ += seconds(60);
  EXPECT_FALSE(leases_.mass_loss(now_));
}

}  // namespace
}  // namespace aether
