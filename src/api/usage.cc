// GPU hours, energy and carbon by user, job or queue.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "api/history_request.h"
#include "api/usage_sums.h"

namespace aether::api {
namespace {

// Beyond this many stretches of GPU time the attempts' own records count, not the readings.
constexpr std::size_t kMostParts = 20'000;
constexpr std::size_t kMostRows = 10'000;
constexpr double kJoulesPerKwh = 3.6e6;

struct Row {
  Json key = Json::object();
  std::set<JobId> jobs;
  int attempts = 0;
  AttemptUsage sums;

  void add(const AttemptRecord& record, const AttemptUsage& usage) {
    jobs.insert(record.attempt.id.job);
    ++attempts;
    sums += usage;
  }
};

Json key_json(const std::string& by, const AttemptRecord& record) {
  if (by == "user") return {{"user", record.user}};
  if (by == "queue") return {{"queue", record.queue}};
  return {{"job_id", record.attempt.id.job.str()}, {"number", record.number}, {"name", record.name}, {"user", record.user},
          {"queue", record.queue}};
}

Json row_json(const Row& row) {
  const AttemptUsage& sums = row.sums;
  const auto known = [](bool is_known, double value) { return is_known ? Json(value) : Json(nullptr); };
  const bool measured = sums.measured_gpu_s > 0;
  Json out = row.key;
  out.update({{"jobs", row.jobs.size()},
              {"attempts", row.attempts},
              {"gpu_hours", sums.gpu_s / 3600},
              {"energy_kwh", known(measured, sums.energy_j / kJoulesPerKwh)},
              {"energy_covered", known(sums.gpu_s > 0, std::min(1.0, sums.measured_gpu_s / std::max(sums.gpu_s, 1e-9)))},
              {"energy_from_records", known(measured, sums.recorded_gpu_s / std::max(sums.measured_gpu_s, 1e-9))},
              {"carbon_g", known(sums.carbon_energy_j > 0, sums.carbon_g)},
              {"carbon_covered", known(measured && sums.energy_j > 0, sums.carbon_energy_j / std::max(sums.energy_j, 1e-9))}});
  return out;
}

// The live ones as they are now, not as they were when their state last changed.
void refresh(std::vector<AttemptRecord>& records, const ClusterView& view) {
  for (AttemptRecord& record : records) {
    const auto job = view.jobs.find(record.attempt.id.job);
    if (job == view.jobs.end()) continue;
    for (const Attempt& attempt : job->second->attempts)
      if (attempt.id == record.attempt.id) record.attempt = attempt;
  }
}

std::string csv_number(const Json& value) { return value.is_null() ? "" : value.dump(); }

Response csv_rows(const std::vector<Json>& rows, const std::string& by) {
  static const std::vector<const char*> numbers = {"jobs",       "attempts", "gpu_hours", "energy_kwh", "energy_covered", "energy_from_records",
                                                   "carbon_g", "carbon_covered"};
  const std::vector<const char*> keys = by == "job"     ? std::vector<const char*>{"job_id", "number", "name", "user", "queue"}
                                        : by == "queue" ? std::vector<const char*>{"queue"}
                                                        : std::vector<const char*>{"user"};
  std::string out;
  for (const char* key : keys) out += fmt::format("{}{}", out.empty() ? "" : ",", key);
  for (const char* number : numbers) out += fmt::format(",{}", number);
  out += "\n";
  for (const Json& row : rows) {
    std::string line;
    for (const char* key : keys)
      line += (key == keys.front() ? "" : ",") + (row[key].is_string() ? csv_text(row[key].get<std::string>()) : row[key].dump());
    for (const char* number : numbers) line += "," + csv_number(row[number]);
    out += line + "\n";
  }
  return csv(std::move(out), "usage");
}

struct Asked {
  std::string by, user, queue;
  Format format = Format::kJson;
  TimeRange range;
};

Result<Asked> read_asked(const Request& request, Time now) {
  Asked asked;
  asked.by = request.query_value("by").value_or("user");
  if (asked.by != "user" && asked.by != "job" && asked.by != "queue")
    return fail(ErrorCode::kInvalidArgument, "by is user, job or queue", "by");
  asked.user = request.query_value("user").value_or("");
  asked.queue = request.query_value("queue").value_or("");
  const auto format = read_format(request);
  if (!format) return fail(format.error());
  asked.format = *format;
  const auto range = read_range(request, {now - std::chrono::hours(24 * 30), now});
  if (!range) return fail(range.error());
  asked.range = {range->from, std::max(range->from, std::min(range->to, now))};
  return asked;
}

// Most energy first; where that is unknown, most GPU hours.
std::vector<Json> rows_of(const Asked& asked, const std::vector<AttemptRecord>& records, const std::vector<AttemptUsage>& usage,
                          Row& total) {
  std::map<std::string, Row> rows;
  for (std::size_t i = 0; i < records.size(); ++i) {
    const AttemptRecord& record = records[i];
    if ((!asked.user.empty() && record.user != asked.user) || (!asked.queue.empty() && record.queue != asked.queue)) continue;
    Row& row = rows[asked.by == "job" ? record.attempt.id.job.str() : asked.by == "user" ? record.user : record.queue];
    if (row.attempts == 0) row.key = key_json(asked.by, record);
    row.add(record, usage[i]);
    total.add(record, usage[i]);
  }
  std::vector<const Row*> order;
  for (const auto& [name, row] : rows) order.push_back(&row);
  std::stable_sort(order.begin(), order.end(), [](const Row* a, const Row* b) {
    return std::tie(a->sums.energy_j, a->sums.gpu_s) > std::tie(b->sums.energy_j, b->sums.gpu_s);
  });
  if (order.size() > kMostRows) order.resize(kMostRows);
  std::vector<Json> out;
  for (const Row* row : order) out.push_back(row_json(*row));
  return out;
}

Response usage(Context& context, const Request& request) {
  if (auto refusal = refuse_unknown_query(request, {"by", "user", "queue", "from", "to", "last", "format"})) return *refusal;
  if (context.store == nullptr) return http::problem(501, "unsupported", "without a store there is no history of jobs", request);
  const auto asked = read_asked(request, context.clock.now());
  if (!asked) return bad_parameter(asked.error().field, asked.error().message, request);
  // Everybody's: who else was on a GPU decides the shares.
  auto records = context.store->attempts(asked->range.from, asked->range.to);
  if (!records) return http::problem(records.error(), request);
  refresh(*records, *context.control.view());
  const auto parts = split_usage(*records, asked->range.from, asked->range.to);
  std::vector<std::optional<GpuEnergy>> energy;
  if (parts.size() <= kMostParts) {
    std::vector<GpuPart> stretches;
    for (const UsagePart& part : parts) stretches.push_back(part.part);
    auto read = context.store->energy(stretches);
    if (!read) return http::problem(read.error(), request);
    energy = std::move(*read);
  }
  Row total;
  const auto rows = rows_of(*asked, *records, sum_usage(*records, parts, energy, asked->range.from, asked->range.to), total);
  if (asked->format == Format::kCsv) return csv_rows(rows, asked->by);
  return ok({{"from", format_rfc3339(asked->range.from)},
             {"to", format_rfc3339(asked->range.to)},
             {"by", asked->by},
             {"items", rows},
             {"total", row_json(total)}});
}

}  // namespace

void add_usage_routes(http::Server& server, Context& context) {
  server.route("GET", "/api/v1/usage", http::Access::kRead, http::Run::kWorker,
               [&context](const Request& request) { return usage(context, request); });
}

}  // namespace aether::api
