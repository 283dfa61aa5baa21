#pragma once
// The promises, checked while and after a run. The numbers are those of the table in docs/simulation.md. The referee
// knows only what a user or an operator could know: durable writes, answered requests, and what really executed.
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "model/job.h"
#include "simulation/disk.h"
#include "simulation/world.h"
#include "store/store.h"

namespace aether::simulation {

// One run of a process, in the world's time.
struct Execution {
  NodeId node;
  AttemptId attempt;
  Epoch epoch = 0;
  std::vector<GpuUuid> gpu_uuids;
  bool exclusive = true;
  std::int64_t memory_mb = 0;    // reserved on each of its GPUs when it is not exclusive
  Duration began{};
  std::optional<Duration> ended;
};

class Referee {
 public:
  explicit Referee(World& world) : world_(world) {}

  // A durable commit, in order. Holds the events against the job's state machine.
  void on_commit(const std::vector<Write>& writes);
  // A user was told that this job is stored; how it ends if nobody stops it.
  struct Expected {
    std::optional<int> exit_code, signal;
    bool exec_fails = false;
  };
  void on_accepted(const std::string& key, const JobId& job, const Expected& expected);
  // A user was told that this job is cancelled for good.
  void on_cancelled(const JobId& job);

  // After the run has healed and settled.
  void judge(const Disk& disk, const std::vector<Execution>& executions, bool must_be_settled);

  void blame(std::string promise, std::string what);
  const std::vector<std::string>& failures() const { return failures_; }

 private:
  struct Model {
    std::string state;                     // as the last durable event says
    std::map<int, JobState> attempts;      // by n
    std::map<int, Epoch> epochs;
    std::map<int, ExitStatus> exits;
    std::map<int, Duration> ended;         // when the attempt's end became durable
  };
  void check_audit(const std::vector<Write>& writes);
  void check_event(const JobEvent& event);
  void check_attempt(const Attempt& attempt);
  void check_accepted(const Disk& disk, bool must_be_settled);
  void check_executions(std::vector<Execution> executions);
  void check_one(const Execution& one);
  void check_pair(const Execution& one, const Execution& other);
  void check_shared_memory(const std::vector<Execution>& executions);
  void check_dependencies(const Disk& disk, const std::vector<Execution>& executions);
  void check_dependency(const Dependency& dependency, const Disk& disk, const Execution& one, const std::vector<Execution>& executions);
  void check_arrays(const Disk& disk, const std::vector<Execution>& executions);
  void check_exit(const Job& job, const Expected& expected);

  World& world_;
  std::map<JobId, Model> models_;
  std::map<std::string, JobId> accepted_;  // by key
  std::map<JobId, Expected> expected_;
  std::map<JobId, Duration> cancelled_;
  std::vector<std::string> failures_;
};

}  // namespace aether::simulation
