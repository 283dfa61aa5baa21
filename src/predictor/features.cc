#include "predictor/features.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace aether {
namespace {

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();

constexpr std::array<std::string_view, kFeatureCount> kNames = {
    "temperature_c",  "memory_used_mb",     "memory_free_share", "utilization_gpu", "utilization_memory_controller",
    "power_draw_w",   "power_share",        "clock_share",       "harmful_throttling", "power_capped",
    "node_busy_pct",  "job_is_inference",   "job_gpus",          "job_memory_share", "memory_share_after_start"};

constexpr CandidateNumber kNumbers[] = {
    {"temperature_c", &CandidateFeatures::temperature_c},
    {"memory_used_mb", &CandidateFeatures::memory_used_mb},
    {"memory_total_mb", &CandidateFeatures::memory_total_mb},
    {"utilization_gpu", &CandidateFeatures::utilization_gpu},
    {"utilization_memory_controller", &CandidateFeatures::utilization_memory_controller},
    {"power_draw_w", &CandidateFeatures::power_draw_w},
    {"power_limit_w", &CandidateFeatures::power_limit_w},
    {"clock_gpu_mhz", &CandidateFeatures::clock_gpu_mhz},
    {"clock_gpu_max_mhz", &CandidateFeatures::clock_gpu_max_mhz},
    {"node_busy_pct", &CandidateFeatures::node_busy_pct},
};

float or_missing(const std::optional<double>& value) { return value ? static_cast<float>(*value) : kMissing; }

// part / whole; missing when either is, or when the whole is not positive.
float share(const std::optional<double>& part, const std::optional<double>& whole) {
  if (!part || !whole || *whole <= 0) return kMissing;
  return static_cast<float>(*part / *whole);
}

std::optional<double> free_memory_mb(const CandidateFeatures& candidate) {
  if (!candidate.memory_total_mb || !candidate.memory_used_mb) return std::nullopt;
  return *candidate.memory_total_mb - *candidate.memory_used_mb;
}

std::optional<double> memory_after_start_mb(const PredictRequest& request, const CandidateFeatures& candidate) {
  if (!request.gpu_mem_mb || !candidate.memory_used_mb) return std::nullopt;
  return *request.gpu_mem_mb + *candidate.memory_used_mb;
}

}  // namespace

const std::array<std::string_view, kFeatureCount>& feature_names() { return kNames; }

std::string feature_list_text() {
  std::string text;
  for (const std::string_view name : kNames) {
    if (!text.empty()) text += '\n';
    text += name;
  }
  return text;
}

FeatureRow feature_row(const PredictRequest& request, const CandidateFeatures& candidate) {
  const auto& throttling = candidate.throttling_reasons;
  return {
      or_missing(candidate.temperature_c),
      or_missing(candidate.memory_used_mb),
      share(free_memory_mb(candidate), candidate.memory_total_mb),
      or_missing(candidate.utilization_gpu),
      or_missing(candidate.utilization_memory_controller),
      or_missing(candidate.power_draw_w),
      share(candidate.power_draw_w, candidate.power_limit_w),
      share(candidate.clock_gpu_mhz, candidate.clock_gpu_max_mhz),
      throttling ? (is_harmful_throttling(*throttling) ? 1.0f : 0.0f) : kMissing,
      throttling ? (throttling->find("power_cap") != std::string::npos ? 1.0f : 0.0f) : kMissing,
      or_missing(candidate.node_busy_pct),
      request.job_type == JobType::kInference ? 1.0f : 0.0f,
      static_cast<float>(request.gpus),
      share(request.gpu_mem_mb, candidate.memory_total_mb),
      share(memory_after_start_mb(request, candidate), candidate.memory_total_mb),
  };
}

std::vector<std::string> missing_features(std::span<const FeatureRow> rows) {
  std::vector<std::string> missing;
  for (std::size_t i = 0; i < kTelemetryFeatureCount; ++i) {
    const bool absent = std::all_of(rows.begin(), rows.end(), [&](const FeatureRow& row) { return std::isnan(row[i]); });
    if (absent) missing.emplace_back(kNames[i]);
  }
  return missing;
}

std::span<const CandidateNumber> candidate_numbers() { return kNumbers; }

}  // namespace aether
