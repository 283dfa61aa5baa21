#include "predictor/http/wire.h"

#include <simdjson.h>

#include <charconv>
#include <cmath>
#include <unordered_map>

#include <fmt/format.h>

#include "predictor/features.h"

namespace aether {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::object;

tl::unexpected<Error> malformed(std::string_view what) {
  return fail(ErrorCode::kCorrupt, fmt::format("the AI core's reply makes no sense: {}", what));
}

void append_string(std::string& out, std::string_view text) {
  out += '"';
  std::size_t copied = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool control = static_cast<unsigned char>(c) < 0x20;
    if (!control && c != '"' && c != '\\') continue;
    out.append(text.substr(copied, i - copied));
    out += control ? fmt::format("\\u{:04x}", static_cast<int>(c)) : std::string{'\\', c};
    copied = i + 1;
  }
  out.append(text.substr(copied));
  out += '"';
}

void append_number(std::string& out, double value) {
  char buffer[32];
  out.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr);
}

void append_entry(std::string& out, const GpuUuid& id, const CandidateFeatures& features) {
  out += R"({"gpu_id":)";
  append_string(out, id.str());
  for (const CandidateNumber& number : candidate_numbers()) {
    const auto& value = features.*number.field;
    if (!value) continue;
    out += fmt::format(",\"{}\":", number.name);
    append_number(out, *value);
  }
  if (features.throttling_reasons) {
    out += R"(,"throttling_reasons":)";
    append_string(out, *features.throttling_reasons);
  }
  out += '}';
}

simdjson::dom::parser& thread_parser() {
  static thread_local simdjson::dom::parser parser;
  return parser;
}

// Valid until the next call on this thread.
Result<object> parse_object(std::string_view body) {
  object root;
  const auto error = thread_parser().parse(body.data(), body.size()).get(root);
  if (error != simdjson::SUCCESS) return malformed(simdjson::error_message(error));
  return root;
}

Result<std::string> text_at(const object& parent, std::string_view key) {
  std::string_view text;
  if (parent[key].get(text) != simdjson::SUCCESS) return malformed(fmt::format("no text '{}'", key));
  return std::string(text);
}

Result<double> number_at(const object& parent, std::string_view key) {
  double number = 0;
  if (parent[key].get(number) != simdjson::SUCCESS) return malformed(fmt::format("no number '{}'", key));
  return number;
}

Result<ModelVersion> model_at(const object& root, std::string* features_sha256) {
  object model;
  if (root["model"].get(model) != simdjson::SUCCESS) return malformed("no 'model'");
  auto name = text_at(model, "name");
  auto version = text_at(model, "version");
  if (!name || !version) return malformed("'model' without name or version");
  if (features_sha256 != nullptr) {
    auto digest = text_at(model, "features_sha256");
    if (!digest) return fail(digest.error());
    *features_sha256 = std::move(*digest);
  }
  return ModelVersion{std::move(*name), std::move(*version)};
}

Result<std::vector<Contribution>> decode_contributions(const array& parts) {
  std::vector<Contribution> out;
  for (const element entry : parts) {
    object part;
    if (entry.get(part) != simdjson::SUCCESS) return malformed("a contribution is no object");
    auto feature = text_at(part, "feature");
    const auto contribution = number_at(part, "contribution");
    if (!feature || !contribution) return malformed("a contribution lacks 'feature' or 'contribution'");
    double value = 0;
    const bool present = part["value"].get(value) == simdjson::SUCCESS;
    out.push_back({std::move(*feature), present ? std::optional<double>(value) : std::nullopt, *contribution});
  }
  return out;
}

using IndexById = std::unordered_map<std::string_view, std::size_t>;

Result<void> decode_scores(const object& root, const IndexById& index, std::vector<CandidateScore>& scores) {
  object by_id;
  if (root["scores"].get(by_id) != simdjson::SUCCESS) return malformed("no 'scores'");
  std::vector<bool> seen(scores.size());
  std::size_t count = 0;
  for (const auto& field : by_id) {
    const auto at = index.find(field.key);
    double score = 0;
    if (at == index.end() || seen[at->second]) return malformed(fmt::format("a score for the strange or repeated id '{}'", field.key));
    if (field.value.get(score) != simdjson::SUCCESS || score < 0 || score > 1)
      return malformed(fmt::format("the score of '{}' is not in 0..1", field.key));
    scores[at->second].score = score;
    seen[at->second] = true;
    ++count;
  }
  if (count != scores.size()) return malformed(fmt::format("{} scores for {} candidates", count, scores.size()));
  return {};
}

Result<void> decode_explanations(const object& root, const IndexById& index, std::vector<CandidateScore>& scores) {
  object by_id;
  if (root["contributions"].get(by_id) != simdjson::SUCCESS) return {};
  for (const auto& field : by_id) {
    const auto at = index.find(field.key);
    array parts;
    if (at == index.end() || field.value.get(parts) != simdjson::SUCCESS)
      return malformed(fmt::format("strange contributions for '{}'", field.key));
    auto contributions = decode_contributions(parts);
    if (!contributions) return fail(contributions.error());
    scores[at->second].contributions = std::move(*contributions);
  }
  return {};
}

