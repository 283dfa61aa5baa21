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
  std::map<std::string, std::string> labels;
  friend bool operator==(const JobSpec&, const JobSpec&) = default;
};

enum class JobState {
  kHeld, kPending, kAssigned, kStarting, kRunning, kStopping, kCompleting,
  kCompleted, kFailed, kCancelled, kTimeout, kOutOfMemory, kNodeFail, kLaunchFailed, kLost,
};
std::string_view to_string(JobState state);  // "HELD", "PENDING", ...
std::optional<JobState> parse_job_state(std::string_view text);
bool is_terminal(JobState state);
// ASSIGNED to COMPLETING: the job's GPUs belong to it.
bool holds_gpus(JobState state);

// Who or what ended an attempt. The first durable stop order before the exit wins; with none it is kSelf.
// kLaunch: exec failed, trying again does not help. kNotStarted: provably nothing was executed, the job may be placed again.
enum class ExitCause { kSelf, kUserCancel, kTimeout, kNodeLost, kNodeReboot, kGpuLost, kLaunch, kNotStarted, kLostExit };
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
