#pragma once
// Everything the runner and aether-shim tell each other: the argument file, the records in the attempt's directory and
// the words on the socket. The shim is a static program without a JSON parser, so what it reads is a list of
// fields and what it writes are fixed records of numbers and plain words.
//
// A shim outlives upgrades of the agent, so an agent supports this version and the one before, and a shim speaks the
// version that its argument file carries.
//   1: the shim tells "1 <state> <started_us>"; it obeys "1 stop <reason> <grace_ms>".
//   2: it tells "2 <state> <started_us>" with two more states, suspended and unkillable, and hands over the read ends of
//      the job's pipes with "2 pipes 0"; it obeys also "2 suspend", "2 resume", "2 signal <number>" and
//      "2 lease <CLOCK_BOOTTIME in ms>".
//
// Directory of an attempt: shim.args, manifest.json, started.json, running (the shim's note of the main process),
// stop.json and exit.json (preallocated as started.json is, written in place), lease (its newest deadline), shim.sock, shim.log,
// log/{stdout,stderr}.<segment>, log/gaps.{stdout,stderr} (preallocated).
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace aether::executor {

// The tests build the program of the version before from these sources, and let it be adopted.
#ifndef AETHER_SHIM_PROTOCOL
#define AETHER_SHIM_PROTOCOL 2
#endif
inline constexpr int kShimProtocolVersion = AETHER_SHIM_PROTOCOL;
inline constexpr int kOldestShimProtocolVersion = 1;
inline constexpr int kGateDescriptor = 3;   // the shim reads one byte 'g' here before it executes anything
inline constexpr int kReadyDescriptor = 4;  // the shim writes its pid here once its socket listens
inline constexpr int kExitStatusGateClosed = 125;
inline constexpr std::size_t kRecordBytes = 4096;  // of started.json, stop.json and exit.json, one block
inline constexpr std::size_t kMessageBytes = 256;  // of a socket message

// A limit that the child takes before its exec; both the soft and the hard one.
struct ResourceLimit {
  int resource = 0;  // RLIMIT_...
  std::uint64_t value = 0;
};

struct ShimArgs {
  int version = kShimProtocolVersion;
  std::string attempt;
  bool change_identity = false;  // false: the shim already is the job's user
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
  unsigned umask = 022;
  std::string cwd;
  std::vector<std::string> argv;
  std::vector<std::string> env;  // NAME=value; PATH is the one that argv[0] is looked up in
  std::int64_t time_limit_ms = 0;  // 0 = none
  std::int64_t grace_ms = 0;       // after the time limit
  std::int64_t leftover_grace_ms = 0;  // for what the main process leaves behind
  std::int64_t log_segment_bytes = 16 << 20;
  int log_segments = 8;          // per stream: the first and the newest
  bool log_block = false;        // nothing is dropped: the job waits when its room is used up
  std::int64_t lease_until_boot_ms = 0;  // 0 = none
  int early_signal = 0;
  std::int64_t early_before_ms = 0;
  std::vector<std::string> checkpoint_argv;
  std::int64_t checkpoint_timeout_ms = 0;
  std::int64_t unkillable_after_ms = 60'000;
  std::string stdout_path, stderr_path;  // opened by the child with the job's rights
  bool append_output = true;
  std::vector<ResourceLimit> resource_limits;
  std::vector<std::string> limit_cgroups;  // of cgroup v1 controllers; the child enters them besides job_cgroup
  std::string oom_events;        // a file with an "oom_kill <count>" line
  std::string shim_cgroup;       // directories of the attempt's cgroup leaves; empty = no cgroup
  std::string job_cgroup;
  std::string failpoint;         // tests: the shim kills itself here
};

// NUL-terminated fields, "end" last, so that a torn file is told from a whole one.
std::string encode_shim_args(const ShimArgs& args);
std::optional<ShimArgs> decode_shim_args(std::string_view text);

// Where the way from the fork to the exec failed. The names are part of the exit record.
enum class LaunchStep { kNone, kShim, kGate, kFork, kSession, kCgroup, kDescriptors, kSetgroups, kSetresgid, kSetresuid,
                        kVerifyIdentity, kNoNewPrivileges, kChdir, kExec, kResourceLimits, kOutputFile };
std::string_view to_string(LaunchStep step);

// How the checkpoint command went.
enum class CheckpointOutcome { kNone, kRunning, kDone, kFailed, kTimeout };
std::string_view to_string(CheckpointOutcome outcome);

// exit.json. `complete` is false from the end of the main process until the last process of the attempt is reaped.
struct ExitRecord {
  bool complete = false;
  std::optional<int> exit_code;
  std::optional<int> signal;
  bool core_dumped = false;
  std::string cause = "self";    // an ExitCause name
  LaunchStep step = LaunchStep::kNone;
  int error = 0;                 // errno of `step`
  std::int64_t started_us = 0;   // wall clock; 0 = never executed
  std::int64_t ended_us = 0;
  std::uint64_t stdout_dropped_bytes = 0;
  std::uint64_t stderr_dropped_bytes = 0;
  CheckpointOutcome checkpoint = CheckpointOutcome::kNone;
  int checkpoint_status = 0;     // exit code, or 128 + signal, of kFailed
  int early_signal_reached = -1; // processes; -1 = none was sent
  std::vector<pid_t> survivors;  // incomplete record: processes that SIGKILL did not end; at most 16
};

// The text of a record, padded to kRecordBytes.
std::string encode_exit_record(const ExitRecord& record);
// What the agent tells the shim: version, verb and up to two arguments. Nothing when it is no such message.
struct ShimOrder {
  int version = 0;
  std::string verb;
  std::string word;        // of stop
  std::int64_t number = 0; // grace_ms, signal or deadline
};
std::optional<ShimOrder> decode_order(std::string_view message);
// What the shim tells the agent.
struct ShimState {
  int version = 0;
  std::string word;
  std::int64_t started_us = 0;
};
std::optional<ShimState> decode_state(std::string_view message);

std::string encode_stop_record(std::string_view reason, std::int64_t grace_ms, std::int64_t time_us);
// A word that may travel as a reason: [a-z_]{1,32}.
bool is_plain_word(std::string_view text);

// kCrashSafe: in the page cache, which outlives every process but not the machine. For what another boot has no use for.
enum class Durability { kPowerSafe, kCrashSafe };
// Overwrites a preallocated record, or makes it. False with errno set.
bool write_record(const char* path, std::string_view record, Durability durability = Durability::kPowerSafe);

}  // namespace aether::executor
