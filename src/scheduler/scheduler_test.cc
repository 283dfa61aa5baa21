#include "scheduler/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>

#include "base/rng.h"

namespace aether {
namespace {

using std::chrono::seconds;
const Time kNow = Time(seconds(1'700'000'000));

// A cluster with current readings and a queue, built by a test.
struct World {
  Cluster cluster;
  std::deque<Job> jobs;  // references stay valid
  std::vector<RunningJob> running;

  void add_node(const std::string& name, int gpus, const std::string& model = "H100", std::int64_t memory_mb = 80000) {
    NodeInventory inventory;
    inventory.node = NodeId(name);
    inventory.exec_mode = "simulated";
    for (int i = 0; i < gpus; ++i) {
      GpuInfo info;
      info.gpu_uuid = uuid(name, i);
      info.gpu_index = i;
      info.gpu_name = model;
      info.memory_total_mb = memory_mb;
      inventory.gpus.push_back(info);
    }
    cluster.apply_inventory(inventory, kNow);
    for (int i = 0; i < gpus; ++i) read(name, i, 40, 0);
  }
  void read(const std::string& name, int index, double temperature_c, double utilization, std::int64_t memory_mb = 100,
            std::vector<GpuProcess> processes = {}) {
    auto sample = std::make_shared<GpuSample>();
    sample->gpu_uuid = uuid(name, index);
    sample->node = NodeId(name);
    sample->sample_time = kNow;
    sample->temperature_c = temperature_c;
    sample->utilization_gpu = utilization;
    sample->memory_used_mb = memory_mb;
    if (!processes.empty()) sample->processes = std::move(processes);
    cluster.apply_sample(sample, kNow);
  }
  static GpuUuid uuid(const std::string& name, int index) { return GpuUuid("GPU-" + name + "-" + std::to_string(index)); }

  Job& add_job(int gpus, int priority = 50, std::int64_t time_limit_s = 3600) {
    Job job;
    job.number = static_cast<std::int64_t>(jobs.size()) + 1;
    job.id = JobId("J" + std::to_string(1000 + job.number));
    job.spec.argv = {"true"};
    job.spec.gpus = gpus;
    job.spec.priority = priority;
    job.spec.time_limit_s = time_limit_s;
    jobs.push_back(job);
    return jobs.back();
  }
  void run(const std::string& node, std::vector<int> gpus, std::int64_t for_s) {
    Attempt attempt;
    attempt.id = {JobId("R" + std::to_string(running.size())), 1};
    attempt.placement.node = NodeId(node);
    for (int i : gpus) attempt.placement.gpu_uuids.push_back(uuid(node, i));
    cluster.allocate(attempt);
    running.push_back({attempt.id, 900, attempt.placement, kNow + seconds(for_s)});
  }
  SchedulerInput input() const {
    SchedulerInput in{cluster, {}, running, kNow, 1};
    for (const Job& job : jobs) in.queue.push_back(&job);
    return in;
  }
  Plan plan(const std::map<JobId, PredictionOutcome>& predictions = {}) const {
    return place(input(), predictions, SchedulerOptions{});
  }
};

const WaitRecord* wait_of(const Plan& plan, const Job& job) {
  for (const WaitRecord& wait : plan.waits)
    if (wait.job == job.id) return &wait;
  return nullptr;
}
const PlacementRecord* start_of(const Plan& plan, const Job& job) {
  for (const PlannedStart& start : plan.starts)
    if (start.job == job.id) return &start.record;
  return nullptr;
}
bool has_reason(const WaitRecord& wait, const std::string& code) {
  return std::any_of(wait.reasons.begin(), wait.reasons.end(), [&](const Reason& r) { return r.code == code; });
}

TEST(Scheduler, HigherPriorityLeavesFirstThenFirstCome) {
  World world;
  world.add_node("n1", 1);
  world.add_job(1, 50);
  world.add_job(1, 90);
  const Plan plan = world.plan();
  EXPECT_NE(start_of(plan, world.jobs[1]), nullptr);
  ASSERT_NE(wait_of(plan, world.jobs[0]), nullptr);
  EXPECT_EQ(wait_of(plan, world.jobs[0])->queue_position, 2);
}

TEST(Scheduler, TheModelsBestGpuIsTheOneChosen) {
  World world;
  world.add_node("n1", 4);
  for (int i = 0; i < 4; ++i) world.read("n1", i, 30 + 10 * i, 20 * i);
  const Job& job = world.add_job(1);
  PredictionOutcome prediction;
  prediction.model = ModelVersion{"m", "1"};
  for (int i = 0; i < 4; ++i) prediction.scores[World::uuid("n1", i)] = i == 3 ? 0.61 : 0.60;
  const Plan plan = world.plan({{job.id, prediction}});
  const PlacementRecord* record = start_of(plan, job);
  ASSERT_NE(record, nullptr);
  EXPECT_EQ(record->placement.gpu_uuids, std::vector<GpuUuid>{World::uuid("n1", 3)});
  EXPECT_EQ(record->policy, "model");
  EXPECT_EQ(record->candidates.size(), 4u);
}

TEST(Scheduler, WithoutAModelTheCoolestAndLeastUsedWinsAndTheRecordSaysWhy) {
  World world;
  world.add_node("n1", 3);
  world.read("n1", 0, 80, 5);
  world.read("n1", 1, 35, 0);
  world.read("n1", 2, 60, 0);
  const Job& job = world.add_job(1);
  PredictionOutcome failed;
  failed.fallback_reason = "the AI core did not answer within 50 ms";
  const Plan plan = world.plan({{job.id, failed}});
  const PlacementRecord* record = start_of(plan, job);
  ASSERT_NE(record, nullptr);
  EXPECT_EQ(record->placement.gpu_uuids[0], World::uuid("n1", 1));
  EXPECT_EQ(record->policy, "heuristic");
  EXPECT_EQ(record->fallback_reason, failed.fallback_reason);
}

TEST(Scheduler, AGangSharesOneNodeAndFragmentationIsNamed) {
  World world;
  world.add_node("n1", 4);
  world.add_node("n2", 4);
  world.run("n1", {0, 1}, 600);
  world.run("n2", {0}, 300);
  const Job& fits = world.add_job(3, 60);
  const Job& fragmented = world.add_job(3, 50);
  const Plan plan = world.plan();
  ASSERT_NE(start_of(plan, world.jobs[0]), nullptr);
  EXPECT_EQ(start_of(plan, fits)->placement.node, NodeId("n2"));
  (void)fragmented;
  const WaitRecord* wait = wait_of(plan, world.jobs[1]);
  ASSERT_NE(wait, nullptr);
  EXPECT_TRUE(has_reason(*wait, "INSUFFICIENT_GPUS"));
  ASSERT_EQ(wait->counterfactuals.size(), 1u);
  EXPECT_EQ(wait->counterfactuals[0].change, "it asks for 2 GPUs");
}

TEST(Scheduler, FourFreeGpusOnTwoNodesAreFragmentation) {
  World world;
  world.add_node("n1", 4);
  world.add_node("n2", 4);
  world.run("n1", {0, 1}, 600);
  world.run("n2", {0, 1}, 300);
  const Job& job = world.add_job(4);
  const Plan plan = world.plan();
  const WaitRecord* wait = wait_of(plan, job);
  ASSERT_NE(wait, nullptr);
  EXPECT_EQ(wait->reasons.front().code, "FRAGMENTATION");
  EXPECT_EQ(wait->start_eta, kNow + seconds(300));
}

TEST(Scheduler, WhatCanNeverRunSaysSoFirst) {
  World world;
  world.add_node("n1", 2, "A100", 40000);
  const Job& many = world.add_job(8);
  world.add_job(1).spec.gpu_type = "h200";
  world.add_job(1).spec.gpu_mem_mb = 60000;
  const Plan plan = world.plan();
  EXPECT_EQ(wait_of(plan, world.jobs[0])->reasons.front().code, "INFEASIBLE");
  EXPECT_EQ(wait_of(plan, world.jobs[1])->reasons.front().code, "INFEASIBLE");
  EXPECT_EQ(wait_of(plan, world.jobs[2])->reasons.front().code, "INFEASIBLE");
  (void)many;
}

TEST(Scheduler, BackfillStartsOnlyWhatEndsBeforeTheReservation) {
  World world;
  world.add_node("n1", 2);
  world.run("n1", {0}, 1000);
  world.add_job(2, 90, 3600);               // the head waits for GPU 0
  world.add_job(1, 50, 2000);               // too long for the gap on GPU 1
  world.add_job(1, 40, 500);                // fits in front
  const Plan plan = world.plan();
  EXPECT_EQ(wait_of(plan, world.jobs[0])->start_eta, kNow + seconds(1000));
  ASSERT_NE(wait_of(plan, world.jobs[1]), nullptr);
  EXPECT_TRUE(has_reason(*wait_of(plan, world.jobs[1]), "RESERVATION"));
  EXPECT_NE(start_of(plan, world.jobs[2]), nullptr);
}

TEST(Scheduler, SharedJobsFillAGpuButNeverOverfillIt) {
  World world;
  world.add_node("n1", 1, "H100", 80000);
  for (int i = 0; i < 4; ++i) {
    Job& job = world.add_job(1);
    job.spec.share = Share::kMemory;
    job.spec.gpu_mem_mb = 30000;
  }
  const Plan plan = world.plan();
  EXPECT_EQ(plan.starts.size(), 2u);
  EXPECT_TRUE(has_reason(*wait_of(plan, world.jobs[3]), "INSUFFICIENT_VRAM"));
}

TEST(Scheduler, SickDrainedForeignAndUnreadGpusAreNamed) {
  World world;
  world.add_node("n1", 1);
  world.add_node("n2", 1);
  world.add_node("n3", 1);
  world.cluster.set_quarantine(World::uuid("n1", 0), "Xid 79");
  world.cluster.set_drain(NodeId("n2"), "maintenance");
  world.read("n3", 0, 40, 90, 20000);
  const Job& job = world.add_job(1);
  const Plan plan = world.plan();
  const WaitRecord* wait = wait_of(plan, job);
  ASSERT_NE(wait, nullptr);
  for (const char* code : {"GPU_QUARANTINED", "NODE_DRAINED", "FOREIGN_PROCESS"}) EXPECT_TRUE(has_reason(*wait, code)) << code;
}

TEST(Scheduler, ForeignProcessesAreNamedFromTheNodesList) {
  World world;
  world.add_node("n1", 1);
  const Job& job = world.add_job(1);
  const auto told = [&](std::vector<GpuProcess> processes) {
    world.read("n1", 0, 40, 90, 20000, std::move(processes));
    const Plan plan = world.plan();
    for (const auto& reason : wait_of(plan, job)->reasons)
      if (reason.code == "FOREIGN_PROCESS") return reason.text;
    return std::string();
  };
  EXPECT_NE(told({}).find("20000 MiB are used by a process, which Aether did not start"), std::string::npos) << told({});
  EXPECT_NE(told({{4242, 19000}}).find("by process 4242 (19000 MiB),"), std::string::npos) << told({{4242, 19000}});
  const std::vector<GpuProcess> many = {{7, 10}, {8, std::nullopt}, {4242, 19000}, {9, 500}};
  EXPECT_NE(told(many).find("by processes 4242 (19000 MiB), 9 (500 MiB), 7 (10 MiB) and 1 more,"), std::string::npos) << told(many);
}

TEST(Scheduler, AHeldJobNeverStartsAndAJobWithoutGpusNeedsOnlyANode) {
  World world;
  Job& held = world.add_job(1);
  held.state = JobState::kHeld;
  world.add_job(0);
  EXPECT_NE(wait_of(world.plan(), world.jobs[1]), nullptr);
  world.add_node("n1", 1);
  const Plan plan = world.plan();
  EXPECT_EQ(wait_of(plan, world.jobs[0])->reasons.front().code, "HELD_BY_USER");
  ASSERT_NE(start_of(plan, world.jobs[1]), nullptr);
  EXPECT_EQ(start_of(plan, world.jobs[1])->placement.node, NodeId("n1"));
}

TEST(Scheduler, BehindTheAssessedPositionsOneRecordSpeaksForAll) {
  World world;
  world.add_node("n1", 1);
  world.run("n1", {0}, 1000);
  for (int i = 0; i < 10; ++i) world.add_job(1);
  SchedulerOptions options;
  options.max_assessed = 4;
  const Plan plan = place(world.input(), {}, options);
  EXPECT_EQ(plan.waits.size(), 4u);
  EXPECT_EQ(plan.behind_count, 6u);
  ASSERT_NE(plan.behind, nullptr);
  EXPECT_EQ(plan.behind->reasons.front().code, "PRIORITY");
  EXPECT_EQ(wait_of(plan, world.jobs[3])->queue_position, 4);
}

TEST(Scheduler, ACycleLooksOnlyAtAsManyGpusAsItMay) {
  World world;
  world.add_node("n1", 8);
  for (int i = 0; i < 10; ++i) world.add_job(8, 50, 100 + i).spec.gpu_mem_mb = 1000 + i;  // ten shapes of eight verdicts
  SchedulerOptions options;
  options.max_judged = 24;
  const Plan plan = place(world.input(), {}, options);
  EXPECT_EQ(plan.starts.size(), 1u);
  EXPECT_EQ(plan.starts.size() + plan.waits.size() + plan.behind_count, 10u);
  EXPECT_GT(plan.behind_count, 0u);
}

// ---- properties over random worlds ----

World random_world(std::uint64_t seed) {
  Rng rng(seed);
  World world;
  const int nodes = 1 + static_cast<int>(rng.below(5));
  for (int n = 0; n < nodes; ++n) {
    const std::string name = "n" + std::to_string(n);
    const int gpus = 1 + static_cast<int>(rng.below(8));
    world.add_node(name, gpus, rng.chance(0.5) ? "H100" : "A100", rng.chance(0.5) ? 80000 : 40000);
    for (int g = 0; g < gpus; ++g) {
      world.read(name, g, rng.uniform(30, 95), rng.uniform(0, 100), rng.chance(0.1) ? 5000 : 100);
      if (rng.chance(0.2)) world.run(name, {g}, static_cast<std::int64_t>(rng.below(5000)));
      if (rng.chance(0.05)) world.cluster.set_quarantine(World::uuid(name, g), "test");
    }
    if (rng.chance(0.1)) world.cluster.set_drain(NodeId(name), "test");
  }
  const int jobs = static_cast<int>(rng.below(20));
  for (int j = 0; j < jobs; ++j) {
    Job& job = world.add_job(static_cast<int>(rng.below(6)), static_cast<int>(rng.below(101)),
                             60 + static_cast<std::int64_t>(rng.below(8000)));
    if (rng.chance(0.3)) {
      job.spec.share = Share::kMemory;
      job.spec.gpu_mem_mb = 5000 + static_cast<std::int64_t>(rng.below(40000));
    }
    if (rng.chance(0.1)) job.spec.gpu_type = "h100";
    if (rng.chance(0.1)) job.state = JobState::kHeld;
  }
  return world;
}

TEST(SchedulerProperty, NoGpuIsOvercommittedAndEveryJobIsPlacedOrExplained) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    World world = random_world(seed);
    const Plan plan = world.plan();
    EXPECT_EQ(plan.starts.size() + plan.waits.size(), world.jobs.size()) << "seed " << seed;
    Cluster cluster = world.cluster;
    for (const PlannedStart& start : plan.starts) {
      const Job& job = *std::find_if(world.jobs.begin(), world.jobs.end(), [&](const Job& j) { return j.id == start.job; });
      EXPECT_EQ(start.record.placement.gpu_uuids.size(), static_cast<std::size_t>(job.spec.gpus));
      EXPECT_TRUE(still_fits(cluster, job, start.record.placement, kNow, SchedulerOptions{})) << "seed " << seed;
      Attempt attempt;
      attempt.id = {job.id, 1};
      attempt.placement = start.record.placement;
      cluster.allocate(attempt);
    }
    for (const auto& [uuid, gpu] : cluster.gpus()) {
      EXPECT_TRUE(!gpu.exclusive() || gpu.allocations.size() == 1) << "seed " << seed;
      EXPECT_LE(gpu.reserved_mb(), gpu.info.memory_total_mb) << "seed " << seed;
    }
    for (const WaitRecord& wait : plan.waits) {
      ASSERT_FALSE(wait.reasons.empty()) << "seed " << seed;
      EXPECT_FALSE(wait.summary.empty());
    }
  }
}

TEST(SchedulerProperty, BackfillNeverDelaysTheFirstWaitingJob) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    World world = random_world(seed);
    const Plan plan = world.plan();
    const WaitRecord* head = nullptr;
    for (const WaitRecord& wait : plan.waits)
      if (wait.queue_position > 0 && wait.reasons.front().code != "INFEASIBLE" &&
          (head == nullptr || wait.queue_position < head->queue_position))
        head = &wait;
    if (head == nullptr || !head->start_eta) continue;
    World after = world;  // the same world once the planned starts run
    for (const PlannedStart& start : plan.starts) {
      auto job = std::find_if(after.jobs.begin(), after.jobs.end(), [&](const Job& j) { return j.id == start.job; });
      Attempt attempt;
      attempt.id = {job->id, 1};
      attempt.placement = start.record.placement;
      after.cluster.allocate(attempt);
      after.running.push_back({attempt.id, job->number, attempt.placement, kNow + seconds(job->spec.time_limit_s)});
      after.jobs.erase(job);
    }
    const Job& waiting = *std::find_if(after.jobs.begin(), after.jobs.end(), [&](const Job& j) { return j.id == head->job; });
    const Plan later = after.plan();
    const WaitRecord* again = wait_of(later, waiting);
    ASSERT_NE(again, nullptr) << "seed " << seed;
    EXPECT_LE(again->start_eta, head->start_eta) << "seed " << seed;
  }
}

