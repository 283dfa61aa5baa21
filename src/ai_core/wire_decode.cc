#include <simdjson.h>

#include <cctype>
#include <cmath>
#include <cstdlib>

#include <fmt/format.h>

#include "ai_core/wire.h"
#include "predictor/features.h"

namespace aether::ai_core {
namespace {

using simdjson::dom::element;
using simdjson::dom::object;

// Where a value stands, for messages: "candidates", 3, "GPU-1".
struct Place {
  std::string_view list;
  std::size_t index;
  std::string_view id;
};

tl::unexpected<Error> wrong(std::string_view field, std::string_view what, const Place& place) {
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("'{}' of {}: {}", field,
                          place.id.empty() ? fmt::format("{} {}", place.list, place.index) : fmt::format("'{}'", place.id),
                          what),
              fmt::format("/{}/{}/{}", place.list, place.index, field));
}

// A number, or nothing for null and absent.
Result<std::optional<double>> number_of(const element& value) {
  if (value.is_null()) return std::nullopt;
  double number = 0;
  if (value.get(number) != simdjson::SUCCESS) {
    std::string_view text;
    if (value.get(text) == simdjson::SUCCESS)
      return fail(ErrorCode::kInvalidArgument, fmt::format("\"{}\" is no finite number", text.substr(0, 40)));
    return fail(ErrorCode::kInvalidArgument, "it must be a number or null");
  }
  return number;
}

bool is_digit_or_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '+' || c == '-' || c == '.';
}

// Python's json module writes NaN, Infinity and -Infinity. Quoting them, and numbers beyond a double, makes the text
// JSON again, so that the ordinary reader can say which candidate and field they belong to.
std::string quote_non_finite(std::string_view body) {
  std::string out;
  out.reserve(body.size() + 64);
  for (std::size_t i = 0; i < body.size();) {
    if (body[i] == '"') {
      const std::size_t begin = i++;
      while (i < body.size() && body[i] != '"') i += body[i] == '\\' ? 2 : 1;
      i = std::min(i + 1, body.size());
      out.append(body.substr(begin, i - begin));
    } else if (is_digit_or_word(body[i])) {
      const std::size_t begin = i;
      while (i < body.size() && is_digit_or_word(body[i])) ++i;
      const std::string token(body.substr(begin, i - begin));
      char* end = nullptr;
      const double value = std::strtod(token.c_str(), &end);
      const bool quote = *end == '\0' && !std::isfinite(value);
      out += quote ? fmt::format("\"{}\"", token) : token;
    } else {
      out += body[i++];
    }
  }
  return out;
}

simdjson::dom::parser& thread_parser() {
  static thread_local simdjson::dom::parser parser;
  return parser;
}

struct Parsed {
  object root;  // valid until the next parse on this thread
  bool had_non_finite = false;
};

Result<Parsed> parse_object(std::string_view body) {
  element root;
  Parsed out;
  auto error = thread_parser().parse(body.data(), body.size()).get(root);
  if (error != simdjson::SUCCESS) {
    const std::string quoted = quote_non_finite(body);
    out.had_non_finite = quoted.size() != body.size();
    if (out.had_non_finite) error = thread_parser().parse(quoted).get(root);
  }
  if (error != simdjson::SUCCESS)
    return fail(ErrorCode::kCorrupt, fmt::format("the body is not JSON: {}", simdjson::error_message(error)));
  if (root.get(out.root) != simdjson::SUCCESS) return fail(ErrorCode::kCorrupt, "the body must be a JSON object");
  return out;
}

// For NaN and Infinity in a place that nobody reads.
Result<void> require_finite(const Parsed& parsed) {
  if (!parsed.had_non_finite) return {};
  return fail(ErrorCode::kInvalidArgument, "the body holds NaN, Infinity or a number beyond a double: leave the field out");
}

Result<std::string> throttling_of(const element& value) {
  std::string_view text;
  if (value.get(text) == simdjson::SUCCESS) return std::string(text);
  simdjson::dom::array list;
  if (value.get(list) != simdjson::SUCCESS) return fail(ErrorCode::kInvalidArgument, "it must be a string, a list of strings or null");
  std::string joined;
  for (const element reason : list) {
    if (reason.get(text) != simdjson::SUCCESS) return fail(ErrorCode::kInvalidArgument, "the list must hold strings");
    joined += joined.empty() ? "" : "|";
    joined += text;
  }
  return joined.empty() ? "none" : joined;
}

std::optional<double> CandidateFeatures::*find_number(std::string_view key) {
  for (const CandidateNumber& number : candidate_numbers())
    if (number.name == key) return number.field;
  return nullptr;
}

Result<std::string> id_of(const object& entry, const Place& place) {
  std::string_view id;
  if (entry["gpu_id"].get(id) != simdjson::SUCCESS) return wrong("gpu_id", "give a string", place);
  if (id.empty() || id.size() > 128) return wrong("gpu_id", "give 1 to 128 characters", place);
  return std::string(id);
}

struct Aliases {
  std::optional<double> gpu_temp, gpu_mem_used;
};

