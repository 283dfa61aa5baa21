#pragma once
// A job, its attempts, and the words for their states. The state machine is drawn in docs/life_of_a_job.md.
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "model/ids.h"

namespace aether {

enum class JobType { kTraining, kInference };
std::string_view to_string(JobType type);
std::optional<JobType> parse_job_type(std::string_view text);

enum class Share {
  kExclusive,  // the GPU belongs to this job alone
  kMemory,     // other jobs may use the GPU; gpu_mem_mb is reserved
};
std::string_view to_string(Share share);
std::optional<Share> parse_share(std::string_view text);

// What happens to an attempt whose node has lost the orchestrator.
enum class OnPartition {
  kContinue,   // it runs on and is found again
  kStopAfter,  // its node ends it by itself once the lease has run out, so that a replacement never runs beside it
};
std::string_view to_string(OnPartition on_partition);
std::optional<OnPartition> parse_on_partition(std::string_view text);

enum class OpenMode { kAppend, kTruncate };
std::string_view to_string(OpenMode mode);
std::optional<OpenMode> parse_open_mode(std::string_view text);

// What to do with output beyond the room that the node gives it.
enum class LogPolicy {
  kTruncate,  // drop and count it; the job is never blocked
  kBlock,     // keep every byte; the job waits in its write
};
std::string_view to_string(LogPolicy policy);
std::optional<LogPolicy> parse_log_policy(std::string_view text);

// A warning before the time limit.
struct EarlySignal {
  int signal = 0;
  std::int64_t before_s = 0;
  friend bool operator==(const EarlySignal&, const EarlySignal&) = default;
};

// What the user asked for. Unset optionals are filled from the template of the type or the defaults at submission.
struct JobSpec {
  std::vector<std::string> argv;       // no shell unless `script` is given; exactly one of argv and script
  std::optional<std::string> script;   // text run by /bin/sh, or by its own #! line
  std::string name;
  bool unique = false;                 // refuse while a live job has this name
  JobType type = JobType::kTraining;
  int gpus = 1;                        // 0 allowed
  std::optional<std::int64_t> gpu_mem_mb;  // device memory per GPU; whole GPU when absent
  Share share = Share::kExclusive;
  std::string gpu_type;                // substring of gpu_name, comma list = any of; empty = any
  std::int64_t time_limit_s = 0;       // 0 = the server's default
  int priority = 50;                   // 0..100, higher leaves first
  std::map<std::string, std::string> env;
  std::string workdir;                 // absolute; empty = a private directory of the attempt
  std::int64_t grace_s = 30;           // between SIGTERM and SIGKILL
  bool hold = false;
  OnPartition on_partition = OnPartition::kContinue;
  std::int64_t stop_after_s = 30;      // of kStopAfter
  std::optional<EarlySignal> early_signal;
  std::vector<std::string> checkpoint_argv;  // run before SIGTERM, as the job; empty = none
  std::int64_t checkpoint_timeout_s = 60;
  std::optional<std::int64_t> mem_mb;  // of the host, for the whole attempt; no limit when absent
  std::optional<int> cpus;             // no limit when absent
  std::string stdout_path, stderr_path;  // a copy of the output, opened with the job's rights; empty = captured only
  OpenMode open_mode = OpenMode::kAppend;
  LogPolicy log_policy = LogPolicy::kTruncate;
  std::map<std::string, std::string> labels;
  friend bool operator==(const JobSpec&, const JobSpec&) = default;
};

enum class JobState {
  kHeld, kPending, kAssigned, kStarting, kRunning, kSuspended, kStopping, kCompleting,
  kCompleted, kFailed, kCancelled, kTimeout, kOutOfMemory, kNodeFail, kLaunchFailed, kLost,
};
std::string_view to_string(JobState state);  // "HELD", "PENDING", ...
std::optional<JobState> parse_job_state(std::string_view text);
bool is_terminal(JobState state);
// ASSIGNED to COMPLETING: the job's GPUs belong to it.
bool holds_gpus(JobState state);

// Who or what ended an attempt. The first durable stop order before the exit wins; with none it is kSelf.
// kLaunch: exec failed, trying again does not help. kNotStarted: provably nothing was executed, the job may be placed again.
enum class ExitCause { kSelf, kUserCancel, kTimeout, kNodeLost, kNodeReboot, kGpuLost, kLaunch, kNotStarted, kLostExit,
                       kOomHost };
std::string_view to_string(ExitCause cause);
std::optional<ExitCause> parse_exit_cause(std::string_view text);

struct ExitStatus {
  std::optional<int> exit_code;  // absent when a signal ended it or nobody knows
  std::optional<int> signal;
  bool core_dumped = false;
  ExitCause cause = ExitCause::kSelf;
  std::string message;           // for people: "exec of /no/such: No such file or directory"
  friend bool operator==(const ExitStatus&, const ExitStatus&) = default;
};

// API.md §4 rule 4: the state that an attempt's end leads to.
JobState terminal_state(const ExitStatus& exit);

// The GPUs of one attempt. Always on one node in this version.
struct Placement {
  NodeId node;
  std::vector<GpuUuid> gpu_uuids;      // in CUDA_VISIBLE_DEVICES order
  std::int64_t memory_mb_per_gpu = 0;  // reserved; 0 = whole GPU
  friend bool operator==(const Placement&, const Placement&) = default;
};

struct Attempt {
  AttemptId id;
  Epoch epoch = 0;
  Placement placement;
  JobState state = JobState::kAssigned;
  Time assigned_at;
  std::optional<Time> started_at;
  std::optional<Time> ended_at;
  std::optional<ExitStatus> exit;
  std::optional<std::string> stop_reason;  // set with the stop order: "user_cancel"
  std::optional<double> energy_j;          // of its GPUs while it ran; absent when no counter or power was there
  std::optional<double> carbon_g;
  friend bool operator==(const Attempt&, const Attempt&) = default;
};

struct Job {
  JobId id;
  std::int64_t number = 0;  // per cluster, from 1
  JobSpec spec;
  std::string user;
  std::string queue = "default";
  JobState state = JobState::kPending;
  Time submitted_at;
  std::optional<Time> ended_at;
  std::vector<Attempt> attempts;  // oldest first
  std::string idempotency_key;    // empty when none was given
  std::string body_sha256;
  friend bool operator==(const Job&, const Job&) = default;

  const Attempt* last_attempt() const { return attempts.empty() ? nullptr : &attempts.back(); }
};

// One durable line of a job's history.
struct JobEvent {
  JobId job;
  Time time;
  std::string from;   // state names; empty at submission
  std::string to;
  std::string actor;  // "user", "scheduler", "agent", "orchestrator"
  std::string reason;
  Epoch epoch = 0;
  int attempt = 0;
  friend bool operator==(const JobEvent&, const JobEvent&) = default;
};

// Bounds of a spec, checked before anything is stored. The first problem names the field as a JSON pointer.
Result<void> validate(const JobSpec& spec);

inline constexpr std::size_t kMaxSpecBytes = 48 * 1024;  // as JSON; it travels inside one bus message
inline constexpr std::size_t kMaxBusMessageBytes = 64 * 1024;
static_assert(kMaxSpecBytes + 8 * 1024 <= kMaxBusMessageBytes, "START carries the spec and its envelope");

}  // namespace aether
