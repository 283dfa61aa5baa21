#include "executor/posix/test_support.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/files.h"
#include "executor/posix/attempt_files.h"
#include "executor/posix/process_tree.h"

namespace aether::executor_test {

TemporaryDirectory::TemporaryDirectory() {
  char name[] = "/tmp/aether-executor-XXXXXX";
  path_ = mkdtemp(name);
  chmod(path_.c_str(), 0711);
  mkdir(shared().c_str(), 0777);
  chmod(shared().c_str(), 0777);
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code error;
  std::filesystem::remove_all(path_, error);
}

std::string job_account() { return geteuid() == 0 ? "nobody" : ""; }

PosixRunnerOptions options_in(const TemporaryDirectory& directory) {
  PosixRunnerOptions options;
  options.state_directory = directory.path() + "/state";
  options.run_as = job_account();
  options.shim_path = AETHER_SHIM_PATH;
  return options;
}

PosixHarness::PosixHarness(std::function<void(PosixRunnerOptions&)> adjust, const Clock* clock)
    : clock_(clock ? *clock : system_clock_), options_(options_in(directory_)) {
  if (adjust) adjust(options_);
  open();
}

PosixHarness::~PosixHarness() {
  if (!runner_) open();
  if (!runner_) return;
  const auto settled = [&] {
    for (const pid_t pid : find_processes_mentioning(directory_.path())) {
      const auto process = executor::read_process(pid);
      if (process && pid != getpid()) executor::signal_process(*process, SIGKILL);
    }
    for (const auto& report : runner_->attempts())
      if (!is_terminal(report.state)) return false;
    return true;
  };
  run_until(settled, 5000);
  runner_.reset();
}

void PosixHarness::open() {
  {
    std::lock_guard lock(mutex_);
    reports_.clear();
  }
  auto opened = PosixRunner::open(options_, clock_);
  ASSERT_TRUE(opened) << opened.error().message;
  runner_ = *std::move(opened);
  ASSERT_TRUE(runner_->recover([this](const AttemptReport& report) {
    std::lock_guard lock(mutex_);
    reports_.push_back(report);
  }));
}

void PosixHarness::restart() {
  close();
  open();
}

// Another boot id in the manifests is what a restart of the machine looks like. The processes that are really still
// there stand for strangers with old pids: nothing may happen to them.
void PosixHarness::reboot() {
  close();
  for (const auto& entry : std::filesystem::directory_iterator(options_.state_directory + "/jobs")) {
    const std::string path = entry.path().string() + "/manifest.json";
    std::string text = *read_file(path);
    const std::string boot_id = executor::read_boot_id();
    text.replace(text.find(boot_id), boot_id.size(), "00000000-0000-0000-0000-000000000000");
    ASSERT_TRUE(write_file_durably(path, text));
  }
  open();
}

bool PosixHarness::run_until(const std::function<bool()>& condition, int timeout_ms) const {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

std::vector<AttemptReport> PosixHarness::reports() const {
  std::lock_guard lock(mutex_);
  return reports_;
}

std::optional<AttemptReport> PosixHarness::last(const AttemptId& id) const {
  std::optional<AttemptReport> found;
  for (const auto& report : reports())
    if (report.attempt == id) found = report;
  return found;
}

std::optional<AttemptReport> PosixHarness::wait_for_end(const AttemptId& id) const {
  run_until([&] { const auto report = last(id); return report && is_terminal(report->state); });
  return last(id);
}

bool PosixHarness::wait_for_state(const AttemptId& id, JobState state) const {
  return run_until([&] { const auto report = last(id); return report && report->state == state; });
}

std::string PosixHarness::output(const AttemptId& id, const std::string& stream) {
  const auto chunk = runner_->read_log(id, stream, 0, 1 << 20);
  return chunk ? chunk->data : "no log: " + chunk.error().message;
}

std::string PosixHarness::attempt_directory(const AttemptId& id) const {
  return options_.state_directory + "/jobs/" + to_string(id);
}

LaunchSpec command(const AttemptId& id, std::vector<std::string> argv, Epoch epoch) {
  LaunchSpec launch;
  launch.attempt = id;
  launch.epoch = epoch;
  launch.job_number = 1;
  launch.user = "ada";
  launch.spec.gpus = 0;
  launch.spec.argv = std::move(argv);
  launch.spec.time_limit_s = 60;
  launch.spec.grace_s = 5;
  return launch;
}

LaunchSpec shell(const AttemptId& id, const std::string& text, Epoch epoch) {
  return command(id, {"/bin/sh", "-c", text}, epoch);
}

LaunchSpec counted(const PosixHarness& harness, const AttemptId& id, const std::string& then, Epoch epoch) {
  return shell(id, "echo " + to_string(id) + " >> " + harness.directory().shared() + "/ran; " + then, epoch);
}

int times_ran(const PosixHarness& harness, const AttemptId& id) {
  const auto lines = read_lines(harness.directory().shared() + "/ran");
  return static_cast<int>(std::count(lines.begin(), lines.end(), to_string(id)));
}

void run_agent_until(const PosixRunnerOptions& options, const LaunchSpec& launch, const std::string& killed_at) {
  const pid_t agent = fork();
  if (agent == 0) {
    alarm(30);  // whatever goes wrong, this test ends
    auto mine = options;
    mine.on_step = [&](std::string_view step) {
      if (step == killed_at) kill(getpid(), SIGKILL);
    };
    SystemClock clock;
    auto runner = PosixRunner::open(mine, clock);
    if (!runner || !(*runner)->recover([](const AttemptReport&) {})) _exit(1);
    (void)(*runner)->launch(launch);
    kill(getpid(), SIGKILL);
  }
  waitpid(agent, nullptr, 0);
}

std::vector<pid_t> find_processes_mentioning(const std::string& text) {
  std::vector<pid_t> found;
  for (const auto& process : executor::read_processes()) {
    if (process.zombie()) continue;
    const std::string directory = "/proc/" + std::to_string(process.pid);
    for (const char* file : {"/environ", "/cmdline"}) {
      const auto content = read_file(directory + file);
      if (!content || content->find(text) == std::string::npos) continue;
      found.push_back(process.pid);
      break;
    }
  }
  return found;
}

std::vector<std::string> read_lines(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

}  // namespace aether::executor_test
