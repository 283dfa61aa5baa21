// What is asked of attempts that run: suspension, signals, the lease. The shim does it; where it is gone, or older than
// the order, this side does it by hand.
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "base/log.h"
#include "executor/posix/cgroup.h"
#include "executor/posix/posix_runner_impl.h"

namespace aether {
namespace {

using namespace executor;

constexpr int kMaxFreezeSweeps = 100;
constexpr std::int64_t kMaxLeaseGraceMs = 30'000;  // the orchestrator counts on it before it places a replacement

std::int64_t to_boot_ms(Mono time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

}  // namespace

Result<WatchedAttempt*> PosixRunner::Impl::find_for_order(const AttemptId& id, Epoch epoch) {
  if (!recovered_) return fail(ErrorCode::kUnavailable, "the executor has not recovered yet");
  const auto found = attempts_.find(id);
  if (found != attempts_.end() && epoch < found->second.manifest.epoch)
    return fail(ErrorCode::kConflict, fmt::format("STALE_EPOCH: {} has epoch {}, the order {}", to_string(id),
                                                  found->second.manifest.epoch, epoch));
  if (found == attempts_.end() || is_terminal(found->second.report.state))
    return fail(ErrorCode::kNotFound, fmt::format("{} does not run on this node", to_string(id)));
  if (found->second.report.state == JobState::kStarting)
    return fail(ErrorCode::kUnavailable, fmt::format("{} is not running yet; try again", to_string(id)));
  return &found->second;
}

Result<bool> PosixRunner::Impl::tell_shim(WatchedAttempt& attempt, const std::string& words) {
  const std::string name = to_string(attempt.manifest.attempt);
  const std::string message = fmt::format("{} {}", attempt.shim_version, words);
  if (attempt.socket >= 0 && send(attempt.socket, message.data(), message.size(), MSG_NOSIGNAL) >= 0) return true;
  if (attempt.socket >= 0 && errno == EAGAIN)
    return fail(ErrorCode::kUnavailable, fmt::format("the shim of {} does not take orders now; try again", name));
  if (attempt.reconnect)
    return fail(ErrorCode::kUnavailable, fmt::format("the shim of {} does not answer yet; try again", name));
  settle(attempt);
  return false;
}

Result<void> PosixRunner::Impl::suspend(const AttemptId& id, Epoch epoch) { return pause(id, epoch, true); }
Result<void> PosixRunner::Impl::resume(const AttemptId& id, Epoch epoch) { return pause(id, epoch, false); }

Result<void> PosixRunner::Impl::pause(const AttemptId& id, Epoch epoch, bool stand_still) {
  std::lock_guard lifecycle(lifecycle_mutex_);
  std::lock_guard lock(mutex_);
  const auto found = find_for_order(id, epoch);
  if (!found) return fail(found.error());
  WatchedAttempt& attempt = **found;
  if (attempt.shim_version >= 2 && !attempt.orphaned) {
    const auto told = tell_shim(attempt, stand_still ? "suspend" : "resume");
    if (!told) return fail(told.error());
    if (*told) return {};
  }
  if (attempt.report.state == (stand_still ? JobState::kRunning : JobState::kSuspended)) pause_by_hand(attempt, stand_still);
  return {};
}

void PosixRunner::Impl::pause_by_hand(WatchedAttempt& attempt, bool stand_still) {
  const bool whole = !attempt.manifest.cgroup.empty() &&
                     write_cgroup(attempt.manifest.cgroup + "/job/cgroup.freeze", stand_still ? "1" : "0");
  // What forks while it is being stopped meets the next sweep.
  for (int sweeps = 0, moving = 1; !whole && moving > 0 && sweeps < kMaxFreezeSweeps; ++sweeps) {
    moving = 0;
    for (const auto& process : find_processes(attempt)) {
      if ((process.state == 'T') == stand_still) continue;
      ++moving;
      signal_process(process, stand_still ? SIGSTOP : SIGCONT);
    }
    if (moving > 0) usleep(1000);
  }
  change_state(attempt, stand_still ? JobState::kSuspended : JobState::kRunning);
}

Result<void> PosixRunner::Impl::signal(const AttemptId& id, Epoch epoch, int signal) {
  if (signal <= 0 || signal >= NSIG || signal == SIGKILL || signal == SIGSTOP)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} is no signal for a job (to end it there is cancel, to hold it suspend)", signal));
  std::lock_guard lifecycle(lifecycle_mutex_);
  std::lock_guard lock(mutex_);
  const auto found = find_for_order(id, epoch);
  if (!found) return fail(found.error());
  WatchedAttempt& attempt = **found;
  if (attempt.shim_version >= 2 && !attempt.orphaned) {
    const auto told = tell_shim(attempt, fmt::format("signal {}", signal));
    if (!told) return fail(told.error());
    if (*told) return {};
  }
  for (const auto& process : find_processes(attempt)) signal_process(process, signal);
  return {};
}

void PosixRunner::Impl::renew_lease(const AttemptId& id, Duration remaining) {
  const std::int64_t until_ms = to_boot_ms(clock_.mono() + remaining);
  std::lock_guard lock(mutex_);
  const auto found = attempts_.find(id);
  if (found == attempts_.end() || is_terminal(found->second.report.state)) return;
  WatchedAttempt& attempt = found->second;
  if (attempt.lease_until_boot_ms == 0 || until_ms <= attempt.lease_until_boot_ms) return;
  if (to_boot_ms(clock_.mono()) >= attempt.lease_until_boot_ms) return;  // it has run out
  attempt.lease_until_boot_ms = until_ms;
  tell_lease(attempt);
}

// A lost word is no harm: the next renewal comes soon, and without it the lease only ends sooner.
void PosixRunner::Impl::tell_lease(WatchedAttempt& attempt) {
  if (attempt.lease_until_boot_ms == 0 || attempt.shim_version < 2 || attempt.socket < 0) return;
  const std::string message = fmt::format("{} lease {}", attempt.shim_version, attempt.lease_until_boot_ms);
  if (send(attempt.socket, message.data(), message.size(), MSG_NOSIGNAL) < 0)
    log::debug("executor", "a lease was not renewed", {{"attempt", to_string(attempt.manifest.attempt)}});
}

// For attempts without a shim that could: one that is gone, or older than leases.
void PosixRunner::Impl::keep_lease(WatchedAttempt& attempt) {
  const bool by_shim = !attempt.orphaned && attempt.shim_version >= 2;
  if (by_shim || is_terminal(attempt.report.state) || to_boot_ms(clock_.mono()) < attempt.lease_until_boot_ms) return;
  const std::int64_t grace_ms = std::min(attempt.manifest.grace_s * 1000, kMaxLeaseGraceMs);
  if (attempt.orphaned) {
    attempt.lease_until_boot_ms = 0;
    return stop_orphan(attempt, "node_lost", grace_ms);
  }
  if (const auto told = tell_shim(attempt, fmt::format("stop node_lost {}", grace_ms)); told && *told)
    attempt.lease_until_boot_ms = 0;
}

std::vector<int> PosixRunner::Impl::processes(const AttemptId& id) const {
  std::lock_guard lock(mutex_);
  const auto found = attempts_.find(id);
  if (found == attempts_.end() || is_terminal(found->second.report.state)) return {};
  const WatchedAttempt& attempt = found->second;
  const auto started = attempt.files.read_started();
  const bool has_shim = started && !attempt.orphaned && attempt.manifest.cgroup.empty();
  std::vector<int> pids;
  for (const auto& process : has_shim ? find_descendants(started->shim_pid) : find_processes(attempt))
    pids.push_back(process.pid);
  return pids;
}

std::vector<Unkillable> PosixRunner::Impl::unkillable() const {
  std::lock_guard lock(mutex_);
  std::vector<Unkillable> found;
  for (const auto& [id, attempt] : attempts_) {
    if (attempt.survivors.empty()) continue;
    Unkillable one{id, {}, attempt.survivors};
    for (const auto& gpu : attempt.manifest.gpu_uuids) one.gpu_uuids.emplace_back(gpu);
    found.push_back(std::move(one));
  }
  return found;
}

}  // namespace aether
