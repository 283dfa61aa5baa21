#include "executor/posix/cgroup.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <sstream>

namespace aether::executor {
namespace {

std::string find_mount_point() {
  std::ifstream mounts("/proc/self/mountinfo");
  std::string line;
  while (std::getline(mounts, line)) {
    const auto separator = line.find(" - cgroup2 ");
    if (separator == std::string::npos) continue;
    std::istringstream fields(line);
    std::string id, parent, device, root, mount_point;
    fields >> id >> parent >> device >> root >> mount_point;
    return mount_point;
  }
  return {};
}

std::string find_own_path() {
  std::ifstream groups("/proc/self/cgroup");
  std::string line;
  while (std::getline(groups, line))
    if (line.starts_with("0::")) return line.substr(3) == "/" ? "" : line.substr(3);
  return {};
}

bool make_directory(const std::string& path) { return mkdir(path.c_str(), 0755) == 0 || errno == EEXIST; }

bool write_text(const std::string& path, const std::string& text) {
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool written = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  close(fd);
  return written;
}

// Puts a process inside and kills it with cgroup.kill.
bool can_kill_through(const std::string& directory) {
  const pid_t agent = getpid();
  const pid_t child = fork();
  if (child == 0) {
    // Killed with the agent, and holding none of its descriptors, the lock above all, until then.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != agent) _exit(0);  // it was killed before the line above
    syscall(SYS_close_range, 3U, ~0U, 0);
    alarm(10);
    for (;;) pause();
  }
  if (child < 0) return false;
  bool works = write_text(directory + "/cgroup.procs", std::to_string(child)) &&
               write_text(directory + "/cgroup.kill", "1");
  if (!works) kill(child, SIGKILL);  // not reaped yet, so it is still ours
  int status = 0;
  waitpid(child, &status, 0);
  return works && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

}  // namespace

std::string find_job_cgroup_root(const std::string& instance) {
  const std::string mount_point = find_mount_point();
  if (mount_point.empty()) return {};
  const std::string parent = mount_point + find_own_path() + "/aether-jobs";
  const std::string root = parent + "/" + instance;
  if (!make_directory(parent) || !make_directory(root)) return {};
  const std::string probe = root + "/probe-" + std::to_string(getpid());
  if (!make_directory(probe)) return {};
  const bool works = can_kill_through(probe);
  rmdir(probe.c_str());
  return works ? root : std::string();
}

std::string make_attempt_cgroup(const std::string& root, const std::string& attempt) {
  if (root.empty()) return {};
  const std::string directory = root + "/" + attempt;
  const bool made = make_directory(directory) && make_directory(directory + "/shim") && make_directory(directory + "/job");
  return made ? directory : std::string();
}

bool write_cgroup(const std::string& path, const std::string& text) { return write_text(path, text); }

bool remove_attempt_cgroup(const std::string& directory) {
  if (directory.empty()) return true;
  rmdir((directory + "/shim").c_str());
  rmdir((directory + "/job").c_str());
  return rmdir(directory.c_str()) == 0 || errno == ENOENT;
}

}  // namespace aether::executor
