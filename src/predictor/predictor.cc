#include "predictor/predictor.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <unordered_set>

#include <fmt/format.h>

#include "predictor/features.h"

namespace aether {
namespace {

// One candidate or sample of the list `list` ("candidates").
Result<void> validate_entry(const CandidateFeatures& entry, const GpuUuid& id, std::string_view list, std::size_t index) {
  if (id.empty())
    return fail(ErrorCode::kInvalidArgument, fmt::format("{} {} has no id: give it a 'gpu_id'", list, index),
                fmt::format("/{}/{}/gpu_id", list, index));
  for (const CandidateNumber& number : candidate_numbers()) {
    const auto& value = entry.*number.field;
    if (value && !std::isfinite(*value))
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("'{}' of '{}' is {}: give a finite number or leave it out", number.name, id.str(), *value),
                  fmt::format("/{}/{}/{}", list, index, number.name));
  }
  return {};
}

Result<void> validate_count(std::size_t count, std::string_view list) {
  if (count >= 1 && count <= kMaxCandidates) return {};
  return fail(ErrorCode::kInvalidArgument, fmt::format("{} {} given: give 1 to {}", count, list, kMaxCandidates),
              fmt::format("/{}", list));
}

tl::unexpected<Error> duplicate(std::string_view id, std::string_view list, std::size_t index) {
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("'{}' is given twice in {}: every 'gpu_id' must be unique", id, list),
              fmt::format("/{}/{}/gpu_id", list, index));
}

}  // namespace

std::vector<GpuUuid> ranking(const Prediction& prediction) {
  std::vector<const CandidateScore*> order;
  order.reserve(prediction.scores.size());
  for (const CandidateScore& score : prediction.scores) order.push_back(&score);
  std::sort(order.begin(), order.end(), [](const CandidateScore* a, const CandidateScore* b) {
    if (a->score != b->score) return a->score > b->score;
    return a->gpu_uuid < b->gpu_uuid;
  });
  std::vector<GpuUuid> ids;
  ids.reserve(order.size());
  for (const CandidateScore* score : order) ids.push_back(score->gpu_uuid);
  return ids;
}

Result<void> validate(const PredictRequest& request) {
  AETHER_TRY(validate_count(request.candidates.size(), "candidates"));
  if (request.gpus < 0 || request.gpus > 4096)
    return fail(ErrorCode::kInvalidArgument, fmt::format("'gpus' is {}: give 0 to 4096", request.gpus), "/job/gpus");
  if (request.gpu_mem_mb && (!std::isfinite(*request.gpu_mem_mb) || *request.gpu_mem_mb < 0))
    return fail(ErrorCode::kInvalidArgument, fmt::format("'gpu_mem_mb' is {}: give MiB, 0 or more", *request.gpu_mem_mb),
                "/job/gpu_mem_mb");
  std::unordered_set<std::string_view> seen;
  seen.reserve(request.candidates.size());
  for (std::size_t i = 0; i < request.candidates.size(); ++i) {
    const CandidateFeatures& candidate = request.candidates[i];
    AETHER_TRY(validate_entry(candidate, candidate.gpu_uuid, "candidates", i));
    if (!seen.insert(candidate.gpu_uuid.str()).second) return duplicate(candidate.gpu_uuid.str(), "candidates", i);
  }
  return {};
}

Result<void> validate(const std::vector<AnomalySample>& samples) {
  AETHER_TRY(validate_count(samples.size(), "samples"));
  std::unordered_set<std::string_view> seen;
  seen.reserve(samples.size());
  for (std::size_t i = 0; i < samples.size(); ++i) {
    AETHER_TRY(validate_entry(samples[i].features, samples[i].gpu_uuid, "samples", i));
    if (!seen.insert(samples[i].gpu_uuid.str()).second) return duplicate(samples[i].gpu_uuid.str(), "samples", i);
  }
  return {};
}

}  // namespace aether
