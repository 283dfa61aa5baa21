#include "apps/roles.h"

#include <unistd.h>

#include <filesystem>

#include <fmt/format.h>

#include "apps/agent_metrics.h"
#include "base/files.h"
#include "base/log.h"
#include "client/endpoint.h"

namespace aether::apps {
namespace {

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> out;
  std::size_t start = 0;
  while (start < text.size()) {
    const std::size_t comma = std::min(text.find(',', start), text.size());
    if (comma > start) out.push_back(text.substr(start, comma - start));
    start = comma + 1;
  }
  return out;
}

http::ServerOptions server_options(const Settings& settings, const std::string& name, const std::string& setting,
                                   const std::string& listen, const std::string& token) {
  http::ServerOptions options;
  options.name = name;
  options.setting = setting;
  options.listen = listen;
  options.allowed_hosts = split(settings.allowed_hosts);
  if (!token.empty()) options.tokens = {{http::sha256_hex(token), "admin"}};
  options.anonymous_reads = settings.anonymous_reads;
  options.token_hint = fmt::format("the token is in {}; send it as 'Authorization: Bearer TOKEN'. The aether command reads it by itself",
                                   client::token_path(settings.state_dir));
  return options;
}

std::string program_directory() {
  std::error_code ignored;
  return std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path().string();
}

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

std::string boot_id() {
  auto text = read_file("/proc/sys/kernel/random/boot_id");
  if (!text) return "";
  while (!text->empty() && text->back() == '\n') text->pop_back();
  return *text;
}

std::string host_name() {
  char host[256] = {};
  gethostname(host, sizeof host - 1);
  return host;
}

}  // namespace

// ---- AI core ----

Result<std::unique_ptr<AiRole>> AiRole::open(const Settings& settings, const std::string& token, const Clock& clock) {
  auto role = std::make_unique<AiRole>();
  auto predictor = open_model(settings, clock);
  if (!predictor) return fail_with_context("the model", predictor.error());
  role->predictor_ = std::move(*predictor);
  auto server = http::Server::open(server_options(settings, "ai-core", "listen.ai", settings.listen_ai, token));
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
  auto api_server = http::Server::open(server_options(settings, "api", "listen.api", settings.listen_api, token));
  if (!api_server) return fail(api_server.error());
  role->api_server_ = std::move(*api_server);
  auto dashboard_server = http::Server::open(server_options(settings, "dashboard", "listen.dashboard", settings.listen_dashboard, token));
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

// ---- agent ----

Result<std::unique_ptr<AgentRole>> AgentRole::open(const Settings& settings, const std::string& token, Bus& bus,
                                                   const Clock& clock) {
  auto role = std::make_unique<AgentRole>();
  auto gpus = open_gpus(settings, clock);
  if (!gpus) return fail(gpus.error());
  role->gpus_ = std::move(*gpus);
  auto runner = open_runner(settings, clock);
  if (!runner) return fail(runner.error());
  role->runner_ = std::move(*runner);
  auto server = http::Server::open(server_options(settings, "agent", "listen.metrics", settings.listen_metrics, token));
  if (!server) return fail(server.error());
  role->server_ = std::move(*server);

  AgentOptions options;
  options.node = NodeId(settings.node);
  options.host_name = host_name();
  options.version = kVersion;
  options.boot_id = boot_id();
  options.sampler.interval = std::chrono::milliseconds(settings.sample_interval_ms);
  options.heartbeat_interval = std::chrono::milliseconds(settings.heartbeat_interval_ms);
  options.sampler.last_sequence = static_cast<std::uint64_t>(to_unix_us(clock.now()) / 1000);  // never caught up: a sample takes longer
  options.sampler.fast_interval = std::chrono::milliseconds(settings.fast_interval_ms);
  options.spool.directory = settings.state_dir + "/spool";
  options.spool.max_bytes = static_cast<std::uint64_t>(settings.spool_mb) << 20;
  options.answer_timeout = 3 * options.heartbeat_interval + std::chrono::seconds(2);
  options.leader_file = settings.state_dir + "/leader_epoch";
  role->agent_ = std::make_unique<Agent>(std::move(options), *role->gpus_.driver, role->gpus_.loads, *role->runner_, bus, clock);
  register_agent_metrics(*role->server_, settings, {*role->agent_, bus, clock, host_name()});
  log::info("agent", role->gpus_.note, {{"node", settings.node}});
  AETHER_TRY(role->agent_->start());
  role->server_->start();
  return role;
}

AgentRole::~AgentRole() {
  if (server_) server_->stop();
  if (agent_) agent_->stop();
}

}  // namespace aether::apps
