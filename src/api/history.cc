// Series of readings over time, at the level of detail that fits the range.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "api/history_request.h"

namespace aether::api {
namespace {

Result<SeriesQuery> read_query(const Request& request, Time now) {
  SeriesQuery query;
  auto metrics = read_metrics(request);
  if (!metrics) return fail(metrics.error());
  query.metrics = std::move(*metrics);
  const auto range = read_range(request, {now - std::chrono::hours(1), now});
  if (!range) return fail(range.error());
  const auto step = query_integer(request, "step_s", 0, 0, 86400);
  if (!step) return fail(step.error());
  constexpr std::int64_t kMostPoints = 20000;
  if (*step > 0 && (range->to - range->from) / std::chrono::seconds(*step) > kMostPoints)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("more than {} steps; give a larger step_s, or 0 to let the server choose", kMostPoints),
                "step_s");
  query.from = range->from;
  query.to = range->to;
  query.step = std::chrono::seconds(*step);
  return query;
}

Json values(const std::vector<std::optional<double>>& column) {
  Json out = Json::array();
  for (const auto& value : column) out.push_back(value ? Json(*value) : Json(nullptr));
  return out;
}

Json series_json(const GpuUuid& gpu, const Series& series) {
  Json time = Json::array();
  for (const Time& at : series.times) time.push_back(to_unix_us(at) / 1000);
  Json columns = Json::object();
  for (const auto& [name, column] : series.columns)
    columns[name] = {{"mean", values(column.mean)}, {"min", values(column.min)}, {"max", values(column.max)}};
  return {{"gpu_uuid", gpu.str()},
          {"step_s", series.step.count()},
          {"level", series.level},
          {"time", std::move(time)},
          {"series", std::move(columns)}};
}

Response query_metrics(Context& context, const Request& request) {
  if (auto refusal = refuse_unknown_query(request, {"gpu", "metrics", "from", "to", "step_s"})) return *refusal;
  if (context.store == nullptr)
    return http::problem(501, "unsupported", "without a store there is no history of readings", request);
  const auto gpu = request.query_value("gpu");
  if (!gpu || gpu->empty()) return bad_parameter("gpu", "gpu names one GPU by its UUID or as <node>-<index>", request);
  auto query = read_query(request, context.clock.now());
  if (!query) return bad_parameter(query.error().field, query.error().message, request);
  query->gpu_uuid = GpuUuid(*gpu);
  const auto view = context.control.view();
  bool is_known = view->gpus.contains(query->gpu_uuid);
  for (const auto& [uuid, shown] : view->gpus)
    if (!is_known && shown.gpu_id == *gpu) {
      query->gpu_uuid = uuid;
      is_known = true;
    }
  // A GPU that left the fleet keeps its history under its UUID.
  if (!is_known && !gpu->starts_with("GPU-") && !gpu->starts_with("MIG-") && !gpu->starts_with("external-"))
    return http::problem(404, "not_found", fmt::format("no GPU {}", gpu->substr(0, 100)), request,
                         "aether gpus  lists them");
  const auto series = context.store->series(*query);
  if (!series) return http::problem(series.error(), request);
  return ok(series_json(query->gpu_uuid, *series));
}

}  // namespace

void add_history_routes(http::Server& server, Context& context) {
  add_group_history_routes(server, context);
  server.route("GET", "/api/v1/metrics/query", http::Access::kRead, http::Run::kWorker,
               [&context](const Request& request) { return query_metrics(context, request); });
}

}  // namespace aether::api
