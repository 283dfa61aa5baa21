#include "predictor/evaluation.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <limits>

#include <fmt/format.h>

#include "base/rng.h"

namespace aether {
namespace {

enum Policy : std::size_t { kModel, kLeastLoaded, kCoolest, kRandom, kBestPossible, kPolicyCount };
constexpr std::array<const char*, kPolicyCount> kPolicyNames = {"model", "least_loaded", "coolest", "random",
                                                               "best_possible"};

// Index of the candidate with the smallest value; a missing value is the last choice, ties go to the first.
template <class Value>
std::size_t smallest(const std::vector<CandidateFeatures>& candidates, Value value) {
  std::size_t best = 0;
  double best_value = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const double mine = value(candidates[i]).value_or(1e9);
    if (mine < best_value) {
      best = i;
      best_value = mine;
    }
  }
  return best;
}

std::size_t index_of(const std::vector<CandidateFeatures>& candidates, const GpuUuid& id) {
  const auto at = std::find_if(candidates.begin(), candidates.end(), [&](const auto& c) { return c.gpu_uuid == id; });
  return static_cast<std::size_t>(at - candidates.begin());
}

std::array<std::size_t, kPolicyCount> choose(const SyntheticDecision& decision, const Prediction& prediction, Rng& rng) {
  const auto& candidates = decision.request.candidates;
  const auto& slowdown = decision.expected_slowdown;
  std::array<std::size_t, kPolicyCount> chosen{};
  chosen[kModel] = index_of(candidates, ranking(prediction).front());
  chosen[kLeastLoaded] = smallest(candidates, [](const CandidateFeatures& c) { return c.utilization_gpu; });
  chosen[kCoolest] = smallest(candidates, [](const CandidateFeatures& c) { return c.temperature_c; });
  chosen[kRandom] = rng.below(candidates.size());
  chosen[kBestPossible] = static_cast<std::size_t>(std::min_element(slowdown.begin(), slowdown.end()) - slowdown.begin());
  return chosen;
}

struct Tally {
  std::array<std::vector<double>, kPolicyCount> slowdown;  // per cluster
  std::vector<std::pair<double, bool>> scored;
  std::size_t decisions = 0;
};

Result<void> add_cluster(Predictor& predictor, const std::vector<SyntheticDecision>& decisions, Rng& rng, Tally& tally) {
  std::array<double, kPolicyCount> sum{};
  for (SyntheticDecision decision : decisions) {
    decision.request.explain = false;
    const auto prediction = predictor.predict(decision.request, std::chrono::minutes(1));
    if (!prediction) return fail(prediction.error());
    const auto chosen = choose(decision, *prediction, rng);
    for (std::size_t policy = 0; policy < kPolicyCount; ++policy)
      sum[policy] += decision.expected_slowdown[chosen[policy]];
    for (std::size_t i = 0; i < decision.ran_well.size(); ++i)
      tally.scored.emplace_back(prediction->scores[i].score, decision.ran_well[i]);
  }
  tally.decisions += decisions.size();
  for (std::size_t policy = 0; policy < kPolicyCount; ++policy)
    tally.slowdown[policy].push_back(sum[policy] / static_cast<double>(decisions.size()));
  return {};
}

std::vector<double> difference(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> out;
  std::transform(a.begin(), a.end(), b.begin(), std::back_inserter(out), [](double x, double y) { return x - y; });
  return out;
}

double log_loss(double probability, bool outcome) {
  const double safe = std::clamp(probability, 1e-7, 1 - 1e-7);
  return -std::log(outcome ? safe : 1 - safe);
}

EvaluationReport summarise(const Tally& tally) {
  EvaluationReport report;
  report.clusters = tally.slowdown[kModel].size();
  report.decisions = tally.decisions;
  report.rows = tally.scored.size();
  const double rows = static_cast<double>(report.rows);
  for (const auto& [score, well] : tally.scored) report.share_ran_well += well / rows;
  for (const auto& [score, well] : tally.scored) {
    report.log_loss += log_loss(score, well) / rows;
    report.log_loss_of_share += log_loss(report.share_ran_well, well) / rows;
  }
  report.auc = area_under_curve(tally.scored);
  for (std::size_t policy = 0; policy < kPolicyCount; ++policy)
    report.policies.push_back({kPolicyNames[policy], estimate(tally.slowdown[policy]),
                               estimate(difference(tally.slowdown[policy], tally.slowdown[kBestPossible])),
                               estimate(difference(tally.slowdown[policy], tally.slowdown[kModel]))});
  return report;
}

std::string json(const Estimate& value) {
  return fmt::format(R"({{"mean":{:.5f},"low":{:.5f},"high":{:.5f}}})", value.mean, value.low, value.high);
}

std::string text(const Estimate& value) {
  return fmt::format("{:.3f} [{:.3f}, {:.3f}]", value.mean, value.low, value.high);
}

}  // namespace

