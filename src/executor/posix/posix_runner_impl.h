#pragma once
// Internal to the posix adapter: one class, four files (posix_runner.cc: opening, stopping, logs; launch.cc: starting; watch.cc:
// what shims and /proc tell; recovery.cc: what is found at start).
//
// Threads: commands come from any thread and are taken one at a time (lifecycle_mutex_); the watch thread reads sockets
// and reports. Both touch the table under mutex_; it may be held for a sync of one record, never for a spawn or a callback.
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "executor/posix/attempt_files.h"
#include "executor/posix/identity.h"
#include "executor/posix/job_directory.h"
#include "executor/posix/journal.h"
#include "executor/posix/posix_runner.h"
#include "executor/posix/process_tree.h"

namespace aether {

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
};

class PosixRunner::Impl {
 public:
  Impl(PosixRunnerOptions options, const Clock& clock, executor::Account account, executor::Journal journal)
      : options_(std::move(options)), clock_(clock), account_(std::move(account)), journal_(std::move(journal)) {}
  ~Impl();
  Result<void> set_up();

  // posix_runner.cc
  Result<void> launch(const LaunchSpec& spec);
  Result<void> stop(const AttemptId& attempt, Epoch epoch, const std::string& reason, std::int64_t grace_s);
  Result<LogChunk> read_log(const AttemptId& attempt, const std::string& stream, std::int64_t offset,
                            std::int64_t limit) const;
  void forget(const AttemptId& attempt);
  std::vector<AttemptReport> attempts() const;
  std::vector<LaunchSpec> running() const;
  std::string exec_mode() const { return cgroup_root_.empty() ? "pgrp-only" : "cgroup2-delegated"; }
  std::string run_as() const { return account_.name; }

  // recovery.cc
  Result<void> recover(OnReport on_report);

 private:
  // posix_runner.cc
  Result<void> take_lock();
  Result<void> bury(const AttemptId& attempt, Epoch epoch, const std::string& reason);
  Result<void> send_stop(const AttemptId& attempt, const std::string& reason, std::int64_t grace_s);
  executor::AttemptFiles files_of(const AttemptId& attempt) const;
  void step(std::string_view name) const;

  // launch.cc
  Result<bool> repeat_known(const LaunchSpec& spec);
  Result<void> check_epochs(const LaunchSpec& spec) const;
  Result<void> write_intent(const LaunchSpec& spec);
  executor::Manifest make_manifest(const LaunchSpec& spec, const executor::JobDirectory& directory) const;
  executor::ShimArgs make_shim_args(const LaunchSpec& spec, const executor::Manifest& manifest,
                                    const executor::JobDirectory& directory) const;
  void start(const AttemptId& attempt);

  // watch.cc
  void watch();
  void wait_for_shims();
  void read_shim(WatchedAttempt& attempt);
  void apply_message(WatchedAttempt& attempt, std::string_view message);
  void settle(WatchedAttempt& attempt);
  void conclude(WatchedAttempt& attempt, executor::ExitRecord record);
  void report_end(WatchedAttempt& attempt, const executor::ExitRecord& record);
  void change_state(WatchedAttempt& attempt, JobState state);
  void keep_orphan(WatchedAttempt& attempt);
  void end_leftovers(WatchedAttempt& attempt, const std::vector<executor::ProcessStat>& processes);
  void stop_orphan(WatchedAttempt& attempt, const std::string& reason, std::int64_t grace_ms);
  std::vector<executor::ProcessStat> find_processes(const WatchedAttempt& attempt) const;
  void connect(WatchedAttempt& attempt);
  void remove_ended_cgroups();
  void queue_report(const AttemptReport& report);
  void send_reports();
  void wake() const;

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
  std::string boot_id_, jobs_directory_, jobs_root_, cgroup_root_, shim_path_;
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
};

}  // namespace aether
