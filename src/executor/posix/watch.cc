// The watching half of PosixRunner: what shims say on their sockets, and attempts whose shim is gone.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <string>

#include <fmt/format.h>

#include "base/files.h"
#include "base/log.h"
#include "executor/posix/cgroup.h"
#include "executor/posix/launcher.h"
#include "executor/posix/posix_runner_impl.h"

namespace aether {
namespace {

using namespace executor;

constexpr const char* kLog = "executor";
constexpr int kBusyPollMs = 100;    // while something can't announce itself: orphans, cgroups on their way out
constexpr int kIdlePollMs = 60'000;

std::int64_t boot_ms(const Clock& clock) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(clock.mono().time_since_epoch()).count();
}

// A process of the attempt carries its names in its environment unless it removed them.
bool carries_names(pid_t pid, const AttemptId& attempt) {
  const auto environment = read_file(fmt::format("/proc/{}/environ", pid));
  if (!environment) return false;
  const std::string text = std::string(1, '\0') + *environment;
  const auto has = [&](const std::string& entry) {
    return text.find('\0' + entry + '\0') != std::string::npos;
  };
  return has("AETHER_JOB_ID=" + attempt.job.str()) && has("AETHER_ATTEMPT=" + std::to_string(attempt.n));
}

// States go forward only; a repeated or late message changes nothing.
int rank_of(JobState state) { return static_cast<int>(state); }

}  // namespace

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
    wait_for_shims();
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    for (auto& [id, attempt] : attempts_) {
      if (attempt.socket >= 0) read_shim(attempt);
      if (attempt.reconnect) connect(attempt);
      if (attempt.orphaned) keep_orphan(attempt);
    }
    remove_ended_cgroups();
  }
}

void PosixRunner::Impl::wait_for_shims() {
  std::vector<pollfd> polled{{wake_fd_, POLLIN, 0}};
  bool busy = false;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [id, attempt] : attempts_) {
      if (attempt.socket >= 0) polled.push_back({attempt.socket, POLLIN, 0});
      busy = busy || attempt.orphaned || attempt.reconnect;
    }
    busy = busy || !ended_cgroups_.empty();
    if (!reports_.empty() || stopping_) return;
  }
  // A socket that forget() closes meanwhile wakes nobody and is gone from the next round.
  poll(polled.data(), polled.size(), busy ? kBusyPollMs : kIdlePollMs);
  std::uint64_t count = 0;
  while (read(wake_fd_, &count, sizeof count) > 0) {
  }
}

