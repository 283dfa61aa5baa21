#pragma once
// Port: runs attempts on this node. Adapters: posix/ (aether-shim and real processes), simulated/ (virtual processes).
//
// The promise: an attempt executes at most once, whatever is killed when. prepare() makes the intent durable before any
// process exists; "exec happened" implies "started is durable"; the exit record survives a full disk; recover() finds
// everything again after kill -9 of the agent.
#include <functional>
#include <map>
#include <optional>
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
};

class ProcessRunner {
 public:
  // Every durable change of an attempt's state: STARTING, RUNNING, STOPPING and one terminal report. From a thread of the
  // runner; must only hand over.
  using OnReport = std::function<void(const AttemptReport&)>;

  virtual ~ProcessRunner() = default;

  // Once, before anything else: re-adopts what runs, reports what ended meanwhile (also again: at least once until
  // forget()). An attempt whose gate never opened is LAUNCH_FAILED; one whose exit nobody recorded is LOST.
  virtual Result<void> recover(OnReport on_report) = 0;

  // Journals the intent (durable when it returns), then starts. The first call for an attempt decides; a repetition
  // reports the stored state again and starts nothing. kConflict ("STALE_EPOCH"): one of the GPUs, or the job, has seen
  // a higher epoch. kPermissionDenied ("CANCELLED"): a stop for this attempt came first. kIo: the intent could not be
  // made durable and nothing was started.
  virtual Result<void> launch(const LaunchSpec& spec) = 0;

  // SIGTERM to the whole attempt, SIGKILL after the grace. `reason` is an ExitCause name and becomes the cause if it is
  // the first order before the exit; a repetition can only shorten the grace. An unknown attempt leaves a tombstone: its
  // later launch is refused, and a terminal report ("stopped before it was started") comes until forget().
  virtual Result<void> stop(const AttemptId& attempt, Epoch epoch, const std::string& reason, std::int64_t grace_s) = 0;

  // Bytes of the captured output. A negative offset counts from the end. kNotFound: no such attempt on this node.
  virtual Result<LogChunk> read_log(const AttemptId& attempt, const std::string& stream, std::int64_t offset,
                                    std::int64_t limit) = 0;

  // The terminal report of this attempt is durable elsewhere: it is not reported again. Logs stay until retention.
  virtual void forget(const AttemptId& attempt) = 0;

  // What is known of every attempt not yet forgotten.
  virtual std::vector<AttemptReport> attempts() const = 0;

  // The launch specs of the attempts that run now, also re-adopted ones: what a simulated GPU has to feel.
  virtual std::vector<LaunchSpec> running() const = 0;

  // "pgrp-only", "cgroup2-delegated", "simulated".
  virtual std::string exec_mode() const = 0;
  // The account jobs run as.
  virtual std::string run_as() const = 0;
};

}  // namespace aether
