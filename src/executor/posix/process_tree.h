#pragma once
// What /proc says about processes, and signals that cannot reach a stranger. Used by the runner and by aether-shim.
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace aether::executor {

// One line of /proc/<pid>/stat. (pid, start_ticks) names a process for as long as the machine is up, but for one that took
// the pid within the same clock tick of 10 ms; `serial` tells those two apart.
struct ProcessStat {
  pid_t pid = 0;
  pid_t parent = 0;
  pid_t group = 0;
  pid_t session = 0;
  char state = '?';
  std::uint64_t start_ticks = 0;
  std::uint64_t serial = 0;  // of read_serial(); 0 = not looked up
  bool zombie() const { return state == 'Z' || state == 'X'; }
};

std::optional<ProcessStat> read_process(pid_t pid);
// The kernel's own number of a process, which it uses once in a boot (the inode of its pidfd). 0: the process is gone, or
// the kernel has none (before Linux 6.9).
std::uint64_t read_serial(pid_t pid);
// Every process that is visible, zombies too.
std::vector<ProcessStat> read_processes();
// Children, their children and so on, without `root` itself and without zombies.
std::vector<ProcessStat> find_descendants(pid_t root);
// The processes of one cgroup v2 directory; empty when it does not exist.
std::vector<ProcessStat> find_cgroup_members(const std::string& cgroup_directory);

// Sends through a pidfd after start time and serial were checked on that same process. False when it is gone.
bool signal_process(const ProcessStat& process, int signal);
// Does the process have a handler of its own for the signal? What has none would be ended by most of them.
bool catches_signal(pid_t pid, int signal);
// True while the very process that was recorded runs (a zombie does not).
bool is_running(pid_t pid, std::uint64_t start_ticks, std::uint64_t serial = 0);

// The kernel's random name of this boot; "" when it is unknown.
std::string read_boot_id();

}  // namespace aether::executor
