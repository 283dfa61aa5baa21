#pragma once
// The agent's own listener: /metrics in Prometheus' text form, and /healthz.
#include "agent/agent.h"
#include "bus/bus.h"
#include "http/server.h"

namespace aether::apps {

// Before the server's start(). `agent` and `bus` outlive the server.
void register_agent_metrics(http::Server& server, Agent& agent, Bus& bus);

}  // namespace aether::apps
