#pragma once
// The durable files of one attempt, as the runner sees them. Formats: shim_protocol.h and attempt_files.cc.
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "executor/posix/shim_protocol.h"
#include "executor/process_runner.h"
#include "model/job.h"

namespace aether::executor {

struct Manifest {
  AttemptId attempt;
  Epoch epoch = 0;
  std::int64_t job_number = 0;
  std::string user;
  std::string boot_id;
  std::int64_t created_us = 0;
  std::vector<std::string> argv;
  std::string cwd;
  std::vector<std::string> gpu_uuids;
  std::int64_t time_limit_s = 0;
  std::int64_t grace_s = 0;
  std::int64_t log_segment_bytes = 0;
  std::string cgroup;         // directory with the leaves shim and job; empty = none
  std::string job_directory;  // what the job's user owns: work, tmp, script
  // Since version 2.
  int shim_version = 1;
  std::int64_t lease_until_boot_ms = 0;  // the first one, of on_partition = stop_after; 0 = it runs on without the orchestrator
  std::string stdout_path, stderr_path;
  std::vector<std::string> limit_cgroups;  // directories of cgroup v1 controllers
  // Since version 3.
  std::vector<int> gpu_slots;  // one per GPU; empty = all of each
};

struct Started {
  pid_t shim_pid = 0;
  std::uint64_t shim_start_ticks = 0;
  std::uint64_t shim_serial = 0;  // 0 = not known
};

// The shim's note of the main process; there from before the exec until the complete exit record.
struct RunningNote {
  pid_t pid = 0;
  std::uint64_t start_ticks = 0;
  pid_t session = 0;
  std::int64_t limit_at_boot_ms = 0;
  std::uint64_t serial = 0;  // 0 = not known
};

struct StopRecord {
  std::string reason;
};

class AttemptFiles {
 public:
  explicit AttemptFiles(std::string directory) : directory_(std::move(directory)) {}
  const std::string& directory() const { return directory_; }

  // The directory with the argument file, the launch and the preallocated records; then the manifest, synced, which makes
  // the intent durable. On an error nothing counts and the caller removes the directory.
  Result<void> create(const Manifest& manifest, const ShimArgs& args, const LaunchSpec& launch) const;
  // The two halves of create().
  Result<void> lay_out(const ShimArgs& args, const LaunchSpec& launch) const;
  Result<void> write_manifest(const Manifest& manifest) const;
  Result<void> write_started(const Started& started) const;
  Result<void> write_forgotten() const;
  // The launch carries the user's variables, which nobody needs after the end.
  void clear_launch() const;

  bool has_manifest() const;
  bool is_forgotten() const;
  // kCorrupt: it is there and makes no sense. kNotFound: the intent was never made durable.
  Result<Manifest> read_manifest() const;
  // Records are absent while their preallocated space is blank.
  std::optional<LaunchSpec> read_launch(const Manifest& manifest) const;
  std::optional<Started> read_started() const;
  std::optional<RunningNote> read_running() const;
  std::optional<StopRecord> read_stop() const;
  std::optional<ExitRecord> read_exit() const;
  // CLOCK_BOOTTIME in ms; 0 when it was never renewed.
  std::int64_t read_lease() const;

 private:
  std::string path(const char* name) const { return directory_ + "/" + name; }
  const std::string directory_;
};

// For people and the API: what the record means.
ExitStatus exit_status_of(const ExitRecord& record, const Manifest& manifest);

// May this id, which came from the network, become a path?
bool is_attempt_name(const AttemptId& attempt);
// "<job>.<n>", the name of the directory.
std::optional<AttemptId> parse_attempt_name(const std::string& name);

}  // namespace aether::executor
