#include "client/job_spec_flags.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <climits>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/quantity.h"
#include "model/job.h"

namespace aether::client {
namespace {

using Pairs = std::map<std::string, std::string>;

tl::unexpected<Failure> bad_flag(std::string_view flag, std::string_view message) {
  return failed(kUsage, fmt::format("{}: {}", flag, message));
}

std::string trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(" \t\r") - first + 1));
}

Outcome<void> add_pair(Pairs& pairs, std::string_view flag, const std::string& text, bool from_environment) {
  const std::size_t equals = text.find('=');
  if (equals == 0 || text.empty())
    return bad_flag(flag, fmt::format("'{}' has no name; write NAME=VALUE", text));
  if (equals != std::string::npos) {
    pairs[text.substr(0, equals)] = text.substr(equals + 1);
    return {};
  }
  const char* value = from_environment ? std::getenv(text.c_str()) : nullptr;
  if (value == nullptr)
    return bad_flag(flag, from_environment ? fmt::format("{0} is not set here; write {0}=VALUE", text)
                                           : fmt::format("'{0}' has no value; write {0}=VALUE", text));
  pairs[text] = value;
  return {};
}

// Lines NAME=VALUE; blank lines and those that start with # say nothing; the value is taken as it stands, no
// quotes.
Outcome<void> add_env_file(Pairs& pairs, const std::string& path) {
  const auto content = read_file(path);
  if (!content) return bad_flag("--env-file", content.error().message);
  int number = 0;
  for (std::size_t at = 0; at < content->size();) {
    const std::size_t end = std::min(content->find('\n', at), content->size());
    const std::string line = trimmed(std::string_view(*content).substr(at, end - at));
    at = end + 1;
    ++number;
    if (line.empty() || line[0] == '#') continue;
    AETHER_CLI_TRY(add_pair(pairs, fmt::format("--env-file {}:{}", path, number), line, false));
  }
  return {};
}

Outcome<void> set_command(const JobSpecFlags& flags, JobSpec& spec, Json& json) {
  if (flags.script_file.empty()) {
    if (flags.argv.empty())
      return failed(kUsage,
                    "no command; write `aether submit [flags] -- COMMAND ARGUMENT...` or give --script FILE");
    json["argv"] = spec.argv = flags.argv;
    return {};
  }
  if (!flags.argv.empty())
    return failed(kUsage, "--script and a command exclude each other; give one of them");
  std::string script;
  if (flags.script_file == "-") {
    script.assign(std::istreambuf_iterator<char>(std::cin), {});
  } else {
    auto content = read_file(flags.script_file);
    if (!content) return bad_flag("--script", content.error().message);
    script = std::move(*content);
  }
  if (script.empty()) return bad_flag("--script", "the script is empty");
  json["script"] = script;
  spec.script = std::move(script);
  return {};
}

Outcome<void> set_quantities(const JobSpecFlags& flags, JobSpec& spec, Json& json) {
  if (!flags.gpu_mem.empty()) {
    const auto mebibytes = parse_memory_mb(flags.gpu_mem);
    if (!mebibytes) return bad_flag("--gpu-mem", mebibytes.error().message);
    json["gpu_mem_mb"] = *mebibytes;
    spec.gpu_mem_mb = *mebibytes;
  }
  if (!flags.time.empty()) {
    const auto limit = parse_duration(flags.time);
    if (!limit) return bad_flag("--time", limit.error().message);
    if (limit->count() == 0)
      return bad_flag("--time", "a limit of 0 s leaves no time to run; leave it out for the default");
    json["time_limit_s"] = spec.time_limit_s = limit->count();
  }
  if (!flags.grace.empty()) {
    const auto grace = parse_duration(flags.grace);
    if (!grace) return bad_flag("--grace", grace.error().message);
    json["grace_s"] = spec.grace_s = grace->count();
  }
  return {};
}

Outcome<void> set_words(const JobSpecFlags& flags, JobSpec& spec, Json& json) {
  if (!flags.type.empty()) {
    if (!parse_job_type(flags.type))
      return bad_flag("--type", fmt::format("'{}'; give training or inference", flags.type));
    json["type"] = flags.type;
  }
  // --gpu-mem alone means that the rest of the GPU is free for others (API.md §9).
  const std::string share = flags.share.empty() && spec.gpu_mem_mb ? "memory" : flags.share;
  if (!share.empty()) {
    const auto parsed = parse_share(share);
    if (!parsed) return bad_flag("--share", fmt::format("'{}'; give exclusive or memory", share));
    if (*parsed == Share::kMemory && !spec.gpu_mem_mb)
      return bad_flag("--share", "memory needs --gpu-mem, the memory to reserve on each GPU");
    json["share"] = share;
    spec.share = *parsed;
  }
  return {};
}

Outcome<void> set_maps(const JobSpecFlags& flags, JobSpec& spec, Json& json) {
  if (!flags.env_file.empty()) AETHER_CLI_TRY(add_env_file(spec.env, flags.env_file));
  for (const std::string& text : flags.env) AETHER_CLI_TRY(add_pair(spec.env, "--env", text, true));
  for (const std::string& text : flags.labels) AETHER_CLI_TRY(add_pair(spec.labels, "--label", text, false));
  if (!spec.env.empty()) json["env"] = spec.env;
  if (!spec.labels.empty()) json["labels"] = spec.labels;
  return {};
}

