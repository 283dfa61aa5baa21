#pragma once
// What the tests of the posix adapter share: a private state directory, a runner over it, and a look at /proc.
#include <array>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "executor/contract.h"
#include "executor/posix/posix_runner.h"

namespace aether::executor_test {

// A fresh directory below /tmp, passable for the account of the jobs; removed at the end.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }
  // A subdirectory that the jobs may write to.
  std::string shared() const { return path_ + "/shared"; }

 private:
  std::string path_;
};

// "nobody" as root, "" (oneself) otherwise.
std::string job_account();
PosixRunnerOptions options_in(const TemporaryDirectory& directory);

// A runner with its reports. Ends what still runs at the end of a test: every process that mentions its directory.
class PosixHarness {
 public:
  // Without a clock of the test's own, the system's.
  explicit PosixHarness(std::function<void(PosixRunnerOptions&)> adjust = {}, const Clock* clock = nullptr);
  ~PosixHarness();
  ProcessRunner& runner() { return *runner_; }
  void open();
  void close() { runner_.reset(); }
  void restart();
  void reboot();
  static void pause(int milliseconds) { usleep(static_cast<useconds_t>(milliseconds) * 1000); }
  bool run_until(const std::function<bool()>& condition, int timeout_ms = 20'000) const;
  std::vector<AttemptReport> reports() const;
  std::optional<AttemptReport> last(const AttemptId& id) const;
  std::optional<AttemptReport> wait_for_end(const AttemptId& id) const;
  bool wait_for_state(const AttemptId& id, JobState state) const;
  std::string output(const AttemptId& id, const std::string& stream = "stdout");
  const TemporaryDirectory& directory() const { return directory_; }
  std::string attempt_directory(const AttemptId& id) const;
  PosixRunnerOptions& options() { return options_; }

 private:
  SystemClock system_clock_;
  const Clock& clock_;
  TemporaryDirectory directory_;
  PosixRunnerOptions options_;
  mutable std::mutex mutex_;
  std::vector<AttemptReport> reports_;
  std::unique_ptr<PosixRunner> runner_;
};

// A launch of plain words.
LaunchSpec command(const AttemptId& id, std::vector<std::string> argv, Epoch epoch = 1);
// A launch of "/bin/sh -c".
LaunchSpec shell(const AttemptId& id, const std::string& text, Epoch epoch = 1);

// The same, and its name is appended to a file first: what ran twice, or ran although it was declared not started, shows.
LaunchSpec counted(const PosixHarness& harness, const AttemptId& id, const std::string& then, Epoch epoch = 1);
int times_ran(const PosixHarness& harness, const AttemptId& id);

// The steps of a launch, as PosixRunnerOptions.on_step names them.
inline constexpr std::array<const char*, 5> kLaunchSteps = {"fence", "manifest", "spawned", "started", "opened"};
// An agent in a process of its own that recovers, launches and is killed at the step; where that step does not come, it
// is killed when its launch is done.
void run_agent_until(const PosixRunnerOptions& options, const LaunchSpec& launch, const std::string& killed_at);

// Processes, zombies left out, whose environment or command line contains `text`.
std::vector<pid_t> find_processes_mentioning(const std::string& text);
std::vector<std::string> read_lines(const std::string& path);

}  // namespace aether::executor_test
