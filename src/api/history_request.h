#pragma once
// How routes about the past read what is asked: metrics, times, and how the answer is written. Internal to api/.
#include "api/context.h"

namespace aether::api {

// 1 to 16 known metrics from "a,b".
Result<std::vector<std::string>> read_metrics(const Request& request);
// RFC 3339 under `name`; `otherwise` without it.
Result<Time> read_time(const Request& request, const std::string& name, Time otherwise);
struct TimeRange {
  Time from, to;
};
// `from` and `to`, or `last` (a duration like 2h or 30d) instead of `from`; `otherwise` without any of them.
Result<TimeRange> read_range(const Request& request, TimeRange otherwise);

enum class Format { kJson, kCsv };
// format=json or csv; without it what Accept asks for; else JSON.
Result<Format> read_format(const Request& request);
// Text of a CSV field, quoted where it must be; never what a spreadsheet takes for a formula.
std::string csv_text(const std::string& text);
Response csv(std::string body, const std::string& file_name);

// UUID or <node>-<index>, of the fleet or of the past; kNotFound says what lists them.
Result<KnownGpu> find_known_gpu(const std::vector<KnownGpu>& known, const std::string& name);

}  // namespace aether::api