Result<AnomalyVerdict> decode_verdict(const element& entry, const GpuUuid& expected) {
  object verdict;
  std::string_view id;
  AnomalyVerdict out;
  if (entry.get(verdict) != simdjson::SUCCESS || verdict["gpu_id"].get(id) != simdjson::SUCCESS || id != expected.str())
    return malformed(fmt::format("no verdict for '{}' in its place", expected.str()));
  const auto score = number_at(verdict, "score");
  const auto threshold = number_at(verdict, "threshold");
  array reasons;
  if (!score || !threshold || verdict["anomaly"].get(out.anomaly) != simdjson::SUCCESS ||
      verdict["reasons"].get(reasons) != simdjson::SUCCESS)
    return malformed(fmt::format("the verdict for '{}' is not complete", expected.str()));
  out.gpu_uuid = expected;
  out.score = *score;
  out.threshold = *threshold;
  for (const element item : reasons) {
    object reason;
    array expected_range;
    AnomalyReason parsed;
    std::string_view feature;
    if (item.get(reason) != simdjson::SUCCESS || reason["feature"].get(feature) != simdjson::SUCCESS ||
        reason["value"].get(parsed.value) != simdjson::SUCCESS || reason["expected"].get(expected_range) != simdjson::SUCCESS ||
        expected_range.at(0).get(parsed.expected_low) != simdjson::SUCCESS ||
        expected_range.at(1).get(parsed.expected_high) != simdjson::SUCCESS)
      return malformed(fmt::format("a reason for '{}' is not complete", expected.str()));
    parsed.feature = feature;
    out.reasons.push_back(std::move(parsed));
  }
  return out;
}

ErrorCode code_of(int status) {
  switch (status) {
    case 400: case 422: return ErrorCode::kInvalidArgument;
    case 401: return ErrorCode::kUnauthenticated;
    case 403: case 421: return ErrorCode::kPermissionDenied;
    case 404: case 405: return ErrorCode::kUnsupported;
    case 413: case 429: return ErrorCode::kResourceExhausted;
    case 504: return ErrorCode::kTimeout;
    default: return ErrorCode::kUnavailable;
  }
}

}  // namespace

std::string encode_predict_body(const PredictRequest& request, std::span<const CandidateFeatures> candidates) {
  std::string out;
  out.reserve(128 + candidates.size() * 320);
  out += fmt::format(R"({{"job_type":"{}","job":{{"gpus":{})", to_string(request.job_type), request.gpus);
  if (request.gpu_mem_mb) {
    out += R"(,"gpu_mem_mb":)";
    append_number(out, *request.gpu_mem_mb);
  }
  out += request.explain ? R"(},"explain":true,"candidates":[)" : R"(},"candidates":[)";
  for (const CandidateFeatures& candidate : candidates) {
    if (&candidate != &candidates.front()) out += ',';
    append_entry(out, candidate.gpu_uuid, candidate);
  }
  return out + "]}";
}

std::string encode_anomaly_body(std::span<const AnomalySample> samples) {
  std::string out = R"({"samples":[)";
  for (const AnomalySample& sample : samples) {
    if (&sample != &samples.front()) out += ',';
    append_entry(out, sample.gpu_uuid, sample.features);
  }
  return out + "]}";
}

Result<Prediction> decode_prediction(std::string_view body, std::span<const CandidateFeatures> candidates) {
  const auto root = parse_object(body);
  if (!root) return fail(root.error());
  Prediction prediction;
  auto model = model_at(*root, &prediction.features_sha256);
  if (!model) return fail(model.error());
  prediction.model = std::move(*model);
  IndexById index;
  for (const CandidateFeatures& candidate : candidates) {
    index.emplace(candidate.gpu_uuid.str(), prediction.scores.size());
    prediction.scores.push_back({candidate.gpu_uuid, 0, {}});
  }
  AETHER_TRY(decode_scores(*root, index, prediction.scores));
  AETHER_TRY(decode_explanations(*root, index, prediction.scores));
  array missing;
  if ((*root)["missing_features"].get(missing) != simdjson::SUCCESS) return malformed("no 'missing_features'");
  for (const element name : missing) {
    std::string_view text;
    if (name.get(text) != simdjson::SUCCESS) return malformed("'missing_features' holds something else than text");
    prediction.missing_features.emplace_back(text);
  }
  return prediction;
}

Result<std::vector<AnomalyVerdict>> decode_verdicts(std::string_view body, std::span<const AnomalySample> samples) {
  const auto root = parse_object(body);
  if (!root) return fail(root.error());
  array results;
  if ((*root)["results"].get(results) != simdjson::SUCCESS) return malformed("no 'results'");
  std::vector<AnomalyVerdict> verdicts;
  for (const element entry : results) {
    if (verdicts.size() == samples.size()) return malformed("more verdicts than samples");
    auto verdict = decode_verdict(entry, samples[verdicts.size()].gpu_uuid);
    if (!verdict) return fail(verdict.error());
    verdicts.push_back(std::move(*verdict));
  }
  if (verdicts.size() != samples.size()) return malformed("fewer verdicts than samples");
  return verdicts;
}

Result<ModelVersion> decode_health(std::string_view body) {
  const auto root = parse_object(body);
  if (!root) return fail(root.error());
  return model_at(*root, nullptr);
}

Error decode_problem(int status, std::string_view body) {
  Error error{code_of(status), fmt::format("the AI core answered with status {}", status), {}};
  const auto root = parse_object(body);
  if (!root) return error;
  if (const auto detail = text_at(*root, "detail"); detail && !detail->empty()) error.message = *detail;
  array errors;
  object first;
  std::string_view pointer;
  if ((*root)["errors"].get(errors) == simdjson::SUCCESS && errors.size() > 0 && errors.at(0).get(first) == simdjson::SUCCESS &&
      first["pointer"].get(pointer) == simdjson::SUCCESS)
    error.field = pointer;
  return error;
}

}  // namespace aether
