// What happens to the job between its start and its end: deadlines, stop orders, suspension, the lease.
#include <fcntl.h>
#include <signal.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "executor/posix/shim/shim.h"

namespace aether::executor {
namespace {

constexpr std::int64_t kKillRepeatMs = 50;
constexpr std::int64_t kUnkillableRepeatMs = 1000;
constexpr std::int64_t kMaxLeaseGraceMs = 30'000;  // the orchestrator counts on it before it places a replacement
constexpr int kMaxFreezeSweeps = 100;

void take_earlier(std::int64_t& next_ms, std::int64_t at_ms) {
  if (at_ms > 0 && (next_ms == 0 || at_ms < next_ms)) next_ms = at_ms;
}

// What is due is due once.
bool is_due(std::int64_t& at_ms, std::int64_t now_ms) {
  if (at_ms == 0 || now_ms < at_ms) return false;
  at_ms = 0;
  return true;
}

}  // namespace

void Shim::arm_deadlines() {
  const std::int64_t now_ms = boot_ms();
  lease_until_ms_ = args_.lease_until_boot_ms;
  if (args_.time_limit_ms <= 0) return;
  limit_at_ms_ = now_ms + args_.time_limit_ms;
  if (args_.early_signal > 0) early_at_ms_ = std::max(now_ms, limit_at_ms_ - args_.early_before_ms);
  // The checkpoint has its time before the limit, which holds; of a short limit it gets the second half.
  if (!args_.checkpoint_argv.empty())
    checkpoint_at_ms_ = limit_at_ms_ - std::min(args_.checkpoint_timeout_ms, args_.time_limit_ms / 2);
}

void Shim::check_deadlines() {
  std::uint64_t expirations = 0;
  while (read(timer_fd_, &expirations, sizeof expirations) > 0) {
  }
  if (phase_ == Phase::kEnded) return;
  const std::int64_t now_ms = boot_ms();
  if (retry_output_at_ms_ > 0 && now_ms >= retry_output_at_ms_) retry_output_at_ms_ = 0;  // read_output() sees to it
  const bool undisturbed = !main_ended_ && stop_reason_.empty();
  if (is_due(lease_until_ms_, now_ms) && undisturbed)
    order_stop("node_lost", std::min(args_.grace_ms, kMaxLeaseGraceMs));
  if (is_due(early_at_ms_, now_ms) && undisturbed) warn_early();
  if (is_due(checkpoint_at_ms_, now_ms) && undisturbed && !suspended_ && checkpoint_pid_ < 0) start_checkpoint(limit_at_ms_);
  if (is_due(limit_at_ms_, now_ms) && !main_ended_ && stop_reason_.empty()) order_stop("timeout", args_.grace_ms);
  if (checkpoint_pid_ > 0 && now_ms >= checkpoint_until_ms_) end_checkpoint();
  if (phase_ == Phase::kTerminating && now_ms >= kill_at_ms_) {
    phase_ = Phase::kKilling;
    killing_since_ms_ = now_ms;
  }
  if (phase_ == Phase::kKilling && now_ms >= kill_at_ms_) keep_killing(now_ms);
  arm_timer();
}

void Shim::arm_timer() {
  std::int64_t next_ms = 0;
  for (const std::int64_t at_ms : {limit_at_ms_, lease_until_ms_, early_at_ms_, checkpoint_at_ms_, retry_output_at_ms_})
    take_earlier(next_ms, at_ms);
  if (checkpoint_pid_ > 0) take_earlier(next_ms, checkpoint_until_ms_);
  if (phase_ == Phase::kTerminating || phase_ == Phase::kKilling) take_earlier(next_ms, kill_at_ms_);
  itimerspec timer{};
  timer.it_value.tv_sec = next_ms / 1000;
  timer.it_value.tv_nsec = (next_ms % 1000) * 1'000'000;
  timerfd_settime(timer_fd_, TFD_TIMER_ABSTIME, &timer, nullptr);  // all zero disarms
}

void Shim::order_stop(const std::string& reason, std::int64_t grace_ms) {
  const bool first_word = stop_reason_.empty();
  if (first_word && reason != "oom_host") reap();  // an end that is already there was the job's own
  if (phase_ == Phase::kEnded) return;
  if (stop_reason_.empty() && !main_ended_) {
    if (!write_record("stop.json", encode_stop_record(reason, grace_ms, time_us())))
      std::fprintf(stderr, "stop.json: %s\n", std::strerror(errno));
    die_at("after_stop_record");
    stop_reason_ = reason;
    // Once, and with time for it: not at the limit, which it had its time before, nor when the node is on its own.
    const bool wanted = grace_ms > 0 && reason != "timeout" && reason != "node_lost" && exit_.checkpoint == CheckpointOutcome::kNone;
    const bool running = phase_ == Phase::kRunning;
    if (running && checkpoint_pid_ > 0) checkpoint_until_ms_ = std::min(checkpoint_until_ms_, boot_ms() + args_.checkpoint_timeout_ms);
    if (running && wanted) {
      thaw();
      start_checkpoint(boot_ms() + args_.checkpoint_timeout_ms);
    }
    if (running && checkpoint_pid_ > 0 && grace_ms > 0 && reason != "timeout" && reason != "node_lost") {
      phase_ = Phase::kCheckpointing;
      kill_at_ms_ = checkpoint_until_ms_ + grace_ms;
      tell_clients();
      arm_timer();
      return;
    }
  }
  // A repeated order can only shorten the time; one that ends before the checkpoint had its time ends that too.
  std::int64_t kill_at_ms = boot_ms() + grace_ms;
  if (phase_ == Phase::kCheckpointing) {
    kill_at_ms_ = std::min(kill_at_ms_, kill_at_ms);
    if (kill_at_ms_ > checkpoint_until_ms_) return arm_timer();
    kill_at_ms = kill_at_ms_;
  }
  if (checkpoint_pid_ > 0) end_checkpoint();
  begin_termination(kill_at_ms);
}

bool Shim::start_checkpoint(std::int64_t until_ms) {
  if (args_.checkpoint_argv.empty()) return false;
  ShimArgs args = args_;
  args.argv = args_.checkpoint_argv;
  args.stdout_path.clear();
  args.stderr_path.clear();
  args.env.push_back("AETHER_MAIN_PID=" + std::to_string(main_pid_));
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  // The write ends that the job has: what the command says belongs to the job's output.
  const auto reopen = [&](int read_end) {
    return read_end < 0 ? -1 : open(("/proc/self/fd/" + std::to_string(read_end)).c_str(), O_WRONLY | O_CLOEXEC);
  };
  int output = reopen(output_.fd), error_output = reopen(error_output_.fd);
  checkpoint_pid_ = fork_child(args, output >= 0 ? output : null, error_output >= 0 ? error_output : null, null, false);
  for (int fd : {output, error_output, null}) close_and_forget(fd);
  exit_.checkpoint = checkpoint_pid_ > 0 ? CheckpointOutcome::kRunning : CheckpointOutcome::kFailed;
  checkpoint_until_ms_ = until_ms;
  return checkpoint_pid_ > 0;
}

void Shim::note_checkpoint_end(int status) {
  checkpoint_pid_ = -1;
  if (exit_.checkpoint == CheckpointOutcome::kRunning) {
    exit_.checkpoint_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    exit_.checkpoint = exit_.checkpoint_status == 0 ? CheckpointOutcome::kDone : CheckpointOutcome::kFailed;
  }
  if (phase_ != Phase::kCheckpointing) return;
  const std::int64_t unused_ms = std::max<std::int64_t>(0, checkpoint_until_ms_ - boot_ms());
  begin_termination(kill_at_ms_ - unused_ms);
}

// Its time is over. The job goes on to its SIGTERM without it.
void Shim::end_checkpoint() {
  if (exit_.checkpoint == CheckpointOutcome::kRunning) exit_.checkpoint = CheckpointOutcome::kTimeout;
  checkpoint_until_ms_ = INT64_MAX;
  // The parent first: a shell whose child was killed would go on with its next command.
  const std::vector<ProcessStat> children = find_descendants(checkpoint_pid_);
  if (const auto process = read_process(checkpoint_pid_)) signal_process(*process, SIGKILL);
  for (const auto& process : children) signal_process(process, SIGKILL);
  if (phase_ == Phase::kCheckpointing) begin_termination(kill_at_ms_);
}

void Shim::begin_termination(std::int64_t kill_at_ms) {
  if (phase_ == Phase::kKilling) return;
  const bool first = phase_ != Phase::kTerminating;
  kill_at_ms_ = first ? kill_at_ms : std::min(kill_at_ms_, kill_at_ms);
  phase_ = Phase::kTerminating;
  if (first) {
    signal_everyone(SIGTERM);
    thaw();
    signal_everyone(SIGCONT);  // a stopped process acts on SIGTERM only when it runs
    tell_clients();
  }
  arm_timer();
}

// Until nothing is left: what forks faster than one sweep meets the next.
void Shim::keep_killing(std::int64_t now_ms) {
  const bool simulated = args_.failpoint == "unkillable" && access("killable", F_OK) != 0;
  if (!simulated) signal_everyone(SIGKILL);
  kill_at_ms_ = now_ms + (unkillable_ ? kUnkillableRepeatMs : kKillRepeatMs);
  reap();
  if (unkillable_ || phase_ == Phase::kEnded || now_ms < killing_since_ms_ + args_.unkillable_after_ms) return;
  unkillable_ = true;
  exit_.survivors.clear();
  for (const auto& process : find_members())
    if (exit_.survivors.size() < 16) exit_.survivors.push_back(process.pid);
  store_exit_record(false, Durability::kPowerSafe);
  tell_clients();
}

void Shim::suspend() {
  if (suspended_ || main_ended_ || phase_ != Phase::kRunning || !stop_reason_.empty()) return;
  suspended_ = true;
  if (args_.job_cgroup.empty() || !write_text(args_.job_cgroup + "/cgroup.freeze", "1")) {
    for (int sweeps = 0, moving = 1; moving > 0 && sweeps < kMaxFreezeSweeps; ++sweeps) {
      moving = 0;
      for (const auto& process : find_members()) {
        if (process.state == 'T' || process.state == 't') continue;
        ++moving;
        signal_process(process, SIGSTOP);
      }
      if (moving > 0) usleep(1000);
    }
  }
  tell_clients();
}

void Shim::resume() {
  if (!suspended_ || phase_ != Phase::kRunning) return;
  thaw();
  tell_clients();
}

void Shim::thaw() {
  if (!suspended_) return;
  suspended_ = false;
  if (args_.job_cgroup.empty() || !write_text(args_.job_cgroup + "/cgroup.freeze", "0")) signal_everyone(SIGCONT);
}

// Only to who listens: it is a word of warning, and the default action of most signals is to end the process.
void Shim::warn_early() {
  exit_.early_signal_reached = 0;
  for (const auto& process : find_members())
    if (catches_signal(process.pid, args_.early_signal) && signal_process(process, args_.early_signal))
      ++exit_.early_signal_reached;
}

// The file is for an agent that finds the job without its keeper; see write_running_note about syncing.
void Shim::renew_lease(std::int64_t until_ms) {
  if (lease_until_ms_ == 0 || until_ms <= lease_until_ms_) return;
  lease_until_ms_ = until_ms;
  char text[32];
  const int size = std::snprintf(text, sizeof text, "%020lld\n", static_cast<long long>(until_ms));
  const int fd = open("lease", O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd >= 0 && pwrite(fd, text, static_cast<std::size_t>(size), 0) != size)
    std::fprintf(stderr, "lease: %s\n", std::strerror(errno));
  if (fd >= 0) close(fd);
  arm_timer();
}

std::vector<ProcessStat> Shim::find_members() const { return find_descendants(getpid()); }

void Shim::signal_everyone(int signal) {
  if (signal == SIGKILL && !args_.job_cgroup.empty()) write_text(args_.job_cgroup + "/cgroup.kill", "1");
  for (const auto& process : find_members()) signal_process(process, signal);
}

}  // namespace aether::executor
