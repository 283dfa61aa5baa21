#pragma once
// Internal to the posix adapter: one class, six files (posix_runner.cc: opening, stopping, logs; launch.cc: starting;
// orders.cc: what is asked of attempts that run; watch.cc: what shims say; orphans.cc: attempts without a shim;
// recovery.cc: what is found at start).
//
// Threads: commands come from any thread and are taken one at a time (lifecycle_mutex_); the watch thread reads sockets
// and reports. Both touch the table under mutex_; it may be held for a sync of one record, never for a spawn or a callback.
#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "executor/posix/attempt_files.h"
#include "executor/posix/identity.h"
#include "executor/posix/job_directory.h"
#include "executor/posix/journal.h"
#include "executor/posix/launcher.h"
#include "executor/posix/limits.h"
#include "executor/posix/posix_runner.h"
#include "executor/posix/process_tree.h"
#include "executor/posix/shim/log_writer.h"
#include "executor/posix/side_by_side.h"

namespace aether {

inline constexpr std::size_t kStartsAtOnce = 16;

// One attempt that has not been forgotten.
struct WatchedAttempt {
  executor::AttemptFiles files;
  executor::Manifest manifest;
  std::optional<LaunchSpec> launch;  // absent when it could not be read again, and after the end
  AttemptReport report;
  int socket = -1;         // to its shim
  bool reconnect = false;  // the shim lives but does not answer yet
  bool orphaned = false;   // the shim is gone without a complete record; the runner keeps the rest in its place
  std::int64_t kill_at_boot_ms = 0;  // orphaned: 0 = not being stopped
  int shim_version = executor::kShimProtocolVersion;
  std::array<int, 2> pipes = {-1, -1};     // copies of the read ends of the job's stdout and stderr
  std::array<std::unique_ptr<executor::LogWriter>, 2> logs = {};  // orphaned: what the shim did before
  std::int64_t lease_until_boot_ms = 0;    // 0 = none
  std::vector<int> survivors = {};         // of SIGKILL, long after it

  void close_pipes();
  void close_descriptors();
};

class PosixRunner::Impl {
 public:
  Impl(PosixRunnerOptions options, const Clock& clock, executor::Account account, executor::Journal journal)
      : options_(std::move(options)), clock_(clock), account_(std::move(account)), journal_(std::move(journal)) {}
  ~Impl();
  Result<void> set_up();

  // posix_runner.cc
  Result<void> launch(const LaunchSpec& spec);
  std::vector<Result<void>> launch_all(std::span<const LaunchSpec> specs);
  Result<void> stop(const AttemptId& attempt, Epoch epoch, const std::string& reason, std::int64_t grace_s);
  Result<LogChunk> read_log(const AttemptId& attempt, const std::string& stream, std::int64_t offset,
                            std::int64_t limit) const;
  void forget(const AttemptId& attempt);
  std::vector<AttemptReport> attempts() const;
  std::vector<LaunchSpec> running() const;
  std::string exec_mode() const { return cgroup_root_.empty() ? "pgrp-only" : "cgroup2-delegated"; }
  std::string limits() const { return limiter_.describe(); }
  std::string run_as() const { return account_.name; }

  // orders.cc
  Result<void> suspend(const AttemptId& attempt, Epoch epoch);
  Result<void> resume(const AttemptId& attempt, Epoch epoch);
  Result<void> signal(const AttemptId& attempt, Epoch epoch, int signal);
  void renew_lease(const AttemptId& attempt, Duration remaining);
  std::vector<int> processes(const AttemptId& attempt) const;
  std::vector<Unkillable> unkillable() const;

  // recovery.cc
  Result<void> recover(OnReport on_report);

 private:
  // posix_runner.cc
  Result<void> take_lock();
  Result<void> bury(const AttemptId& attempt, Epoch epoch, const std::string& reason);
  Result<void> send_stop(const AttemptId& attempt, const std::string& reason, std::int64_t grace_s);
  executor::AttemptFiles files_of(const AttemptId& attempt) const;
  void step(std::string_view name) const;

