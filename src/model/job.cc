#include "model/job.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace aether {
namespace {

constexpr std::array<std::pair<JobState, std::string_view>, 18> kStateNames = {{
    {JobState::kHeld, "HELD"},
    {JobState::kPending, "PENDING"},
    {JobState::kAssigned, "ASSIGNED"},
    {JobState::kStarting, "STARTING"},
    {JobState::kRunning, "RUNNING"},
    {JobState::kSuspended, "SUSPENDED"},
    {JobState::kStopping, "STOPPING"},
    {JobState::kCompleting, "COMPLETING"},
    {JobState::kCompleted, "COMPLETED"},
    {JobState::kFailed, "FAILED"},
    {JobState::kCancelled, "CANCELLED"},
    {JobState::kTimeout, "TIMEOUT"},
    {JobState::kOutOfMemory, "OUT_OF_MEMORY"},
    {JobState::kPreempted, "PREEMPTED"},
    {JobState::kNodeFail, "NODE_FAIL"},
    {JobState::kDeadline, "DEADLINE"},
    {JobState::kLaunchFailed, "LAUNCH_FAILED"},
    {JobState::kLost, "LOST"},
}};

constexpr std::array<std::pair<ExitCause, std::string_view>, 16> kCauseNames = {{
    {ExitCause::kSelf, "self"},
    {ExitCause::kUserCancel, "user_cancel"},
    {ExitCause::kTimeout, "timeout"},
    {ExitCause::kNodeLost, "node_lost"},
    {ExitCause::kNodeReboot, "node_reboot"},
    {ExitCause::kGpuLost, "gpu_lost"},
    {ExitCause::kLaunch, "launch"},
    {ExitCause::kNotStarted, "not_started"},
    {ExitCause::kDispatchTimeout, "dispatch_timeout"},
    {ExitCause::kLostExit, "lost_exit"},
    {ExitCause::kOomHost, "oom_host"},
    {ExitCause::kOomGpu, "oom_gpu"},
    {ExitCause::kAdminCancel, "admin_cancel"},
    {ExitCause::kPreempt, "preempt"},
    {ExitCause::kDrain, "drain"},
    {ExitCause::kDeadline, "deadline"},
}};

template <class Key, std::size_t N>
std::string_view name_of(const std::array<std::pair<Key, std::string_view>, N>& names, Key key) {
  for (const auto& [known, name] : names)
    if (known == key) return name;
  return "UNKNOWN";
}

template <class Key, std::size_t N>
std::optional<Key> key_of(const std::array<std::pair<Key, std::string_view>, N>& names, std::string_view text) {
  for (const auto& [key, name] : names)
    if (name == text) return key;
  return std::nullopt;
}

Result<void> invalid(std::string field, std::string message) {
  return fail(ErrorCode::kInvalidArgument, std::move(message), std::move(field));
}

bool has_control_characters(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) == 0x7f;
  });
}

Result<void> validate_command(const JobSpec& spec) {
  if (spec.argv.empty() == !spec.script.has_value())
    return invalid("/argv", "give either argv (a list of words) or script (a text), exactly one of them");
  for (std::size_t i = 0; i < spec.argv.size(); ++i)
    if (spec.argv[i].find('\0') != std::string::npos)
      return invalid(fmt::format("/argv/{}", i), "a word of argv can't contain a NUL byte");
  if (!spec.argv.empty() && spec.argv[0].empty()) return invalid("/argv/0", "the command is empty");
  if (spec.argv.size() > 4096) return invalid("/argv", "more than 4096 words");
  return {};
}

Result<void> validate_env(const JobSpec& spec) {
  for (const auto& [name, value] : spec.env)
    if (name.empty() || name.find('=') != std::string::npos || has_control_characters(name) ||
        value.find('\0') != std::string::npos)
      return invalid("/env/" + name, "an environment name can't be empty or contain '=', and no value a NUL byte");
  return {};
}

