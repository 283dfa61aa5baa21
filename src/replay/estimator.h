#pragma once
// Where a policy's beliefs come from. An estimator is told what a scheduler may know: submissions, and run times of jobs
// that have ended, in the order in which they happen.
#include <cstdint>
#include <string>

#include "queueing/dispatcher.h"

namespace aether::replay {

struct Submitted {
  int job = 0;
  std::string user;
  int partition = 0;
  int gpus = 1;
  int cpus = 0;
  std::int64_t submit_s = 0;
};

class Estimator {
 public:
  virtual ~Estimator() = default;
  virtual queueing::Belief submitted(const Submitted& job) = 0;
  virtual void ended(int job, double run_time_s, std::int64_t now_s) = 0;
};

// The model switched off: one belief for all, from the run times of all jobs that have ended.
class GlobalEstimator final : public Estimator {
 public:
  queueing::Belief submitted(const Submitted&) override { return ended_.distribution(); }
  void ended(int, double run_time_s, std::int64_t) override { ended_.add(run_time_s); }

 private:
  queueing::EndedJobs ended_;
};

}  // namespace aether::replay
