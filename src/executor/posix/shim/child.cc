#include "executor/posix/shim/child.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "executor/posix/descriptor_message.h"

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

namespace aether::executor {
namespace {

[[noreturn]] void report_and_end(int error_channel, LaunchStep step, int error) {
  const LaunchMessage failure{step, error, 0};
  if (write(error_channel, &failure, sizeof failure) < 0) _exit(126);
  _exit(127);
}

bool hand_over(int error_channel, int stream, int fd) {
  const LaunchMessage message{LaunchStep::kNone, 0, stream};
  return send_with_descriptors(error_channel, &message, sizeof message, {&fd, 1});
}

// With the job's rights, and never waiting: a FIFO or a device could hold up whoever writes to it, so only a regular file
// and the null device are taken.
void open_output_file(const std::string& path, int stream, bool append, int error_channel) {
  if (path.empty()) return;
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY | O_NONBLOCK | O_CLOEXEC, 0666);
  if (fd < 0) report_and_end(error_channel, LaunchStep::kOutputFile, errno);
  struct stat info {}, null {};
  if (fstat(fd, &info) != 0) report_and_end(error_channel, LaunchStep::kOutputFile, errno);
  const bool is_null = S_ISCHR(info.st_mode) && stat("/dev/null", &null) == 0 && info.st_rdev == null.st_rdev;
  if (!S_ISREG(info.st_mode) && !is_null) report_and_end(error_channel, LaunchStep::kOutputFile, EINVAL);
  if (!append && S_ISREG(info.st_mode) && ftruncate(fd, 0) != 0)
    report_and_end(error_channel, LaunchStep::kOutputFile, errno);
  if (!hand_over(error_channel, stream, fd)) report_and_end(error_channel, LaunchStep::kOutputFile, errno);
  close(fd);
}

void take_limits(const ShimArgs& args, int error_channel) {
  for (const auto& limit : args.resource_limits) {
    rlimit now{};
    const auto resource = static_cast<__rlimit_resource_t>(limit.resource);
    if (getrlimit(resource, &now) != 0) report_and_end(error_channel, LaunchStep::kResourceLimits, errno);
    now.rlim_max = std::min<rlim_t>(now.rlim_max, limit.value);  // RLIM_INFINITY is the largest
    now.rlim_cur = now.rlim_max;
    if (setrlimit(resource, &now) != 0) report_and_end(error_channel, LaunchStep::kResourceLimits, errno);
  }
}

void reset_signals() {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) sigaction(signal, &action, nullptr);  // KILL and STOP refuse; fine
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

void allow_oom_kill() {
  const int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  if (write(fd, "0", 1) < 0) {
    // The score stays the inherited one, which only root can have lowered, and root can raise it.
  }
  close(fd);
}

bool arrange_descriptors(const ChildDescriptors& descriptors) {
  if (dup2(descriptors.null_input, 0) < 0 || dup2(descriptors.output, 1) < 0 || dup2(descriptors.error_output, 2) < 0)
    return false;
  if (syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) == 0) return true;
  for (int fd = 3; fd < 65536; ++fd) fcntl(fd, F_SETFD, FD_CLOEXEC);
  return true;
}

bool identity_is(const ShimArgs& args) {
  uid_t real_uid = 0, effective_uid = 0, saved_uid = 0;
  gid_t real_gid = 0, effective_gid = 0, saved_gid = 0;
  getresuid(&real_uid, &effective_uid, &saved_uid);
  getresgid(&real_gid, &effective_gid, &saved_gid);
  if (real_uid != args.uid || effective_uid != args.uid || saved_uid != args.uid) return false;
  if (real_gid != args.gid || effective_gid != args.gid || saved_gid != args.gid) return false;
  if (!args.change_identity) return true;
  const int count = getgroups(0, nullptr);
  if (count < 0) return false;
  std::vector<gid_t> have(static_cast<std::size_t>(count)), want = args.groups;
  if (getgroups(count, have.data()) != count) return false;
  std::sort(have.begin(), have.end());
  std::sort(want.begin(), want.end());
  return have == want;
}

void take_identity(const ShimArgs& args, int error_channel) {
  if (args.change_identity) {
    if (setgroups(args.groups.size(), args.groups.data()) != 0)
      report_and_end(error_channel, LaunchStep::kSetgroups, errno);
    if (setresgid(args.gid, args.gid, args.gid) != 0) report_and_end(error_channel, LaunchStep::kSetresgid, errno);
    if (setresuid(args.uid, args.uid, args.uid) != 0) report_and_end(error_channel, LaunchStep::kSetresuid, errno);
  }
  if (args.uid == 0 || !identity_is(args)) report_and_end(error_channel, LaunchStep::kVerifyIdentity, EPERM);
}

// The deadline is known only now; AETHER_DEADLINE is in seconds of the wall clock, for people and frameworks.
std::vector<char*> environment_of(const ShimArgs& args) {
  static char deadline[64];
  std::vector<char*> env;
  for (const auto& entry : args.env) env.push_back(const_cast<char*>(entry.c_str()));
  if (args.time_limit_ms > 0) {
    std::snprintf(deadline, sizeof deadline, "AETHER_DEADLINE=%lld",
                  static_cast<long long>(time(nullptr)) + static_cast<long long>(args.time_limit_ms / 1000));
    env.push_back(deadline);
  }
  env.push_back(nullptr);
  return env;
}

[[noreturn]] void execute(const ShimArgs& args, int error_channel) {
  std::vector<char*> argv;
  for (const auto& word : args.argv) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  std::vector<char*> env = environment_of(args);
  environ = env.data();  // the PATH that execvp searches is the job's
  // A script is "busy" while another thread of the agent forks with its descriptor open; that ends with its exec.
  for (int tries = 0; tries < 50; ++tries) {
    execvp(argv[0], argv.data());
    if (errno != ETXTBSY) break;
    usleep(20'000);
  }
  report_and_end(error_channel, LaunchStep::kExec, errno);
}

}  // namespace

void run_child(const ShimArgs& args, const ChildDescriptors& descriptors) {
  const int channel = descriptors.error_channel;
  char go = 0;
  ssize_t got = 0;
  do got = read(descriptors.barrier, &go, 1);
  while (got < 0 && errno == EINTR);
  if (got != 1) _exit(126);
  if (setpgid(0, 0) != 0) report_and_end(channel, LaunchStep::kSession, errno);
  allow_oom_kill();
  if (!arrange_descriptors(descriptors)) report_and_end(channel, LaunchStep::kDescriptors, errno);
  umask(static_cast<mode_t>(args.umask));
  take_limits(args, channel);
  take_identity(args, channel);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) report_and_end(channel, LaunchStep::kNoNewPrivileges, errno);
  // With the job's own rights: a directory that it may not enter is an error here, not a way in.
  if (!args.cwd.empty() && chdir(args.cwd.c_str()) != 0) report_and_end(channel, LaunchStep::kChdir, errno);
  open_output_file(args.stdout_path, 1, args.append_output, channel);
  open_output_file(args.stderr_path, 2, args.append_output, channel);
  reset_signals();
  execute(args, channel);
}

}  // namespace aether::executor
