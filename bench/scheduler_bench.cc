// The planner alone, in one thread: a decision among 10,000 waiting jobs on 1,000 GPUs, and a whole cycle of 100,000
// waiting jobs on 10,000 GPUs, idle and full, with few and with many kinds of job, each beside a baseline of the same run.
#include <deque>

#include <fmt/format.h>

#include "base/rng.h"
#include "measure.h"
#include "scheduler/scheduler.h"

namespace aether::bench {
namespace {

const Time kNow = Time(std::chrono::seconds(1'700'000'000));
constexpr int kGpusPerNode = 8;

struct World {
  Cluster cluster;
  std::deque<Job> jobs;
  std::vector<RunningJob> running;

  SchedulerInput input() const {
    SchedulerInput in{cluster, {}, running, kNow, 1};
    in.queue.reserve(jobs.size());
    for (const Job& job : jobs) in.queue.push_back(&job);
    return in;
  }
};

void add_nodes(World& world, int gpus, bool busy) {
  for (int n = 0; n < gpus / kGpusPerNode; ++n) {
    NodeInventory inventory;
    inventory.node = NodeId(fmt::format("node{:05}", n));
    inventory.exec_mode = "simulated";
    Attempt attempt;
    attempt.id = {JobId(fmt::format("R{}", n)), 1};
    attempt.placement.node = inventory.node;
    for (int i = 0; i < kGpusPerNode; ++i) {
      GpuInfo info;
      info.gpu_uuid = GpuUuid(fmt::format("GPU-{:05}-{}", n, i));
      info.gpu_index = i;
      info.gpu_name = n % 2 == 0 ? "H100" : "A100";
      info.memory_total_mb = 200000;
      attempt.placement.gpu_uuids.push_back(info.gpu_uuid);
      inventory.gpus.push_back(info);
    }
    world.cluster.apply_inventory(inventory, kNow);
    for (const GpuInfo& info : inventory.gpus) {
      auto sample = std::make_shared<GpuSample>();
      sample->gpu_uuid = info.gpu_uuid;
      sample->node = inventory.node;
      sample->sample_time = kNow;
      sample->temperature_c = 30 + (n + info.gpu_index) % 50;
      sample->utilization_gpu = 0;
      sample->memory_used_mb = 100;
      world.cluster.apply_sample(sample, kNow);
    }
    if (!busy) continue;
    world.cluster.allocate(attempt);
    world.running.push_back({attempt.id, n, attempt.placement, kNow + std::chrono::seconds(600 + n)});
  }
}

void add_jobs(World& world, int count, int kinds) {
  Rng rng(7);
  for (int i = 0; i < count; ++i) {
    Job job;
    job.number = i + 1;
    job.id = JobId(fmt::format("J{:08}", i));
    const int kind = static_cast<int>(rng.below(static_cast<std::uint64_t>(kinds)));
    job.spec.gpus = 1 + kind % kGpusPerNode;
    if (kind >= kGpusPerNode) job.spec.gpu_mem_mb = 10000 + kind;
    job.spec.priority = static_cast<int>(rng.below(100));
    job.spec.time_limit_s = 3600;
    world.jobs.push_back(std::move(job));
  }
}

// `kinds` 0: every job is of a kind of its own and the cycle judges as much as it would without a bound. That is what
// each job cost before jobs of one kind shared their assessment: the baseline of the same run.
double measure(int gpus, int jobs, bool busy, int kinds, int rounds) {
  World world;
  add_nodes(world, gpus, busy);
  add_jobs(world, jobs, kinds == 0 ? jobs : kinds);
  SchedulerOptions options;
  if (kinds == 0) options.max_judged = std::size_t{1} << 40;
  std::vector<double> plan_times;
  std::size_t starts = 0;
  for (int i = 0; i < rounds; ++i) {
    const auto begin = SteadyClock::now();
    const SchedulerInput input = world.input();
    starts = place(input, {}, options).starts.size();
    plan_times.push_back(seconds_since(begin));
  }
  const Percentiles found = percentiles(plan_times);
  const std::string described = kinds == 0 ? "one by one" : fmt::format("{} kinds", kinds);
  fmt::print("{:>6} GPUs {:<5} {:>6} pending, {:>10}: {:>4} starts  {}\n", gpus, busy ? "busy," : "free,", jobs, described,
             starts, in_milliseconds(found));
  return found.p50;
}

void compare(int gpus, int jobs, bool busy) {
  const double alone = measure(gpus, jobs, busy, 0, 3);
  for (const int kinds : {8, 1000}) fmt::print("{:>51.1f} x faster\n", alone / measure(gpus, jobs, busy, kinds, 20));
}

}  // namespace
}  // namespace aether::bench

int main() {
  fmt::print("one cycle of the planner, one thread\n");
  aether::bench::measure(1000, 1, false, 1, 200);
  aether::bench::compare(1000, 10000, true);
  aether::bench::compare(1000, 10000, false);
  aether::bench::compare(10000, 100000, true);
  aether::bench::compare(10000, 100000, false);
  return 0;
}
