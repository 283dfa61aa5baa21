// The audit log: who ordered what. Never anonymous.
#include <cstdint>
#include <nlohmann/json.hpp>

#include "api/context.h"

namespace aether::api {
namespace {

Json audit_line_json(const AuditLine& line) {
  return {{"seq", line.seq},
          {"time", format_rfc3339(line.record.time)},
          {"time_us", to_unix_us(line.record.time)},
          {"actor", line.record.actor},
          {"action", line.record.action},
          {"target", line.record.target},
          {"detail", line.record.detail},
          {"hash", line.hash}};
}

// Behind line `after`; without it the newest.
Response list_audit(Context& context, const Request& request) {
  if (auto refusal = refuse_unknown_query(request, {"after", "limit", "actor", "action", "target", "since", "until"})) return *refusal;
  if (context.store == nullptr) return http::problem(503, "no_store", "this server has no store", request);
  AuditQuery query;
  const auto limit = query_integer(request, "limit", 100, 1, 1000);
  if (!limit) return bad_parameter("limit", limit.error().message, request);
  query.limit = static_cast<int>(*limit);
  const auto after = query_integer(request, "after", -1, 0, INT64_MAX);
  if (!after) return bad_parameter("after", after.error().message, request);
  if (*after >= 0) query.after = *after;
  query.actor = request.query_value("actor").value_or("");
  query.action = request.query_value("action").value_or("");
  query.target = request.query_value("target").value_or("");
  if (const auto times = read_since_until(request, query.since, query.until); !times)
    return bad_parameter(times.error().field, times.error().message, request);
  const auto lines = context.store->audit(query);
  if (!lines) return http::problem(lines.error(), request);
  Json items = Json::array();
  for (const AuditLine& line : *lines) items.push_back(audit_line_json(line));
  return list_of(std::move(items));
}

}  // namespace

void add_audit_routes(http::Server& server, Context& context) {
  server.route("GET", "/api/v1/audit", http::Access::kWrite, http::Run::kWorker,
               [&context](const Request& request) { return list_audit(context, request); });
}

}  // namespace aether::api
