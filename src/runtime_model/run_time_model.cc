#include "runtime_model/run_time_model.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/assert.h"

namespace aether::runtime_model {
namespace {

constexpr std::size_t kFirstTraining_jobs = 300;
constexpr double kGrowthPerTraining = 1.15;
constexpr std::size_t kMostNew_jobs = 1500;
constexpr std::size_t kMostRows = 30000;
// So much of every belief is what all ended jobs show: trees are too sure of few examples.
constexpr double kShareOfAll = 0.25;

std::vector<double> ranks(const std::vector<double>& values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
  std::vector<double> out(values.size());
  for (std::size_t i = 0; i < order.size();) {
    std::size_t end = i;
    while (end < order.size() && values[order[end]] == values[order[i]]) ++end;
    for (std::size_t k = i; k < end; ++k) out[order[k]] = static_cast<double>(i + end - 1) / 2;
    i = end;
  }
  return out;
}

double correlation(const std::vector<double>& a, const std::vector<double>& b) {
  const auto count = static_cast<double>(a.size());
  const double mean_a = std::accumulate(a.begin(), a.end(), 0.0) / count;
  const double mean_b = std::accumulate(b.begin(), b.end(), 0.0) / count;
  double ab = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ab += (a[i] - mean_a) * (b[i] - mean_b);
    aa += (a[i] - mean_a) * (a[i] - mean_a);
    bb += (b[i] - mean_b) * (b[i] - mean_b);
  }
  return aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : 0;
}

}  // namespace

RunTimeModel::RunTimeModel() = default;
RunTimeModel::~RunTimeModel() = default;

std::shared_ptr<const queueing::RunTimeDistribution> RunTimeModel::submitted(int job, const Request& request) {
  if (job >= static_cast<int>(jobs_.size())) jobs_.resize(job + 1);
  Job& added = jobs_[job];
  added.request = request;
  added.features = history_.features(request, request.submit_s);
  added.probabilities = probabilities_of(added.features);
  history_.submitted(request);
  return classifier_ ? std::make_shared<queueing::RunTimeDistribution>(added.probabilities) : all_.distribution();
}

void RunTimeModel::ended(int job, double run_time_s, std::int64_t now_s) {
  AETHER_ASSERT(job < static_cast<int>(jobs_.size()));
  jobs_[job].run_time_s = run_time_s;
  history_.ended(jobs_[job].request, run_time_s, now_s);
  counts_[queueing::bin_of(run_time_s)] += 1;
  all_.add(run_time_s);
  ended_.push_back(job);
  const auto due = std::min(static_cast<std::size_t>(static_cast<double>(trained_on_) * kGrowthPerTraining) + 100,
                            trained_on_ + kMostNew_jobs);
  if (ended_.size() >= std::max(kFirstTraining_jobs, due)) train();
}

queueing::BinProbabilities RunTimeModel::probabilities_of(const Features& features) const {
  double total = queueing::kRunTimeBins;
  for (const double count : counts_) total += count;
  queueing::BinProbabilities out{};
  for (int bin = 0; bin < queueing::kRunTimeBins; ++bin) out[bin] = (counts_[bin] + 1) / total;
  if (!classifier_) return out;
  const auto learned = classifier_->probabilities(features);
  if (!learned) return out;
  for (int bin = 0; bin < queueing::kRunTimeBins; ++bin)
    out[bin] = kShareOfAll * out[bin] + (1 - kShareOfAll) * (*learned)[bin];
  return out;
}

void RunTimeModel::train() {
  std::vector<Features> rows;
  std::vector<float> bins, weights;
  const std::size_t first = ended_.size() > kMostRows ? ended_.size() - kMostRows : 0;
  for (std::size_t i = first; i < ended_.size(); ++i) {
    const Job& job = jobs_[ended_[i]];
    rows.push_back(job.features);
    bins.push_back(static_cast<float>(queueing::bin_of(job.run_time_s)));
    weights.push_back(1);
  }
  auto trained = Classifier::train(rows, bins, weights, {});
  trained_on_ = ended_.size();
  if (!trained) return;  // the former model stays
  classifier_.emplace(std::move(*trained));
  ++version_;
}

Score RunTimeModel::score() const {
  Score score{.jobs = ended_.size()};
  std::vector<double> expected, happened;
  for (const int id : ended_) {
    const Job& job = jobs_[id];
    expected.push_back(0);
    for (int bin = 0; bin < queueing::kRunTimeBins; ++bin) expected.back() += job.probabilities[bin] * bin;
    happened.push_back(job.run_time_s);
    score.log_loss -= std::log(std::max(1e-9, job.probabilities[queueing::bin_of(job.run_time_s)]));
  }
  if (ended_.empty()) return score;
  score.log_loss /= static_cast<double>(ended_.size());
  score.spearman = correlation(ranks(expected), ranks(happened));
  return score;
}

}  // namespace aether::runtime_model
