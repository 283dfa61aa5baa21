#pragma once
// The agent's own listener: /metrics for Prometheus, /healthz and dcgm-exporter's /health.
#include <string>

#include "agent/agent.h"
#include "base/clock.h"
#include "bus/bus.h"
#include "config/settings.h"
#include "http/server.h"

namespace aether::apps {

// What the answers are made of; all of it outlives the server.
struct AgentMetricsSource {
  Agent& agent;
  Bus& bus;
  const Clock& clock;
  std::string host_name;
};
// Before the server's start().
void register_agent_metrics(http::Server& server, const Settings& settings, const AgentMetricsSource& source);

}  // namespace aether::apps
