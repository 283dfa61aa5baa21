// GET /metrics in the Prometheus text format, and the health routes.
#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "api/context.h"

namespace aether::api {
namespace {

std::string escape_label(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    out += c == '\n' ? std::string("\\n") : std::string(1, c);
  }
  return out;
}

class Exposition {
 public:
  void family(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    text_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
  }
  void value(const std::string& labels, double number) {
    if (!std::isfinite(number)) return;
    text_ +=
        labels.empty() ? fmt::format("{} {}\n", name_, number) : fmt::format("{}{{{}}} {}\n", name_, labels, number);
  }
  void single(std::string_view name, std::string_view type, std::string_view help, double number) {
    family(name, type, help);
    value("", number);
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
  std::string_view name_;
};

// Names follow Prometheus: base units, and _total for what only grows.
struct GpuFamily {
  const char* field;
  const char* name;
  const char* type;
  const char* help;
  double factor;
};
constexpr double kMiB = 1048576.0;
constexpr GpuFamily kGpuFamilies[] = {
    {"temperature_c", "aether_gpu_temperature_celsius", "gauge", "Core temperature.", 1},
    {"temperature_mem_c", "aether_gpu_memory_temperature_celsius", "gauge", "Memory temperature.", 1},
    {"utilization_gpu", "aether_gpu_utilization_ratio", "gauge", "Share of time in which a kernel ran, 0 to 1.", 0.01},
    {"utilization_memory_controller", "aether_gpu_memory_controller_utilization_ratio", "gauge",
     "Share of time in which memory was read or written, 0 to 1.", 0.01},
    {"memory_used_mb", "aether_gpu_memory_used_bytes", "gauge", "Device memory in use.", kMiB},
    {"power_draw_w", "aether_gpu_power_watts", "gauge", "Power drawn.", 1},
    {"energy_total_mj", "aether_gpu_energy_joules_total", "counter", "Energy used since the driver was loaded.", 0.001},
    {"clock_sm_mhz", "aether_gpu_sm_clock_hertz", "gauge", "Clock of the multiprocessors.", 1e6},
    {"clock_mem_mhz", "aether_gpu_memory_clock_hertz", "gauge", "Clock of the device memory.", 1e6},
    {"fan_speed_pct", "aether_gpu_fan_speed_ratio", "gauge", "Fan speed, 0 to 1.", 0.01},
    {"ecc_sbe_volatile_total", "aether_gpu_ecc_corrected_errors_total", "counter",
     "Corrected memory errors since the driver was loaded.", 1},
    {"ecc_dbe_volatile_total", "aether_gpu_ecc_uncorrected_errors_total", "counter",
     "Uncorrected memory errors since the driver was loaded.", 1},
    {"pcie_replay_total", "aether_gpu_pcie_replays_total", "counter", "PCIe replays since the driver was loaded.", 1},
};

std::string gpu_labels(const GpuView& gpu) {
  return fmt::format("gpu_uuid=\"{}\",gpu_id=\"{}\",node=\"{}\",name=\"{}\"", escape_label(gpu.info.gpu_uuid.str()),
                     escape_label(gpu.gpu_id), escape_label(gpu.node.str()), escape_label(gpu.info.gpu_name));
}

void add_gpus(Exposition& out, const ClusterView& view) {
  std::vector<std::pair<const GpuView*, std::string>> gpus;
  for (const auto& [uuid, gpu] : view.gpus) gpus.emplace_back(&gpu, gpu_labels(gpu));
  for (const GpuFamily& family : kGpuFamilies) {
    out.family(family.name, family.type, family.help);
    const GpuMetric* metric = find_gpu_metric(family.field);
    for (const auto& [gpu, labels] : gpus)
      if (metric != nullptr && gpu->sample)
        if (const auto reading = metric->get(*gpu->sample)) out.value(labels, *reading * family.factor);
  }
  out.family("aether_gpu_memory_size_bytes", "gauge", "Device memory of the GPU.");
  for (const auto& [gpu, labels] : gpus)
    if (gpu->info.memory_total_mb > 0) out.value(labels, static_cast<double>(gpu->info.memory_total_mb) * kMiB);
  out.family("aether_gpu_state", "gauge", "1 for the state the GPU is in.");
  for (const auto& [gpu, labels] : gpus) out.value(fmt::format("{},state=\"{}\"", labels, to_string(gpu->state)), 1);
  out.family("aether_gpu_jobs", "gauge", "Jobs that hold the GPU.");
  for (const auto& [gpu, labels] : gpus) out.value(labels, static_cast<double>(gpu->jobs.size()));
}

void add_cluster(Exposition& out, const ClusterView& view) {
  out.family("aether_nodes", "gauge", "Nodes by state.");
  for (NodeState state : {NodeState::kUp, NodeState::kStale, NodeState::kDown, NodeState::kDrained}) {
    int count = 0;
    for (const auto& [id, node] : view.nodes) count += node.state == state ? 1 : 0;
    out.value(fmt::format("state=\"{}\"", to_string(state)), count);
  }
  std::map<JobState, int> jobs;
  for (int i = 0; i <= static_cast<int>(JobState::kCompleting); ++i) jobs[static_cast<JobState>(i)] = 0;
  for (const auto& [id, job] : view.jobs)
    if (!is_terminal(job->state)) ++jobs[job->state];
  out.family("aether_jobs", "gauge", "Live jobs by state.");
  for (const auto& [state, count] : jobs) out.value(fmt::format("state=\"{}\"", to_string(state)), count);
  out.family("aether_alerts_open", "gauge", "Open alerts by severity.");
  for (Severity severity : {Severity::kInfo, Severity::kWarning, Severity::kCritical}) {
    int count = 0;
    for (const Alert& alert : view.alerts) count += alert.severity == severity && !alert.cleared_at ? 1 : 0;
    out.value(fmt::format("severity=\"{}\"", to_string(severity)), count);
  }
  if (view.carbon) {
    out.family("aether_carbon_intensity_grams_per_kilowatt_hour", "gauge",
               "Carbon intensity of the grid, in CO2 equivalent.");
    out.value(fmt::format("zone=\"{}\",estimated=\"{}\"", escape_label(view.carbon->zone), view.carbon->is_estimated),
              view.carbon->intensity_g_per_kwh);
  }
}

void add_orchestrator(Exposition& out, const OrchestratorCounters& counters) {
  const auto counter = [&](const char* name, const char* help, std::uint64_t number) {
    out.single(name, "counter", help, static_cast<double>(number));
  };
  counter("aether_samples_received_total", "Telemetry messages taken.", counters.samples_received);
  counter("aether_samples_rejected_total", "Telemetry messages refused.", counters.samples_rejected);
  counter("aether_samples_stored_total", "Readings written to the store.", counters.samples_stored);
  counter("aether_bus_dropped_total", "Messages that a full subscription of the orchestrator dropped.", counters.bus_dropped);
  counter("aether_samples_dropped_total", "Readings dropped because a queue was full.", counters.samples_dropped);
  counter("aether_agent_events_rejected_total", "Messages of agents refused.", counters.events_rejected);
  counter("aether_agent_reports_stale_total", "Reports about attempts that are no longer current.",
          counters.reports_stale);
  counter("aether_starts_resent_total", "Starts published again for want of an acknowledgement.", counters.starts_resent);
  counter("aether_starts_expired_total", "Starts that their node did not take in time; placed again.", counters.starts_expired);
  counter("aether_starts_refused_total", "Starts that a node refused, for now or for good.", counters.starts_refused);
  counter("aether_agents_refused_total", "Messages of agents whose node name is another's.", counters.agents_refused);
  counter("aether_attempts_fenced_total", "Attempts given up because their silent node has ended them by itself.",
          counters.attempts_fenced);
  counter("aether_attempts_superseded_total", "Orders to end an attempt that had been given up.",
          counters.attempts_superseded);
  counter("aether_jobs_submitted_total", "Jobs accepted.", counters.jobs_submitted);
  counter("aether_jobs_finished_total", "Jobs that reached a final state.", counters.jobs_finished);
  counter("aether_placements_total", "Jobs given GPUs.", counters.placements);
  counter("aether_predictions_total", "Answers of the model used in placements.", counters.predictions);
  counter("aether_prediction_fallbacks_total", "Placements without an answer of the model in time.",
          counters.prediction_fallbacks);
  counter("aether_store_commits_total", "Durable group commits.", counters.commits);
  counter("aether_scheduler_cycles_total", "Scheduling cycles.", counters.cycles);
  out.single("aether_orchestrator_last_step_seconds", "gauge", "Time the last step took.", counters.last_step_s);
  out.single("aether_scheduler_last_cycle_seconds", "gauge", "Time the last step with a scheduling cycle took, its commit included.",
             counters.last_cycle_s);
  out.single("aether_scheduler_longest_cycle_seconds", "gauge", "The longest of these since the start.",
             counters.longest_cycle_s);
}

void add_servers(Exposition& out, const std::vector<const http::Server*>& servers) {
  struct Family {
    const char* name;
    const char* type;
    const char* help;
    std::uint64_t http::ServerCounters::*field;
  };
  const Family families[] = {
      {"aether_http_requests_total", "counter", "Requests by listener.", &http::ServerCounters::requests},
      {"aether_http_rejected_total", "counter", "Requests refused before their handler ran.",
       &http::ServerCounters::rejected},
      {"aether_http_connections_total", "counter", "Connections accepted.", &http::ServerCounters::connections},
      {"aether_stream_clients", "gauge", "Open streams.", &http::ServerCounters::sockets},
      {"aether_stream_slow_clients_total", "counter", "Stream clients dropped because they took nothing.",
       &http::ServerCounters::slow_sockets},
  };
  for (const Family& family : families) {
    out.family(family.name, family.type, family.help);
    for (const http::Server* server : servers) {
      const http::ServerCounters counters = server->counters();
      out.value(fmt::format("listener=\"{}\"", escape_label(server->address())),
                static_cast<double>(counters.*family.field));
    }
  }
}

Response metrics(Context& context, const Request& request) {
  if (auto refusal = refuse_unknown_query(request, {})) return *refusal;
  const auto view = context.control.view();
  Exposition out;
  out.family("aether_build_info", "gauge", "1; the version is in the label.");
  out.value(fmt::format("version=\"{}\"", escape_label(context.options.version)), 1);
  add_gpus(out, *view);
  add_cluster(out, *view);
  add_orchestrator(out, view->counters);
  add_servers(out, context.servers);
  Response response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  response.body = out.take();
  return response;
}

// Ready once the orchestrator has published a view, which it does after it has read the store.
Response ready(Context& context, const Request& request) {
  if (!context.control.store_answers())
    return http::problem(503, "store_away", "the database is away or its disk is full; requests are refused", request);
  if (context.control.view()->version > 0) return ok({{"status", "ready"}});
  return http::problem(503, "not_ready", "the orchestrator has not published the state of the cluster yet", request);
}

}  // namespace

void add_metrics_routes(http::Server& server, Context& context) {
  using http::Access;
  using http::Run;
  server.route("GET", "/metrics", Access::kRead, Run::kWorker,
               [&context](const Request& request) { return metrics(context, request); });
  server.route("GET", "/healthz", Access::kPublic, Run::kInline, [](const Request&) { return ok({{"status", "ok"}}); });
  server.route("GET", "/readyz", Access::kPublic, Run::kInline,
               [&context](const Request& request) { return ready(context, request); });
}

}  // namespace aether::api
