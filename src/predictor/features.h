#pragma once
// What the model sees: one row of numbers per candidate, in one fixed order. NaN = missing; the model handles it.
// A model trained on another list is refused, so a change here needs a new training.
#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "predictor/predictor.h"

namespace aether {

inline constexpr std::size_t kFeatureCount = 15;
// The first ones come from a candidate's telemetry, the rest from the job.
inline constexpr std::size_t kTelemetryFeatureCount = 11;
using FeatureRow = std::array<float, kFeatureCount>;

// temperature_c, memory_used_mb, memory_free_share, ...; docs/model.md describes each.
const std::array<std::string_view, kFeatureCount>& feature_names();
// The names joined by "\n": the text whose SHA-256 identifies the feature list.
std::string feature_list_text();

FeatureRow feature_row(const PredictRequest& request, const CandidateFeatures& candidate);
// Names of the telemetry features that are missing in every row.
std::vector<std::string> missing_features(std::span<const FeatureRow> rows);

// The measured numbers of a candidate by field name, in the order of the struct.
struct CandidateNumber {
  std::string_view name;
  std::optional<double> CandidateFeatures::*field;
};
std::span<const CandidateNumber> candidate_numbers();

}  // namespace aether
