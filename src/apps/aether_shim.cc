// aether-shim: keeps the attempts of jobs, one process for each; they outlive the agent. The agent starts it once, as their
// zygote, with the socket for its requests on descriptor 3. Static, no name service, no JSON.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>

#include "executor/posix/shim/shim.h"
#include "executor/posix/shim/zygote.h"

namespace {

using namespace aether::executor;

void complain(const char* about) { std::fprintf(stderr, "%s: %s\n", about, std::strerror(errno)); }

bool write_file(const char* path, const char* text) {
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool written = write(fd, text, std::strlen(text)) > 0;
  close(fd);
  return written;
}

bool arrange_descriptors() {
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  const int log = open("shim.log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (null < 0 || log < 0) return false;
  dup2(null, 0);
  dup2(null, 1);
  dup2(log, 2);
  if (syscall(SYS_close_range, 5U, ~0U, 0) != 0)
    for (int fd = 5; fd < 65536; ++fd) close(fd);
  fcntl(kGateDescriptor, F_SETFD, FD_CLOEXEC);
  fcntl(kReadyDescriptor, F_SETFD, FD_CLOEXEC);
  return true;
}

std::string read_whole(const char* path) {
  std::string content;
  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return content;
  char buffer[16384];
  ssize_t got = 0;
  while ((got = read(fd, buffer, sizeof buffer)) > 0) content.append(buffer, static_cast<std::size_t>(got));
  close(fd);
  return content;
}

int listen_here() {
  const int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, "shim.sock");  // relative: the attempt's path may be longer than an address
  unlink("shim.sock");
  if (listener < 0 || bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      listen(listener, 4) != 0)
    return -1;
  return listener;
}

bool wait_at_gate() {
  char go = 0;
  ssize_t got = 0;
  do got = read(kGateDescriptor, &go, 1);
  while (got < 0 && errno == EINTR);
  close(kGateDescriptor);
  return got == 1 && go == 'g';
}

int end_at_closed_gate() {
  ExitRecord record;
  record.complete = true;
  record.cause = "launch";
  record.step = LaunchStep::kGate;
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  record.ended_us = static_cast<std::int64_t>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1000;
  if (!write_record("exit.json", encode_exit_record(record))) complain("exit.json");
  clear_files({"shim.args"});
  return kExitStatusGateClosed;
}

int keep_attempt() {
  const auto args = decode_shim_args(read_whole("shim.args"));
  if (!args) {
    std::fprintf(stderr, "shim.args is missing or damaged\n");
    return 1;
  }
  // Memory pressure takes the job first. Lowering the score needs root; without it both are equal.
  if (geteuid() == 0 && !write_file("/proc/self/oom_score_adj", "-500")) complain("oom_score_adj");
  if (!args->shim_cgroup.empty() && !write_file((args->shim_cgroup + "/cgroup.procs").c_str(), "0"))
    complain("cgroup of the shim");
  if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return 1;
  const int listener = listen_here();
  if (listener < 0) {
    complain("shim.sock");
    return 1;
  }
  die_at(*args, "before_ready");
  const std::string ready = std::to_string(getpid()) + "\n";
  if (write(kReadyDescriptor, ready.data(), ready.size()) < 0) return 1;
  close(kReadyDescriptor);
  die_at(*args, "at_gate");
  if (!wait_at_gate()) return end_at_closed_gate();
  Shim shim(*args, listener);
  return shim.run();
}

bool started_by_an_agent(int argc) {
  struct stat info {};
  return argc == 1 && fstat(kRequestDescriptor, &info) == 0 && S_ISSOCK(info.st_mode);
}

}  // namespace

int main(int argc, char** argv) {
  if (!started_by_an_agent(argc)) {
    std::fprintf(stderr, "aether-shim is started by 'aether agent' and 'aether up', not by hand\n");
    return 2;
  }
  std::signal(SIGPIPE, SIG_IGN);
  umask(077);
  setsid();  // a terminal's Ctrl-C is the agent's to handle
  const std::string directory = serve_requests(argv, "aether-shim");
  if (directory.empty()) return 0;
  if (chdir(directory.c_str()) != 0) {
    complain(directory.c_str());
    return 2;
  }
  return arrange_descriptors() ? keep_attempt() : 1;
}
