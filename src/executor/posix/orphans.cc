// Attempts whose shim is gone: the runner keeps the rest of them in its place.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "base/files.h"
#include "executor/posix/cgroup.h"
#include "executor/posix/posix_runner_impl.h"

namespace aether {
namespace {

using namespace executor;

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

}  // namespace

// What the shim did with the output, from where it stopped. What it had read and not yet stored is lost.
void PosixRunner::Impl::take_over_logs(WatchedAttempt& attempt) {
  const char* streams[] = {"stdout", "stderr"};
  if (attempt.manifest.log_segment_bytes <= 0) return;  // its manifest can't be read
  for (std::size_t i = 0; i < attempt.pipes.size(); ++i) {
    if (attempt.pipes[i] < 0) continue;
    attempt.logs[i] = std::make_unique<LogWriter>(attempt.files.directory() + "/log/" + streams[i],
                                                  attempt.manifest.log_segment_bytes, options_.log_segments);
    attempt.logs[i]->continue_stream();
  }
}

void PosixRunner::Impl::drain_pipes(WatchedAttempt& attempt) {
  static thread_local char buffer[65536];
  for (std::size_t i = 0; i < attempt.pipes.size(); ++i)
    for (int reads = 0; reads < 16 && attempt.pipes[i] >= 0 && attempt.logs[i]; ++reads) {
      const ssize_t got = read(attempt.pipes[i], buffer, sizeof buffer);
      if (got > 0) attempt.logs[i]->append(buffer, static_cast<std::size_t>(got));
      else if (got < 0 && errno == EAGAIN) break;
      else if (got == 0 || errno != EINTR) close(std::exchange(attempt.pipes[i], -1));
    }
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
    drain_pipes(attempt);
    auto record = attempt.files.read_exit().value_or(ExitRecord{});
    record.survivors.clear();
    if (attempt.logs[0]) record.stdout_dropped_bytes += attempt.logs[0]->dropped_bytes();
    if (attempt.logs[1]) record.stderr_dropped_bytes += attempt.logs[1]->dropped_bytes();
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
  if (attempt.kill_at_boot_ms == 0 && note && !is_running(note->pid, note->start_ticks, note->serial)) end_leftovers(attempt, processes);
  if (attempt.kill_at_boot_ms == 0 || now_ms < attempt.kill_at_boot_ms) return;
  for (const auto& process : processes) signal_process(process, SIGKILL);
  if (now_ms < attempt.kill_at_boot_ms + options_.unkillable_after.count()) return;
  attempt.survivors.clear();
  for (const auto& process : processes) attempt.survivors.push_back(process.pid);
}

// A job ends with its main process: what that left behind gets the grace that the shim would have given it. No order to
// stop is recorded, since nobody gave one.
void PosixRunner::Impl::end_leftovers(WatchedAttempt& attempt, const std::vector<ProcessStat>& processes) {
  attempt.kill_at_boot_ms = boot_ms(clock_) + options_.leftover_grace.count();
  if (attempt.report.state == JobState::kSuspended && !attempt.manifest.cgroup.empty())
    write_cgroup(attempt.manifest.cgroup + "/job/cgroup.freeze", "0");
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
  if (attempt.report.state == JobState::kSuspended && !attempt.manifest.cgroup.empty())
    write_cgroup(attempt.manifest.cgroup + "/job/cgroup.freeze", "0");
  for (const int signal : {SIGTERM, SIGCONT})
    for (const auto& process : find_processes(attempt)) signal_process(process, signal);
  change_state(attempt, JobState::kStopping);
}

}  // namespace aether
