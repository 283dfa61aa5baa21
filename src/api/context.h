#pragma once
// What every route is given, and how routes read requests. Internal to api/.
#include <initializer_list>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "api/api.h"

namespace aether::api {

using Json = nlohmann::json;
using http::Request;
using http::Responder;
using http::Response;

class StreamHub;
class EventLog;
class Pages;

struct Context {
  Control& control;
  Store* store;
  const Clock& clock;
  const ApiOptions& options;
  EventLog& events;
  std::vector<const http::Server*>& servers;
};

void add_job_routes(http::Server& server, Context& context);
void add_job_action_routes(http::Server& server, Context& context);
void add_submit_routes(http::Server& server, Context& context);
void add_log_routes(http::Server& server, Context& context);
void add_fleet_routes(http::Server& server, Context& context);
void add_audit_routes(http::Server& server, Context& context);
void add_history_routes(http::Server& server, Context& context);
void add_group_history_routes(http::Server& server, Context& context);
void add_usage_routes(http::Server& server, Context& context);
void add_metrics_routes(http::Server& server, Context& context);

// A query parameter that the route does not know: 400 with the nearest known name.
std::optional<Response> refuse_unknown_query(const Request& request, std::initializer_list<const char*> known);
// The same for the keys of a body.
std::optional<Response> refuse_unknown_keys(const Json& body, const std::vector<std::string>& known,
                                            const Request& request);
Response bad_parameter(const std::string& name, const std::string& message, const Request& request);

// kInvalidArgument names the parameter and its bounds.
Result<std::int64_t> query_integer(const Request& request, const std::string& name, std::int64_t otherwise,
                                   std::int64_t least, std::int64_t most);
// "waiting", "running", "finished" or states; several joined by commas.
Result<std::vector<JobState>> parse_states(const std::string& text);
// Both absent or RFC 3339, under `since` and `until`.
Result<void> read_since_until(const Request& request, std::optional<Time>& since, std::optional<Time>& until);
Result<bool> query_flag(const Request& request, const std::string& name);

struct Body;
// The body as a JSON object; an empty body is {}.
Body read_body(const Request& request);

// One page of `items` in their order. The token names the last item of the page before by `id_key`.
Response list_page(const std::vector<Json>& items, const char* id_key, const Request& request);
Response list_of(Json items, std::optional<std::string> next_page_token = {});
Response ok(const Json& json, int status = 200);
Response no_job(const Error& error, const Request& request);
std::string etag_of(const Json& resource);
// What an update depends on is as it was when this ETag was sent.
bool matches_etag(const std::string& etag, const Json& resource);
// One resource with its ETag; 304 without a body when the request has it already.
Response with_etag(const Json& resource, const Request& request, int status = 200);

}  // namespace aether::api
