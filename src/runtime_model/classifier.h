#pragma once
// Gradient-boosted trees that give the probability of each run-time bin.
#include <memory>
#include <vector>

#include "base/result.h"
#include "queueing/run_time_distribution.h"
#include "runtime_model/history.h"

namespace aether::runtime_model {

struct ClassifierParameters {
  int rounds = 40;
  int depth = 5;
  double learning_rate = 0.12;
};

// Owned by one thread. Not for static storage, see xgboost::Booster.
class Classifier {
 public:
  // One thread and a fixed seed: the same rows give the same trees. bins[i] in [0, kRunTimeBins).
  static Result<Classifier> train(const std::vector<Features>& rows, const std::vector<float>& bins,
                                  const std::vector<float>& weights, const ClassifierParameters& parameters);
  Result<queueing::BinProbabilities> probabilities(const Features& features) const;

 private:
  struct Handle {
    void operator()(void* booster) const;
  };
  explicit Classifier(std::unique_ptr<void, Handle> booster) : booster_(std::move(booster)) {}
  std::unique_ptr<void, Handle> booster_;
};

}  // namespace aether::runtime_model
