#include "cluster/cluster.h"

#include <gtest/gtest.h>

namespace aether {
namespace {

using std::chrono::seconds;
const Time kStart = Time(seconds(1'700'000'000));

NodeInventory node_with(const std::string& name, int gpus) {
  NodeInventory inventory;
  inventory.node = NodeId(name);
  inventory.source = GpuSource::kSimulated;
  for (int i = 0; i < gpus; ++i) {
    GpuInfo info;
    info.gpu_uuid = GpuUuid("GPU-" + name + "-" + std::to_string(i));
    info.gpu_index = i;
    info.memory_total_mb = 80000;
    info.source = GpuSource::kSimulated;
    inventory.gpus.push_back(info);
  }
  return inventory;
}

std::shared_ptr<GpuSample> sample_of(const std::string& uuid, Time time) {
  auto sample = std::make_shared<GpuSample>();
  sample->gpu_uuid = GpuUuid(uuid);
  sample->node = NodeId("n1");
  sample->sample_time = time;
  sample->throttling_reasons = "none";
  return sample;
}

Attempt attempt_on(const std::string& job, const std::string& uuid, std::int64_t memory_mb) {
  Attempt attempt;
  attempt.id = {JobId(job), 1};
  attempt.placement = {NodeId("n1"), {GpuUuid(uuid)}, memory_mb};
  return attempt;
}

TEST(Cluster, ANodeWithoutHeartbeatsGoesStaleThenDownAndComesBack) {
  Cluster cluster;
  cluster.apply_inventory(node_with("n1", 1), kStart);
  EXPECT_EQ(cluster.find_node(NodeId("n1"))->state, NodeState::kUp);
  cluster.refresh(kStart + seconds(11));
  EXPECT_EQ(cluster.find_node(NodeId("n1"))->state, NodeState::kStale);
  cluster.refresh(kStart + seconds(61));
  EXPECT_EQ(cluster.find_node(NodeId("n1"))->state, NodeState::kDown);
  cluster.apply_heartbeat(NodeId("n1"), kStart + seconds(62));
  EXPECT_EQ(cluster.find_node(NodeId("n1"))->state, NodeState::kUp);
}

TEST(Cluster, AnOlderReadingNeverReplacesANewerOne) {
  Cluster cluster;
  cluster.apply_inventory(node_with("n1", 1), kStart);
  EXPECT_TRUE(cluster.apply_sample(sample_of("GPU-n1-0", kStart + seconds(2)), kStart));
  EXPECT_FALSE(cluster.apply_sample(sample_of("GPU-n1-0", kStart + seconds(1)), kStart));
  EXPECT_EQ(cluster.find_gpu(GpuUuid("GPU-n1-0"))->sample->sample_time, kStart + seconds(2));
}

TEST(Cluster, TelemetryWithoutAnAgentMakesAnExternalGpu) {
  Cluster cluster;
  auto sample = sample_of("external-unknown-0", kStart);
  sample->node = NodeId("unknown");
  sample->utilization_gpu = 40;
  EXPECT_TRUE(cluster.apply_sample(sample, kStart));
  const GpuRecord* gpu = cluster.find_gpu(GpuUuid("external-unknown-0"));
  ASSERT_NE(gpu, nullptr);
  EXPECT_EQ(gpu->info.source, GpuSource::kExternal);
  EXPECT_EQ(cluster.gpu_state(*gpu, false, kStart).state, GpuState::kBusy);
  cluster.refresh(kStart);
  EXPECT_EQ(cluster.find_node(NodeId("unknown"))->state, NodeState::kUp);
}

TEST(Cluster, AGpuThatLeavesTheInventoryIsLostNotForgotten) {
  Cluster cluster;
  cluster.apply_inventory(node_with("n1", 2), kStart);
  cluster.apply_inventory(node_with("n1", 1), kStart);
  const GpuRecord* gpu = cluster.find_gpu(GpuUuid("GPU-n1-1"));
  ASSERT_NE(gpu, nullptr);
  EXPECT_EQ(cluster.gpu_state(*gpu, false, kStart).state, GpuState::kLost);
  cluster.apply_inventory(node_with("n1", 2), kStart);
  EXPECT_TRUE(cluster.find_gpu(GpuUuid("GPU-n1-1"))->present);
  EXPECT_EQ(cluster.find_node(NodeId("n1"))->gpus.size(), 2u);
}

TEST(Cluster, SharedAllocationsTakeTheirOwnSlotsAndReleaseGivesThemBack) {
  Cluster cluster;
  cluster.apply_inventory(node_with("n1", 1), kStart);
  cluster.allocate(attempt_on("A", "GPU-n1-0", 1000));
  cluster.allocate(attempt_on("B", "GPU-n1-0", 2000));
  const GpuRecord* gpu = cluster.find_gpu(GpuUuid("GPU-n1-0"));
  EXPECT_EQ(gpu->reserved_mb(), 3000);
  EXPECT_NE(gpu->allocations[0].slot, gpu->allocations[1].slot);
  cluster.release({JobId("A"), 1}, kStart);
  EXPECT_EQ(gpu->reserved_mb(), 2000);
  cluster.release({JobId("B"), 1}, kStart + seconds(1));
  EXPECT_TRUE(gpu->allocations.empty());
  EXPECT_EQ(gpu->released_at, kStart + seconds(1));
}

TEST(Cluster, QuarantineAndDrainSurviveANewInventoryAndComeBeforeIt) {
  Cluster cluster;
  cluster.set_quarantine(GpuUuid("GPU-n1-0"), "Xid 79");
  cluster.set_drain(NodeId("n1"), "maintenance");
  cluster.apply_inventory(node_with("n1", 2), kStart);
  EXPECT_EQ(cluster.gpu_state(*cluster.find_gpu(GpuUuid("GPU-n1-0")), false, kStart).state, GpuState::kQuarantined);
  EXPECT_EQ(cluster.find_node(NodeId("n1"))->state, NodeState::kDrained);
  cluster.set_drain(NodeId("n1"), std::nullopt);
  cluster.set_quarantine(GpuUuid("GPU-n1-0"), std::nullopt);
  EXPECT_EQ(cluster.find_node(NodeId("n1"))->state, NodeState::kUp);
  EXPECT_FALSE(cluster.find_gpu(GpuUuid("GPU-n1-0"))->quarantine);
}

TEST(Cluster, GpuStateFollowsTheEvidence) {
  Cluster cluster;
  cluster.apply_inventory(node_with("n1", 1), kStart);
  const GpuRecord* gpu = cluster.find_gpu(GpuUuid("GPU-n1-0"));
  EXPECT_EQ(cluster.gpu_state(*gpu, false, kStart).state, GpuState::kNoData);
  cluster.apply_sample(sample_of("GPU-n1-0", kStart), kStart);
  EXPECT_EQ(cluster.gpu_state(*gpu, false, kStart).state, GpuState::kFree);
  EXPECT_EQ(cluster.gpu_state(*gpu, false, kStart + seconds(6)).state, GpuState::kNoData);
  cluster.allocate(attempt_on("A", "GPU-n1-0", 0));
  EXPECT_EQ(cluster.gpu_state(*gpu, false, kStart).state, GpuState::kBusy);
  EXPECT_EQ(cluster.gpu_state(*gpu, true, kStart).state, GpuState::kIdle);
  auto hot = sample_of("GPU-n1-0", kStart + seconds(1));
  hot->throttling_reasons = "hw_thermal";
  cluster.apply_sample(hot, kStart + seconds(1));
  EXPECT_EQ(cluster.gpu_state(*gpu, false, kStart + seconds(1)).state, GpuState::kThrottling);
}

TEST(Cluster, ANodeWhoseWallClockStepsBackIsStillHeard) {
  Cluster cluster;
  cluster.apply_inventory(node_with("n1", 1), kStart);
  auto before = sample_of("GPU-n1-0", kStart);
  before->sample_seq = 7;
  auto after = sample_of("GPU-n1-0", kStart - std::chrono::hours(1));
  after->sample_seq = 8;
  EXPECT_TRUE(cluster.apply_sample(before, kStart));
  EXPECT_TRUE(cluster.apply_sample(after, kStart + seconds(1)));
}

TEST(Cluster, AnAgentThatStartsAnewAfterAStepBackIsHeardOnceTheOldReadingIsStale) {
  Cluster cluster;
  cluster.apply_inventory(node_with("n1", 1), kStart);
  auto before = sample_of("GPU-n1-0", kStart);
  before->sample_seq = 7;
  auto after = sample_of("GPU-n1-0", kStart - std::chrono::hours(1));
  after->sample_seq = 1;
  EXPECT_TRUE(cluster.apply_sample(before, kStart));
  EXPECT_FALSE(cluster.apply_sample(after, kStart + seconds(5)));
  EXPECT_TRUE(cluster.apply_sample(after, kStart + seconds(6)));
}

}  // namespace
}  // namespace aether
