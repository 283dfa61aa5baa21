#pragma once
// Beliefs from the learned run-time model.
#include "replay/estimator.h"
#include "runtime_model/run_time_model.h"

namespace aether::replay {

class ModelEstimator final : public Estimator {
 public:
  queueing::Belief submitted(const Submitted& job) override {
    return model_.submitted(job.job, {job.user, job.partition, job.gpus, job.cpus, job.submit_s});
  }
  void ended(int job, double run_time_s, std::int64_t now_s) override { model_.ended(job, run_time_s, now_s); }
  const runtime_model::RunTimeModel& model() const { return model_; }

 private:
  runtime_model::RunTimeModel model_;
};

}  // namespace aether::replay
