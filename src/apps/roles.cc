#include "apps/roles.h"

#include <filesystem>

#include "apps/listener.h"
#include "apps/service.h"

namespace aether::apps {
namespace {

// dashboard/out of the checkout that the program was built in, or the place that a package installs.
std::string find_pages(const Settings& settings) {
  if (!settings.pages_dir.empty()) return settings.pages_dir;
  const std::string bin = program_directory();
  for (const std::string& candidate : {bin + "/../share/aether/dashboard", bin + "/../../../dashboard/out", std::string("/usr/share/aether/dashboard")})
    if (std::filesystem::exists(candidate + "/assets.json")) return std::filesystem::weakly_canonical(candidate).string();
  return "";
}

OrchestratorOptions core_options(const Settings& settings) {
  OrchestratorOptions options;
  options.default_time_limit_s = settings.default_time_limit_s;
  options.max_pending = static_cast<std::size_t>(settings.max_pending);
  options.alerts.temperature_c = settings.alert_temperature_c;
  options.alerts.throttling_for = std::chrono::seconds(settings.alert_throttling_s);
  options.alerts.idle_utilization_pct = settings.alert_idle_pct;
  options.alerts.idle_for = std::chrono::seconds(settings.alert_idle_s);
  options.anomalies.enabled = settings.alert_anomalies;
  options.anomalies.heat_c = settings.alert_heat_c;
  options.anomalies.peer_heat_c = settings.alert_peer_heat_c;
  options.anomalies.node_heat_c = settings.alert_node_heat_c;
  options.anomalies.slow_share = settings.alert_slow_pct / 100;
  options.anomalies.ecc_errors = settings.alert_ecc_errors;
  options.anomalies.pcie_replays = settings.alert_pcie_replays;
  options.anomalies.leak_share = settings.alert_leak_pct / 100;
  options.anomalies.hold = std::chrono::seconds(settings.alert_hold_s);
  const auto interval = std::chrono::milliseconds(settings.sample_interval_ms);
  options.cluster.sample_stale = std::max(std::chrono::seconds(5), std::chrono::duration_cast<std::chrono::seconds>(interval * 3 + std::chrono::seconds(1)));
  return options;
}

}  // namespace

// ---- AI core ----

Result<std::unique_ptr<AiRole>> AiRole::open(const Settings& settings, const std::string& token, const Clock& clock) {
  auto role = std::make_unique<AiRole>();
  auto predictor = open_model(settings, clock);
  if (!predictor) return fail_with_context("the model", predictor.error());
  role->predictor_ = std::move(*predictor);
  auto server = http::Server::open(listener(settings, "ai-core", "listen.ai", settings.listen_ai, token));
  if (!server) return fail(server.error());
  role->server_ = std::move(*server);
  role->core_ = std::make_unique<ai_core::AiCore>(*role->predictor_, ai_core::Options{});
  role->core_->register_routes(*role->server_);
  role->server_->start();
  return role;
}

AiRole::~AiRole() {
  if (server_) server_->stop();
}

// ---- orchestrator ----

Result<std::unique_ptr<OrchestratorRole>> OrchestratorRole::open(const Settings& settings, const std::string& token,
                                                                 Bus& bus, Predictor* predictor, bool embedded,
                                                                 const Clock& clock) {
  auto role = std::make_unique<OrchestratorRole>();
  auto store = open_store(settings);
  if (!store) return fail(store.error());
  role->store_ = std::move(*store);
  if (predictor == nullptr && !settings.ai_core_url.empty()) {
    role->remote_predictor_ = connect_model(settings, token, clock);
    predictor = role->remote_predictor_.get();
  }
  auto carbon = open_carbon(settings);
  if (!carbon) return fail(carbon.error());
  role->carbon_ = std::move(*carbon);

  ServiceOptions options;
  options.core = core_options(settings);
  options.predict_deadline = std::chrono::milliseconds(settings.predict_deadline_ms);
  auto service = OrchestratorService::open(std::move(options), bus, *role->store_, predictor, role->carbon_.get(), clock);
  if (!service) return fail(service.error());
  role->service_ = std::move(*service);

  ApiOptions api;
  api.version = kVersion;
  api.mode = embedded ? "embedded" : "cluster";
  api.bus = std::string(bus.name());
  api.job_types = settings.job_types;
  api.pages_directory = find_pages(settings);
  role->api_ = std::make_unique<Api>(*role->service_, role->store_.get(), clock, std::move(api));
  auto api_server = http::Server::open(listener(settings, "api", "listen.api", settings.listen_api, token));
  if (!api_server) return fail(api_server.error());
  role->api_server_ = std::move(*api_server);
  auto dashboard_server = http::Server::open(listener(settings, "dashboard", "listen.dashboard", settings.listen_dashboard, token));
  if (!dashboard_server) return fail(dashboard_server.error());
  role->dashboard_server_ = std::move(*dashboard_server);
  role->api_->register_on(*role->api_server_, false);
  role->api_->register_on(*role->dashboard_server_, true);

  AETHER_TRY(role->service_->start());
  role->api_->start();
  role->api_server_->start();
  role->dashboard_server_->start();
  return role;
}

OrchestratorRole::~OrchestratorRole() {
  if (api_) api_->stop();
  if (dashboard_server_) dashboard_server_->stop();
  if (api_server_) api_server_->stop();
  if (service_) service_->stop();
}

}  // namespace aether::apps
