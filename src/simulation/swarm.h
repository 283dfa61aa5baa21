#pragma once
// What one run looks like: sizes and fault rates, drawn once from its seed. Each run draws its own mix ("swarm testing",
// Groce et al., ISSTA 2012), so that some runs have one fault only and some have all. The ranges of loss, replay, delay,
// clogs and partitions are those that TigerBeetle publishes for its simulator (src/vopr.zig).
#include <cstdint>
#include <string>

#include "base/clock.h"
#include "base/rng.h"
#include "model/lease.h"

namespace aether::simulation {

struct Swarm {
  // sizes
  int nodes = 1;
  int gpus_per_node = 1;
  int jobs = 20;
  Duration fault_phase{};
  bool predictor = false;
  LeaseOptions lease{};            // as shipped, or all of it four times shorter, so that more leases end in a run
  // network, each way of each link
  Duration delay_min{}, delay_mean{};
  double loss = 0, replay = 0;
  double clog_per_s = 0;
  Duration clog_mean{};
  double partition_per_s = 0;      // of one node; half of them in one direction only
  Duration partition_mean{};
  int capacity = 1000;             // messages under way on one link; more are lost
  // orchestrator and its store
  double orchestrator_crash_per_s = 0, orchestrator_pause_per_s = 0;
  double commit_fails = 0;         // the store says no, nothing is written
  double commit_ambiguous = 0;     // the store says no, all is written
  double crash_at_commit = 0;      // the process dies between a commit and what follows it
  Duration commit_mean{};
  // nodes
  double agent_crash_per_s = 0, agent_pause_per_s = 0, reboot_per_s = 0, gpu_loss_per_s = 0;
  double crash_in_start = 0;       // the agent dies between the intent and the start gate
  double clock_drift = 0;          // at most this fraction, each node its own
  double wall_jump_per_s = 0;      // of any machine, up to an hour, both ways
  // users and operators
  double reply_lost = 0;           // the client repeats with the same key
  double cancel = 0, hold = 0, suspend = 0, drain_per_s = 0;
  // jobs
  double stop_after = 0;           // end themselves when their node is cut off, and are placed again
  double requeue = 0, retry = 0, depend = 0, array = 0;
  double predictor_silent = 0, predictor_nonsense = 0;

  std::string describe() const;
};

Swarm draw_swarm(Rng& rng);

}  // namespace aether::simulation
