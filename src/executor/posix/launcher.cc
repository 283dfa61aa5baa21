#include "executor/posix/launcher.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "executor/posix/process_tree.h"

namespace aether::executor {
namespace {

constexpr int kReadyTimeoutMs = 20'000;
constexpr int kFirstSafeDescriptor = 16;  // above the two numbers that the shim expects

struct Pipe {
  int read_end = -1, write_end = -1;
  ~Pipe() {
    if (read_end >= 0) close(read_end);
    if (write_end >= 0) close(write_end);
  }
  bool open_it() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return false;
    read_end = fcntl(ends[0], F_DUPFD_CLOEXEC, kFirstSafeDescriptor);
    write_end = fcntl(ends[1], F_DUPFD_CLOEXEC, kFirstSafeDescriptor);
    close(ends[0]);
    close(ends[1]);
    return read_end >= 0 && write_end >= 0;
  }
};

// The pid of the process that posix_spawn made, or an errno as a negative number.
pid_t spawn_process(const std::string& shim_path, const std::string& directory, int gate, int ready) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, gate, kGateDescriptor);
  posix_spawn_file_actions_adddup2(&actions, ready, kReadyDescriptor);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  char* const argv[] = {const_cast<char*>("aether-shim"), const_cast<char*>(directory.c_str()), nullptr};
  char* const env[] = {nullptr};
  pid_t pid = -1;
  const int error = posix_spawn(&pid, shim_path.c_str(), &actions, &attributes, argv, env);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return error == 0 ? pid : -error;
}

// The pid that the shim writes when it is ready; 0 when it ended or took too long.
pid_t read_ready(int fd) {
  std::string text;
  char part[32];
  for (;;) {
    pollfd waiting{fd, POLLIN, 0};
    const int ready = poll(&waiting, 1, kReadyTimeoutMs);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return 0;
    const ssize_t got = read(fd, part, sizeof part);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return 0;
    text.append(part, static_cast<std::size_t>(got));
    if (text.ends_with('\n')) return static_cast<pid_t>(std::strtol(text.c_str(), nullptr, 10));
  }
}

}  // namespace

Result<GatedShim> GatedShim::spawn(const std::string& shim_path, const std::string& attempt_directory) {
  Pipe gate, ready;
  if (!gate.open_it() || !ready.open_it())
    return fail(ErrorCode::kUnavailable, fmt::format("starting the shim: pipe: {}", std::strerror(errno)));
  const pid_t spawned = spawn_process(shim_path, attempt_directory, gate.read_end, ready.write_end);
  if (spawned < 0)
    return fail(ErrorCode::kUnavailable, fmt::format("starting {}: {}", shim_path, std::strerror(-spawned)));
  close(std::exchange(gate.read_end, -1));
  close(std::exchange(ready.write_end, -1));
  int status = 0;
  while (waitpid(spawned, &status, 0) < 0 && errno == EINTR) {
  }
  const pid_t shim = read_ready(ready.read_end);
  const auto process = shim > 0 ? read_process(shim) : std::nullopt;
  if (!process)
    return fail(ErrorCode::kUnavailable,
                fmt::format("{} did not become ready; see {}/shim.log", shim_path, attempt_directory));
  return GatedShim(std::exchange(gate.write_end, -1), {shim, process->start_ticks, read_serial(shim)});
}

GatedShim::GatedShim(GatedShim&& other) noexcept
    : gate_(std::exchange(other.gate_, -1)), started_(other.started_) {}

GatedShim::~GatedShim() {
  if (gate_ >= 0) close(gate_);
}

bool GatedShim::open() {
  // A shim that was killed meanwhile has closed its end; the write must not end the agent with SIGPIPE.
  sigset_t pipe_signal, previous;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe_signal, &previous);
  const bool opened = write(gate_, "g", 1) == 1;
  if (!opened && errno == EPIPE) {
    const timespec none{};
    sigtimedwait(&pipe_signal, nullptr, &none);
  }
  pthread_sigmask(SIG_SETMASK, &previous, nullptr);
  close(std::exchange(gate_, -1));
  return opened;
}

int connect_to_shim(const std::string& attempt_directory) {
  const int directory = ::open(attempt_directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  // Through the descriptor: a state directory may be deeper than the 108 bytes of an address.
  std::snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/shim.sock", directory);
  const bool connected = directory >= 0 && fd >= 0 &&
                         connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  if (directory >= 0) close(directory);
  if (connected) return fd;
  if (fd >= 0) close(fd);
  return -1;
}

}  // namespace aether::executor
