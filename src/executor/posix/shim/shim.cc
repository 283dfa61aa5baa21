#include "executor/posix/shim/shim.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "executor/posix/shim/child.h"

namespace aether::executor {
namespace {

// Not synced: it matters only while this boot lasts, and the page cache lasts as long.
bool write_running_note(const ProcessStat& process, std::int64_t limit_at_ms) {
  char text[256];
  const int size = std::snprintf(text, sizeof text,
                                 "{\"pid\":%d,\"start_ticks\":%llu,\"session\":%d,\"limit_at_boot_ms\":%lld,\"serial\":%llu}\n",
                                 static_cast<int>(process.pid), static_cast<unsigned long long>(process.start_ticks),
                                 static_cast<int>(process.session), static_cast<long long>(limit_at_ms),
                                 static_cast<unsigned long long>(process.serial));
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

std::int64_t boot_us() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1000;
}

void close_and_forget(int& fd) {
  if (fd >= 0) close(fd);
  fd = -1;
}

void clear_files(std::initializer_list<const char*> paths) {
  for (const char* path : paths)
    if (truncate(path, 0) != 0 && errno != ENOENT) std::fprintf(stderr, "%s: %s\n", path, std::strerror(errno));
}

bool write_text(const std::string& path, std::string_view text) {
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool ok = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int error = errno;
  close(fd);
  errno = error;
  return ok;
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
  const LogRoom room = args_.log_block ? LogRoom::kKeepAll : LogRoom::kRotate;
  output_.log = std::make_unique<LogWriter>("log/stdout", args_.log_segment_bytes, args_.log_segments, room);
  error_output_.log = std::make_unique<LogWriter>("log/stderr", args_.log_segment_bytes, args_.log_segments, room);
}

Shim::~Shim() {
  for (int& client : clients_) close_and_forget(client);
  for (int* fd : {&signal_fd_, &timer_fd_, &error_channel_, &output_.fd, &error_output_.fd, &output_.user_fd,
                  &error_output_.user_fd})
    close_and_forget(*fd);
}

void die_at(const ShimArgs& args, std::string_view step) {
  if (args.failpoint != step) return;
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

int Shim::run() {
  if (start_job()) {
    tell_clients();
    for (const int client : clients_) send_pipes(client);
    arm_timer();
    while (phase_ != Phase::kEnded) wait_for_something();
  }
  finish();
  return 0;
}

bool Shim::start_job() {
  // Whoever opened the gate may have stood still for longer than the lease: the job may run elsewhere by now.
  if (args_.lease_until_boot_ms > 0 && boot_ms() >= args_.lease_until_boot_ms) {
    exit_.step = LaunchStep::kGate;
    exit_.error = ETIME;
    return false;
  }
  die_at("before_fork");
  Pipe out, err;
  int channel[2];
  if (!out.open_it() || !err.open_it() || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) != 0) {
    exit_.step = LaunchStep::kDescriptors;
    exit_.error = errno;
    return false;
  }
  for (const int fd : {out.read_end, err.read_end, channel[0]}) fcntl(fd, F_SETFL, O_NONBLOCK);
  output_.fd = out.read_end;
  error_output_.fd = err.read_end;
  error_channel_ = channel[0];
  arm_deadlines();
  main_pid_ = fork_child(args_, out.write_end, err.write_end, channel[1], true);
  for (const int fd : {out.write_end, err.write_end, channel[1]}) close(fd);
  return main_pid_ > 0;
}

// Forks, puts the child where it belongs, and only then lets it go on to its exec. -1: nothing was started.
pid_t Shim::fork_child(const ShimArgs& args, int output, int error_output, int error_channel, bool is_main) {
  Pipe barrier;
  const int null_input = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null_input < 0 || !barrier.open_it()) {
    exit_.step = is_main ? LaunchStep::kDescriptors : exit_.step;
    exit_.error = errno;
    return -1;
  }
  const pid_t child = fork();
  if (child == 0) {
    close(barrier.write_end);  // so that the death of the shim is end-of-file here
    run_child(args, {null_input, output, error_output, error_channel, barrier.read_end});
  }
  if (child < 0 && is_main) {
    exit_.step = LaunchStep::kFork;
    exit_.error = errno;
  }
  close(null_input);
  close(barrier.read_end);
  if (child > 0 && prepare_child(child, is_main)) {
    if (is_main) die_at("before_release");
    if (write(barrier.write_end, "g", 1) != 1 && is_main) exit_.error = errno;  // it is gone; reaping says how
  }
  close(barrier.write_end);
  if (is_main) die_at("after_release");
  return child;
}

// Everything that must be true before a process of the job may execute: it is on record, and in its cgroups.
bool Shim::prepare_child(pid_t child, bool is_main) {
  if (is_main) {
    auto process = read_process(child);
    if (process) process->serial = read_serial(child);
    if (!process || !write_running_note(*process, limit_at_ms_)) {
      exit_.step = LaunchStep::kFork;
      exit_.error = errno;
      return false;
    }
  }
  std::vector<std::string> cgroups = args_.limit_cgroups;
  if (!args_.job_cgroup.empty()) cgroups.push_back(args_.job_cgroup);
  for (const auto& directory : cgroups) {
    if (write_text(directory + "/cgroup.procs", std::to_string(child))) continue;
    if (!is_main) return false;
    exit_.step = LaunchStep::kCgroup;
    exit_.error = errno;
    return false;
  }
  return true;
}

void Shim::reap() {
  signalfd_siginfo info;
  while (read(signal_fd_, &info, sizeof info) > 0) {
  }
  for (;;) {
    int status = 0;
    const pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid == main_pid_ && pid > 0) {
      note_main_end(status);
    } else if (pid == checkpoint_pid_ && pid > 0) {
      note_checkpoint_end(status);
    } else if (pid < 0 && errno == ECHILD) {
      // As subreaper the shim inherits every orphan, so "no child" means that no process of the attempt is left.
      phase_ = Phase::kEnded;
      return;
    } else if (pid <= 0) {
      break;
    }
  }
  if (main_ended_ && phase_ <= Phase::kCheckpointing) {
    store_exit_record(false, Durability::kPowerSafe);  // what is left may take its time
    begin_termination(boot_ms() + args_.leftover_grace_ms);
  } else if (!main_ended_ && stop_reason_.empty() && count_oom_kills() > 0) {
    order_stop("oom_host", 0);
  }
}

