#include "executor/posix/process_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace aether::executor {
namespace {

// Whole small file, or as much as fits; -1 when it can't be opened.
ssize_t read_small(const char* path, char* buffer, std::size_t size) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  std::size_t filled = 0;
  while (filled < size) {
    const ssize_t got = read(fd, buffer + filled, size - filled);
    if (got <= 0) break;
    filled += static_cast<std::size_t>(got);
  }
  close(fd);
  return static_cast<ssize_t>(filled);
}

void add_children_of(pid_t parent, const std::vector<ProcessStat>& all, std::vector<ProcessStat>& out) {
  for (const auto& process : all)
    if (process.parent == parent && process.pid != parent) out.push_back(process);
}

int open_pidfd(pid_t pid) { return static_cast<int>(syscall(SYS_pidfd_open, pid, 0)); }

std::uint64_t serial_of(int pidfd) {
  constexpr decltype(std::declval<struct statfs>().f_type) kPidFilesystem = 0x50494446;  // older ones share one inode
  struct statfs filesystem {};
  struct stat info {};
  if (fstatfs(pidfd, &filesystem) != 0 || filesystem.f_type != kPidFilesystem || fstat(pidfd, &info) != 0) return 0;
  return info.st_ino;
}

}  // namespace

std::uint64_t read_serial(pid_t pid) {
  const int pidfd = open_pidfd(pid);
  if (pidfd < 0) return 0;
  const std::uint64_t serial = serial_of(pidfd);
  close(pidfd);
  return serial;
}

std::optional<ProcessStat> read_process(pid_t pid) {
  char path[64], text[1024];
  std::snprintf(path, sizeof path, "/proc/%d/stat", static_cast<int>(pid));
  const ssize_t size = read_small(path, text, sizeof text - 1);
  if (size <= 0) return std::nullopt;
  text[size] = 0;
  // The name may contain spaces and brackets; the last bracket ends it.
  const char* after_name = std::strrchr(text, ')');
  if (!after_name) return std::nullopt;
  ProcessStat process;
  process.pid = pid;
  int parent = 0, group = 0, session = 0;
  unsigned long long start = 0;
  const int read = std::sscanf(after_name + 1,
                               " %c %d %d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                               &process.state, &parent, &group, &session, &start);
  if (read != 5) return std::nullopt;
  process.parent = parent;
  process.group = group;
  process.session = session;
  process.start_ticks = start;
  return process;
}

std::vector<ProcessStat> read_processes() {
  std::vector<ProcessStat> all;
  DIR* directory = opendir("/proc");
  if (!directory) return all;
  while (const dirent* entry = readdir(directory)) {
    char* end = nullptr;
    const long pid = std::strtol(entry->d_name, &end, 10);
    if (pid <= 0 || *end != 0) continue;
    if (const auto process = read_process(static_cast<pid_t>(pid))) all.push_back(*process);
  }
  closedir(directory);
  return all;
}

std::vector<ProcessStat> find_descendants(pid_t root) {
  const std::vector<ProcessStat> all = read_processes();
  std::vector<ProcessStat> found;
  add_children_of(root, all, found);
  for (std::size_t i = 0; i < found.size() && found.size() <= all.size(); ++i)
    add_children_of(found[i].pid, all, found);
  std::erase_if(found, [](const ProcessStat& process) { return process.zombie(); });
  return found;
}

std::vector<ProcessStat> find_cgroup_members(const std::string& cgroup_directory) {
  std::vector<ProcessStat> members;
  std::FILE* file = std::fopen((cgroup_directory + "/cgroup.procs").c_str(), "re");
  if (!file) return members;
  int pid = 0;
  while (std::fscanf(file, "%d", &pid) == 1)
    if (const auto process = read_process(pid); process && !process->zombie()) members.push_back(*process);
  std::fclose(file);
  return members;
}

bool signal_process(const ProcessStat& process, int signal) {
  const int pidfd = open_pidfd(process.pid);
  if (pidfd < 0) return false;
  // The descriptor holds one process for good; start time and serial say whether it is the recorded one.
  const auto now = read_process(process.pid);
  const bool same = now && now->start_ticks == process.start_ticks && !now->zombie() &&
                    (process.serial == 0 || process.serial == serial_of(pidfd));
  const bool sent = same && syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) == 0;
  close(pidfd);
  return sent;
}

bool catches_signal(pid_t pid, int signal) {
  char path[64], text[4096];
  std::snprintf(path, sizeof path, "/proc/%d/status", static_cast<int>(pid));
  const ssize_t size = read_small(path, text, sizeof text - 1);
  if (size <= 0) return false;
  text[size] = 0;
  const char* caught = std::strstr(text, "\nSigCgt:");
  if (!caught) return false;
  return (std::strtoull(caught + 8, nullptr, 16) >> (signal - 1) & 1U) != 0;
}

bool is_running(pid_t pid, std::uint64_t start_ticks, std::uint64_t serial) {
  const auto process = read_process(pid);
  return process && process->start_ticks == start_ticks && !process->zombie() && (serial == 0 || serial == read_serial(pid));
}

std::string read_boot_id() {
  char text[64];
  const ssize_t size = read_small("/proc/sys/kernel/random/boot_id", text, sizeof text);
  if (size <= 0) return {};
  std::string id(text, static_cast<std::size_t>(size));
  while (!id.empty() && (id.back() == '\n' || id.back() == ' ')) id.pop_back();
  return id;
}

}  // namespace aether::executor
