#include "api/history_request.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/names.h"
#include "base/quantity.h"

namespace aether::api {
namespace {

constexpr std::size_t kMostMetrics = 16;
constexpr std::chrono::hours kLongestRange{24 * 3660};

Result<void> check_range(const TimeRange& range) {
  if (range.from >= range.to) return fail(ErrorCode::kInvalidArgument, "from must lie before to", "from");
  if (range.to - range.from > kLongestRange)
    return fail(ErrorCode::kInvalidArgument, "from and to lie more than ten years apart; ask for less", "from");
  return {};
}

}  // namespace

Result<std::vector<std::string>> read_metrics(const Request& request) {
  std::vector<std::string> known;
  for (const GpuMetric& metric : gpu_metrics()) known.emplace_back(metric.name);
  std::vector<std::string> names;
  std::string rest = request.query_value("metrics").value_or("");
  while (!rest.empty()) {
    const std::size_t comma = rest.find(',');
    const std::string name = rest.substr(0, comma);
    if (find_gpu_metric(name) == nullptr) {
      const std::string near = nearest_name(std::string_view(name).substr(0, 64), known);
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("there is no metric '{}'{}", name.substr(0, 64),
                              near.empty() ? "" : "; is '" + near + "' meant?"),
                  "metrics");
    }
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    rest = comma == std::string::npos ? "" : rest.substr(comma + 1);
  }
  if (names.empty() || names.size() > kMostMetrics)
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("metrics names 1 to {} metrics, joined by commas: temperature_c,power_draw_w", kMostMetrics),
        "metrics");
  return names;
}

Result<Time> read_time(const Request& request, const std::string& name, Time otherwise) {
  const auto text = request.query_value(name);
  if (!text) return otherwise;
  const auto time = parse_rfc3339(*text);
  if (!time) return fail(ErrorCode::kInvalidArgument, name + " takes a time like 2026-01-15T09:42:17Z", name);
  return *time;
}

Result<TimeRange> read_range(const Request& request, TimeRange otherwise) {
  const auto last = request.query_value("last");
  if (last && request.query_value("from"))
    return fail(ErrorCode::kInvalidArgument, "last is how long before to; give it or from, not both", "last");
  const auto to = read_time(request, "to", otherwise.to);
  if (!to) return fail(to.error());
  TimeRange range{otherwise.from, *to};
  if (last) {
    const auto length = parse_duration(*last);
    if (!length || *length > kLongestRange)
      return fail(ErrorCode::kInvalidArgument, "last takes a duration like 15m, 2h or 30d, at most ten years", "last");
    range.from = *to - *length;
  } else if (request.query_value("from")) {
    const auto from = read_time(request, "from", otherwise.from);
    if (!from) return fail(from.error());
    range.from = *from;
  } else {
    range.from = *to - (otherwise.to - otherwise.from);
  }
  AETHER_TRY(check_range(range));
  return range;
}

Result<Format> read_format(const Request& request) {
  const std::string format = request.query_value("format").value_or("");
  if (format == "csv" || (format.empty() && request.header("accept").starts_with("text/csv"))) return Format::kCsv;
  if (format.empty() || format == "json") return Format::kJson;
  return fail(ErrorCode::kInvalidArgument, "format is json or csv", "format");
}

std::string csv_text(const std::string& text) {
  std::string safe = text;
  if (!safe.empty() && std::string_view("=+-@\t\r").find(safe.front()) != std::string_view::npos) safe.insert(0, "'");
  if (safe.find_first_of(",\"\r\n") == std::string::npos) return safe;
  std::string quoted = "\"";
  for (const char c : safe) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

Response csv(std::string body, const std::string& file_name) {
  Response response;
  response.content_type = "text/csv; charset=utf-8";
  response.headers["Content-Disposition"] = fmt::format("inline; filename=\"{}.csv\"", file_name);
  response.body = std::move(body);
  return response;
}

Result<KnownGpu> find_known_gpu(const std::vector<KnownGpu>& known, const std::string& name) {
  for (const KnownGpu& gpu : known)
    if (gpu.gpu_uuid.str() == name || fmt::format("{}-{}", gpu.node.str(), gpu.gpu_index) == name) return gpu;
  return fail(ErrorCode::kNotFound, fmt::format("there is no history of a GPU {}", name.substr(0, 100)), "id");
}

}  // namespace aether::api
