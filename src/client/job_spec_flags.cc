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
#include <tuple>

#include "base/files.h"
#include "base/clock.h"
#include "base/quantity.h"
#include "client/instant.h"
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
  if (flags.script) {
    json["script"] = *flags.script;
    spec.script = flags.script;
    return {};
  }
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

Outcome<void> set_instants(const JobSpecFlags& flags, JobSpec& spec, Json& json) {
  const Time now = SystemClock().now();
  for (const auto& [flag, text, key, field] :
       {std::tuple("--begin", &flags.begin, "begin", &spec.begin), std::tuple("--deadline", &flags.deadline, "deadline", &spec.deadline)}) {
    if (text->empty()) continue;
    const auto time = parse_instant(*text, now);
    if (!time) return bad_flag(flag, time.error().message);
    *field = *time;
    json[key] = format_rfc3339(*time);
  }
  return {};
}

std::vector<std::string> split_at(const std::string& text, char separator) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(separator, at), text.size());
    parts.push_back(trimmed(std::string_view(text).substr(at, end - at)));
    at = end + 1;
  }
  return parts;
}

// "afterok:1:2,singleton": a kind holds for every job behind it.
Outcome<void> set_dependencies(const JobSpecFlags& flags, JobSpec& spec, Json& json) {
  for (const std::string& given : flags.depends_on)
    for (const std::string& group : split_at(given, ',')) {
      const std::vector<std::string> parts = split_at(group, ':');
      std::vector<std::string> texts;
      if (parts.size() == 1) texts.push_back(group);
      for (std::size_t i = 1; i < parts.size(); ++i) texts.push_back(parts[0] + ":" + parts[i]);
      for (const std::string& text : texts) {
        const auto dependency = parse_dependency(text);
        if (!dependency)
          return bad_flag("--depend", fmt::format("'{}'; write after, afterok, afterany, afternotok or aftercorr, a colon "
                                                  "and a job, or singleton", text));
        spec.depends_on.push_back(*dependency);
        json["depends_on"].push_back(text);
      }
    }
  if (flags.kill_on_invalid_dep) json["kill_on_invalid_dep"] = true;
  return {};
}

Outcome<void> set_restarts(const JobSpecFlags& flags, JobSpec& spec, Json& json) {
  if (flags.retries) json["retries"] = spec.retries = *flags.retries;
  if (!flags.retry_on.empty())
    for (const std::string& text : split_at(flags.retry_on, ',')) {
      const auto rule = parse_retry_rule(text);
      if (!rule)
        return bad_flag("--retry-on", fmt::format("'{}'; give exit codes like 75 or 1-9, signal, oom, node or preempt", text));
      spec.retry_on.push_back(*rule);
      json["retry_on"].push_back(text);
    }
  if (flags.requeue && !flags.no_requeue) json["requeue"] = true;
  if (flags.slurm_env) json["slurm_env"] = true;
  if (!flags.array.empty()) json["array"] = spec.array = flags.array;
  return {};
}

// "USR1@120", "TERM": a signal, and how long before the time limit.
Outcome<void> set_early_signal(const JobSpecFlags& flags, JobSpec& spec, Json& json) {
  if (flags.signal.empty()) return {};
  const std::size_t at = flags.signal.find('@');
  const std::string name = flags.signal.substr(0, at);
  const auto signal = parse_signal(name);
  if (!signal) return bad_flag("--signal", fmt::format("'{}' is no signal; write USR1@120", name));
  std::int64_t before_s = 60;
  if (at != std::string::npos) {
    const std::string text = flags.signal.substr(at + 1);
    const bool bare = !text.empty() && text.size() < 10 && text.find_first_not_of("0123456789") == std::string::npos;
    const auto before = parse_duration(bare ? text + "s" : text);
    if (!before) return bad_flag("--signal", before.error().message);
    before_s = before->count();
  }
  spec.early_signal = EarlySignal{*signal, before_s};
  json["early_signal"] = {{"signal", signal_name(*signal)}, {"before_s", before_s}};
  return {};
}

Outcome<void> set_seconds(const char* flag, const std::string& text, const char* key, std::int64_t& field, Json& json) {
  if (text.empty()) return {};
  const auto duration = parse_duration(text);
  if (!duration) return bad_flag(flag, duration.error().message);
  json[key] = field = duration->count();
  return {};
}

