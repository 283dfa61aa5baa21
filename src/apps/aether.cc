// The program: service commands, self-checks, and the client's verbs.
#include <errno.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <CLI/Validators.hpp>

#include "apps/admin.h"
#include "apps/replay_commands.h"
#include "apps/serve.h"
#include "apps/service.h"
#include "client/commands.h"
#include "config/settings.h"

namespace {

using aether::apps::Role;
using aether::apps::ServeOptions;

// Every setting is also a flag of the service commands.
struct SettingFlags {
  std::string config;
  std::map<std::string, std::string> values;

  void add_to(CLI::App& command) {
    command.add_option("--config", config, "read only this file");
    for (const auto& setting : aether::known_settings())
      command.add_option_function<std::string>(
          setting.flag, [this, key = setting.key](const std::string& text) { values[key] = text; }, setting.help);
  }
  aether::Result<aether::LoadedSettings> load() const {
    return aether::load_settings(config, values, aether::process_environment());
  }
};

int with_settings(const SettingFlags& flags, const std::function<int(const aether::LoadedSettings&)>& action) {
  const auto loaded = flags.load();
  if (loaded) return action(*loaded);
  std::fprintf(stderr, "aether: %s\n", loaded.error().message.c_str());
  return 78;
}

void add_output_flags(CLI::App& command, bool& as_json) {
  command.add_flag("--json", as_json, "as JSON");
  command.add_option_function<std::string>("-o,--output", [&as_json](const std::string& format) { as_json = format == "json"; }, "table or json")
      ->type_name("FORMAT")
      ->check(CLI::IsMember({"table", "json"}));
}

void add_service(CLI::App& app, const char* name, const char* help, Role role, SettingFlags& flags, ServeOptions& options,
                 int& exit_code) {
  CLI::App* command = app.add_subcommand(name, help);
  command->group("Services");
  flags.add_to(*command);
  if (role == Role::kUp) command->add_flag("--stop-jobs", options.stop_jobs, "end running jobs before leaving");
  command->callback([&flags, &options, &exit_code, role] {
    options.role = role;
    exit_code = with_settings(flags, [&](const aether::LoadedSettings& loaded) { return serve(loaded, options); });
  });
}

// The agent is a program of its own, which maps no more than a node needs; this process becomes it.
int become_agent(const char* name, const SettingFlags& flags) {
  const std::string program = aether::apps::program_directory() + "/aether-agent";
  std::vector<std::string> words = {name, "agent"};
  if (!flags.config.empty()) words.push_back("--config=" + flags.config);
  for (const auto& setting : aether::known_settings())
    if (const auto given = flags.values.find(setting.key); given != flags.values.end()) words.push_back(setting.flag + "=" + given->second);
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  execv(program.c_str(), argv.data());
  return aether::apps::refuse({aether::ErrorCode::kNotFound, program + " can't be executed (" + std::strerror(errno) + "); it belongs beside the 'aether' program"});
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Aether watches every GPU of a fleet, puts each job on the right one, and says why."};
  app.name("aether");
  int exit_code = 0;
  SettingFlags flags;
  ServeOptions serve_options;
  add_service(app, "up", "everything in one process", Role::kUp, flags, serve_options, exit_code);
  CLI::App* agent = app.add_subcommand("agent", "one node: readings and jobs");
  agent->group("Services");
  flags.add_to(*agent);
  agent->callback([&] { exit_code = with_settings(flags, [&](const auto&) { return become_agent(argv[0], flags); }); });
  add_service(app, "orchestrator", "queue, scheduler, API and dashboard", Role::kOrchestrator, flags, serve_options, exit_code);
  add_service(app, "ai-core", "the prediction service", Role::kAiCore, flags, serve_options, exit_code);

  CLI::App* train = app.add_subcommand("train", "train the model and show how it compares");
  train->group("Services");
  flags.add_to(*train);
  aether::apps::TrainArguments train_arguments;
  train->add_flag("--synthetic", train_arguments.synthetic, "on synthetic clusters with a fixed seed (the only data so far)");
  train->add_option("--seed", train_arguments.seed, "seed of the training data")->check(CLI::Range(1, 99999));
  train->add_option("--rows", train_arguments.rows, "training rows")->check(CLI::Range(1000, 1000000));
  train->add_flag("--json", train_arguments.as_json, "the report as JSON");
  train->callback([&] {
    exit_code = with_settings(flags, [&](const auto& loaded) { return aether::apps::train(loaded, train_arguments); });
  });

  CLI::App* doctor = app.add_subcommand("doctor", "check this machine, the store and the running services");
  doctor->group("Services");
  flags.add_to(*doctor);
  aether::apps::DoctorArguments doctor_arguments;
  add_output_flags(*doctor, doctor_arguments.as_json);
  doctor->add_flag("--full", doctor_arguments.full, "read through all of a large history too");
  doctor->callback([&] {
    exit_code = with_settings(flags, [&](const auto& loaded) { return aether::apps::doctor(loaded, doctor_arguments); });
  });

  std::string backup_path;
  bool backup_json = false;
  CLI::App* backup = app.add_subcommand("backup", "copy the store while it is in use");
  CLI::App* restore = app.add_subcommand("restore", "put a backup in the place of the store, which is kept beside it");
  backup->add_option("directory", backup_path, "a new directory (default: one below the state directory's backups)")->type_name("DIR");
  restore->add_option("directory", backup_path, "what `aether backup` made")->type_name("DIR")->required();
  for (const auto& [verb, action] : {std::pair(backup, &aether::apps::backup), std::pair(restore, &aether::apps::restore)}) {
    verb->group("Services");
    flags.add_to(*verb);
    add_output_flags(*verb, backup_json);
    verb->callback([&, action = action] {
      exit_code = with_settings(flags, [&](const auto& loaded) { return action(loaded, backup_path, backup_json); });
    });
  }

  CLI::App* config = app.add_subcommand("config", "the settings in force");
  config->group("Services");
  config->require_subcommand(1);
  bool config_json = false;
  for (const auto& [name, help] : {std::pair("show", "every setting, its value and where it came from"), std::pair("check", "read the settings and say whether they are right")}) {
    CLI::App* verb = config->add_subcommand(name, help);
    flags.add_to(*verb);
    verb->add_flag("--json", config_json, "as JSON");
    verb->callback([&, show = std::string(name) == "show"] {
      exit_code = with_settings(flags, [&](const auto& loaded) { return aether::apps::config(loaded, show, config_json); });
    });
  }

  aether::apps::add_replay_commands(app, exit_code);
  aether::client::add_commands(app, exit_code);
  app.require_subcommand(1);
  return aether::client::run_command_line(app, argc, argv, exit_code);
}
