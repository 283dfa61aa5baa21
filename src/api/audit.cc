// The audit log: who ordered what. Never anonymous.
#include <algorithm>
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
  if (auto refusal = refuse_unknown_query(request, {"after", "limit"})) return *refusal;
  if (context.store == nullptr) return http::problem(503, "no_store", "this server has no store", request);
  const auto limit = query_integer(request, "limit", 100, 1, 1000);
  if (!limit) return bad_parameter("limit", limit.error().message, request);
  auto after = query_integer(request, "after", -1, 0, INT64_MAX);
  if (!after) return bad_parameter("after", after.error().message, request);
  if (*after < 0) {
    const auto last = context.store->last_audit_line();
    if (!last) return http::problem(last.error(), request);
    after = std::max<std::int64_t>(last->seq - *limit, 0);
  }
  const auto lines = context.store->audit(*after, static_cast<int>(*limit));
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
