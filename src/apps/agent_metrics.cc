#include "apps/agent_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <sstream>

#include "agent/metrics_text.h"
#include "apps/agent_role.h"
#include "base/files.h"

namespace aether::apps {
namespace {

// Of /proc/<pid>; nothing when the process is gone.
std::optional<MetricsInput::Process> measure(const std::string& role, int pid) {
  const std::string folder = "/proc/" + std::to_string(pid);
  const auto stat = read_file(folder + "/stat");
  const auto statm = read_file(folder + "/statm");
  if (!stat || !statm) return std::nullopt;
  const std::size_t name_end = stat->rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream fields(stat->substr(name_end + 1)), pages(*statm);
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  double user = 0, system = 0, size = 0, resident = 0;
  fields >> user >> system;
  pages >> size >> resident;
  return MetricsInput::Process{role, (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK)),
                               resident * static_cast<double>(sysconf(_SC_PAGESIZE))};
}

MetricsInput collect(const AgentMetricsSource& source) {
  MetricsInput input;
  input.host_name = source.host_name;
  input.version = kVersion;
  input.driver_version = source.agent.driver_version();
  input.gpus = source.agent.known_gpus();
  input.readings = source.agent.readings();
  input.xids = source.agent.xids();
  input.foreign_processes = source.agent.foreign_processes();
  input.counters = source.agent.counters();
  input.driver = source.agent.driver_health();
  input.bus_dropped = source.bus.counters().dropped;
  input.now = source.clock.mono();
  if (auto own = measure("agent", getpid())) input.processes.push_back(*std::move(own));
  if (input.driver.worker_pid > 0)
    if (auto worker = measure("nvml_worker", input.driver.worker_pid)) input.processes.push_back(*std::move(worker));
  return input;
}

MetricsOptions options_of(const Settings& settings) {
  MetricsOptions options;
  options.stale_after = 3 * std::chrono::milliseconds(settings.sample_interval_ms);
  if (settings.dcgm_names == "off") options.dcgm_names = DcgmNames::kOff;
  if (settings.dcgm_names == "new") options.dcgm_names = DcgmNames::kNew;
  if (settings.dcgm_names == "both") options.dcgm_names = DcgmNames::kBoth;
  if (settings.metrics_host_label == "none") options.host_label = HostLabel::kNone;
  if (settings.metrics_host_label == "hostname") options.host_label = HostLabel::kLower;
  if (settings.metrics_host_label == "both") options.host_label = HostLabel::kBoth;
  return options;
}

}  // namespace

void register_agent_metrics(http::Server& server, const Settings& settings, const AgentMetricsSource& source) {
  const auto ok = [](const http::Request&) { return http::json(200, R"({"status":"ok"})"); };
  server.route("GET", "/healthz", http::Access::kPublic, http::Run::kInline, ok);
  server.route("GET", "/health", http::Access::kPublic, http::Run::kInline, ok);
  server.route("GET", "/metrics", http::Access::kRead, http::Run::kInline,
               [source, options = options_of(settings)](const http::Request& request) {
                 MetricsOptions wanted = options;
                 if (request.header("accept").find("application/openmetrics-text") != std::string::npos)
                   wanted.format = TextFormat::kOpenMetrics;
                 http::Response response;
                 response.content_type = content_type(wanted.format);
                 response.body = metrics_text(collect(source), wanted);
                 return response;
               });
}

}  // namespace aether::apps
