#pragma once
// A program started by a test: killed by its pid at the end, and by the kernel if the test dies first.
#include <sys/types.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace aether::e2e {

class Process {
 public:
  // stdout and stderr go to `log_path`, appended.
  static std::unique_ptr<Process> start(std::vector<std::string> argv, const std::map<std::string, std::string>& extra_environment,
                                        const std::string& log_path);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  bool running();
  void signal(int number);
  // The exit code, 128 + signal, or nothing after `timeout_s`.
  std::optional<int> wait(double timeout_s);
  void kill_now();

 private:
  explicit Process(pid_t pid) : pid_(pid) {}
  pid_t pid_ = -1;
  std::optional<int> exit_;
};

// Runs to the end; stdout as text.
struct Output {
  int exit_code = -1;
  std::string text;
};
Output run(std::vector<std::string> argv, const std::map<std::string, std::string>& extra_environment = {});

}  // namespace aether::e2e
