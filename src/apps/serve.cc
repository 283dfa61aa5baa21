#include "apps/serve.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <thread>

#include <fmt/format.h>

#include "apps/roles.h"
#include "base/files.h"
#include "base/log.h"
#include "client/endpoint.h"

namespace aether::apps {
namespace {

const char* name_of(Role role) {
  switch (role) {
    case Role::kUp: return "up";
    case Role::kAgent: return "agent";
    case Role::kOrchestrator: return "orchestrator";
    case Role::kAiCore: return "ai-core";
  }
  return "up";
}

int exit_code_of(const Error& error) {
  switch (error.code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kPermissionDenied:
    case ErrorCode::kUnsupported: return 78;
    case ErrorCode::kConflict: return 75;
    case ErrorCode::kIo:
    case ErrorCode::kCorrupt: return 74;
    default: return 69;
  }
}

int refuse(const Error& error) {
  std::fprintf(stderr, "aether: %s\n", log::sanitise(error.message).c_str());
  return exit_code_of(error);
}

// Signals are taken by sigwait alone, so that every thread is free of them.
sigset_t block_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, number);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return set;
}

int wait_for_signal(const sigset_t& set) {
  int number = 0;
  do sigwait(&set, &number);
  while (number == SIGHUP);
  return number;
}

struct Addresses {
  std::string dashboard, api, ai, metrics, note;
};

std::string url(const std::string& address) { return address.empty() ? "" : "http://" + address; }

void say_ready(const Settings& settings, Role role, const Addresses& at, bool as_json) {
  const std::string token_file = client::token_path(settings.state_dir);
  if (as_json) {
    std::string line = fmt::format(R"({{"event":"ready","role":"{}","pid":{})", name_of(role), getpid());
    const std::pair<const char*, std::string> fields[] = {{"dashboard", url(at.dashboard)}, {"api", url(at.api)},
                                                          {"ai", url(at.ai)},               {"metrics", url(at.metrics)},
                                                          {"token_file", token_file},       {"state_dir", settings.state_dir}};
    for (const auto& [key, value] : fields)
      if (!value.empty()) line += fmt::format(R"(,"{}":"{}")", key, value);
    std::printf("%s}\n", line.c_str());
  } else {
    std::printf("Aether %s (%s) is ready\n", kVersion, name_of(role));
    if (!at.dashboard.empty()) std::printf("  dashboard  %s\n", url(at.dashboard).c_str());
    if (!at.api.empty()) std::printf("  API        %s\n", url(at.api).c_str());
    if (!at.ai.empty()) std::printf("  AI core    %s\n", url(at.ai).c_str());
    if (!at.metrics.empty()) std::printf("  metrics    %s/metrics\n", url(at.metrics).c_str());
    std::printf("  state      %s\n", settings.state_dir.c_str());
    if (!at.note.empty()) std::printf("  GPUs       %s\n", at.note.c_str());
    // Once, to a terminal only: a fragment reaches neither servers nor logs.
    if (isatty(STDOUT_FILENO) && !at.dashboard.empty())
      if (const auto token = client::read_token(token_file))
        std::printf("  sign in    %s/#token=%s\n", url(at.dashboard).c_str(), token->c_str());
    if (role == Role::kUp) std::printf("Next, in another terminal: aether submit -- CMD   (Ctrl-C here leaves jobs running)\n");
  }
  std::fflush(stdout);
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
  if (up || role == Role::kAgent) {
    parts.obeying = verify_commands(settings, *parts.bus);
    auto agent = AgentRole::open(settings, token, *parts.obeying, clock);
    if (!agent) return fail(agent.error());
    parts.agent = std::move(*agent);
    at.metrics = parts.agent->metrics_address();
    at.note = parts.agent->note();
  }
  return {};
}

log::Level level_of(const std::string& text) {
  if (text == "debug") return log::Level::kDebug;
  if (text == "warn") return log::Level::kWarn;
  if (text == "error") return log::Level::kError;
  return log::Level::kInfo;
}

}  // namespace

int serve(const LoadedSettings& loaded, const ServeOptions& options) {
  Settings settings = loaded.settings;
  if (options.role == Role::kOrchestrator && settings.ai_core_url.empty()) settings.ai_core_url = "http://localhost:8000";
  const bool as_json = settings.log_format == "json";
  log::init(level_of(settings.log_level), as_json ? log::Format::kJson : log::Format::kText);
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  const sigset_t signals = block_signals();
  if (auto made = make_private_directory(settings.state_dir); !made) return refuse(made.error());
  const auto token = client::ensure_token(settings.state_dir);
  if (!token) return refuse(token.error());

  static const SystemClock clock;
  Parts parts;
  Addresses at;
  if (auto opened = open_parts(settings, options.role, *token, clock, parts, at); !opened) return refuse(opened.error());
  say_ready(settings, options.role, at, as_json);

  wait_for_signal(signals);
  log::info(name_of(options.role), "stopping; a second signal ends at once");
  std::thread([signals] {
    wait_for_signal(signals);
    _exit(130);
  }).detach();
  if (options.stop_jobs && parts.orchestrator) end_all_jobs(parts.orchestrator->control());
  parts.agent.reset();
  if (parts.orchestrator) (void)client::remove_endpoint(settings.state_dir);
  parts.orchestrator.reset();
  parts.ai.reset();
  parts.bus.reset();
  return 0;
}

}  // namespace aether::apps