// When, after whom, and how often.
Result<void> validate_schedule(const JobSpec& spec) {
  if (spec.begin && spec.deadline && *spec.deadline <= *spec.begin)
    return invalid("/deadline", "the deadline lies before the begin time");
  if (spec.depends_on.size() > 100) return invalid("/depends_on", "more than 100 dependencies");
  for (std::size_t i = 0; i < spec.depends_on.size(); ++i) {
    const Dependency& dependency = spec.depends_on[i];
    if (dependency.job.empty() != (dependency.kind == DependencyKind::kSingleton))
      return invalid(fmt::format("/depends_on/{}", i), "every kind but singleton names a job: afterok:4131");
    if (dependency.kind == DependencyKind::kAfterCorr && spec.array.empty())
      return invalid(fmt::format("/depends_on/{}", i), "aftercorr pairs the tasks of two arrays; this job is no array");
  }
  if (spec.retries < 0 || spec.retries > 1000) return invalid("/retries", fmt::format("{}; give 0 to 1000", spec.retries));
  if (spec.retry_on.size() > 64) return invalid("/retry_on", "more than 64 rules");
  if (!spec.array.empty() && !parse_array_range(spec.array))
    return invalid("/array", fmt::format("'{}' is no range; write 0-99%8, 1,3,7-9 or 0-30:10: indices to {}, at most {} of them",
                                         spec.array.substr(0, 64), kMaxArrayIndex, kMaxArrayTasks));
  if (!spec.array.empty() && spec.unique) return invalid("/unique", "the tasks of an array share one name");
  return {};
}

