#pragma once
// What is believed about a job's run time: probabilities of fifteen bins that double in length, and the Gittins index.
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

namespace aether::queueing {

// Bin 0 is below 30 s, bin i from 30·2^(i-1) s to 30·2^i s, the last one open.
inline constexpr int kRunTimeBins = 15;
int bin_of(double run_time_s);

using BinProbabilities = std::array<double, kRunTimeBins>;

// A belief with its Gittins index by age, computed once. Immutable: shared by all jobs that have it.
class RunTimeDistribution {
 public:
  // Probabilities need not be normalised; all zero means uniform.
  explicit RunTimeDistribution(const BinProbabilities& weights);

  // Best ratio of the chance of ending to the time spent, over all spans from `age_s` on, in 1/s: Gittins' index of a
  // job that has run so long. Piecewise constant in age.
  double gittins_index(double age_s) const;
  // Chance of running longer than `run_time_s`; never zero.
  double survival(double run_time_s) const;
  double mean_s() const { return mean_s_; }
  // exp(E[log X]).
  double geometric_mean_s() const { return geometric_mean_s_; }

 private:
  std::vector<double> index_;  // by support point: the index of a job whose age lies just before it
  std::array<double, kRunTimeBins + 1> alive_{};  // survival at the bins' edges
  double mean_s_ = 0;
  double geometric_mean_s_ = 0;
};

// The belief that the ended jobs justify when nothing is known of a job.
class EndedJobs {
 public:
  void add(double run_time_s);
  // One belief for all, renewed as the count grows by a twentieth.
  std::shared_ptr<const RunTimeDistribution> distribution();

 private:
  BinProbabilities counts_{};
  double total_ = 0;
  double total_at_renewal_ = -1;
  std::shared_ptr<const RunTimeDistribution> current_;
};

}  // namespace aether::queueing