  // orders.cc
  Result<WatchedAttempt*> find_for_order(const AttemptId& attempt, Epoch epoch);
  // False when the shim is gone for good; the caller acts in its place if the attempt is orphaned now.
  Result<bool> tell_shim(WatchedAttempt& attempt, const std::string& words);
  Result<void> pause(const AttemptId& attempt, Epoch epoch, bool stand_still);
  void pause_by_hand(WatchedAttempt& attempt, bool stand_still);
  void tell_lease(WatchedAttempt& attempt);
  void keep_lease(WatchedAttempt& attempt);

  // launch.cc
  Result<bool> repeat_known(const LaunchSpec& spec);
  Result<void> check_epochs(const LaunchSpec& spec) const;
  struct Intent {
    executor::AttemptFiles files;
    executor::Manifest manifest;
    executor::JobDirectory directory;
    Result<void> durable = {};
  };
  void launch_batch(std::span<const LaunchSpec> specs, std::vector<Result<void>>& results);
  Result<std::optional<Intent>> prepare(const LaunchSpec& spec);
  Result<Intent> lay_out(const LaunchSpec& spec);
  void discard(const Intent& intent) const;
  void accept(const LaunchSpec& spec, const Intent& intent);
  executor::Manifest make_manifest(const LaunchSpec& spec, const executor::JobDirectory& directory) const;
  executor::ShimArgs make_shim_args(const LaunchSpec& spec, const executor::Manifest& manifest,
                                    const executor::JobDirectory& directory,
                                    const executor::AppliedLimits& limits) const;
  void remove_cgroups(const executor::Manifest& manifest);
  void start(const AttemptId& attempt);

  // watch.cc
  void watch();
  std::set<int> wait_for_shims();
  void read_shim(WatchedAttempt& attempt);
  void apply_message(WatchedAttempt& attempt, std::string_view message);
  void settle(WatchedAttempt& attempt);
  void conclude(WatchedAttempt& attempt, executor::ExitRecord record);
  void report_end(WatchedAttempt& attempt, const executor::ExitRecord& record);
  void change_state(WatchedAttempt& attempt, JobState state);
  void connect(WatchedAttempt& attempt);
  void note_unkillable(WatchedAttempt& attempt);
  void remove_ended_cgroups();
  void queue_report(const AttemptReport& report);
  void send_reports();
  void wake() const;

  // orphans.cc
  void keep_orphan(WatchedAttempt& attempt);
  void end_leftovers(WatchedAttempt& attempt, const std::vector<executor::ProcessStat>& processes);
  void stop_orphan(WatchedAttempt& attempt, const std::string& reason, std::int64_t grace_ms);
  std::vector<executor::ProcessStat> find_processes(const WatchedAttempt& attempt) const;
  void take_over_logs(WatchedAttempt& attempt);
  void drain_pipes(WatchedAttempt& attempt);

  // recovery.cc
  void recover_attempt(const std::string& name);
  void recover_unreadable(const AttemptId& attempt, const Error& error);
  void adopt(WatchedAttempt& attempt);
  void conclude_other_boot(WatchedAttempt& attempt);
  void recover_tombstones();
  void report_stray_cgroups() const;
  void apply_retention();

  const PosixRunnerOptions options_;
  const Clock& clock_;
  const executor::Account account_;
  executor::Journal journal_;
  executor::Limiter limiter_;
  std::string boot_id_, jobs_directory_, jobs_root_, cgroup_root_;
  std::unique_ptr<executor::ShimZygote> zygote_;
  executor::SideBySide side_by_side_{kStartsAtOnce};  // under lifecycle_mutex_
  int lock_fd_ = -1, wake_fd_ = -1;
  OnReport on_report_;
  std::thread thread_;

  std::mutex lifecycle_mutex_;
  mutable std::mutex mutex_;
  bool recovered_ = false, stopping_ = false;
  std::map<AttemptId, WatchedAttempt> attempts_;
  std::map<AttemptId, AttemptReport> buried_;  // reports of tombstones
  std::vector<AttemptReport> reports_;         // to be sent by the watch thread
  std::vector<std::string> ended_cgroups_;
  std::set<std::string> attempt_names_;        // directories of attempts, forgotten ones too; under lifecycle_mutex_
};

}  // namespace aether
