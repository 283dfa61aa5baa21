#pragma once
// How good a model is on clusters it has not seen, next to what one would do without a model.
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "predictor/predictor.h"
#include "predictor/synthetic.h"

namespace aether {

// Mean over clusters with its 95 % confidence interval (normal, clusters as the independent units).
struct Estimate {
  double mean = 0, low = 0, high = 0;
};
Estimate estimate(const std::vector<double>& per_cluster);

struct PolicyResult {
  std::string name;      // "model", "least_loaded", "coolest", "random", "best_possible"
  Estimate slowdown;     // of the chosen GPU, 1 = undisturbed
  Estimate regret;       // slowdown above the best candidate of the same decision
  Estimate over_model;   // paired difference to the model's slowdown; above 0 = the model is better
};

struct EvaluationReport {
  std::size_t clusters = 0, decisions = 0, rows = 0;
  double share_ran_well = 0;
  double log_loss = 0, log_loss_of_share = 0;  // the second: always predicting share_ran_well
  double auc = 0;
  std::vector<PolicyResult> policies;
};

struct EvaluationOptions {
  std::uint64_t first_seed = 1'000'000;  // training uses seeds from 4,000,000
  std::size_t clusters = 200;
  SyntheticOptions cluster;
};

Result<EvaluationReport> evaluate(Predictor& predictor, const EvaluationOptions& options);

// Area under the ROC curve; ties count half. 0.5 when one class is empty.
double area_under_curve(std::vector<std::pair<double, bool>> scored);

// What `aether train` prints: for people, and as one JSON object.
std::string table(const EvaluationReport& report);
std::string json(const EvaluationReport& report);

}  // namespace aether
