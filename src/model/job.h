#pragma once
// A job, its attempts, and the words for their states. The state machine is drawn in docs/life_of_a_job.md.
#include <array>
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

// What a job waits for. Text form "afterok:<job>", "singleton".
enum class DependencyKind {
  kAfter,       // the other has started, or has ended without starting
  kAfterOk,     // it is COMPLETED
  kAfterAny,    // it has ended
  kAfterNotOk,  // it has ended, not COMPLETED
  kAfterCorr,   // of an array: the task with the same index is COMPLETED
  kSingleton,   // every earlier job of the same user and name has ended
};
std::string_view to_string(DependencyKind kind);
std::optional<DependencyKind> parse_dependency_kind(std::string_view text);

struct Dependency {
  DependencyKind kind = DependencyKind::kAfterOk;
  std::string job;  // id or number as the user wrote it, an id once accepted; empty for kSingleton
  friend bool operator==(const Dependency&, const Dependency&) = default;
};
std::string to_string(const Dependency& dependency);
std::optional<Dependency> parse_dependency(std::string_view text);

// Which ends of an attempt are tried again. Text form "75", "1-9", "signal", "oom", "node", "preempt".
struct RetryRule {
  enum class Kind { kExitCodes, kSignal, kOom, kNode, kPreempt };
  Kind kind = Kind::kExitCodes;
  int first = 0, last = 0;  // of kExitCodes, both included
  friend bool operator==(const RetryRule&, const RetryRule&) = default;
};
std::string to_string(const RetryRule& rule);
std::optional<RetryRule> parse_retry_rule(std::string_view text);

// "0-99%8", "1,3,7-9", "0-30:10": indices, and how many of its tasks may run at once (0 = all).
struct ArrayRange {
  std::vector<int> indices;  // ascending, each once
  int limit = 0;
};
std::optional<ArrayRange> parse_array_range(std::string_view text);
inline constexpr std::size_t kMaxArrayTasks = 10000;
inline constexpr int kMaxArrayIndex = 1'000'000;

// "USR1", "SIGUSR1" or "10"; absent when there is no such signal.
std::optional<int> parse_signal(std::string_view text);
std::string signal_name(int signal);  // "USR1"; the number where it has no name

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
  std::optional<Time> begin;           // not before
  std::optional<Time> deadline;        // ended by then, or not started at all
  std::vector<Dependency> depends_on;  // all of them must be met
  bool kill_on_invalid_dep = false;    // cancel instead of waiting for ever once one can't be met any more
  int retries = 0;                     // attempts after the first that `retry_on` may cause
  std::vector<RetryRule> retry_on;     // empty = a failure of its own, memory or node
  bool requeue = false;                // back into the queue after a node failure or a preemption, as often as needed
  std::string array;                   // an ArrayRange: one job for each index; empty = a single job
  bool slurm_env = false;              // also set SLURM_JOB_ID and its kin
  std::map<std::string, std::string> labels;
  friend bool operator==(const JobSpec&, const JobSpec&) = default;
};

enum class JobState {
  kHeld, kPending, kAssigned, kStarting, kRunning, kSuspended, kStopping, kCompleting,
  kCompleted, kFailed, kCancelled, kTimeout, kOutOfMemory, kPreempted, kNodeFail, kDeadline, kLaunchFailed, kLost,
};
inline constexpr std::array kAllJobStates = {
    JobState::kHeld, JobState::kPending, JobState::kAssigned, JobState::kStarting, JobState::kRunning,
    JobState::kSuspended, JobState::kStopping, JobState::kCompleting, JobState::kCompleted, JobState::kFailed,
    JobState::kCancelled, JobState::kTimeout, JobState::kOutOfMemory, JobState::kPreempted, JobState::kNodeFail,
    JobState::kDeadline, JobState::kLaunchFailed, JobState::kLost};
std::string_view to_string(JobState state);  // "HELD", "PENDING", ...
std::optional<JobState> parse_job_state(std::string_view text);
bool is_terminal(JobState state);
// ASSIGNED to COMPLETING: the job's GPUs belong to it.
bool holds_gpus(JobState state);

// Who or what ended an attempt. The first durable stop order before the exit wins; with none it is kSelf.
// kLaunch: exec failed, trying again does not help. kNotStarted: provably nothing was executed, the job may be placed again.
enum class ExitCause { kSelf, kUserCancel, kTimeout, kNodeLost, kNodeReboot, kGpuLost, kLaunch, kNotStarted, kLostExit,
                       kOomHost, kOomGpu, kAdminCancel, kPreempt, kDrain, kDeadline, kDispatchTimeout };
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

// What has become of one entry of spec.depends_on, in the same order.
enum class DependencyState { kWaiting, kMet, kNever };
std::string_view to_string(DependencyState state);
std::optional<DependencyState> parse_dependency_state(std::string_view text);

// Why a job runs again.
enum class Restart { kNone, kRetry, kRequeue };
std::string_view to_string(Restart restart);
std::optional<Restart> parse_restart(std::string_view text);

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
  JobId array_parent;             // of a task: the array's first task, which may be itself; else empty
  std::int64_t array_number = 0;  // of a task: the number of the array's first task
  int array_index = 0;            // of a task
  std::vector<DependencyState> dependencies;
  Restart restart = Restart::kNone;   // of the newest attempt or of the one to come
  int retries_used = 0;
  bool time_limit_given = false;      // spec.time_limit_s is the user's own, not the server's default
  bool requeue_asked = false;         // the attempt that stops now is not the last one
  std::optional<Time> not_before;     // of the next attempt, after a failure
  friend bool operator==(const Job&, const Job&) = default;

  bool is_array_task() const { return !array_parent.empty(); }
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