TEST(SchedulerProperty, TheSameInputGivesTheSamePlan) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    World world = random_world(seed);
    const Plan a = world.plan();
    std::reverse(world.jobs.begin(), world.jobs.end());  // arrival order in the container does not matter
    const Plan b = world.plan();
    ASSERT_EQ(a.starts.size(), b.starts.size()) << "seed " << seed;
    for (std::size_t i = 0; i < a.starts.size(); ++i) EXPECT_EQ(a.starts[i].record, b.starts[i].record) << "seed " << seed;
    EXPECT_EQ(a.waits, b.waits) << "seed " << seed;
  }
}

// Jobs of one shape share what was found about the GPUs; that must not change what is decided.
TEST(SchedulerProperty, SharingAnAssessmentDecidesAsJudgingEachJobAlone) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    World world = random_world(seed);
    for (Job& job : world.jobs) job.spec.gpu_mem_mb = job.spec.share == Share::kMemory ? job.spec.gpu_mem_mb : std::nullopt;
    World apart = world;
    std::int64_t shape = 0;  // a need that every GPU meets
    for (Job& job : apart.jobs)
      if (job.spec.share != Share::kMemory) job.spec.gpu_mem_mb = ++shape;
    const Plan a = world.plan(), b = apart.plan();
    ASSERT_EQ(a.starts.size(), b.starts.size()) << "seed " << seed;
    for (std::size_t i = 0; i < a.starts.size(); ++i) {
      EXPECT_EQ(a.starts[i].job, b.starts[i].job) << "seed " << seed;
      EXPECT_EQ(a.starts[i].record.placement, b.starts[i].record.placement) << "seed " << seed;
    }
    ASSERT_EQ(a.waits.size(), b.waits.size()) << "seed " << seed;
    for (std::size_t i = 0; i < a.waits.size(); ++i) {
      EXPECT_EQ(a.waits[i].start_eta, b.waits[i].start_eta) << "seed " << seed;
      EXPECT_EQ(a.waits[i].counterfactuals, b.waits[i].counterfactuals) << "seed " << seed;
    }
  }
}

TEST(SchedulerProperty, TheShortlistsPlanIsTheOneWithoutPredictions) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    World world = random_world(seed);
    const Shortlist ready = shortlist(world.input(), {});
    const Plan plan = world.plan();
    ASSERT_EQ(ready.plan.starts.size(), plan.starts.size()) << "seed " << seed;
    std::size_t with_gpus = 0;
    for (std::size_t i = 0; i < plan.starts.size(); ++i) {
      EXPECT_EQ(ready.plan.starts[i].job, plan.starts[i].job);
      EXPECT_EQ(ready.plan.starts[i].record.placement, plan.starts[i].record.placement);
      with_gpus += plan.starts[i].record.placement.gpu_uuids.empty() ? 0 : 1;
    }
    EXPECT_EQ(ready.plan.waits, plan.waits) << "seed " << seed;
    EXPECT_EQ(ready.jobs.size(), with_gpus);
  }
}

TEST(SchedulerProperty, ADrainedNodeNeverGetsAPlacement) {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    World world = random_world(seed);
    world.cluster.set_drain(NodeId("n0"), "test");
    for (const PlannedStart& start : world.plan().starts) EXPECT_NE(start.record.placement.node, NodeId("n0")) << seed;
  }
}

}  // namespace
}  // namespace aether
