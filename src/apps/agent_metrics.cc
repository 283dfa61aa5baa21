#include "apps/agent_metrics.h"

#include <fmt/format.h>

namespace aether::apps {
namespace {

std::string label_value(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out;
}

// A counter's name must end in _total; the cumulative fields of a sample already do, except those with a unit behind.
bool is_counter(std::string_view name) { return name.ends_with("_total"); }

void write_gpu_metrics(const std::vector<GpuSample>& samples, std::string& out) {
  for (const GpuMetric& metric : gpu_metrics()) {
    std::string lines;
    for (const GpuSample& sample : samples) {
      const auto value = metric.get(sample);
      if (!value) continue;
      lines += fmt::format("aether_gpu_{}{{gpu_uuid=\"{}\",gpu=\"{}\",node=\"{}\",name=\"{}\"}} {}\n", metric.name,
                           label_value(sample.gpu_uuid.str()), sample.gpu_index, label_value(sample.node.str()),
                           label_value(sample.gpu_name), *value);
    }
    if (lines.empty()) continue;
    out += fmt::format("# HELP aether_gpu_{0} {0} of a GPU; the unit is the last part of the name.\n# TYPE aether_gpu_{0} {1}\n",
                       metric.name, is_counter(metric.name) ? "counter" : "gauge");
    out += lines;
  }
}

void write_counter(std::string& out, std::string_view name, std::string_view help, std::uint64_t value) {
  out += fmt::format("# HELP aether_agent_{0} {1}\n# TYPE aether_agent_{0} counter\naether_agent_{0} {2}\n", name, help, value);
}

std::string metrics_text(const Agent& agent, const Bus& bus) {
  std::string out;
  write_gpu_metrics(agent.latest(), out);
  const AgentCounters counters = agent.counters();
  write_counter(out, "samples_total", "Readings taken.", counters.sampler.samples);
  write_counter(out, "failed_reads_total", "Readings that the driver did not give.", counters.sampler.failed_reads);
  write_counter(out, "late_ticks_total", "Rounds that took longer than the interval.", counters.sampler.late_ticks);
  write_counter(out, "samples_published_total", "Readings that went to the bus.", counters.published);
  write_counter(out, "samples_spooled_total", "Readings kept while the bus was away.", counters.spooled);
  write_counter(out, "spool_dropped_total", "Readings that no longer fitted the spool.", counters.spool_dropped);
  write_counter(out, "commands_total", "Commands received.", counters.commands);
  write_counter(out, "commands_rejected_total", "Commands that could not be decoded.", counters.commands_rejected);
  write_counter(out, "starts_refused_total", "Starts that were refused.", counters.starts_refused);
  write_counter(out, "stale_leader_total", "Commands of an orchestrator that is no longer the one.", counters.stale_leader);
  write_counter(out, "leases_expired_total", "Times that no answer came for as long as the lease.", counters.leases_expired);
  write_counter(out, "bus_dropped_total", "Messages that a full subscription dropped.", bus.counters().dropped);
  return out;
}

}  // namespace

void register_agent_metrics(http::Server& server, Agent& agent, Bus& bus) {
  server.route("GET", "/healthz", http::Access::kPublic, http::Run::kInline,
               [](const http::Request&) { return http::json(200, R"({"status":"ok"})"); });
  server.route("GET", "/metrics", http::Access::kRead, http::Run::kInline, [&agent, &bus](const http::Request&) {
    http::Response response;
    response.content_type = "text/plain; version=0.0.4; charset=utf-8";
    response.body = metrics_text(agent, bus);
    return response;
  });
}

}  // namespace aether::apps
