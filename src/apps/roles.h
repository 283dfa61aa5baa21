#pragma once
// The parts of Aether as running things, beside the agent (agent_role.h). `aether up` holds all of them in one process, the cluster roles one each: the same
// classes either way.
#include <memory>
#include <string>

#include "ai_core/ai_core.h"
#include "api/api.h"
#include "apps/agent_role.h"
#include "apps/wiring.h"
#include "base/clock.h"
#include "http/server.h"
#include "orchestrator/service.h"

namespace aether::apps {

// The AI core: the model behind POST /predict.
class AiRole {
 public:
  static Result<std::unique_ptr<AiRole>> open(const Settings& settings, const std::string& token, const Clock& clock);
  ~AiRole();
  Predictor& predictor() { return *predictor_; }
  std::string address() const { return server_->address(); }

 private:
  std::unique_ptr<Predictor> predictor_;
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<ai_core::AiCore> core_;
};

// The orchestrator with API and dashboard. `predictor` is somebody else's (of `aether up`) or null: then the service at
// ai_core.url is asked.
class OrchestratorRole {
 public:
  static Result<std::unique_ptr<OrchestratorRole>> open(const Settings& settings, const std::string& token, Bus& bus,
                                                        Predictor* predictor, bool embedded, const Clock& clock);
  ~OrchestratorRole();
  std::string api_address() const { return api_server_->address(); }
  std::string dashboard_address() const { return dashboard_server_->address(); }
  Control& control() { return *service_; }

 private:
  std::unique_ptr<Store> store_;
  std::unique_ptr<Predictor> remote_predictor_;
  std::unique_ptr<CarbonSource> carbon_;
  std::unique_ptr<OrchestratorService> service_;
  std::unique_ptr<Api> api_;
  std::unique_ptr<http::Server> api_server_;
  std::unique_ptr<http::Server> dashboard_server_;
};

}  // namespace aether::apps
