#pragma once
// Learns run times while jobs end: a belief per submission, from the request and the history alone.
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "queueing/run_time_distribution.h"
#include "runtime_model/classifier.h"
#include "runtime_model/history.h"

namespace aether::runtime_model {

// How good the beliefs given at submission were, over all jobs that have ended since.
struct Score {
  std::size_t jobs = 0;
  double spearman = 0;  // geometric mean against run time
  double log_loss = 0;  // of the bins, nats
};

// Trained prequentially: each belief comes from a model that saw only jobs that had ended before. Owned by one thread.
class RunTimeModel {
 public:
  RunTimeModel();
  ~RunTimeModel();

  // `job` is dense. Until the first training the belief is that of all ended jobs.
  std::shared_ptr<const queueing::RunTimeDistribution> submitted(int job, const Request& request);
  void ended(int job, double run_time_s, std::int64_t now_s);

  int version() const { return version_; }  // trainings so far
  Score score() const;

 private:
  struct Job {
    Request request;
    Features features{};
    queueing::BinProbabilities probabilities{};
    double run_time_s = -1;
  };
  queueing::BinProbabilities probabilities_of(const Features& features) const;
  void train();

  History history_;
  std::vector<Job> jobs_;
  std::vector<int> ended_;
  queueing::BinProbabilities counts_{};
  queueing::EndedJobs all_;
  std::optional<Classifier> classifier_;
  std::size_t trained_on_ = 0;
  int version_ = 0;
};

}  // namespace aether::runtime_model
