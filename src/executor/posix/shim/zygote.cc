#include "executor/posix/shim/zygote.h"

#include <limits.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "executor/posix/descriptor_message.h"
#include "executor/posix/shim_protocol.h"

extern char** environ;

namespace aether::executor {
namespace {

// Linux shows what lies between the first argument and the end of the environment once the arguments' last byte is
// overwritten (proc_pid_cmdline(5)). The agent leaves room in the environment.
void show_title(char** argv, const std::string& title) {
  char* const begin = argv[0];
  char* end = begin + std::strlen(begin) + 1;
  for (char** strings : {argv + 1, environ})
    for (; *strings != nullptr; ++strings)
      if (*strings == end) end += std::strlen(end) + 1;
  const auto room = static_cast<std::size_t>(end - begin);
  environ[0] = nullptr;
  std::memset(begin, 0, room);
  std::memcpy(begin, title.data(), title.size() < room ? title.size() : room - 1);
}

bool take_places(const std::array<int, 2>& descriptors) {
  // The gate first: the request socket, at its place, is not needed any more, and what lies at the other's was received.
  const int ready = descriptors[1] == kGateDescriptor ? dup(descriptors[1]) : descriptors[1];
  return dup2(descriptors[0], kGateDescriptor) >= 0 && ready >= 0 && dup2(ready, kReadyDescriptor) >= 0;
}

}  // namespace

std::string serve_requests(char** argv, const char* title) {
  std::signal(SIGCHLD, SIG_IGN);  // keepers are nobody's to wait for
  for (;;) {
    char directory[PATH_MAX];
    std::array<int, 2> descriptors = {-1, -1};
    const ssize_t got = receive_with_descriptors(kRequestDescriptor, directory, sizeof directory, descriptors);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return "";
    const pid_t keeper = descriptors[0] < 0 ? -1 : fork();
    if (keeper == 0) {
      std::signal(SIGCHLD, SIG_DFL);
      setsid();
      std::string path(directory, static_cast<std::size_t>(got));
      if (!take_places(descriptors)) _exit(1);
      show_title(argv, std::string(title) + ' ' + path);
      return path;
    }
    if (keeper < 0) std::fprintf(stderr, "aether-shim: fork: %s\n", std::strerror(errno));
    for (const int fd : descriptors)  // closed without a word: the agent reads end-of-file
      if (fd >= 0) close(fd);
  }
}

}  // namespace aether::executor
