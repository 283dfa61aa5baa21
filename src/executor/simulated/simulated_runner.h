#pragma once
// ProcessRunner without processes: attempts that live in a journal and end when the clock says so. For tests, whole-system
// simulations and nodes with simulated GPUs. A launch is intended at once and opens its start gate at the next poll(); a
// runner that is lost in between leaves an attempt that was never executed, as the posix runner does.
//
// A spec's own variables steer its virtual process:
//   AETHER_SIM_DURATION_MS    how long it runs (default: Options.default_duration)
//   AETHER_SIM_EXIT_CODE      0..255, default 0
//   AETHER_SIM_SIGNAL         ends by this signal instead
//   AETHER_SIM_STDOUT, _STDERR  what it writes when it starts
//   AETHER_SIM_IGNORE_TERM    "1": only SIGKILL ends it
//   AETHER_SIM_ENDS_ON        number of a signal that ends it; every other one it survives
//   AETHER_SIM_UNKILLABLE     "1": not even SIGKILL ends it (until the machine restarts)
//   AETHER_SIM_EXEC_ERROR     text: its exec fails with it
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "executor/gpu_fence.h"
#include "executor/process_runner.h"

namespace aether {

// One virtual process, from exec to its end, on the boot clock of its boot.
struct SimulatedExecution {
  LaunchSpec launch;
  int boot = 0;
  Mono began;
  std::optional<Mono> ended;
};

// What the disk and the processes of a simulated node hold; outlives the runner as those outlive the agent.
// Thread-safe. One runner at a time.
class SimulatedJournal {
 public:
  // The virtual machine restarts: whatever ran is gone, as of `at` on the clock of the boot that ends.
  void reboot(Mono at);
  // Everything that was ever executed here, in the order of its exec.
  std::vector<SimulatedExecution> executions() const;

 private:
  friend class SimulatedRunner;
  struct VirtualAttempt {
    LaunchSpec launch;
    AttemptReport report;
    int boot = 0;
    bool gate_open = false;  // its start is durable; before that nothing is executed
    bool forgotten = false;
    std::size_t execution = 0;  // index, once it has begun
    Mono launched_at, started_at, term_at, kill_at;
    bool stop_ordered = false;
    std::optional<Mono> suspended_at;
    Duration stood_still{0};               // in all earlier suspensions
    std::optional<Mono> lease_until;       // of on_partition = stop_after
    int pid = 0;                           // a number for processes(), nothing of the machine's
    ExitCause stop_cause = ExitCause::kSelf;
    std::map<std::string, std::string> output;  // stream -> bytes
  };

  mutable std::mutex mutex_;
  int boot_ = 0;
  int last_pid_ = 1000;
  std::map<AttemptId, VirtualAttempt> attempts_;
  std::map<AttemptId, AttemptReport> tombstones_;
  std::map<AttemptId, bool> forgotten_tombstones_;
  std::map<GpuUuid, executor::GpuFence> fences_;
  std::vector<SimulatedExecution> executions_;
};

struct SimulatedRunnerOptions {
  Duration start_delay = std::chrono::milliseconds(20);
  Duration default_duration = std::chrono::seconds(5);
  Duration stop_reaction = std::chrono::milliseconds(10);  // from SIGTERM to the end of an obedient process
  Duration unkillable_after = std::chrono::seconds(60);    // from SIGKILL
  Duration poll_interval{0};  // > 0: a thread of the runner polls; 0: the owner calls poll() after each step of the clock
  std::string run_as = "simulated";
};

// Thread-safe. Reports come from poll(), on its caller's thread or the runner's own.
class SimulatedRunner final : public ProcessRunner {
 public:
  SimulatedRunner(SimulatedRunnerOptions options, const Clock& clock, std::shared_ptr<SimulatedJournal> journal);
  ~SimulatedRunner() override;

  // Brings every virtual process up to the clock's time and sends the reports.
  void poll();

  Result<void> recover(OnReport on_report) override;
  Result<void> launch(const LaunchSpec& spec) override;
  Result<void> stop(const AttemptId& attempt, Epoch epoch, const std::string& reason, std::int64_t grace_s) override;
  Result<void> suspend(const AttemptId& attempt, Epoch epoch) override;
  Result<void> resume(const AttemptId& attempt, Epoch epoch) override;
  Result<void> signal(const AttemptId& attempt, Epoch epoch, int signal) override;
  void renew_lease(const AttemptId& attempt, Duration remaining) override;
  Result<LogChunk> read_log(const AttemptId& attempt, const std::string& stream, std::int64_t offset,
                            std::int64_t limit) override;
  void forget(const AttemptId& attempt) override;
  std::vector<AttemptReport> attempts() const override;
  std::vector<LaunchSpec> running() const override;
  std::vector<int> processes(const AttemptId& attempt) const override;
  std::vector<Unkillable> unkillable() const override;
  std::string exec_mode() const override { return "simulated"; }
  std::string limits() const override { return "memory=none,pids=none,cpus=none"; }
  std::string run_as() const override { return options_.run_as; }

 private:
  using Virtual = SimulatedJournal::VirtualAttempt;
  Result<void> check_fences(const LaunchSpec& spec) const;
  void bring_up_to(Virtual& attempt, Mono now);
  void begin(Virtual& attempt, Mono at);
  Result<Virtual*> find_for_order(const AttemptId& id, Epoch epoch);
  void go_on(Virtual& attempt, Mono at);
  void order_stop(Virtual& attempt, ExitCause cause, Mono at, Duration grace);
  void end(Virtual& attempt, Mono at, ExitStatus exit);
  Time wall_time_of(Mono at) const;

  const SimulatedRunnerOptions options_;
  const Clock& clock_;
  const std::shared_ptr<SimulatedJournal> journal_;
  OnReport on_report_;
  bool recovered_ = false;               // guarded by the journal's mutex, as is pending_
  std::vector<AttemptReport> pending_;
  std::mutex delivery_mutex_;            // keeps reports in order when two threads poll
  bool stopping_ = false;
  std::condition_variable stopped_;
  std::thread thread_;
};

}  // namespace aether