void Shim::note_main_end(int status) {
  read_error_channel();  // a failed launch says why before it ends
  main_ended_ = true;
  exit_.ended_us = time_us();
  if (WIFEXITED(status)) exit_.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) {
    exit_.signal = WTERMSIG(status);
    exit_.core_dumped = WCOREDUMP(status);
  }
  const bool succeeded = exit_.exit_code == 0;
  if (!stop_reason_.empty()) exit_.cause = stop_reason_;
  else if (!succeeded && count_oom_kills() > 0) exit_.cause = "oom_host";
  die_at("before_exit_record");
  store_exit_record(false, Durability::kCrashSafe);
  die_at("after_exit_record");
  tell_clients();
}

// How often the kernel has ended a process of the attempt for the attempt's own memory limit.
std::int64_t Shim::count_oom_kills() const {
  if (args_.oom_events.empty()) return 0;
  const int fd = open(args_.oom_events.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  char text[1024] = "\n";
  const ssize_t got = read(fd, text + 1, sizeof text - 2);
  close(fd);
  const char* line = got > 0 ? std::strstr(text, "\noom_kill ") : nullptr;
  return line ? std::strtoll(line + 10, nullptr, 10) : 0;
}

void Shim::finish() {
  for (Capture* capture : {&output_, &error_output_}) {
    // Nobody of the attempt writes any more; what is in the pipe is the rest. A stranger's copy can't hold this up.
    for (int reads = 0; capture->fd >= 0 && reads < 64; ++reads) {
      pollfd waiting{capture->fd, POLLIN, 0};
      if (capture->held == 0 && poll(&waiting, 1, 0) <= 0) break;
      read_output(*capture);
      if (capture->held == 0) continue;
      capture->log->drop(capture->held);  // nobody is left who could wait for room
      capture->held = 0;
    }
  }
  if (exit_.step != LaunchStep::kNone) {
    exit_.cause = stop_reason_.empty() ? "launch" : stop_reason_;
    exit_.exit_code.reset();
    exit_.signal.reset();
  }
  if (exit_.ended_us == 0) exit_.ended_us = time_us();
  exit_.survivors.clear();
  store_exit_record(true, Durability::kPowerSafe);
  die_at("after_complete_record");
  clear_files({"shim.args", "running", "lease"});
  phase_ = Phase::kEnded;
  tell_clients();
}

// Its space was allocated before the start. Should the disk refuse all the same, the record is worth waiting for. What
// the next record replaces in a moment matters only to an agent that finds the shim killed, in this boot.
void Shim::store_exit_record(bool complete, Durability durability) {
  exit_.complete = complete;
  exit_.stdout_dropped_bytes = output_.log->dropped_bytes();
  exit_.stderr_dropped_bytes = error_output_.log->dropped_bytes();
  const std::string record = encode_exit_record(exit_);
  while (!write_record("exit.json", record, durability)) {
    std::fprintf(stderr, "exit.json: %s\n", std::strerror(errno));
    if (!complete) return;  // the complete record comes later
    sleep(1);
  }
}

}  // namespace aether::executor
