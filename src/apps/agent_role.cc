#include "apps/agent_role.h"

#include <unistd.h>

#include "apps/agent_metrics.h"
#include "apps/listener.h"
#include "base/files.h"
#include "base/log.h"

namespace aether::apps {
namespace {

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

Result<std::unique_ptr<AgentRole>> AgentRole::open(const Settings& settings, const std::string& token, Bus& bus,
                                                   const Clock& clock) {
  auto role = std::make_unique<AgentRole>();
  auto gpus = open_gpus(settings, clock);
  if (!gpus) return fail(gpus.error());
  role->gpus_ = std::move(*gpus);
  auto runner = open_runner(settings, clock);
  if (!runner) return fail(runner.error());
  role->runner_ = std::move(*runner);
  auto server = http::Server::open(listener(settings, "agent", "listen.metrics", settings.listen_metrics, token));
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
  options.health_file = settings.state_dir + "/gpu_faults";
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