void PosixRunner::Impl::read_shim(WatchedAttempt& attempt) {
  char message[kMessageBytes];
  for (;;) {
    const ssize_t got = recv(attempt.socket, message, sizeof message, MSG_DONTWAIT);
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

// "<version> <state> <microseconds of the exec, 0 before it>"
void PosixRunner::Impl::apply_message(WatchedAttempt& attempt, std::string_view text) {
  int version = 0;
  char word[17] = {};
  long long started_us = 0;
  if (std::sscanf(std::string(text).c_str(), "%d %16s %lld", &version, word, &started_us) != 3) return;
  if (started_us > 0) attempt.report.started_at = from_unix_us(started_us);
  const std::string_view state = word;
  if (state == "running") change_state(attempt, JobState::kRunning);
  else if (state == "stopping") change_state(attempt, JobState::kStopping);
  else if (state == "completing") change_state(attempt, JobState::kCompleting);
  else if (state == "ended") settle(attempt);
}

void PosixRunner::Impl::change_state(WatchedAttempt& attempt, JobState state) {
  if (rank_of(state) <= rank_of(attempt.report.state)) return;
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
  log::warn(kLog, "the keeper of an attempt is gone; the agent watches the rest of it", {{"attempt", to_string(attempt.manifest.attempt)}});
  wake();
}

void PosixRunner::Impl::conclude(WatchedAttempt& attempt, ExitRecord record) {
  record.complete = true;
  if (record.ended_us == 0) record.ended_us = to_unix_us(clock_.now());
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
  attempt.launch.reset();
  attempt.files.remove_launch();
  if (!attempt.manifest.cgroup.empty()) ended_cgroups_.push_back(attempt.manifest.cgroup);
  queue_report(report);
}

void PosixRunner::Impl::connect(WatchedAttempt& attempt) {
  attempt.socket = connect_to_shim(attempt.files.directory());
  attempt.reconnect = false;
  if (attempt.socket >= 0) return;
  const auto started = attempt.files.read_started();
  const auto record = attempt.files.read_exit();
  const bool shim_lives = started && is_running(started->shim_pid, started->shim_start_ticks);
  if (shim_lives && !(record && record->complete)) attempt.reconnect = true;
  else settle(attempt);
}

std::vector<ProcessStat> PosixRunner::Impl::find_processes(const WatchedAttempt& attempt) const {
  if (!attempt.manifest.cgroup.empty()) return find_cgroup_members(attempt.manifest.cgroup + "/job");
  const auto note = attempt.files.read_running();
  std::vector<ProcessStat> found;
  for (const auto& process : read_processes()) {
    if (process.zombie() || process.pid == getpid()) continue;
    const bool same_group = note && process.group == note->pid && process.session == note->session &&
                            process.start_ticks >= note->start_ticks;
    if (same_group || carries_names(process.pid, attempt.manifest.attempt)) found.push_back(process);
  }
  return found;
}

// Nobody can wait for these processes any more, so the end is seen by looking and the exit code stays unknown, unless
// the shim noted the end of the main process before it was killed.
void PosixRunner::Impl::keep_orphan(WatchedAttempt& attempt) {
  const auto processes = find_processes(attempt);
  if (processes.empty()) {
    auto record = attempt.files.read_exit().value_or(ExitRecord{});
    if (record.ended_us == 0) {
      const auto stop = attempt.files.read_stop();
      record.cause = stop ? stop->reason : "lost_exit";
      if (attempt.report.started_at) record.started_us = to_unix_us(*attempt.report.started_at);
    } else if (record.step != LaunchStep::kNone) {
      record.cause = "launch";
    }
    conclude(attempt, record);
    return;
  }
  const std::int64_t now_ms = boot_ms(clock_);
  const auto note = attempt.files.read_running();
  // An order that the shim had recorded before it was killed is carried on.
  if (const auto ordered = attempt.files.read_stop(); attempt.kill_at_boot_ms == 0 && ordered)
    stop_orphan(attempt, ordered->reason, attempt.manifest.grace_s * 1000);
  if (attempt.kill_at_boot_ms == 0 && note && note->limit_at_boot_ms > 0 && now_ms >= note->limit_at_boot_ms)
    stop_orphan(attempt, "timeout", attempt.manifest.grace_s * 1000);
  if (attempt.kill_at_boot_ms == 0 && note && !is_running(note->pid, note->start_ticks)) end_leftovers(attempt, processes);
  if (attempt.kill_at_boot_ms == 0 || now_ms < attempt.kill_at_boot_ms) return;
  for (const auto& process : processes) signal_process(process, SIGKILL);
}

// A job ends with its main process: what that left behind gets the grace that the shim would have given it. No order to
// stop is recorded, since nobody gave one.
void PosixRunner::Impl::end_leftovers(WatchedAttempt& attempt, const std::vector<ProcessStat>& processes) {
  attempt.kill_at_boot_ms = boot_ms(clock_) + options_.leftover_grace.count();
  for (const int signal : {SIGTERM, SIGCONT})
    for (const auto& process : processes) signal_process(process, signal);
}

void PosixRunner::Impl::stop_orphan(WatchedAttempt& attempt, const std::string& reason, std::int64_t grace_ms) {
  const std::int64_t kill_at_ms = boot_ms(clock_) + grace_ms;
  if (attempt.kill_at_boot_ms > 0) {
    attempt.kill_at_boot_ms = std::min(attempt.kill_at_boot_ms, kill_at_ms);
    return;
  }
  const auto record = attempt.files.read_exit();
  const bool main_ended = record && record->ended_us > 0;
  if (!attempt.files.read_stop() && !main_ended)
    write_record((attempt.files.directory() + "/stop.json").c_str(),
                 encode_stop_record(reason, grace_ms, to_unix_us(clock_.now())));
  attempt.kill_at_boot_ms = kill_at_ms;
  for (const int signal : {SIGTERM, SIGCONT})
    for (const auto& process : find_processes(attempt)) signal_process(process, signal);
  change_state(attempt, JobState::kStopping);
}

void PosixRunner::Impl::remove_ended_cgroups() {
  std::erase_if(ended_cgroups_, [](const std::string& directory) { return remove_attempt_cgroup(directory); });
}

}  // namespace aether
