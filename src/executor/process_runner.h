#pragma once
// Port: runs attempts on this node. Adapters: posix/ (aether-shim and real processes), simulated/ (virtual processes).
//
// The promise: an attempt executes at most once, whatever is killed when. prepare() makes the intent durable before any
// process exists; "exec happened" implies "started is durable"; the exit record survives a full disk; recover() finds
// everything again after kill -9 of the agent.
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "model/job.h"
#include "model/message.h"

namespace aether {

struct LaunchSpec {
  AttemptId attempt;
  Epoch epoch = 0;
  std::int64_t job_number = 0;
  std::string user;
  JobSpec spec;                        // argv or script, env, workdir, time_limit_s (> 0), grace_s
  std::vector<GpuUuid> gpu_uuids;
  // Of kStopAfter: what is left of the node's lease now; spec.stop_after_s when absent.
  std::optional<Duration> lease_remaining = {};
  std::vector<int> gpu_slots = {};     // as in StartCommand

  int slot_of(std::size_t gpu) const { return gpu < gpu_slots.size() ? gpu_slots[gpu] : 0; }
};

// An attempt whose processes live on although they were killed a minute ago (uninterruptible sleep): it has not ended,
// and its GPUs can be given to nobody.
struct Unkillable {
  AttemptId attempt;
  std::vector<GpuUuid> gpu_uuids;
  std::vector<int> pids;
};

class ProcessRunner {
 public:
  // Every durable change of an attempt's state: STARTING, RUNNING, SUSPENDED, STOPPING and one terminal report. From a thread of the
  // runner; must only hand over.
  using OnReport = std::function<void(const AttemptReport&)>;

  virtual ~ProcessRunner() = default;

  // Once, before anything else: re-adopts what runs, reports what ended meanwhile (also again: at least once until
  // forget()). An attempt whose gate never opened is LAUNCH_FAILED; one whose exit nobody recorded is LOST.
  virtual Result<void> recover(OnReport on_report) = 0;

  // Journals the intent (durable when it returns), then starts. The first call for an attempt decides; a repetition
  // reports the stored state again and starts nothing. kConflict ("STALE_EPOCH"): one of its GPUs' slots (gpu_fence.h),
  // or the job, has seen a higher epoch. kPermissionDenied ("CANCELLED"): a stop for this attempt came first. kIo: the intent could not be
  // made durable and nothing was started.
  virtual Result<void> launch(const LaunchSpec& spec) = 0;

  // Each as launch() would, in this order, and one result for each. An adapter may let their syncs and starts overlap.
  virtual std::vector<Result<void>> launch_all(std::span<const LaunchSpec> specs) {
    std::vector<Result<void>> results;
    for (const LaunchSpec& spec : specs) results.push_back(launch(spec));
    return results;
  }

  // SIGTERM to the whole attempt, SIGKILL after the grace. `reason` is an ExitCause name and becomes the cause if it is
  // the first order before the exit; a repetition can only shorten the grace. An unknown attempt leaves a tombstone: its
  // later launch is refused, and a terminal report ("stopped before it was started") comes until forget().
  virtual Result<void> stop(const AttemptId& attempt, Epoch epoch, const std::string& reason, std::int64_t grace_s) = 0;

  // The orders below: kNotFound: no such attempt runs here; kConflict ("STALE_EPOCH"): the order is older than the attempt;
  // kUnavailable: its keeper does not take orders now, try again.

  // Every process of the attempt stands still, its memory and its GPUs stay its own, and its time limit goes on. Reported
  // as SUSPENDED. A repetition, and a suspend that comes after a stop, change nothing.
  virtual Result<void> suspend(const AttemptId& attempt, Epoch epoch) = 0;
  virtual Result<void> resume(const AttemptId& attempt, Epoch epoch) = 0;
  // To every process of the attempt. kInvalidArgument: no signal number, or SIGKILL or SIGSTOP, which stop() and suspend()
  // stand for.
  virtual Result<void> signal(const AttemptId& attempt, Epoch epoch, int signal) = 0;

  // The orchestrator was heard: an attempt with on_partition = stop_after may run on for `remaining` from now. Without
  // another word it is then stopped by itself (cause node_lost, at most 30 s of grace, no checkpoint), agent or no agent.
  // Never shortens a lease, and never revives one that has run out. No-op for others.
  virtual void renew_lease(const AttemptId& attempt, Duration remaining) = 0;

  // Bytes of the captured output. A negative offset counts from the end. Bytes that are no longer kept are a gap: the chunk
  // begins behind it, which its offset says, and no chunk reaches over one. kNotFound: no such attempt on this node.
  virtual Result<LogChunk> read_log(const AttemptId& attempt, const std::string& stream, std::int64_t offset,
                                    std::int64_t limit) = 0;

  // The terminal report of this attempt is durable elsewhere: it is not reported again. Logs stay until retention.
  virtual void forget(const AttemptId& attempt) = 0;

  // What is known of every attempt not yet forgotten.
  virtual std::vector<AttemptReport> attempts() const = 0;

  // The launch specs of the attempts that run now, also re-adopted ones: what a simulated GPU has to feel.
  virtual std::vector<LaunchSpec> running() const = 0;

  // The processes of an attempt that runs, also of one whose keeper is gone.
  virtual std::vector<int> processes(const AttemptId& attempt) const = 0;
  virtual std::vector<Unkillable> unkillable() const = 0;

  // "pgrp-only", "cgroup2-delegated", "simulated".
  virtual std::string exec_mode() const = 0;
  // What is limited by what: "memory=cgroup1,pids=cgroup1,cpus=none". A limit that the spec asks for and that says "none"
  // here does not hold.
  virtual std::string limits() const = 0;
  // The account jobs run as.
  virtual std::string run_as() const = 0;
};

}  // namespace aether
