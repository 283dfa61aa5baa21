#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "ai_core/wire.h"

namespace aether::ai_core {
namespace {

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

// The shortest text that reads back as the same double; null for what JSON can't hold.
void append_number(std::string& out, double value) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  out.append(buffer, end);
}

template <class Values, class Append>
void append_list(std::string& out, const Values& values, Append append) {
  bool first = true;
  for (const auto& value : values) {
    if (!first) out += ',';
    first = false;
    append(value);
  }
}

void append_model(std::string& out, const ModelVersion& model, std::string_view features_sha256 = {}) {
  out += R"("model":{"name":)";
  append_string(out, model.name);
  out += R"(,"version":)";
  append_string(out, model.version);
  if (!features_sha256.empty()) {
    out += R"(,"features_sha256":)";
    append_string(out, features_sha256);
  }
  out += '}';
}

void append_contributions(std::string& out, const Prediction& prediction) {
  out += R"(,"contributions":{)";
  bool first = true;
  for (const CandidateScore& score : prediction.scores) {
    if (score.contributions.empty()) continue;
    if (!first) out += ',';
    first = false;
    append_string(out, score.gpu_uuid.str());
    out += ":[";
    append_list(out, score.contributions, [&](const Contribution& part) {
      out += R"({"feature":)";
      append_string(out, part.feature);
      out += R"(,"value":)";
      if (part.value) append_number(out, *part.value);
      else out += "null";
      out += R"(,"contribution":)";
      append_number(out, part.contribution);
      out += '}';
    });
    out += ']';
  }
  out += '}';
}

}  // namespace

std::string encode_prediction(const Prediction& prediction, bool explain) {
  const std::vector<GpuUuid> order = ranking(prediction);
  std::string out;
  out.reserve(256 + order.size() * 128);
  out += R"({"best_gpu_id":)";
  append_string(out, order.front().str());
  out += R"(,"scores":{)";
  append_list(out, prediction.scores, [&](const CandidateScore& score) {
    append_string(out, score.gpu_uuid.str());
    out += ':';
    append_number(out, score.score);
  });
  out += R"(},"ranking":[)";
  append_list(out, order, [&](const GpuUuid& id) { append_string(out, id.str()); });
  out += R"(],"runtime_s":null,"peak_vram_mb":null,)";
  append_model(out, prediction.model, prediction.features_sha256);
  out += R"(,"missing_features":[)";
  append_list(out, prediction.missing_features, [&](const std::string& name) { append_string(out, name); });
  out += R"(],"fallback":false)";
  if (explain) append_contributions(out, prediction);
  out += '}';
  return out;
}

std::string encode_anomaly(const std::vector<AnomalyVerdict>& verdicts, const ModelVersion& model) {
  std::string out = R"({"results":[)";
  append_list(out, verdicts, [&](const AnomalyVerdict& verdict) {
    out += R"({"gpu_id":)";
    append_string(out, verdict.gpu_uuid.str());
    out += verdict.anomaly ? R"(,"anomaly":true,"score":)" : R"(,"anomaly":false,"score":)";
    append_number(out, verdict.score);
    out += R"(,"threshold":)";
    append_number(out, verdict.threshold);
    out += R"(,"reasons":[)";
    append_list(out, verdict.reasons, [&](const AnomalyReason& reason) {
      out += R"({"feature":)";
      append_string(out, reason.feature);
      out += R"(,"value":)";
      append_number(out, reason.value);
      out += R"(,"expected":[)";
      append_number(out, reason.expected_low);
      out += ',';
      append_number(out, reason.expected_high);
      out += "]}";
    });
    out += "]}";
  });
  out += "],";
  append_model(out, model);
  out += '}';
  return out;
}

std::string encode_health(const ModelVersion& model) {
  std::string out = R"({"status":"ok",)";
  append_model(out, model);
  out += '}';
  return out;
}

}  // namespace aether::ai_core
