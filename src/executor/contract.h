#pragma once
// What the suites have in common that every ProcessRunner must pass (contract_test.h, contract_orders_test.h). An adapter's test gives a Harness:
//   ProcessRunner& runner();            recovered, reports collected
//   void restart();                     the runner object is lost and a second one recovers
//   void reboot();                      the same with a restart of the machine in between
//   void pause(milliseconds)            lets that time pass
//   bool run_until(condition, what)     lets time pass; false when the condition never came true
//   std::vector<AttemptReport> reports();  all since the last restart
// Specs carry both a real command and the variables of the simulated one.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "executor/process_runner.h"

namespace aether::executor_contract {

// Different in each test process: two that run at once must not take each other's processes for their own.
inline AttemptId attempt_id(int job, int n = 1) {
  char name[32];
  std::snprintf(name, sizeof name, "01J%017d%06d", static_cast<int>(getpid()), job);
  return {JobId(name), n};
}

struct Behaviour {
  int exit_code = 0;
  int duration_ms = 0;
  bool ignore_term = false;
  std::string output = {};
  int ends_on = 0;  // a signal that ends it; USR2 it survives in any case
};

inline LaunchSpec make_launch(const AttemptId& id, Epoch epoch, const Behaviour& behaviour,
                              std::vector<GpuUuid> gpus = {}) {
  LaunchSpec launch;
  launch.attempt = id;
  launch.epoch = epoch;
  launch.job_number = 7;
  launch.user = "ada";
  launch.gpu_uuids = std::move(gpus);
  launch.spec.gpus = static_cast<int>(launch.gpu_uuids.size());
  launch.spec.time_limit_s = 60;
  launch.spec.grace_s = 5;
  launch.spec.script = (behaviour.ignore_term ? "trap '' TERM\n" : "") + std::string("trap '' USR2\nprintf '%s' '") +
                       behaviour.output + "'\n" +
                       (behaviour.duration_ms > 0 ? "sleep " + std::to_string(behaviour.duration_ms / 1000.0) + "\n" : "") +
                       "exit " + std::to_string(behaviour.exit_code) + "\n";
  launch.spec.env = {{"AETHER_SIM_DURATION_MS", std::to_string(behaviour.duration_ms)},
                     {"AETHER_SIM_EXIT_CODE", std::to_string(behaviour.exit_code)},
                     {"AETHER_SIM_IGNORE_TERM", behaviour.ignore_term ? "1" : "0"},
                     {"AETHER_SIM_ENDS_ON", std::to_string(behaviour.ends_on)},
                     {"AETHER_SIM_STDOUT", behaviour.output}};
  return launch;
}

template <class Harness>
class RunnerContract : public ::testing::Test {
 protected:
  std::optional<AttemptReport> last(const AttemptId& id) {
    std::optional<AttemptReport> found;
    for (const auto& report : harness_.reports())
      if (report.attempt == id) found = report;
    return found;
  }
  bool wait_for_state(const AttemptId& id, JobState state) {
    return harness_.run_until([&] { const auto report = last(id); return report && report->state == state; });
  }
  std::optional<AttemptReport> wait_for_end(const AttemptId& id) {
    harness_.run_until([&] { const auto report = last(id); return report && is_terminal(report->state); });
    return last(id);
  }
  int count(const AttemptId& id, JobState state) {
    const auto reports = harness_.reports();
    return static_cast<int>(std::count_if(reports.begin(), reports.end(), [&](const AttemptReport& report) {
      return report.attempt == id && report.state == state;
    }));
  }

  Harness harness_;
};

}  // namespace aether::executor_contract
