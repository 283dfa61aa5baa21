#pragma once
// ProcessRunner over real processes: one aether-shim per attempt keeps the job, this class keeps the journal.
//
// State directory: executor.lock, fences/, tombstones/, jobs/<job>.<n>/ (attempt_files.h), all mode 0700. What the job's
// user sees lies in jobs_root/<job>.<n>/{work,tmp,script}, owned by that user; jobs_root and what is made above it is
// 0711. Destroying the runner leaves running jobs alone; the next one re-adopts them.
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "executor/process_runner.h"

namespace aether {

struct PosixRunnerOptions {
  std::string state_directory;          // one runner at a time
  std::string jobs_root;                // empty: <state>/work; as root <state>-jobs, or below /var/lib/aether-jobs when
                                        // the account may not enter the state directory's parents
  std::string run_as;                   // account name; required as root, never uid 0; empty as an ordinary user
  std::string shim_path;                // empty: aether-shim beside the running program
  bool use_cgroups = true;              // false: process groups and subreaper only
  std::int64_t pids_max = 16384;        // processes and threads of one attempt, where something can limit them
  std::int64_t log_segment_bytes = 16 << 20;
  int log_segments = 8;                 // kept per stream: the first and the newest
  std::chrono::milliseconds leftover_grace{2000};  // SIGTERM to SIGKILL for what the main process leaves behind
  std::chrono::milliseconds unkillable_after{60'000};  // from the first SIGKILL
  std::chrono::hours retention{24 * 7};  // of a forgotten attempt's directories
  // For tests: called after each step of a launch, from any thread ("fence", "manifest", "spawned", "started", "opened").
  std::function<void(std::string_view step)> on_step;
  int shim_version = 0;                 // for tests: another version of the shim's protocol; 0 = the current one
  std::string shim_failpoint;           // for tests: the shim kills itself there (shim.cc, die_at)
};

// Thread-safe. Reports come from the runner's own thread.
class PosixRunner final : public ProcessRunner {
 public:
  // kPermissionDenied or kNotFound name the setting to change; kConflict: another runner has the state directory.
  // The clock must be the system's: its boot time is compared with the kernel's.
  static Result<std::unique_ptr<PosixRunner>> open(PosixRunnerOptions options, const Clock& clock);
  ~PosixRunner() override;

  Result<void> recover(OnReport on_report) override;
  Result<void> launch(const LaunchSpec& spec) override;
  std::vector<Result<void>> launch_all(std::span<const LaunchSpec> specs) override;
  Result<void> stop(const AttemptId& attempt, Epoch epoch, const std::string& reason, std::int64_t grace_s) override;
  Result<void> suspend(const AttemptId& attempt, Epoch epoch) override;
  Result<void> resume(const AttemptId& attempt, Epoch epoch) override;
  Result<void> signal(const AttemptId& attempt, Epoch epoch, int signal) override;
  void renew_lease(const AttemptId& attempt, Duration remaining) override;
  Result<LogChunk> read_log(const AttemptId& attempt, const std::string& stream, std::int64_t offset,
                            std::int64_t limit) override;
  void forget(const AttemptId& attempt) override;
  std::vector<AttemptReport> attempts() const override;
  std::vector<LaunchSpec> running() const override;
  std::vector<int> processes(const AttemptId& attempt) const override;
  std::vector<Unkillable> unkillable() const override;
  std::string exec_mode() const override;
  std::string limits() const override;
  std::string run_as() const override;

 private:
  class Impl;
  explicit PosixRunner(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace aether
