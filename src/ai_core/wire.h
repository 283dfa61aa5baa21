#pragma once
// The AI core's bodies: JSON in and out (API.md §1.2). The hot path: read with simdjson, written by hand.
//
// A candidate's keys are the telemetry names; the original prototype's gpu_temp and gpu_mem_used are accepted as aliases
// (the telemetry name wins). null = missing; unknown keys are ignored, since telemetry has more fields than the model.
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "predictor/predictor.h"

namespace aether::ai_core {

// kCorrupt: not JSON or not an object (HTTP 400). kInvalidArgument: a value is wrong (HTTP 422); the message names the
// candidate and the field, `field` is its JSON pointer. NaN and Infinity, which JSON can't express but Python writes, and
// numbers too large for a double are of the second kind.
// Keys: candidates, job_type, job {gpus, gpu_mem_mb}, explain (false by default: contributions are slow).
Result<PredictRequest> decode_predict_request(std::string_view body);
Result<std::vector<AnomalySample>> decode_anomaly_request(std::string_view body);

// Contributions join the reply as {gpu_id: [{feature, value, contribution}]} when they were asked for.
std::string encode_prediction(const Prediction& prediction, bool explain);
std::string encode_anomaly(const std::vector<AnomalyVerdict>& verdicts, const ModelVersion& model);
std::string encode_health(const ModelVersion& model);

}  // namespace aether::ai_core
