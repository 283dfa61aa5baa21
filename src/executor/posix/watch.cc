// The watching half of PosixRunner: what shims say on their sockets.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "base/log.h"
#include "executor/posix/cgroup.h"
#include "executor/posix/descriptor_message.h"
#include "executor/posix/launcher.h"
#include "executor/posix/posix_runner_impl.h"

namespace aether {
namespace {

using namespace executor;

constexpr const char* kLog = "executor";
constexpr int kBusyPollMs = 100;    // while something can't announce itself: orphans, cgroups on their way out
constexpr int kIdlePollMs = 60'000;

// States go forward only; a repeated or late message changes nothing.
int rank_of(JobState state) { return static_cast<int>(state); }

}  // namespace

void WatchedAttempt::close_pipes() {
  for (int& pipe : pipes)
    if (pipe >= 0) close(std::exchange(pipe, -1));
  for (auto& log : logs) log.reset();
}

void WatchedAttempt::close_descriptors() {
  if (socket >= 0) close(std::exchange(socket, -1));
  close_pipes();
}

void PosixRunner::Impl::wake() const {
  const std::uint64_t one = 1;
  if (wake_fd_ >= 0 && write(wake_fd_, &one, sizeof one) < 0) return;  // full: the thread is awake anyway
}

void PosixRunner::Impl::queue_report(const AttemptReport& report) {
  reports_.push_back(report);
  wake();
}

void PosixRunner::Impl::send_reports() {
  std::vector<AttemptReport> reports;
  {
    std::lock_guard lock(mutex_);
    reports.swap(reports_);
  }
  for (const auto& report : reports) on_report_(report);
}

void PosixRunner::Impl::watch() {
  for (;;) {
    send_reports();
    const std::set<int> ready = wait_for_shims();
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    for (auto& [id, attempt] : attempts_) {
      if (ready.contains(attempt.socket)) read_shim(attempt);
      if (attempt.reconnect) connect(attempt);
      if (attempt.lease_until_boot_ms > 0) keep_lease(attempt);
      if (attempt.orphaned) drain_pipes(attempt);
      if (attempt.orphaned) keep_orphan(attempt);
    }
    remove_ended_cgroups();
  }
}

// The sockets with something to read. One that was closed meanwhile, and perhaps opened anew, is read in vain.
std::set<int> PosixRunner::Impl::wait_for_shims() {
  std::vector<pollfd> polled{{wake_fd_, POLLIN, 0}};
  bool busy = false;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [id, attempt] : attempts_) {
      if (attempt.socket >= 0) polled.push_back({attempt.socket, POLLIN, 0});
      if (attempt.orphaned)
        for (std::size_t i = 0; i < attempt.pipes.size(); ++i)
          if (attempt.logs[i]) polled.push_back({attempt.pipes[i], POLLIN, 0});  // poll ignores negative descriptors
      const bool lease_is_ours = attempt.lease_until_boot_ms > 0 && attempt.shim_version < 2;
      busy = busy || attempt.orphaned || attempt.reconnect || lease_is_ours;
    }
    busy = busy || !ended_cgroups_.empty();
    if (!reports_.empty() || stopping_) return {};
  }
  // A socket that forget() closes meanwhile wakes nobody and is gone from the next round.
  poll(polled.data(), polled.size(), busy ? kBusyPollMs : kIdlePollMs);
  std::uint64_t count = 0;
  while (read(wake_fd_, &count, sizeof count) > 0) {
  }
  std::set<int> ready;
  for (const pollfd& one : polled)
    if (one.fd >= 0 && one.revents != 0) ready.insert(one.fd);
  return ready;
}

void PosixRunner::Impl::read_shim(WatchedAttempt& attempt) {
  char message[kMessageBytes];
  for (;;) {
    std::array<int, 2> descriptors = {-1, -1};
    const ssize_t got = receive_with_descriptors(attempt.socket, message, sizeof message, descriptors, MSG_DONTWAIT);
    if (descriptors[0] >= 0) {
      std::swap(attempt.pipes, descriptors);
      for (const int old : descriptors)
        if (old >= 0) close(old);
    }
    if (got > 0) {
      apply_message(attempt, {message, static_cast<std::size_t>(got)});
      continue;
    }
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    close(attempt.socket);
    attempt.socket = -1;
    settle(attempt);
    return;
  }
}

