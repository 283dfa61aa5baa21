#pragma once
// Synthetic training data. THESE ARE ASSUMPTIONS, NOT MEASUREMENTS: no trace of real outcomes per GPU is public, so the
// model starts from a simulated physics in which telemetry shows the causes only in part. docs/model.md repeats this.
//
// A decision is one job with its candidate GPUs. Running on GPU g it is slowed down by
//   slowdown = (1 + heat)(1 + interference)(1 + power)(1 + host)(1 + fault)(1 + memory), 1 = undisturbed, where
//   heat         = 0.03 per degree by which the steady temperature passes the slowdown temperature - 6, smoothed;
//                  steady temperature = inlet + resistance x power + 14 x neighbours' power share / airflow
//   interference = 0.9 x load of others x compute intensity + (0.6 training, 1.2 inference) x their bandwidth x ours
//   power        = 0.7 x the part of the common power demand above the limit
//   host         = 0.18 x busy share of the node, half of it for a job on one GPU
//   fault        = 0.15..0.4 with a degraded link, 0.5 with a sticky clock slowdown
//   memory       = 1 when it does not fit, else what is used beyond 90 %
// Hidden from the model: inlet, resistance (dust, production spread), airflow, job intensities, link faults, how the load
// of others will change, idle processes that wake up. Seen with noise, bias and gaps: the telemetry.
// A run "ran well" when slowdown x exp(N(0, 0.05)) < 1.15 x exp(N(0, 0.08)): the classes overlap.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "predictor/predictor.h"

namespace aether {

struct SyntheticDecision {
  PredictRequest request;                   // ids "<node>-<index>"
  std::vector<double> expected_slowdown;    // per candidate, without the noise of the single run
  std::vector<bool> ran_well;               // per candidate, had it been chosen
};

struct SyntheticOptions {
  std::size_t decisions = 10;   // per cluster
  std::size_t candidates = 16;  // per decision, at most
};

// One cluster and the jobs that arrive there. The same seed gives the same result on every machine.
std::vector<SyntheticDecision> synthetic_cluster(std::uint64_t seed, const SyntheticOptions& options);

// Telemetry of GPUs without dust, faults and throttling, at every load. For the bands of anomaly().
std::vector<CandidateFeatures> synthetic_healthy_samples(std::uint64_t seed, std::size_t count);

}  // namespace aether
