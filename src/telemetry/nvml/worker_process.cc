#include "telemetry/nvml/worker_process.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include <fmt/format.h>

#include "base/log.h"
#include "telemetry/nvml/worker.h"

extern char** environ;

namespace aether::nvml {
namespace {

// The pid, or a negative errno. The worker gets a process group of its own (a terminal's Ctrl-C is the agent's to
// handle) and a clean signal mask; every other descriptor closes by itself.
pid_t spawn(const WorkerCommand& command, int socket) {
  std::vector<char*> argv;
  for (const std::string& argument : command.arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, socket, kWorkerSocket);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
  pid_t pid = -1;
  const int error = posix_spawn(&pid, command.program.c_str(), &actions, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return error == 0 ? pid : -error;
}

}  // namespace

Result<std::unique_ptr<WorkerProcess>> WorkerProcess::start(const WorkerCommand& command, OnEvent on_event) {
  int ends[2] = {-1, -1};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return fail(ErrorCode::kUnavailable, fmt::format("a socket pair for the NVML worker: {}", std::strerror(errno)));
  const int room = 2 * static_cast<int>(wire::kMaxFrameBytes);
  for (const int end : ends) setsockopt(end, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  const pid_t pid = spawn(command, ends[1]);
  close(ends[1]);
  if (pid < 0) {
    close(ends[0]);
    return fail(ErrorCode::kUnavailable, fmt::format("starting the NVML worker {}: {}", command.program, std::strerror(-pid)));
  }
  return std::unique_ptr<WorkerProcess>(new WorkerProcess(ends[0], pid, std::move(on_event)));
}

WorkerProcess::WorkerProcess(int socket, pid_t pid, OnEvent on_event)
    : socket_(socket), pid_(pid), on_event_(std::move(on_event)), thread_([this] { receive(); }) {}

WorkerProcess::~WorkerProcess() {
  kill(pid_, SIGKILL);  // not reaped yet, so the pid is still this process's
  shutdown(socket_, SHUT_RDWR);
  thread_.join();
  close(socket_);
}

bool WorkerProcess::send(wire::Body request) {
  std::string bytes;
  {
    std::lock_guard lock(mutex_);
    if (closed_) return false;
    answer_.reset();
    attaching_.reset();
    bytes = wire::encode({++seq_, std::move(request)});
  }
  ssize_t sent = -1;
  do sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  while (sent < 0 && errno == EINTR);
  return sent == static_cast<ssize_t>(bytes.size());
}

Result<wire::Body> WorkerProcess::wait(std::chrono::milliseconds at_most) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, at_most, [&] { return closed_ || answer_.has_value(); });
  if (answer_) {
    wire::Body answer = *std::move(answer_);
    answer_.reset();
    return answer;
  }
  if (closed_) return fail(ErrorCode::kUnavailable, "the NVML worker has ended");
  return fail(ErrorCode::kTimeout, "the NVML worker does not answer");
}

std::optional<wire::AttachingNote> WorkerProcess::attaching() const {
  std::lock_guard lock(mutex_);
  return attaching_;
}

void WorkerProcess::receive() {
  std::string buffer(wire::kMaxFrameBytes, '\0');
  for (;;) {
    const ssize_t got = recv(socket_, buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    auto frame = wire::decode({buffer.data(), static_cast<std::size_t>(got)});
    if (!frame) {
      log::warn("telemetry", "the NVML worker speaks nonsense; it is ended", {{"why", frame.error().message}});
      break;
    }
    if (!take(*std::move(frame))) break;
  }
  std::lock_guard lock(mutex_);
  closed_ = true;
  changed_.notify_all();
}

// False for what a worker must not say.
bool WorkerProcess::take(wire::Frame frame) {
  if (const auto* event = std::get_if<GpuEvent>(&frame.body)) {
    on_event_(*event);
    return true;
  }
  std::lock_guard lock(mutex_);
  if (const auto* note = std::get_if<wire::AttachingNote>(&frame.body)) {
    attaching_ = *note;
    return true;
  }
  const bool is_reply = std::holds_alternative<wire::EnumeratedReply>(frame.body) ||
                        std::holds_alternative<wire::ReadingReply>(frame.body) ||
                        std::holds_alternative<wire::FailedReply>(frame.body);
  if (!is_reply) return false;
  if (frame.seq != seq_) return true;  // the answer to a request that nobody waits for any more
  answer_ = std::move(frame.body);
  changed_.notify_all();
  return true;
}

}  // namespace aether::nvml
