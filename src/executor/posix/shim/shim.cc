#include "executor/posix/shim/shim.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "executor/posix/process_tree.h"
#include "executor/posix/shim/child.h"

namespace aether::executor {
namespace {

constexpr std::int64_t kKillRepeatMs = 50;

std::int64_t boot_ms() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1'000'000;
}

void close_and_forget(int& fd) {
  if (fd >= 0) close(fd);
  fd = -1;
}

bool write_text(const std::string& path, std::string_view text) {
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool ok = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  close(fd);
  return ok;
}

// Not synced: it matters only while this boot lasts, and the page cache lasts as long.
bool write_running_note(pid_t pid, std::uint64_t start_ticks, pid_t session, std::int64_t limit_at_ms) {
  char text[256];
  const int size = std::snprintf(text, sizeof text,
                                 "{\"pid\":%d,\"start_ticks\":%llu,\"session\":%d,\"limit_at_boot_ms\":%lld}\n",
                                 static_cast<int>(pid), static_cast<unsigned long long>(start_ticks),
                                 static_cast<int>(session), static_cast<long long>(limit_at_ms));
  const int fd = open("running.tmp", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  const bool written = write(fd, text, static_cast<std::size_t>(size)) == size;
  close(fd);
  return written && rename("running.tmp", "running") == 0;
}

struct Pipe {
  int read_end = -1, write_end = -1;
  bool open_it() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return false;
    read_end = ends[0];
    write_end = ends[1];
    return true;
  }
};

}  // namespace

std::int64_t wall_clock_us() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1000;
}

Shim::Shim(ShimArgs args, int listener) : args_(std::move(args)), listener_(listener) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);  // a stray SIGTERM to the shim must not end the job
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  signal_fd_ = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
  timer_fd_ = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
  output_.log = std::make_unique<LogWriter>("log/stdout", args_.log_segment_bytes, args_.log_segments);
  error_output_.log = std::make_unique<LogWriter>("log/stderr", args_.log_segment_bytes, args_.log_segments);
}

Shim::~Shim() {
  for (int& client : clients_) close_and_forget(client);
  for (int* fd : {&signal_fd_, &timer_fd_, &error_channel_, &output_.fd, &error_output_.fd}) close_and_forget(*fd);
}

void Shim::die_at(std::string_view step) const {
  if (args_.failpoint != step) return;
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

int Shim::run() {
  if (start_job()) {
    arm_timer();
    while (phase_ != Phase::kEnded) wait_for_something();
  }
  finish();
  return 0;
}

bool Shim::start_job() {
  die_at("before_fork");
  Pipe out, err, channel, barrier;
  const int null_input = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null_input < 0 || !out.open_it() || !err.open_it() || !channel.open_it() || !barrier.open_it()) {
    fail_launch(LaunchStep::kDescriptors, errno);
    return false;
  }
  const pid_t child = fork();
  if (child < 0) {
    fail_launch(LaunchStep::kFork, errno);
    return false;
  }
  if (child == 0) {
    close(barrier.write_end);  // so that the death of the shim is end-of-file here
    run_child(args_, {null_input, out.write_end, err.write_end, channel.write_end, barrier.read_end});
  }
  main_pid_ = child;
  for (const int fd : {null_input, out.write_end, err.write_end, channel.write_end, barrier.read_end}) close(fd);
  for (const int fd : {out.read_end, err.read_end, channel.read_end}) fcntl(fd, F_SETFL, O_NONBLOCK);
  output_.fd = out.read_end;
  error_output_.fd = err.read_end;
  error_channel_ = channel.read_end;
  if (prepare_child(child)) {
    die_at("before_release");
    if (write(barrier.write_end, "g", 1) != 1) exit_.error = errno;  // the child is gone; reaping says how
  }
  close(barrier.write_end);
  die_at("after_release");
  return true;
}

// Everything that must be true before the job may execute: it is on record, and in its cgroup.
bool Shim::prepare_child(pid_t child) {
  if (args_.time_limit_ms > 0) limit_at_ms_ = boot_ms() + args_.time_limit_ms;
  const auto process = read_process(child);
  if (!process || !write_running_note(child, process->start_ticks, process->session, limit_at_ms_)) {
    exit_.step = LaunchStep::kFork;
    exit_.error = errno;
    return false;
  }
  if (args_.job_cgroup.empty()) return true;
  if (write_text(args_.job_cgroup + "/cgroup.procs", std::to_string(child))) return true;
  exit_.step = LaunchStep::kCgroup;
  exit_.error = errno;
  return false;
}

void Shim::fail_launch(LaunchStep step, int error) {
  exit_.step = step;
  exit_.error = error;
}

void Shim::reap() {
  signalfd_siginfo info;
  while (read(signal_fd_, &info, sizeof info) > 0) {
  }
  for (;;) {
    int status = 0;
    const pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid == main_pid_) {
      note_main_end(status);
    } else if (pid < 0 && errno == ECHILD) {
      // As subreaper the shim inherits every orphan, so "no child" means that no process of the attempt is left.
      phase_ = Phase::kEnded;
      return;
    } else if (pid <= 0) {
      break;
    }
  }
  if (main_ended_ && phase_ <= Phase::kRunning) begin_termination(args_.leftover_grace_ms);
}

