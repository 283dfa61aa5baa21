#pragma once
// One node: readings and jobs. Part of `aether up`, and all that `aether-agent` runs.
#include <memory>
#include <string>

#include "agent/agent.h"
#include "apps/node_wiring.h"
#include "base/clock.h"
#include "http/server.h"

namespace aether::apps {

inline constexpr const char* kVersion = AETHER_VERSION;

class AgentRole {
 public:
  static Result<std::unique_ptr<AgentRole>> open(const Settings& settings, const std::string& token, Bus& bus,
                                                 const Clock& clock);
  ~AgentRole();
  std::string metrics_address() const { return server_->address(); }
  const std::string& note() const { return gpus_.note; }

 private:
  Gpus gpus_;
  std::unique_ptr<ProcessRunner> runner_;
  std::unique_ptr<Agent> agent_;
  std::unique_ptr<http::Server> server_;
};

}  // namespace aether::apps