Outcome<void> set_execution(const JobSpecFlags& flags, JobSpec& spec, Json& json) {
  AETHER_CLI_TRY(set_early_signal(flags, spec, json));
  AETHER_CLI_TRY(set_seconds("--stop-after", flags.stop_after, "stop_after_s", spec.stop_after_s, json));
  AETHER_CLI_TRY(set_seconds("--checkpoint-timeout", flags.checkpoint_timeout, "checkpoint_timeout_s",
                             spec.checkpoint_timeout_s, json));
  if (!flags.checkpoint.empty()) {
    const auto words = split_words(flags.checkpoint);
    if (!words || words->empty()) return bad_flag("--checkpoint-cmd", "a quote is not closed");
    json["checkpoint_argv"] = spec.checkpoint_argv = *words;
  }
  if (!flags.memory.empty()) {
    const auto mebibytes = parse_memory_mb(flags.memory);
    if (!mebibytes) return bad_flag("--mem", mebibytes.error().message);
    json["mem_mb"] = *mebibytes;
    spec.mem_mb = *mebibytes;
  }
  if (flags.cpus) json["cpus"] = *flags.cpus, spec.cpus = flags.cpus;
  for (const auto& [flag, text, key, known] :
       {std::tuple("--on-partition", &flags.on_partition, "on_partition", parse_on_partition(flags.on_partition).has_value()),
        std::tuple("--open-mode", &flags.open_mode, "open_mode", parse_open_mode(flags.open_mode).has_value()),
        std::tuple("--log-policy", &flags.log_policy, "log_policy", parse_log_policy(flags.log_policy).has_value())}) {
    if (text->empty()) continue;
    if (!known) return bad_flag(flag, fmt::format("'{}' is not one of its words; see --help", *text));
    json[key] = *text;
  }
  for (const auto& [flag, path, key, field] :
       {std::tuple("--output", &flags.stdout_path, "stdout_path", &spec.stdout_path),
        std::tuple("--error", &flags.stderr_path, "stderr_path", &spec.stderr_path)}) {
    if (path->empty()) continue;
    if (*path == "json" || *path == "table" || *path == "wide" || *path == "name")
      return bad_flag(flag, fmt::format("is a file of the job; write -o {0} for the form of this reply, ./{0} for a file", *path));
    json[key] = *field = *path;
  }
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
  verb.add_option("--begin", flags.begin, "Not before: 22:00, tomorrow, now+2h, 2026-01-15T09:00")->type_name("INSTANT");
  verb.add_option("--deadline", flags.deadline, "Ended by then, or not started at all")->type_name("INSTANT");
  verb.add_option("--array", flags.array, "One job for each index, at most 8 at once: 0-99%8")->type_name("RANGE");
  verb.add_option("--depend", flags.depends_on,
                  "afterok:4131, after, afterany, afternotok, aftercorr, singleton; a comma joins, all must be met")
      ->type_name("KIND:JOB")
      ->allow_extra_args(false);
  verb.add_flag("--kill-on-invalid-dep", flags.kill_on_invalid_dep, "Cancel it once a dependency can never be met");
  verb.add_option("--retries", flags.retries, "Further attempts after a failure (default 0)")->type_name("N");
  verb.add_option("--retry-on", flags.retry_on, "Which failures: 1,75,10-19,signal,oom,node,preempt (default any but preempt)")
      ->type_name("ENDS");
  verb.add_flag("--requeue", flags.requeue, "Back into the queue after a node failure or a preemption");
  verb.add_flag("--no-requeue", flags.no_requeue, "Undoes --requeue of a script");
  verb.add_option("--cpus", flags.cpus, "Host processors")->type_name("N");
  verb.add_option("--mem", flags.memory, "Host memory, e.g. 64G")->type_name("SIZE");
  verb.add_option("--output", flags.stdout_path, "A file that also gets standard output; %j %x %A %a %N %u %r")
      ->type_name("PATH");
  verb.add_option("--error", flags.stderr_path, "A file that also gets standard error")->type_name("PATH");
  verb.add_option("--open-mode", flags.open_mode, "append or truncate these files")->type_name("MODE");
  verb.add_option("--signal", flags.signal, "A signal before the time limit: USR1@120")->type_name("SIG@SECONDS");
  verb.add_option("--checkpoint-cmd", flags.checkpoint, "Run before SIGTERM, as the job")->type_name("COMMAND");
  verb.add_option("--checkpoint-timeout", flags.checkpoint_timeout, "Its time (default 60s)")->type_name("DURATION");
  verb.add_option("--on-partition", flags.on_partition, "continue or stop_after, when its node loses the orchestrator")
      ->type_name("HOW");
  verb.add_option("--stop-after", flags.stop_after, "For stop_after (default 30s)")->type_name("DURATION");
  verb.add_option("--log-policy", flags.log_policy, "truncate or block at the room for captured output")->type_name("POLICY");
  verb.add_flag("--slurm-env", flags.slurm_env, "Also set SLURM_JOB_ID and its kin");
  verb.add_option("--label", flags.labels, "KEY=VALUE; may be repeated")
      ->type_name("K=V")
      ->allow_extra_args(false);
}