Result<void> validate_limits(const JobSpec& spec) {
  if (spec.cpus && (*spec.cpus < 1 || *spec.cpus > 100'000)) return invalid("/cpus", fmt::format("{}; give 1 to 100000", *spec.cpus));
  if (spec.mem_mb && (*spec.mem_mb < 1 || *spec.mem_mb > 1'000'000'000))
    return invalid("/mem_mb", fmt::format("{} MiB; give 1 to 1000000000", *spec.mem_mb));
  if (spec.stop_after_s < 1 || spec.stop_after_s > 30 * 86400)
    return invalid("/stop_after_s", fmt::format("{} s; give 1 s to 30 days", spec.stop_after_s));
  if (spec.early_signal && (spec.early_signal->signal < 1 || spec.early_signal->signal > 64))
    return invalid("/early_signal/signal", "give a signal like USR1");
  if (spec.early_signal && (spec.early_signal->before_s < 1 || spec.early_signal->before_s > 366LL * 86400))
    return invalid("/early_signal/before_s", "give 1 s to 366 days before the time limit");
  if (spec.checkpoint_timeout_s < 1 || spec.checkpoint_timeout_s > 86400)
    return invalid("/checkpoint_timeout_s", fmt::format("{} s; give 1 to 86400", spec.checkpoint_timeout_s));
  for (const auto& [field, path] : {std::pair("/stdout_path", &spec.stdout_path), std::pair("/stderr_path", &spec.stderr_path)})
    if (path->size() > 4096 || has_control_characters(*path))
      return invalid(field, "a path has at most 4096 characters, none of them a control character");
  return {};
}

}  // namespace

std::string_view to_string(JobType type) { return type == JobType::kTraining ? "training" : "inference"; }
std::optional<JobType> parse_job_type(std::string_view text) {
  if (text == "training") return JobType::kTraining;
  if (text == "inference") return JobType::kInference;
  return std::nullopt;
}

std::string_view to_string(Share share) { return share == Share::kExclusive ? "exclusive" : "memory"; }
std::optional<Share> parse_share(std::string_view text) {
  if (text == "exclusive") return Share::kExclusive;
  if (text == "memory") return Share::kMemory;
  return std::nullopt;
}

std::string_view to_string(OnPartition on_partition) {
  return on_partition == OnPartition::kContinue ? "continue" : "stop_after";
}
std::optional<OnPartition> parse_on_partition(std::string_view text) {
  if (text == "continue") return OnPartition::kContinue;
  if (text == "stop_after") return OnPartition::kStopAfter;
  return std::nullopt;
}

std::string_view to_string(OpenMode mode) { return mode == OpenMode::kAppend ? "append" : "truncate"; }
std::optional<OpenMode> parse_open_mode(std::string_view text) {
  if (text == "append") return OpenMode::kAppend;
  if (text == "truncate") return OpenMode::kTruncate;
  return std::nullopt;
}

std::string_view to_string(LogPolicy policy) { return policy == LogPolicy::kTruncate ? "truncate" : "block"; }
std::optional<LogPolicy> parse_log_policy(std::string_view text) {
  if (text == "truncate") return LogPolicy::kTruncate;
  if (text == "block") return LogPolicy::kBlock;
  return std::nullopt;
}

std::string_view to_string(JobState state) { return name_of(kStateNames, state); }
std::optional<JobState> parse_job_state(std::string_view text) { return key_of(kStateNames, text); }
std::string_view to_string(ExitCause cause) { return name_of(kCauseNames, cause); }
std::optional<ExitCause> parse_exit_cause(std::string_view text) { return key_of(kCauseNames, text); }

bool is_terminal(JobState state) { return state >= JobState::kCompleted; }
bool holds_gpus(JobState state) { return state >= JobState::kAssigned && state <= JobState::kCompleting; }

JobState terminal_state(const ExitStatus& exit) {
  switch (exit.cause) {
    case ExitCause::kSelf: return exit.exit_code == 0 ? JobState::kCompleted : JobState::kFailed;
    case ExitCause::kUserCancel:
    case ExitCause::kAdminCancel: return JobState::kCancelled;
    case ExitCause::kPreempt:
    case ExitCause::kDrain: return JobState::kPreempted;
    case ExitCause::kDeadline: return JobState::kDeadline;
    case ExitCause::kTimeout: return JobState::kTimeout;
    case ExitCause::kNodeLost:
    case ExitCause::kNodeReboot: return JobState::kNodeFail;
    case ExitCause::kGpuLost: return JobState::kFailed;
    case ExitCause::kLaunch:
    case ExitCause::kDispatchTimeout:
    case ExitCause::kNotStarted: return JobState::kLaunchFailed;
    case ExitCause::kLostExit: return JobState::kLost;
    case ExitCause::kOomHost:
    case ExitCause::kOomGpu: return JobState::kOutOfMemory;
  }
  return JobState::kLost;
}

Result<void> validate(const JobSpec& spec) {
  AETHER_TRY(validate_command(spec));
  AETHER_TRY(validate_env(spec));
  if (spec.name.size() > 128 || has_control_characters(spec.name))
    return invalid("/name", "a name has at most 128 characters, none of them a control character");
  if (spec.gpus < 0 || spec.gpus > 1024) return invalid("/gpus", fmt::format("{} GPUs; give 0 to 1024", spec.gpus));
  if (spec.gpu_mem_mb && (*spec.gpu_mem_mb <= 0 || *spec.gpu_mem_mb > 10'000'000))
    return invalid("/gpu_mem_mb", fmt::format("{} MiB per GPU; give 1 to 10000000", *spec.gpu_mem_mb));
  if (spec.share == Share::kMemory && !spec.gpu_mem_mb)
    return invalid("/gpu_mem_mb", "share=memory needs gpu_mem_mb, the memory to reserve per GPU");
  if (spec.time_limit_s < 0 || spec.time_limit_s > 366LL * 86400)
    return invalid("/time_limit_s", fmt::format("{} s; give 1 s to 366 days", spec.time_limit_s));
  if (spec.priority < 0 || spec.priority > 100)
    return invalid("/priority", fmt::format("{}; give 0 to 100", spec.priority));
  if (spec.grace_s < 0 || spec.grace_s > 86400) return invalid("/grace_s", fmt::format("{} s; give 0 to 86400", spec.grace_s));
  if (!spec.workdir.empty() && spec.workdir[0] != '/')
    return invalid("/workdir", fmt::format("'{}' is not absolute; give a path that starts with /", spec.workdir));
  AETHER_TRY(validate_schedule(spec));
  AETHER_TRY(validate_limits(spec));
  if (spec.labels.size() > 32) return invalid("/labels", "more than 32 labels");
  return {};
}

}  // namespace aether
