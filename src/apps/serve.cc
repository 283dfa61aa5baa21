#include "apps/serve.h"

#include <unistd.h>

#include "apps/roles.h"
#include "apps/service.h"
#include "base/log.h"
#include "client/endpoint.h"

namespace aether::apps {
namespace {

const char* name_of(Role role) {
  switch (role) {
    case Role::kUp: return "up";
    case Role::kOrchestrator: return "orchestrator";
    case Role::kAiCore: return "ai-core";
  }
  return "up";
}

// Cancels what lives and waits until it has ended, at most its grace and a little.
void end_all_jobs(Control& control) {
  const auto live_count = [&](bool cancel) {
    std::size_t live = 0;
    for (const auto& [id, job] : control.view()->jobs) {
      if (is_terminal(job->state)) continue;
      ++live;
      if (cancel) control.act(id, JobAction::kCancel, std::nullopt, "aether up --stop-jobs", [](auto) {});
    }
    return live;
  };
  log::info("up", "ending jobs", {{"jobs", live_count(true)}});
  for (int tenth = 0; tenth < 600 && live_count(false) > 0; ++tenth) usleep(100'000);
}

// What a role holds, opened in order and closed in reverse.
struct Parts {
  std::unique_ptr<Bus> bus;
  std::unique_ptr<Bus> commanding, obeying;  // the same one, as the orchestrator and the agent see it
  std::unique_ptr<AiRole> ai;
  std::unique_ptr<OrchestratorRole> orchestrator;
  std::unique_ptr<AgentRole> agent;
};

Result<void> open_parts(const Settings& settings, Role role, const std::string& token, const Clock& clock, Parts& parts,
                        Addresses& at) {
  const bool up = role == Role::kUp;
  if (role != Role::kAiCore) {
    auto bus = up ? open_embedded_bus() : open_cluster_bus(settings, name_of(role));
    if (!bus) return fail(bus.error());
    parts.bus = std::move(*bus);
  }
  if (up || role == Role::kAiCore) {
    auto ai = AiRole::open(settings, token, clock);
    if (!ai) return fail(ai.error());
    parts.ai = std::move(*ai);
    at.ai = parts.ai->address();
  }
  if (up || role == Role::kOrchestrator) {
    auto commanding = sign_commands(settings, *parts.bus);
    if (!commanding) return fail(commanding.error());
    parts.commanding = std::move(*commanding);
    auto orchestrator = OrchestratorRole::open(settings, token, *parts.commanding, up ? &parts.ai->predictor() : nullptr, up, clock);
    if (!orchestrator) return fail(orchestrator.error());
    parts.orchestrator = std::move(*orchestrator);
    at.api = parts.orchestrator->api_address();
    at.dashboard = parts.orchestrator->dashboard_address();
    AETHER_TRY(client::write_endpoint(settings.state_dir, {url(at.api), url(at.dashboard), getpid()}));
  }
  if (up) {
    parts.obeying = verify_commands(settings, *parts.bus);
    auto agent = AgentRole::open(settings, token, *parts.obeying, clock);
    if (!agent) return fail(agent.error());
    parts.agent = std::move(*agent);
    at.metrics = parts.agent->metrics_address();
    at.note = parts.agent->note();
  }
  return {};
}

}  // namespace

int serve(const LoadedSettings& loaded, const ServeOptions& options) {
  Settings settings = loaded.settings;
  if (options.role == Role::kOrchestrator && settings.ai_core_url.empty()) settings.ai_core_url = "http://localhost:8000";
  const auto service = Service::enter(settings, name_of(options.role));
  if (!service) return refuse(service.error());

  static const SystemClock clock;
  Parts parts;
  Addresses at;
  if (auto opened = open_parts(settings, options.role, service->token(), clock, parts, at); !opened) return refuse(opened.error());
  service->say_ready(settings, at, options.role == Role::kUp ? "Next, in another terminal: aether submit -- CMD   (Ctrl-C here leaves jobs running)" : "");
  service->wait_for_stop();
  if (options.stop_jobs && parts.orchestrator) end_all_jobs(parts.orchestrator->control());
  parts.agent.reset();
  if (parts.orchestrator) (void)client::remove_endpoint(settings.state_dir);
  parts.orchestrator.reset();
  parts.ai.reset();
  parts.bus.reset();
  return 0;
}

}  // namespace aether::apps