Estimate estimate(const std::vector<double>& per_cluster) {
  const double count = static_cast<double>(per_cluster.size());
  if (per_cluster.empty()) return {};
  double mean = 0, squares = 0;
  for (const double value : per_cluster) mean += value / count;
  for (const double value : per_cluster) squares += (value - mean) * (value - mean);
  const double half = per_cluster.size() > 1 ? 1.96 * std::sqrt(squares / (count - 1) / count) : 0;
  return {mean, mean - half, mean + half};
}

double area_under_curve(std::vector<std::pair<double, bool>> scored) {
  std::sort(scored.begin(), scored.end());
  double positives = 0, negatives = 0, pairs_won = 0;
  for (std::size_t begin = 0; begin < scored.size();) {
    double tied_positives = 0, tied_negatives = 0;
    std::size_t end = begin;
    for (; end < scored.size() && scored[end].first == scored[begin].first; ++end)
      (scored[end].second ? tied_positives : tied_negatives) += 1;
    pairs_won += tied_positives * (negatives + tied_negatives / 2);
    positives += tied_positives;
    negatives += tied_negatives;
    begin = end;
  }
  return positives > 0 && negatives > 0 ? pairs_won / (positives * negatives) : 0.5;
}

Result<EvaluationReport> evaluate(Predictor& predictor, const EvaluationOptions& options) {
  Tally tally;
  Rng rng(options.first_seed);
  for (std::size_t i = 0; i < options.clusters; ++i)
    AETHER_TRY(add_cluster(predictor, synthetic_cluster(options.first_seed + i, options.cluster), rng, tally));
  return summarise(tally);
}

std::string table(const EvaluationReport& report) {
  std::string out = fmt::format("Held-out synthetic data: {} clusters, {} decisions, {} candidate GPUs, {:.0f} % ran well\n",
                                report.clusters, report.decisions, report.rows, 100 * report.share_ran_well);
  out += fmt::format("AUC {:.3f} · log loss {:.3f} ({:.3f} when the share alone is known)\n\n", report.auc,
                     report.log_loss, report.log_loss_of_share);
  out += fmt::format("{:<14} {:<24} {:<24} {}\n", "GPU chosen by", "slowdown [95 %]", "regret [95 %]",
                     "slower than the model by [95 %]");
  for (const PolicyResult& policy : report.policies)
    out += fmt::format("{:<14} {:<24} {:<24} {}\n", policy.name, text(policy.slowdown), text(policy.regret),
                       policy.name == "model" ? "-" : text(policy.over_model));
  return out;
}

std::string json(const EvaluationReport& report) {
  std::string out = fmt::format(
      R"({{"clusters":{},"decisions":{},"rows":{},"share_ran_well":{:.5f},"log_loss":{:.5f},"log_loss_of_share":{:.5f},"auc":{:.5f},"policies":[)",
      report.clusters, report.decisions, report.rows, report.share_ran_well, report.log_loss, report.log_loss_of_share,
      report.auc);
  for (std::size_t i = 0; i < report.policies.size(); ++i) {
    const PolicyResult& policy = report.policies[i];
    out += fmt::format(R"({}{{"name":"{}","slowdown":{},"regret":{},"over_model":{}}})", i == 0 ? "" : ",", policy.name,
                       json(policy.slowdown), json(policy.regret), json(policy.over_model));
  }
  return out + "]}";
}

}  // namespace aether
