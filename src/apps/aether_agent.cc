// What `aether agent` becomes: one node, in a program that holds nothing else, so that watching GPUs costs little memory.
// The flags are those of the verb, which has checked them; `aether agent --help` lists them.
#include <malloc.h>

#include <cstdio>
#include <string>

#include "apps/agent_role.h"
#include "apps/service.h"

namespace {

using namespace aether;

// --KEY VALUE or --KEY=VALUE of each setting, and --config FILE.
Result<LoadedSettings> load(int argc, char** argv) {
  std::map<std::string, std::string> values, flags;
  for (const SettingInfo& setting : known_settings()) flags[setting.flag] = setting.key;
  std::string config;
  for (int i = 1; i < argc; ++i) {
    std::string flag = argv[i];
    if (i == 1 && flag == "agent") continue;
    const std::size_t equals = flag.find('=');
    const bool joined = equals != std::string::npos;
    const bool last = i + 1 == argc;
    const std::string value = joined ? flag.substr(equals + 1) : last ? "" : argv[i + 1];
    flag = flag.substr(0, equals);
    const auto known = flags.find(flag);
    if (known == flags.end() && flag != "--config")
      return fail(ErrorCode::kInvalidArgument, "unknown flag '" + flag + "'; `aether agent --help` lists them");
    if (!joined && last) return fail(ErrorCode::kInvalidArgument, flag + " needs a value");
    if (!joined) ++i;
    (known == flags.end() ? config : values[known->second]) = value;
  }
  return load_settings(config, values, process_environment());
}

int run(const Settings& settings) {
  const auto service = apps::Service::enter(settings, "agent");
  if (!service) return apps::refuse(service.error());
  static const SystemClock clock;
  auto bus = apps::open_cluster_bus(settings, "agent");
  if (!bus) return apps::refuse(bus.error());
  const std::unique_ptr<Bus> obeying = apps::verify_commands(settings, **bus);
  auto agent = apps::AgentRole::open(settings, service->token(), *obeying, clock);
  if (!agent) return apps::refuse(agent.error());
  service->say_ready(settings, {.dashboard = {}, .api = {}, .ai = {}, .metrics = (*agent)->metrics_address(), .note = (*agent)->note()});
  service->wait_for_stop();
  agent->reset();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  mallopt(M_ARENA_MAX, 2);  // few threads, little to do: an arena each would be memory for nothing
  const auto loaded = load(argc, argv);
  return loaded ? run(loaded->settings) : apps::refuse(loaded.error());
}