void PosixRunner::Impl::apply_message(WatchedAttempt& attempt, std::string_view text) {
  const auto message = decode_state(text);
  if (!message || is_terminal(attempt.report.state)) return;
  attempt.shim_version = message->version;
  if (message->started_us > 0) attempt.report.started_at = from_unix_us(message->started_us);
  const std::string& state = message->word;
  if (state == "running") change_state(attempt, JobState::kRunning);
  else if (state == "suspended") change_state(attempt, JobState::kSuspended);
  else if (state == "unkillable") note_unkillable(attempt);
  else if (state == "stopping") change_state(attempt, JobState::kStopping);
  else if (state == "completing") change_state(attempt, JobState::kCompleting);
  else if (state == "ended") settle(attempt);
}

void PosixRunner::Impl::change_state(WatchedAttempt& attempt, JobState state) {
  const bool resumed = state == JobState::kRunning && attempt.report.state == JobState::kSuspended;
  if (rank_of(state) <= rank_of(attempt.report.state) && !resumed) return;
  attempt.report.state = state;
  queue_report(attempt.report);
}

// The shim has ended, or says so. A complete record decides; without one the shim was killed.
void PosixRunner::Impl::settle(WatchedAttempt& attempt) {
  if (is_terminal(attempt.report.state)) return;
  const auto record = attempt.files.read_exit();
  if (record && record->complete) {
    report_end(attempt, *record);
    return;
  }
  if (attempt.socket >= 0 || attempt.orphaned) return;
  attempt.orphaned = true;
  take_over_logs(attempt);
  log::warn(kLog, "the keeper of an attempt is gone; the agent watches the rest of it", {{"attempt", to_string(attempt.manifest.attempt)}});
  wake();
}

void PosixRunner::Impl::conclude(WatchedAttempt& attempt, ExitRecord record) {
  record.complete = true;
  // A clock that was set back makes nobody end before the start.
  if (record.ended_us == 0) record.ended_us = std::max(record.started_us, to_unix_us(clock_.now()));
  if (!write_record((attempt.files.directory() + "/exit.json").c_str(), encode_exit_record(record)))
    log::error(kLog, "an exit record could not be written", {{"attempt", to_string(attempt.manifest.attempt)}});
  report_end(attempt, record);
}

void PosixRunner::Impl::report_end(WatchedAttempt& attempt, const ExitRecord& record) {
  AttemptReport& report = attempt.report;
  report.exit = exit_status_of(record, attempt.manifest);
  report.state = terminal_state(*report.exit);
  report.ended_at = from_unix_us(record.ended_us);
  if (record.started_us > 0) report.started_at = from_unix_us(record.started_us);
  attempt.orphaned = attempt.reconnect = false;
  attempt.survivors.clear();
  attempt.close_pipes();
  attempt.launch.reset();
  attempt.files.clear_launch();
  remove_cgroups(attempt.manifest);
  queue_report(report);
}

void PosixRunner::Impl::connect(WatchedAttempt& attempt) {
  attempt.socket = connect_to_shim(attempt.files.directory());
  attempt.reconnect = false;
  if (attempt.socket >= 0) return tell_lease(attempt);
  const auto started = attempt.files.read_started();
  const auto record = attempt.files.read_exit();
  const bool shim_lives = started && is_running(started->shim_pid, started->shim_start_ticks, started->shim_serial);
  if (shim_lives && !(record && record->complete)) attempt.reconnect = true;
  else settle(attempt);
}

void PosixRunner::Impl::note_unkillable(WatchedAttempt& attempt) {
  const auto record = attempt.files.read_exit();
  attempt.survivors.assign(record ? record->survivors.begin() : std::vector<pid_t>::const_iterator{},
                           record ? record->survivors.end() : std::vector<pid_t>::const_iterator{});
  if (attempt.survivors.empty()) attempt.survivors.push_back(0);
  log::error(kLog, "processes of an attempt outlive SIGKILL; its GPUs stay occupied",
             {{"attempt", to_string(attempt.manifest.attempt)}});
  change_state(attempt, record && record->ended_us > 0 ? JobState::kCompleting : JobState::kStopping);
}

// As soon as nothing is left in them.
void PosixRunner::Impl::remove_cgroups(const Manifest& manifest) {
  if (!manifest.cgroup.empty()) ended_cgroups_.push_back(manifest.cgroup);
  ended_cgroups_.insert(ended_cgroups_.end(), manifest.limit_cgroups.begin(), manifest.limit_cgroups.end());
}

void PosixRunner::Impl::remove_ended_cgroups() {
  std::erase_if(ended_cgroups_, [](const std::string& directory) { return remove_attempt_cgroup(directory); });
}

}  // namespace aether
