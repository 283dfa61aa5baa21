#pragma once
// The client's side of the AI core's bodies (API.md §1.2); ai_core/wire.h is the other side.
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "predictor/predictor.h"

namespace aether {

// The body for some of the request's candidates.
std::string encode_predict_body(const PredictRequest& request, std::span<const CandidateFeatures> candidates);
std::string encode_anomaly_body(std::span<const AnomalySample> samples);

// kCorrupt when the reply is no JSON, lacks a candidate or names a strange one, or holds a score outside 0..1.
Result<Prediction> decode_prediction(std::string_view body, std::span<const CandidateFeatures> candidates);
Result<std::vector<AnomalyVerdict>> decode_verdicts(std::string_view body, std::span<const AnomalySample> samples);
Result<ModelVersion> decode_health(std::string_view body);
// The error that a status of 400 and more stands for, with the text of its problem document.
Error decode_problem(int status, std::string_view body);

}  // namespace aether