Result<void> read_field(std::string_view key, const element& value, const Place& place, CandidateFeatures& out,
                        Aliases& aliases) {
  if (key == "throttling_reasons") {
    if (value.is_null()) return {};
    auto text = throttling_of(value);
    if (!text) return wrong(key, text.error().message, place);
    out.throttling_reasons = std::move(*text);
    return {};
  }
  std::optional<double>* target = nullptr;
  if (key == "gpu_temp") target = &aliases.gpu_temp;
  else if (key == "gpu_mem_used") target = &aliases.gpu_mem_used;
  else if (const auto field = find_number(key)) target = &(out.*field);
  if (target == nullptr) return {};
  const auto number = number_of(value);
  if (!number) return wrong(key, number.error().message, place);
  *target = *number;
  return {};
}

Result<CandidateFeatures> decode_entry(const element& value, Place place) {
  object entry;
  if (value.get(entry) != simdjson::SUCCESS)
    return fail(ErrorCode::kInvalidArgument, fmt::format("{} {} must be an object", place.list, place.index),
                fmt::format("/{}/{}", place.list, place.index));
  auto id = id_of(entry, place);
  if (!id) return fail(id.error());
  place.id = *id;
  CandidateFeatures out;
  Aliases aliases;
  for (const auto& field : entry) AETHER_TRY(read_field(field.key, field.value, place, out, aliases));
  if (!out.temperature_c) out.temperature_c = aliases.gpu_temp;
  if (!out.memory_used_mb) out.memory_used_mb = aliases.gpu_mem_used;
  out.gpu_uuid = GpuUuid(std::move(*id));
  return out;
}

Result<std::vector<CandidateFeatures>> decode_list(const object& root, std::string_view key) {
  simdjson::dom::array list;
  if (root[key].get(list) != simdjson::SUCCESS)
    return fail(ErrorCode::kInvalidArgument, fmt::format("'{}' is missing or is no list", key), fmt::format("/{}", key));
  if (list.size() > kMaxCandidates)
    return fail(ErrorCode::kInvalidArgument, fmt::format("more than {} {} given", kMaxCandidates, key), fmt::format("/{}", key));
  std::vector<CandidateFeatures> out;
  out.reserve(list.size());
  for (const element value : list) {
    auto entry = decode_entry(value, {key, out.size(), {}});
    if (!entry) return fail(entry.error());
    out.push_back(std::move(*entry));
  }
  return out;
}

Result<void> decode_job(const object& root, PredictRequest& request) {
  element value;
  if (root["job"].get(value) != simdjson::SUCCESS || value.is_null()) return {};
  object job;
  if (value.get(job) != simdjson::SUCCESS) return fail(ErrorCode::kInvalidArgument, "'job' must be an object", "/job");
  element field;
  if (job["gpus"].get(field) == simdjson::SUCCESS && !field.is_null()) {
    std::int64_t gpus = 0;
    if (field.get(gpus) != simdjson::SUCCESS || gpus < 0 || gpus > 4096)
      return fail(ErrorCode::kInvalidArgument, "'gpus' must be a whole number, 0 to 4096", "/job/gpus");
    request.gpus = static_cast<int>(gpus);
  }
  if (job["gpu_mem_mb"].get(field) == simdjson::SUCCESS) {
    const auto number = number_of(field);
    if (!number) return fail(ErrorCode::kInvalidArgument, "'gpu_mem_mb': " + number.error().message, "/job/gpu_mem_mb");
    request.gpu_mem_mb = *number;
  }
  return {};
}

Result<void> decode_options(const object& root, PredictRequest& request) {
  element value;
  if (root["job_type"].get(value) == simdjson::SUCCESS && !value.is_null()) {
    std::string_view word;
    const auto type = value.get(word) == simdjson::SUCCESS ? parse_job_type(word) : std::nullopt;
    if (!type) return fail(ErrorCode::kInvalidArgument, "'job_type' must be \"training\" or \"inference\"", "/job_type");
    request.job_type = *type;
  }
  request.explain = false;
  if (root["explain"].get(value) == simdjson::SUCCESS && !value.is_null() && value.get(request.explain) != simdjson::SUCCESS)
    return fail(ErrorCode::kInvalidArgument, "'explain' must be true or false", "/explain");
  return {};
}

}  // namespace

Result<PredictRequest> decode_predict_request(std::string_view body) {
  const auto parsed = parse_object(body);
  if (!parsed) return fail(parsed.error());
  PredictRequest request;
  AETHER_TRY(decode_options(parsed->root, request));
  AETHER_TRY(decode_job(parsed->root, request));
  auto candidates = decode_list(parsed->root, "candidates");
  if (!candidates) return fail(candidates.error());
  AETHER_TRY(require_finite(*parsed));
  request.candidates = std::move(*candidates);
  return request;
}

Result<std::vector<AnomalySample>> decode_anomaly_request(std::string_view body) {
  const auto parsed = parse_object(body);
  if (!parsed) return fail(parsed.error());
  auto entries = decode_list(parsed->root, "samples");
  if (!entries) return fail(entries.error());
  AETHER_TRY(require_finite(*parsed));
  std::vector<AnomalySample> samples;
  samples.reserve(entries->size());
  for (CandidateFeatures& entry : *entries) {
    GpuUuid id = entry.gpu_uuid;
    samples.push_back({std::move(id), std::move(entry)});
  }
  return samples;
}

}  // namespace aether::ai_core
