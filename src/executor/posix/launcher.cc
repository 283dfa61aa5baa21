#include "executor/posix/launcher.h"

#include <fcntl.h>
#include <limits.h>
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

#include "executor/posix/descriptor_message.h"
#include "executor/posix/process_tree.h"
#include "executor/posix/shim/zygote.h"

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
pid_t spawn_zygote(const std::string& shim_path, int socket) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, socket, kRequestDescriptor);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  std::string room_for_titles(PATH_MAX + 64, ' ');
  char* const argv[] = {const_cast<char*>("aether-shim"), nullptr};
  char* const env[] = {room_for_titles.data(), nullptr};
  pid_t pid = -1;
  const int error = posix_spawn(&pid, shim_path.c_str(), &actions, &attributes, argv, env);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return error == 0 ? pid : -error;
}

constexpr pid_t kNobody = 0, kTooLate = -1;

// The pid that the shim writes when it is ready; kNobody when it ended before, kTooLate when it took too long.
pid_t read_ready(int fd) {
  std::string text;
  char part[32];
  for (;;) {
    pollfd waiting{fd, POLLIN, 0};
    const int ready = poll(&waiting, 1, kReadyTimeoutMs);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return kTooLate;
    const ssize_t got = read(fd, part, sizeof part);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return kNobody;
    text.append(part, static_cast<std::size_t>(got));
    if (text.ends_with('\n')) return static_cast<pid_t>(std::strtol(text.c_str(), nullptr, 10));
  }
}

}  // namespace

ShimZygote::~ShimZygote() { end(); }

void ShimZygote::end() {
  if (socket_ >= 0) close(std::exchange(socket_, -1));
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);  // it has nothing to lose, and it may stand still
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

void ShimZygote::replace() {
  std::lock_guard lock(mutex_);
  end();
}

Result<void> ShimZygote::start() {
  end();
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return fail(ErrorCode::kUnavailable, fmt::format("starting {}: socketpair: {}", shim_path_, std::strerror(errno)));
  const int theirs = fcntl(ends[1], F_DUPFD_CLOEXEC, kFirstSafeDescriptor);
  close(ends[1]);
  const pid_t pid = theirs >= 0 ? spawn_zygote(shim_path_, theirs) : -errno;
  if (theirs >= 0) close(theirs);
  if (pid < 0) {
    close(ends[0]);
    return fail(ErrorCode::kUnavailable, fmt::format("starting {}: {}", shim_path_, std::strerror(-pid)));
  }
  fcntl(ends[0], F_SETFL, O_NONBLOCK);  // a zygote that stands still fills its queue; then it is replaced
  socket_ = ends[0];
  pid_ = pid;
  return {};
}

// One that was killed has started no job: whom it had forked waits at a gate, and whoever asked holds that gate.
Result<void> ShimZygote::ask_for(const std::string& attempt_directory, int gate, int ready) {
  std::lock_guard lock(mutex_);
  const int descriptors[2] = {gate, ready};
  const auto ask = [&] { return send_with_descriptors(socket_, attempt_directory.data(), attempt_directory.size(), descriptors); };
  if (socket_ >= 0 && ask()) return {};
  AETHER_TRY(start());
  if (ask()) return {};
  return fail(ErrorCode::kUnavailable, fmt::format("asking {} for a shim: {}", shim_path_, std::strerror(errno)));
}

Result<GatedShim> GatedShim::spawn(ShimZygote& zygote, const std::string& attempt_directory) {
  Pipe gate, ready;
  if (!gate.open_it() || !ready.open_it())
    return fail(ErrorCode::kUnavailable, fmt::format("starting the shim: pipe: {}", std::strerror(errno)));
  AETHER_TRY(zygote.ask_for(attempt_directory, gate.read_end, ready.write_end));
  close(std::exchange(gate.read_end, -1));
  close(std::exchange(ready.write_end, -1));
  const pid_t shim = read_ready(ready.read_end);
  if (shim == kTooLate) zygote.replace();
  const auto process = shim > 0 ? read_process(shim) : std::nullopt;
  if (!process)
    return fail(ErrorCode::kUnavailable, fmt::format("{} did not become ready; see {}/shim.log", zygote.shim_path(),
                                                     attempt_directory));
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
