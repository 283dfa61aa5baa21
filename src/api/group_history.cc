// History of a GPU, a node, a job or the fleet: which GPUs, when each of them counts, and the answer as JSON or CSV.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "api/history_request.h"
#include "base/names.h"

namespace aether::api {
namespace {

enum class By { kGpu, kNode, kAll };

struct Group {
  std::string name;  // "n1-0", "n1", or the scope's own name
  std::string node, gpu_uuid;
};

// What is asked, as far as the request says it, and what it means.
struct Asked {
  std::string scope, id;
  By by = By::kAll;
  GroupSeriesQuery query;
  std::vector<Group> groups;
  std::vector<std::string> notes;
};

Result<std::vector<Statistic>> read_statistics(const Request& request) {
  std::vector<Statistic> out;
  std::string rest = request.query_value("agg").value_or("mean");
  while (!rest.empty()) {
    const std::size_t comma = rest.find(',');
    const auto statistic = parse_statistic(rest.substr(0, comma));
    if (!statistic) break;
    if (std::find(out.begin(), out.end(), *statistic) == out.end()) out.push_back(*statistic);
    rest = comma == std::string::npos ? "" : rest.substr(comma + 1);
  }
  if (rest.empty() && !out.empty()) return out;
  return fail(ErrorCode::kInvalidArgument, "agg is mean, min, max, sum, last or p95; several joined by commas", "agg");
}

Result<By> read_by(const Request& request, const std::string& scope) {
  const std::string by = request.query_value("by").value_or(scope == "gpu" ? "gpu" : "all");
  if (by == "gpu") return By::kGpu;
  if (by == "all") return By::kAll;
  if (by == "node") return By::kNode;
  return fail(ErrorCode::kInvalidArgument, "by is gpu, node or all (one line for everything together)", "by");
}

// Adds one GPU's time to the group it belongs to.
class Members {
 public:
  Members(Asked& asked) : asked_(asked) {}
  void add(const KnownGpu& gpu, Time from, Time to) {
    const std::string id = gpu.gpu_uuid.str().starts_with("external-") ? gpu.gpu_uuid.str() : gpu_display_id(gpu.node, gpu.gpu_index);
    const Group group = asked_.by == By::kGpu    ? Group{id, gpu.node.str(), gpu.gpu_uuid.str()}
                        : asked_.by == By::kNode ? Group{gpu.node.str(), gpu.node.str(), ""}
                                                 : Group{asked_.id.empty() ? asked_.scope : asked_.id, "", ""};
    const std::string key = asked_.by == By::kGpu ? group.gpu_uuid : group.name;
    const auto [at, is_new] = numbers_.try_emplace(key, asked_.groups.size());
    if (is_new) asked_.groups.push_back(group);
    asked_.query.members.push_back({gpu.gpu_uuid, at->second, from, to});
  }

