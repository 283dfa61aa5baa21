#include "api/api.h"

#include <nlohmann/json.hpp>

#include "api/context.h"
#include "api/openapi_text.h"
#include "api/pages.h"
#include "api/stream.h"

namespace aether {
namespace {

http::Response description(const char* content_type) {
  static const auto text = std::make_shared<const std::string>(Api::openapi());
  http::Response response;
  response.content_type = content_type;
  response.shared_body = text;
  return response;
}

}  // namespace

struct Api::State {
  State(Control& control, Store* store, const Clock& clock, ApiOptions api_options)
      : options(std::move(api_options)),
        pages(options.pages_directory),
        hub(control, clock, events, {.version = options.version}),
        context{control, store, clock, options, events, servers} {}

  const ApiOptions options;
  std::vector<const http::Server*> servers;
  api::EventLog events;
  const api::Pages pages;
  api::StreamHub hub;
  api::Context context;
};

Api::Api(Control& control, Store* store, const Clock& clock, ApiOptions options)
    : state_(std::make_unique<State>(control, store, clock, std::move(options))) {}
Api::~Api() { stop(); }

void Api::register_on(http::Server& server, bool with_pages) {
  using http::Access;
  using http::Run;
  state_->servers.push_back(&server);
  api::add_job_routes(server, state_->context);
  api::add_job_action_routes(server, state_->context);
  api::add_submit_routes(server, state_->context);
  api::add_log_routes(server, state_->context);
  api::add_fleet_routes(server, state_->context);
  api::add_history_routes(server, state_->context);
  api::add_usage_routes(server, state_->context);
add_audit_routes(server, state_->context);
  api::add_metrics_routes(server, state_->context);
  for (const char* start : {"", "/api/v1"}) {
    server.route("GET", std::string(start) + "/openapi.json", Access::kRead, Run::kInline,
                 [](const http::Request&) { return description("application/json"); });
    server.route("GET", std::string(start) + "/openapi.yaml", Access::kRead, Run::kInline,
                 [](const http::Request&) { return description("application/yaml"); });
  }
  server.socket("/api/v1/stream", Access::kRead, state_->hub.handlers());
  server.route("POST", "/api/v1/stream/ticket", Access::kWrite, Run::kInline, [&server](const http::Request& request) {
    const std::string ticket = server.issue_ticket(request.identity);
    if (!ticket.empty()) return api::ok({{"ticket", ticket}, {"expires_in_s", 30}}, 201);
    auto busy = http::problem(429, "too_many_tickets", "too many tickets are out", request, "try again in 30 s");
    busy.headers["Retry-After"] = "30";
    return busy;
  });
  if (with_pages) server.fallback([this](const http::Request& request) { return state_->pages.serve(request); });
}

void Api::start() { state_->hub.start(); }
void Api::stop() { state_->hub.stop(); }

const std::string& Api::openapi() {
  static const std::string text(api::kOpenApi);
  return text;
}

}  // namespace aether