void Shim::note_main_end(int status) {
  read_error_channel();  // a failed launch says why before it ends
  main_ended_ = true;
  exit_.ended_us = wall_clock_us();
  if (WIFEXITED(status)) exit_.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) {
    exit_.signal = WTERMSIG(status);
    exit_.core_dumped = WCOREDUMP(status);
  }
  if (!stop_reason_.empty()) exit_.cause = stop_reason_;
  die_at("before_exit_record");
  store_exit_record(false);
  die_at("after_exit_record");
  tell_clients();
}

void Shim::order_stop(const std::string& reason, std::int64_t grace_ms) {
  reap();  // an end that is already there was the job's own
  if (phase_ == Phase::kEnded) return;
  if (stop_reason_.empty() && !main_ended_) {
    if (!write_record("stop.json", encode_stop_record(reason, grace_ms, wall_clock_us())))
      std::fprintf(stderr, "stop.json: %s\n", std::strerror(errno));
    die_at("after_stop_record");
    stop_reason_ = reason;
  }
  begin_termination(grace_ms);
}

// A repeated order can only shorten the grace.
void Shim::begin_termination(std::int64_t grace_ms) {
  if (phase_ == Phase::kKilling) return;
  const std::int64_t kill_at_ms = boot_ms() + grace_ms;
  const bool first = phase_ != Phase::kTerminating;
  kill_at_ms_ = first ? kill_at_ms : std::min(kill_at_ms_, kill_at_ms);
  phase_ = Phase::kTerminating;
  if (first) {
    signal_everyone(SIGTERM);
    signal_everyone(SIGCONT);  // a stopped process acts on SIGTERM only when it runs
    tell_clients();
  }
  arm_timer();
}

void Shim::check_deadlines() {
  std::uint64_t expirations = 0;
  while (read(timer_fd_, &expirations, sizeof expirations) > 0) {
  }
  if (phase_ == Phase::kEnded) return;
  const std::int64_t now_ms = boot_ms();
  if (limit_at_ms_ > 0 && now_ms >= limit_at_ms_) {
    limit_at_ms_ = 0;
    if (!main_ended_ && stop_reason_.empty()) order_stop("timeout", args_.grace_ms);
  }
  if (phase_ == Phase::kTerminating && now_ms >= kill_at_ms_) phase_ = Phase::kKilling;
  if (phase_ == Phase::kKilling) {
    signal_everyone(SIGKILL);
    kill_at_ms_ = now_ms + kKillRepeatMs;  // until nothing is left: what forks faster than one sweep meets the next
    reap();
  }
  arm_timer();
}

void Shim::signal_everyone(int signal) {
  if (signal == SIGKILL && !args_.job_cgroup.empty()) write_text(args_.job_cgroup + "/cgroup.kill", "1");
  for (const auto& process : find_descendants(getpid())) signal_process(process, signal);
}

void Shim::arm_timer() {
  std::int64_t next_ms = limit_at_ms_;
  if (phase_ == Phase::kTerminating || phase_ == Phase::kKilling)
    next_ms = next_ms > 0 ? std::min(next_ms, kill_at_ms_) : kill_at_ms_;
  itimerspec timer{};
  timer.it_value.tv_sec = next_ms / 1000;
  timer.it_value.tv_nsec = (next_ms % 1000) * 1'000'000;
  timerfd_settime(timer_fd_, TFD_TIMER_ABSTIME, &timer, nullptr);  // all zero disarms
}

void Shim::finish() {
  for (Capture* capture : {&output_, &error_output_}) {
    // Nobody of the attempt writes any more; what is in the pipe is the rest. A stranger's copy can't hold this up.
    for (int reads = 0; capture->fd >= 0 && reads < 64; ++reads) {
      pollfd waiting{capture->fd, POLLIN, 0};
      if (poll(&waiting, 1, 0) <= 0) break;
      read_output(*capture);
    }
  }
  if (exit_.step != LaunchStep::kNone) {
    exit_.cause = stop_reason_.empty() ? "launch" : stop_reason_;
    exit_.exit_code.reset();
    exit_.signal.reset();
  }
  if (exit_.ended_us == 0) exit_.ended_us = wall_clock_us();
  store_exit_record(true);
  die_at("after_complete_record");
  unlink("shim.args");
  unlink("running");
  phase_ = Phase::kEnded;
  tell_clients();
}

// Its space was allocated before the start. Should the disk refuse all the same, the record is worth waiting for.
void Shim::store_exit_record(bool complete) {
  exit_.complete = complete;
  exit_.stdout_dropped_bytes = output_.log->dropped_bytes();
  exit_.stderr_dropped_bytes = error_output_.log->dropped_bytes();
  const std::string record = encode_exit_record(exit_);
  while (!write_record("exit.json", record)) {
    std::fprintf(stderr, "exit.json: %s\n", std::strerror(errno));
    if (!complete) return;  // the complete record comes later
    sleep(1);
  }
}

}  // namespace aether::executor