void overlay(JobSpecFlags& flags, const JobSpecFlags& over) {
  for (const auto text :
       {&JobSpecFlags::script_file, &JobSpecFlags::name, &JobSpecFlags::type, &JobSpecFlags::gpu_type, &JobSpecFlags::gpu_mem,
        &JobSpecFlags::share, &JobSpecFlags::time, &JobSpecFlags::chdir, &JobSpecFlags::grace, &JobSpecFlags::env_file,
        &JobSpecFlags::begin, &JobSpecFlags::deadline, &JobSpecFlags::array, &JobSpecFlags::retry_on,
        &JobSpecFlags::on_partition, &JobSpecFlags::stop_after, &JobSpecFlags::signal, &JobSpecFlags::checkpoint,
        &JobSpecFlags::checkpoint_timeout, &JobSpecFlags::memory, &JobSpecFlags::stdout_path, &JobSpecFlags::stderr_path,
        &JobSpecFlags::open_mode, &JobSpecFlags::log_policy})
    if (!(over.*text).empty()) flags.*text = over.*text;
  if (over.requeue || over.no_requeue) flags.requeue = over.requeue, flags.no_requeue = over.no_requeue;
  for (const auto on : {&JobSpecFlags::unique, &JobSpecFlags::hold, &JobSpecFlags::kill_on_invalid_dep, &JobSpecFlags::slurm_env})
    flags.*on = flags.*on || over.*on;
  for (const auto number : {&JobSpecFlags::gpus, &JobSpecFlags::priority, &JobSpecFlags::retries, &JobSpecFlags::cpus})
    if (over.*number) flags.*number = over.*number;
  for (const auto list : {&JobSpecFlags::env, &JobSpecFlags::labels, &JobSpecFlags::depends_on, &JobSpecFlags::argv})
    (flags.*list).insert((flags.*list).end(), (over.*list).begin(), (over.*list).end());
  if (over.script) flags.script = over.script;
}

std::optional<std::vector<std::string>> split_words(std::string_view text) {
  std::vector<std::string> words;
  bool open = false;  // inside a word
  char quote = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool blank = c == ' ' || c == '\t' || c == '\r' || c == '\n';
    if (quote == 0 && blank) {
      open = false;
      continue;
    }
    if (!open) words.emplace_back(), open = true;
    if (quote == 0 && (c == '\'' || c == '"')) {
      quote = c;
    } else if (quote != 0 && c == quote) {
      quote = 0;
    } else if (c == '\\' && quote != '\'' && i + 1 < text.size()) {
      words.back() += text[++i];
    } else {
      words.back() += c;
    }
  }
  if (quote != 0) return std::nullopt;
  return words;
}

Outcome<Json> job_spec_json(const JobSpecFlags& flags) {
  JobSpec spec;
  Json json = Json::object();
  AETHER_CLI_TRY(set_command(flags, spec, json));
  AETHER_CLI_TRY(set_quantities(flags, spec, json));
  AETHER_CLI_TRY(set_words(flags, spec, json));
  AETHER_CLI_TRY(set_maps(flags, spec, json));
  AETHER_CLI_TRY(set_instants(flags, spec, json));
  AETHER_CLI_TRY(set_dependencies(flags, spec, json));
  AETHER_CLI_TRY(set_restarts(flags, spec, json));
  AETHER_CLI_TRY(set_execution(flags, spec, json));
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
        {"/stop_after_s", "--stop-after"}, {"/early_signal/signal", "--signal"}, {"/early_signal/before_s", "--signal"},
        {"/checkpoint_timeout_s", "--checkpoint-timeout"}, {"/mem_mb", "--mem"}, {"/depends_on/0", "--depend"},
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
