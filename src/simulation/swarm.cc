#include "simulation/swarm.h"

#include <fmt/format.h>

namespace aether::simulation {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Duration between(Rng& rng, Duration low, Duration high) {
  return low + Duration(static_cast<std::int64_t>(rng.uniform() * static_cast<double>((high - low).count())));
}

// The relations that model/lease.h holds stay true.
LeaseOptions short_lease() {
  LeaseOptions lease;
  lease.lease = seconds(8);
  lease.kill_grace = seconds(6);
  lease.unkillable_margin = seconds(12);
  lease.start_ttl = seconds(10);
  lease.incumbent = seconds(5);
  return lease;
}

// Off in half of the runs, otherwise anywhere in the range.
double maybe(Rng& rng, double high) { return rng.chance(0.5) ? rng.uniform(0, high) : 0; }

}  // namespace

Swarm draw_swarm(Rng& rng) {
  Swarm swarm;
  swarm.nodes = 1 + static_cast<int>(rng.below(5));
  swarm.gpus_per_node = 1 + static_cast<int>(rng.below(4));
  swarm.jobs = 10 + static_cast<int>(rng.below(30));
  swarm.fault_phase = between(rng, seconds(40), seconds(120));
  swarm.predictor = rng.chance(0.5);
  swarm.delay_min = between(rng, milliseconds(0), milliseconds(30));
  swarm.delay_mean = swarm.delay_min + between(rng, milliseconds(1), milliseconds(70));
  swarm.loss = maybe(rng, 0.30);
  swarm.replay = maybe(rng, 0.50);
  swarm.clog_per_s = maybe(rng, 0.05);
  swarm.clog_mean = between(rng, milliseconds(200), seconds(5));
  swarm.partition_per_s = maybe(rng, 0.03);
  swarm.partition_mean = between(rng, seconds(1), seconds(40));
  swarm.capacity = rng.chance(0.3) ? 2 + static_cast<int>(rng.below(19)) : 1000;
  swarm.orchestrator_crash_per_s = maybe(rng, 0.05);
  swarm.orchestrator_pause_per_s = maybe(rng, 0.03);
  swarm.commit_fails = maybe(rng, 0.05);
  swarm.commit_ambiguous = maybe(rng, 0.03);
  swarm.crash_at_commit = maybe(rng, 0.02);
  swarm.commit_mean = rng.chance(0.2) ? between(rng, milliseconds(5), milliseconds(300)) : milliseconds(2);
  swarm.agent_crash_per_s = maybe(rng, 0.05);
  swarm.agent_pause_per_s = maybe(rng, 0.03);
  swarm.reboot_per_s = maybe(rng, 0.01);
  swarm.gpu_loss_per_s = maybe(rng, 0.01);
  swarm.crash_in_start = maybe(rng, 0.10);
  swarm.clock_drift = maybe(rng, 0.02);
  swarm.wall_jump_per_s = maybe(rng, 0.02);
  swarm.reply_lost = maybe(rng, 0.3);
  swarm.cancel = maybe(rng, 0.4);
  swarm.hold = maybe(rng, 0.2);
  swarm.drain_per_s = maybe(rng, 0.02);
  swarm.predictor_silent = maybe(rng, 0.2);
  swarm.predictor_nonsense = maybe(rng, 0.3);
  if (rng.chance(0.5)) swarm.lease = short_lease();
  swarm.suspend = maybe(rng, 0.3);
  swarm.stop_after = maybe(rng, 1.0);
  swarm.requeue = maybe(rng, 1.0);
  swarm.retry = maybe(rng, 0.5);
  swarm.depend = maybe(rng, 0.5);
  swarm.array = maybe(rng, 0.2);
  return swarm;
}

std::string Swarm::describe() const {
  return fmt::format(
      "nodes={} gpus={} jobs={} faults={}s predictor={} delay={}..{}ms loss={:.2f} replay={:.2f} clog={:.3f}/s "
      "partition={:.3f}/s capacity={} orchestrator_crash={:.3f}/s pause={:.3f}/s commit_fails={:.3f} ambiguous={:.3f} "
      "crash_at_commit={:.3f} commit={}ms agent_crash={:.3f}/s pause={:.3f}/s reboot={:.3f}/s gpu_loss={:.3f}/s "
      "crash_in_start={:.2f} drift={:.3f} wall_jump={:.3f}/s reply_lost={:.2f} cancel={:.2f} hold={:.2f} drain={:.3f}/s "
      "lease={}s suspend={:.2f} stop_after={:.2f} requeue={:.2f} retry={:.2f} depend={:.2f} array={:.2f}",
      nodes, gpus_per_node, jobs, fault_phase.count() / 1'000'000, predictor, delay_min.count() / 1000,
      delay_mean.count() / 1000, loss, replay, clog_per_s, partition_per_s, capacity, orchestrator_crash_per_s,
      orchestrator_pause_per_s, commit_fails, commit_ambiguous, crash_at_commit, commit_mean.count() / 1000,
      agent_crash_per_s, agent_pause_per_s, reboot_per_s, gpu_loss_per_s, crash_in_start, clock_drift, wall_jump_per_s,
      reply_lost, cancel, hold, drain_per_s, lease.lease.count() / 1'000'000, suspend, stop_after, requeue, retry, depend, array);
}

}  // namespace aether::simulation
