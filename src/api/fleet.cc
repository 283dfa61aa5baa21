// The fleet, its nodes and GPUs, alerts and carbon: the view as it is, and the operators' actions.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>

#include "api/body.h"
#include "api/context.h"
#include "api/durable_events.h"
#include "api/event_log.h"
#include "api/view_json.h"

namespace aether::api {
namespace {

using View = std::shared_ptr<const ClusterView>;

// By UUID, or by "<node>-<index>".
const GpuView* find_gpu(const ClusterView& view, const std::string& key) {
  if (const auto found = view.gpus.find(GpuUuid(key)); found != view.gpus.end()) return &found->second;
  for (const auto& [uuid, gpu] : view.gpus)
    if (gpu.gpu_id == key) return &gpu;
  return nullptr;
}

Response no_gpu(const Request& request) {
  return http::problem(404, "not_found", fmt::format("no GPU {}", request.params.at("gpu")), request,
                       "aether gpus  lists them");
}
Response no_node(const Request& request) {
  return http::problem(404, "not_found", fmt::format("no node {}", request.params.at("node")), request,
                       "aether nodes  lists them");
}

Response list_gpus(const View& view, const Request& request) {
  std::vector<const GpuView*> sorted;
  for (const auto& [uuid, gpu] : view->gpus) sorted.push_back(&gpu);
  std::sort(sorted.begin(), sorted.end(), [](const GpuView* a, const GpuView* b) {
    return std::tie(a->node, a->info.gpu_index, a->info.gpu_uuid) <
           std::tie(b->node, b->info.gpu_index, b->info.gpu_uuid);
  });
  std::vector<Json> items;
  for (const GpuView* gpu : sorted) items.push_back(gpu_json(*gpu));
  return list_page(items, "gpu_uuid", request);
}

Response list_nodes(const View& view, const Request& request) {
  std::vector<Json> items;
  for (const auto& [id, node] : view->nodes) items.push_back(node_json(node, *view));
  return list_page(items, "node", request);
}

Response list_alerts(const View& view, const Request& request) {
  std::vector<Json> items;
  for (const Alert& alert : view->alerts) items.push_back(alert_json(alert, *view));
  return list_page(items, "alert_id", request);
}

Response version(Context& context) {
  const auto view = context.control.view();
  return ok({{"version", context.options.version},
             {"cluster", context.options.cluster},
             {"mode", context.options.mode},
             {"store", context.store != nullptr ? Json(context.store->info().name) : Json(nullptr)},
             {"bus", context.options.bus},
             {"simulated", is_simulated(*view)}});
}

// {"reason": "..."}: required where something is taken out of service.
Result<std::string> read_reason(const Json& body, bool required) {
  const bool given = body.contains("reason") && body["reason"].is_string();
  const std::string reason = given ? body["reason"].get<std::string>() : "";
  if (body.contains("reason") && !given && !body["reason"].is_null())
    return fail(ErrorCode::kInvalidArgument, "reason is text", "/reason");
  if (required && reason.empty())
    return fail(ErrorCode::kInvalidArgument, "give a reason: it is shown to everybody who wonders why", "/reason");
  if (reason.size() > 500) return fail(ErrorCode::kInvalidArgument, "a reason has at most 500 bytes", "/reason");
  return reason;
}

// Null when the request was answered with a refusal; otherwise the reason, empty for "back to service".
std::optional<std::optional<std::string>> read_service_action(const Request& request, bool takes_out,
                                                              const Responder& respond) {
  std::optional<Response> refusal = refuse_unknown_query(request, {});
  auto body = read_body(request);
  if (!refusal) refusal = body.refusal;
  if (!refusal) refusal = refuse_unknown_keys(body.json, {"reason"}, request);
  if (refusal) {
    respond(*refusal);
    return std::nullopt;
  }
  const auto reason = read_reason(body.json, takes_out);
  if (!reason) {
    respond(http::problem(reason.error(), request));
    return std::nullopt;
  }
  return takes_out ? std::optional(*reason) : std::optional<std::string>();
}

void set_quarantine(Context& context, bool takes_out, const Request& request, const Responder& respond) {
  const auto reason = read_service_action(request, takes_out, respond);
  if (!reason) return;
  const auto view = context.control.view();
  const GpuView* gpu = find_gpu(*view, request.params.at("gpu"));
  if (gpu == nullptr) return respond(no_gpu(request));
  const GpuUuid uuid = gpu->info.gpu_uuid;
  context.control.set_quarantine(uuid, *reason, request.identity, [&context, request, respond, uuid](Result<void> result) {
    if (!result) return respond(http::problem(result.error(), request));
    const auto after = context.control.view();
    const auto found = after->gpus.find(uuid);
    respond(found == after->gpus.end() ? no_gpu(request) : ok(gpu_json(found->second), 202));
  });
}

void set_drain(Context& context, bool takes_out, const Request& request, const Responder& respond) {
  const auto reason = read_service_action(request, takes_out, respond);
  if (!reason) return;
  const NodeId node(request.params.at("node"));
  if (!context.control.view()->nodes.contains(node)) return respond(no_node(request));
  context.control.set_drain(node, *reason, request.identity, [&context, request, respond, node](Result<void> result) {
    if (!result) return respond(http::problem(result.error(), request));
    const auto after = context.control.view();
    const auto found = after->nodes.find(node);
    respond(found == after->nodes.end() ? no_node(request) : ok(node_json(found->second, *after), 202));
  });
}

// The operator's word that a node is gone for good.
void forget_node(Context& context, const Request& request, const Responder& respond) {
  if (auto refusal = refuse_unknown_query(request, {"lost"})) return respond(*refusal);
  const auto lost = query_flag(request, "lost");
  if (!lost) return respond(bad_parameter("lost", lost.error().message, request));
  const NodeId node(request.params.at("node"));
  context.control.forget_node(node, *lost ? Unresolved::kLost : Unresolved::kRefuse, request.identity, [request, respond, node](Result<void> result) {
    if (!result) return respond(http::problem(result.error(), request));
    respond(ok({{"node", node.str()}, {"forgotten", true}}, 202));
  });
}

// The alert as it is after what was asked.
Control::Reply<void> answer_alert(Context& context, const Request& request, const Responder& respond, AlertId id) {
  return [&context, request, respond, id](Result<void> result) {
    if (!result) return respond(http::problem(result.error(), request, "aether alerts  lists the open ones"));
    const auto view = context.control.view();
    for (const Alert& alert : view->alerts)
      if (alert.id == id) return respond(ok(alert_json(alert, *view), 202));
    respond(ok({{"alert_id", id.str()}}, 202));
  };
}

constexpr std::int64_t kShortestSnooze = 60, kLongestSnooze = 7 * 86400;

enum class AlertAction { kAcknowledge, kSnooze, kWake };

void on_alert(Context& context, AlertAction action, const Request& request, const Responder& respond) {
  if (auto refusal = refuse_unknown_query(request, {})) return respond(*refusal);
  auto body = read_body(request);
  if (body.refusal) return respond(*body.refusal);
  const std::vector<std::string> known = action == AlertAction::kSnooze ? std::vector<std::string>{"for_s"} : std::vector<std::string>{};
  if (auto refusal = refuse_unknown_keys(body.json, known, request)) return respond(*refusal);
  const AlertId id(request.params.at("id"));
  auto answer = answer_alert(context, request, respond, id);
  if (action == AlertAction::kAcknowledge) return context.control.acknowledge(id, request.identity, std::move(answer));
  if (action == AlertAction::kWake) return context.control.snooze(id, std::nullopt, request.identity, std::move(answer));
  const auto length = body.json.find("for_s");
  const std::int64_t for_s = length != body.json.end() && length->is_number_integer() ? length->get<std::int64_t>() : 0;
  if (for_s < kShortestSnooze || for_s > kLongestSnooze)
    return respond(http::problem(422, "invalid_argument",
                                 Error{ErrorCode::kInvalidArgument,
                                       fmt::format("for_s is a whole number of seconds from {} to {}", kShortestSnooze, kLongestSnooze),
                                       "/for_s"},
                                 request));
  context.control.snooze(id, context.clock.now() + std::chrono::seconds(for_s), request.identity, std::move(answer));
}

Result<EventQuery> read_event_query(Context& context, const Request& request) {
  EventQuery query;
  const auto limit = query_integer(request, "limit", 100, 1, 1000);
  if (!limit) return fail(limit.error());
  query.limit = static_cast<int>(*limit);
  query.user = request.query_value("user").value_or("");
  if (const auto state = request.query_value("state")) {
    auto states = parse_states(*state);
    if (!states) return fail(states.error());
    query.states = std::move(*states);
  }
  if (const auto name = request.query_value("job")) {
    const auto job = context.control.find_job(*name);
    if (!job) return fail(job.error().code, job.error().message, "job");
    query.job = (*job)->id.str();
  }
  AETHER_TRY(read_since_until(request, query.since, query.until));
  return query;
}

Response list_events(Context& context, const Request& request) {
  if (auto refusal = refuse_unknown_query(request, {"after", "limit", "job", "user", "state", "since", "until"})) return *refusal;
  const auto query = read_event_query(context, request);
  if (!query && query.error().code == ErrorCode::kNotFound) return no_job(query.error(), request);
  if (!query) return bad_parameter(query.error().field, query.error().message, request);
  const std::string after = request.query_value("after").value_or("");
  // The stream's cursors are those of memory: they have no dot.
  const bool durable = context.store != nullptr && (after.empty() || after.find('.') != std::string::npos);
  const auto events = durable ? read_events(*context.store, context.events, after, *query)
                              : context.events.read(after, static_cast<std::size_t>(query->limit));
  if (!events) return http::problem(events.error(), request);
  Json items = Json::array();
  for (const SystemEvent& event : *events) items.push_back(system_event_json(event));
  return list_of(std::move(items));
}

}  // namespace

void add_fleet_routes(http::Server& server, Context& context) {
  using http::Access;
  using http::Run;
  // Reads of the view: no waiting, but encoding many GPUs takes a while, so not on the network thread.
  enum class Paged { kNo, kYes };
  const auto read = [&](const std::string& path, Paged paged, auto respond) {
    server.route("GET", path, Access::kRead, Run::kWorker,
                 [&context, paged, respond](const Request& request) -> Response {
                   if (auto refusal = paged == Paged::kYes ? refuse_unknown_query(request, {"limit", "page_token"})
                                                           : refuse_unknown_query(request, {}))
                     return *refusal;
                   return respond(context.control.view(), request);
                 });
  };
  read("/api/v1/version", Paged::kNo, [&context](const View&, const Request&) { return version(context); });
  read("/api/v1/fleet", Paged::kNo,
       [&context](const View& view, const Request&) { return ok(fleet_json(*view, context.clock.now(), true)); });
  read("/api/v1/nodes", Paged::kYes, list_nodes);
  read("/api/v1/nodes/{node}", Paged::kNo, [](const View& view, const Request& request) {
    const auto node = view->nodes.find(NodeId(request.params.at("node")));
    return node == view->nodes.end() ? no_node(request) : ok(node_json(node->second, *view));
  });
  read("/api/v1/gpus", Paged::kYes, list_gpus);
  read("/api/v1/gpus/{gpu}", Paged::kNo, [](const View& view, const Request& request) {
    const GpuView* gpu = find_gpu(*view, request.params.at("gpu"));
    return gpu == nullptr ? no_gpu(request) : ok(gpu_json(*gpu));
  });
  read("/api/v1/alerts", Paged::kYes, list_alerts);
  read("/api/v1/carbon", Paged::kNo, [&context](const View& view, const Request& request) {
    if (!view->carbon)
      return http::problem(404, "no_carbon_data", "no carbon intensity is known", request,
                           "carbon.source in the configuration names one");
    return ok(carbon_json(*view->carbon, *view, context.clock.now()));
  });
  server.route("GET", "/api/v1/events", Access::kRead, Run::kWorker,
               [&context](const Request& request) { return list_events(context, request); });
  const auto write = [&](const std::string& path, auto action) {
    server.route_async(
        "POST", path, Access::kWrite,
        [&context, action](const Request& request, const Responder& respond) { action(context, request, respond); });
  };
  write("/api/v1/gpus/{gpu}/quarantine",
        [](Context& c, const Request& q, const Responder& r) { set_quarantine(c, true, q, r); });
  write("/api/v1/gpus/{gpu}/clear",
        [](Context& c, const Request& q, const Responder& r) { set_quarantine(c, false, q, r); });
  write("/api/v1/nodes/{node}/drain",
        [](Context& c, const Request& q, const Responder& r) { set_drain(c, true, q, r); });
  write("/api/v1/nodes/{node}/undrain",
        [](Context& c, const Request& q, const Responder& r) { set_drain(c, false, q, r); });
  server.route_async("DELETE", "/api/v1/nodes/{node}", Access::kWrite,
                     [&context](const Request& q, const Responder& r) { forget_node(context, q, r); });
  for (const auto& [verb, action] : {std::pair("acknowledge", AlertAction::kAcknowledge),
                                     std::pair("snooze", AlertAction::kSnooze), std::pair("wake", AlertAction::kWake)})
    server.route_async("POST", std::string("/api/v1/alerts/{id}/") + verb, Access::kWrite,
                       [&context, action = action](const Request& q, const Responder& r) { on_alert(context, action, q, r); });
}

}  // namespace aether::api