 private:
  Asked& asked_;
  std::map<std::string, std::size_t> numbers_;
};

// The GPUs of each attempt while it had a process.
Result<TimeRange> add_job(const Job& job, const std::vector<KnownGpu>& known, Time now, Asked& asked) {
  Members members(asked);
  std::optional<TimeRange> run;
  for (const Attempt& attempt : job.attempts) {
    if (!attempt.started_at) continue;
    const Time to = attempt.ended_at.value_or(now);
    run = TimeRange{std::min(run ? run->from : *attempt.started_at, *attempt.started_at), std::max(run ? run->to : to, to)};
    if (attempt.placement.memory_mb_per_gpu > 0 && asked.notes.empty())
      asked.notes.push_back("the job shares its GPUs: readings are of the whole GPU");
    for (const GpuUuid& uuid : attempt.placement.gpu_uuids) {
      const auto gpu = std::find_if(known.begin(), known.end(), [&](const KnownGpu& k) { return k.gpu_uuid == uuid; });
      members.add(gpu == known.end() ? KnownGpu{uuid, attempt.placement.node, 0, ""} : *gpu, *attempt.started_at, to);
    }
  }
  if (run && run->from < run->to && !asked.query.members.empty()) return *run;
  if (run && asked.query.members.empty())
    return fail(ErrorCode::kConflict, fmt::format("job {} runs without GPUs, so there are no readings of it", job.number), "id");
  return fail(ErrorCode::kConflict, fmt::format("job {} has not run yet; aether why {} says what it waits for", job.number, job.number), "id");
}

constexpr std::size_t kMostGroups = 10'000;

// Fills members, groups and the range; errors name the parameter.
Result<void> resolve(Context& context, const Request& request, Asked& asked) {
  auto known = context.store->known_gpus();
  if (!known) return fail(known.error());
  const Time now = context.clock.now();
  TimeRange otherwise{now - std::chrono::hours(1), now};
  const bool from_given = request.query_value("from") || request.query_value("last");
  if (asked.scope == "job") {
    const auto job = context.control.find_job(asked.id);
    if (!job) return fail(job.error().code, job.error().message, "id");
    auto run = add_job(**job, *known, now, asked);
    if (!run) return fail(run.error());
    otherwise = *run;
  }
  auto range = read_range(request, otherwise);
  if (!range) return fail(range.error());
  if (asked.scope == "job" && !from_given) range->from = std::min(otherwise.from, range->to - std::chrono::seconds(1));
  asked.query.from = range->from, asked.query.to = range->to;
  Members members(asked);
  if (asked.scope == "gpu") {
    auto gpu = find_known_gpu(*known, asked.id);
    if (!gpu) return fail(gpu.error());
    members.add(*gpu, range->from, range->to);
  }
  for (const KnownGpu& gpu : *known)
    if (asked.scope == "fleet" || (asked.scope == "node" && gpu.node.str() == asked.id)) members.add(gpu, range->from, range->to);
  if (asked.scope == "node" && asked.groups.empty())
    return fail(ErrorCode::kNotFound, fmt::format("there is no history of a node {}", asked.id.substr(0, 100)), "id");
  if (asked.groups.size() > kMostGroups)
    return fail(ErrorCode::kInvalidArgument, fmt::format("{} lines are more than the {} of one answer; take by=node or by=all",
                                                         asked.groups.size(), kMostGroups), "by");
  asked.query.groups = asked.groups.size();
  return {};
}

Result<Asked> read_asked(const Request& request) {
  Asked asked;
  asked.scope = request.query_value("scope").value_or("");
  asked.id = request.query_value("id").value_or("");
  const std::vector<std::string> scopes = {"gpu", "node", "job", "fleet"};
  if (std::find(scopes.begin(), scopes.end(), asked.scope) == scopes.end())
    return fail(ErrorCode::kInvalidArgument, "scope is gpu, node, job or fleet", "scope");
  if (asked.id.empty() != (asked.scope == "fleet"))
    return fail(ErrorCode::kInvalidArgument, asked.scope == "fleet" ? "the fleet has no id; leave it out" : "id names the " + asked.scope, "id");
  auto metrics = read_metrics(request);
  if (!metrics) return fail(metrics.error());
  asked.query.metrics = std::move(*metrics);
  auto statistics = read_statistics(request);
  if (!statistics) return fail(statistics.error());
  asked.query.statistics = std::move(*statistics);
  const auto by = read_by(request, asked.scope);
  if (!by) return fail(by.error());
  asked.by = *by;
  const auto step = query_integer(request, "step_s", 0, 0, 86400);
  if (!step) return fail(step.error());
  asked.query.step = std::chrono::seconds(*step);
  return asked;
}

Json group_json(const Asked& asked, const Group& group, const std::map<std::string, GroupColumn>& columns) {
  Json series = Json::object();
  for (const auto& [metric, column] : columns) {
    Json values = Json::object();
    for (std::size_t s = 0; s < asked.query.statistics.size(); ++s) {
      Json list = Json::array();
      for (const auto& value : column.values[s]) list.push_back(value ? Json(*value) : Json(nullptr));
      values[std::string(to_string(asked.query.statistics[s]))] = std::move(list);
    }
    values["gpus"] = column.gpus;
    series[metric] = std::move(values);
  }
  const auto or_null = [](const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); };
  return {{"name", group.name}, {"node", or_null(group.node)}, {"gpu_uuid", or_null(group.gpu_uuid)}, {"series", std::move(series)}};
}

Response json_answer(const Asked& asked, const GroupSeries& found) {
  Json time = Json::array(), groups = Json::array();
  for (const Time& at : found.times) time.push_back(to_unix_us(at) / 1000);
  for (std::size_t i = 0; i < found.groups.size(); ++i) groups.push_back(group_json(asked, asked.groups[i], found.groups[i]));
  return ok({{"scope", asked.scope},
             {"id", asked.id.empty() ? Json(nullptr) : Json(asked.id)},
             {"from", format_rfc3339(asked.query.from)},
             {"to", format_rfc3339(asked.query.to)},
             {"step_s", found.step.count()},
             {"level", found.level},
             {"notes", asked.notes},
             {"time", std::move(time)},
             {"groups", std::move(groups)}});
}

// One row for each time, group and metric; an empty field where nobody was read.
Response csv_answer(const Asked& asked, const GroupSeries& found) {
  std::string out = "time,group,metric";
  for (const Statistic statistic : asked.query.statistics) out += "," + std::string(to_string(statistic));
  out += ",gpus\n";
  for (std::size_t g = 0; g < found.groups.size(); ++g)
    for (const auto& [metric, column] : found.groups[g])
      for (std::size_t i = 0; i < found.times.size(); ++i) {
        out += fmt::format("{},{},{}", format_rfc3339(found.times[i]), csv_text(asked.groups[g].name), metric);
        for (const auto& values : column.values) out += values[i] ? fmt::format(",{}", *values[i]) : ",";
        out += fmt::format(",{}\n", column.gpus[i]);
      }
  return csv(std::move(out), "history");
}

Response history_problem(const Error& error, const Request& request) {
  const bool of_parameter = !error.field.empty() && error.code == ErrorCode::kInvalidArgument;
  if (of_parameter) return bad_parameter(error.field.substr(error.field.front() == '/' ? 1 : 0), error.message, request);
  return http::problem(error, request, error.code == ErrorCode::kNotFound ? "aether gpus, aether nodes and aether queue --all  list what there is" : "");
}

Response history(Context& context, const Request& request) {
  if (auto refusal = refuse_unknown_query(
          request, {"scope", "id", "metrics", "agg", "by", "from", "to", "last", "step_s", "format"}))
    return *refusal;
  if (context.store == nullptr)
    return http::problem(501, "unsupported", "without a store there is no history of readings", request);
  const auto format = read_format(request);
  if (!format) return history_problem(format.error(), request);
  auto asked = read_asked(request);
  if (!asked) return history_problem(asked.error(), request);
  if (const auto resolved = resolve(context, request, *asked); !resolved) return history_problem(resolved.error(), request);
  const auto found = context.store->group_series(asked->query);
  if (!found) return history_problem(found.error(), request);
  if (asked->query.step.count() > 0 && found->step != asked->query.step)
    asked->notes.push_back(fmt::format("the step is {} s instead of {} s: what the level {} has for this range",
                                       found->step.count(), asked->query.step.count(), found->level));
  return *format == Format::kCsv ? csv_answer(*asked, *found) : json_answer(*asked, *found);
}

}  // namespace

void add_group_history_routes(http::Server& server, Context& context) {
  server.route("GET", "/api/v1/history", http::Access::kRead, http::Run::kWorker,
               [&context](const Request& request) { return history(context, request); });
}

}  // namespace aether::api