// The base name of the command or of the script's file.
std::string default_name(const JobSpecFlags& flags) {
  const std::string& command = flags.argv.empty() ? flags.script_file : flags.argv[0];
  if (command == "-") return "script";
  return command.substr(command.rfind('/') + 1).substr(0, 128);
}

std::string absolute(const std::string& path) {
  if (path.starts_with('/')) return path;
  char here[PATH_MAX];
  if (getcwd(here, sizeof here) == nullptr) return path;
  return path == "." ? std::string(here) : std::string(here) + "/" + path;
}

}  // namespace

void add_job_spec_flags(CLI::App& verb, JobSpecFlags& flags) {
  verb.add_option("command", flags.argv, "The command, best after --; runs without a shell")
      ->type_name("CMD...");
  verb.add_option("--script", flags.script_file,
                  "A file run by its #! line, else by /bin/sh; - is standard input")
      ->type_name("FILE");
  verb.add_option("--name", flags.name, "Name (default: the command's base name)");
  verb.add_flag("--unique", flags.unique, "Refuse while a live job has this name");
  verb.add_option("--type", flags.type, "training or inference")->type_name("TYPE");
  verb.add_option("--gpus", flags.gpus, "Number of GPUs; 0 is allowed")->type_name("N");
  verb.add_option("--gpu-type", flags.gpu_type, "Part of the GPU's name; a comma list means any of them")
      ->type_name("NAME");
  verb.add_option("--gpu-mem", flags.gpu_mem, "GPU memory for each GPU, e.g. 24G; the GPU may then be shared")
      ->type_name("SIZE");
  verb.add_option("--share", flags.share, "exclusive or memory")->type_name("HOW");
  verb.add_option("--time", flags.time, "Time limit: 90m, 2h, 1d12h, HH:MM:SS")->type_name("DURATION");
  verb.add_option("--priority", flags.priority, "0 to 100, higher leaves first (default 50)")->type_name("N");
  verb.add_option("--env", flags.env, "NAME=VALUE, or NAME for the value set here; may be repeated")
      ->type_name("K=V")
      ->allow_extra_args(false);
  verb.add_option("--env-file", flags.env_file, "File of NAME=VALUE lines")->type_name("FILE");
  verb.add_option("--chdir", flags.chdir, "Working directory on the node (default: a private one)")
      ->type_name("DIR");
  verb.add_option("--grace", flags.grace, "Time between SIGTERM and SIGKILL (default 30s)")
      ->type_name("DURATION");
  verb.add_flag("--hold", flags.hold, "Submit on hold; `aether release` lets it go");
  verb.add_option("--label", flags.labels, "KEY=VALUE; may be repeated")
      ->type_name("K=V")
      ->allow_extra_args(false);
}

Outcome<Json> job_spec_json(const JobSpecFlags& flags) {
  JobSpec spec;
  Json json = Json::object();
  AETHER_CLI_TRY(set_command(flags, spec, json));
  AETHER_CLI_TRY(set_quantities(flags, spec, json));
  AETHER_CLI_TRY(set_words(flags, spec, json));
  AETHER_CLI_TRY(set_maps(flags, spec, json));
  json["name"] = spec.name = flags.name.empty() ? default_name(flags) : flags.name;
  if (flags.unique) json["unique"] = true;
  if (flags.hold) json["hold"] = true;
  if (!flags.gpu_type.empty()) json["gpu_type"] = flags.gpu_type;
  if (flags.gpus) json["gpus"] = spec.gpus = *flags.gpus;
  if (flags.priority) json["priority"] = spec.priority = *flags.priority;
  if (!flags.chdir.empty()) json["workdir"] = spec.workdir = absolute(flags.chdir);
  if (const auto valid = validate(spec); !valid) {
    static const std::map<std::string, std::string> kFlags{
        {"/gpu_mem_mb", "--gpu-mem"}, {"/time_limit_s", "--time"}, {"/grace_s", "--grace"},
        {"/workdir", "--chdir"},      {"/labels", "--label"},      {"/argv", "command"},
        {"/argv/0", "command"}};
    const std::string& field = valid.error().field;
    const auto flag = kFlags.find(field);
    const std::string named = field.size() > 1 ? "--" + field.substr(1, field.find('/', 1) - 1) : "spec";
    return bad_flag(flag == kFlags.end() ? named : flag->second, valid.error().message);
  }
  return json;
}

std::string make_uuid_v7(std::int64_t unix_ms, std::uint64_t random_high, std::uint64_t random_low) {
  const auto time = static_cast<std::uint64_t>(unix_ms) & 0xFFFF'FFFF'FFFFull;
  const std::uint64_t variant = (random_low & 0x3FFF'FFFF'FFFF'FFFFull) | 0x8000'0000'0000'0000ull;
  return fmt::format("{:08x}-{:04x}-7{:03x}-{:04x}-{:012x}", time >> 16, time & 0xFFFF, random_high & 0xFFF,
                     variant >> 48, variant & 0xFFFF'FFFF'FFFFull);
}

}  // namespace aether::client
