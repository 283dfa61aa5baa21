#pragma once
// What the tests of the posix adapter share: a private state directory, a runner over it, and a look at /proc.
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "executor/contract_test.h"
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
  explicit PosixHarness(std::function<void(PosixRunnerOptions&)> adjust = {});
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
  SystemClock clock_;
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

// Processes, zombies left out, whose environment or command line contains `text`.
std::vector<pid_t> find_processes_mentioning(const std::string& text);
std::vector<std::string> read_lines(const std::string& path);

}  // namespace aether::executor_test
