#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/log.h"
#include "base/names.h"
#include "codec/codec.h"
#include "codec/records.h"

namespace aether::codec {
namespace {

void refuse_unknown_keys(Fields& in, const Json& json) {
  for (const auto& entry : json.items()) {
    const std::string& key = entry.key();
    if (std::find(job_spec_keys().begin(), job_spec_keys().end(), key) != job_spec_keys().end()) continue;
    const std::string near = nearest_name(key.substr(0, 64), job_spec_keys());
    return in.report(key.c_str(), near.empty() ? "there is no such field in a job specification"
                                               : fmt::format("there is no such field; is '{}' meant?", near));
  }
}

bool is_job_id(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '_';
  });
}

void read_attempt(Fields& in, Attempt& attempt) {
  need_attempt(in, attempt.id);
  in.need("epoch", attempt.epoch);
  in.read_object("placement", attempt.placement, read_placement);
  in.require("state");
  in.read_word("state", attempt.state, parse_job_state);
  in.read("assigned_at_us", attempt.assigned_at);
  in.read("started_at_us", attempt.started_at);
  in.read("ended_at_us", attempt.ended_at);
  in.read_object("exit", attempt.exit, read_exit);
  in.read("stop_reason", attempt.stop_reason);
  in.read("energy_j", attempt.energy_j);
  in.read("carbon_g", attempt.carbon_g);
}

void read_job_event(Fields& in, JobEvent& event) {
  need_job(in, "job", event.job);
  in.need("time_us", event.time);
  in.read("from", event.from);
  in.read("to", event.to);
  in.read("actor", event.actor);
  in.read("reason", event.reason);
  in.read("epoch", event.epoch);
  in.read("attempt", event.attempt);
}

// Lists of short texts that have a parser: "afterok:4131", "1-9".
template <class T>
void read_texts(Fields& in, const char* key, std::vector<T>& out, std::optional<T> (*parse)(std::string_view),
                const char* example) {
  std::vector<std::string> texts;
  in.read(key, texts);
  if (in.failed()) return;
  out.clear();
  for (const std::string& text : texts) {
    const auto parsed = parse(text);
    if (!parsed) return in.report(key, fmt::format("'{}' is not like {}", log::sanitise(text.substr(0, 64)), example));
    out.push_back(*parsed);
  }
}

void read_instant(Fields& in, const char* key, std::optional<Time>& out) {
  std::string text;
  in.read(key, text);
  if (in.failed() || text.empty()) return;
  if (auto time = parse_rfc3339(text))
    out = std::chrono::floor<std::chrono::milliseconds>(*time);  // what is written again
  else
    in.report(key, time.error().message);
}

void read_early_signal(Fields& in, EarlySignal& early) {
  std::string name;
  in.need("signal", name);
  in.need("before_s", early.before_s);
  if (in.failed()) return;
  if (const auto signal = parse_signal(name))
    early.signal = *signal;
  else
    in.report("signal", "no signal of that name; write USR1");
}

void read_schedule(Fields& in, JobSpec& spec) {
  read_instant(in, "begin", spec.begin);
  read_instant(in, "deadline", spec.deadline);
  read_texts(in, "depends_on", spec.depends_on, parse_dependency, "afterok:4131 or singleton");
  in.read("kill_on_invalid_dep", spec.kill_on_invalid_dep);
  in.read("retries", spec.retries);
  read_texts(in, "retry_on", spec.retry_on, parse_retry_rule, "75, 1-9, signal, oom, node or preempt");
  in.read("requeue", spec.requeue);
  in.read("array", spec.array);
  in.read("slurm_env", spec.slurm_env);
}

void read_execution(Fields& in, JobSpec& spec) {
  in.read_word("on_partition", spec.on_partition, parse_on_partition);
  in.read("stop_after_s", spec.stop_after_s);
  in.read_object("early_signal", spec.early_signal, read_early_signal);
  in.read("checkpoint_argv", spec.checkpoint_argv);
  in.read("checkpoint_timeout_s", spec.checkpoint_timeout_s);
  in.read("mem_mb", spec.mem_mb);
  in.read("cpus", spec.cpus);
  in.read("stdout_path", spec.stdout_path);
  in.read("stderr_path", spec.stderr_path);
  in.read_word("open_mode", spec.open_mode, parse_open_mode);
  in.read_word("log_policy", spec.log_policy, parse_log_policy);
}

// What a user left alone is not written: most jobs use none of it.
template <class T>
void put_unless(Json& json, const char* key, const T& value, const T& otherwise) {
  if (value != otherwise) json[key] = value;
}

template <class T>
void put_texts(Json& json, const char* key, const std::vector<T>& values) {
  if (!values.empty()) json[key] = list_of(values, [](const T& value) { return to_string(value); });
}

void put_schedule(Json& json, const JobSpec& spec) {
  if (spec.begin) put(json, "begin", format_rfc3339(*spec.begin));
  if (spec.deadline) put(json, "deadline", format_rfc3339(*spec.deadline));
  put_texts(json, "depends_on", spec.depends_on);
  put_unless(json, "kill_on_invalid_dep", spec.kill_on_invalid_dep, false);
  put_unless(json, "retries", spec.retries, 0);
  put_texts(json, "retry_on", spec.retry_on);
  put_unless(json, "requeue", spec.requeue, false);
  put_unless(json, "array", spec.array, std::string());
  put_unless(json, "slurm_env", spec.slurm_env, false);
}

void put_execution(Json& json, const JobSpec& spec) {
  const JobSpec plain;
  if (spec.on_partition != plain.on_partition) put(json, "on_partition", to_string(spec.on_partition));
  put_unless(json, "stop_after_s", spec.stop_after_s, plain.stop_after_s);
  if (spec.early_signal)
    json["early_signal"] = {{"signal", signal_name(spec.early_signal->signal)}, {"before_s", spec.early_signal->before_s}};
  put_unless(json, "checkpoint_argv", spec.checkpoint_argv, plain.checkpoint_argv);
  put_unless(json, "checkpoint_timeout_s", spec.checkpoint_timeout_s, plain.checkpoint_timeout_s);
  put(json, "mem_mb", spec.mem_mb);
  put(json, "cpus", spec.cpus);
  put_unless(json, "stdout_path", spec.stdout_path, plain.stdout_path);
  put_unless(json, "stderr_path", spec.stderr_path, plain.stderr_path);
  if (spec.open_mode != plain.open_mode) put(json, "open_mode", to_string(spec.open_mode));
  if (spec.log_policy != plain.log_policy) put(json, "log_policy", to_string(spec.log_policy));
}

}  // namespace

const std::vector<std::string>& job_spec_keys() {
  static const std::vector<std::string> keys = {
      "argv",           "script",       "name",      "unique",      "type",        "gpus",
      "gpu_mem_mb",     "share",        "gpu_type",  "time_limit_s", "priority",   "env",
      "workdir",        "grace_s",      "hold",      "labels",      "begin",       "deadline",
      "depends_on",     "kill_on_invalid_dep",       "retries",     "retry_on",    "requeue",
      "array",          "slurm_env",    "on_partition", "stop_after_s", "early_signal", "checkpoint_argv",
      "checkpoint_timeout_s", "mem_mb", "cpus",      "stdout_path", "stderr_path", "open_mode",
      "log_policy"};
  return keys;
}

void need_job(Fields& in, const char* key, JobId& job) {
  in.need(key, job);
  if (!in.failed() && !is_job_id(job.str())) in.report(key, "not a job id (1 to 64 of A-Z a-z 0-9 - _)");
}

void need_node(Fields& in, const char* key, NodeId& node) {
  in.need(key, node);
  if (!in.failed() && !is_valid_name(node.str()))
    in.report(key, fmt::format("'{}' is not a node name (1 to 63 of a-z 0-9 -, no - at the ends)",
                               log::sanitise(node.str().substr(0, 64))));
}

void need_attempt(Fields& in, AttemptId& attempt) {
  need_job(in, "job", attempt.job);
  in.need("attempt", attempt.n);
  if (!in.failed() && attempt.n < 1) in.report("attempt", fmt::format("{}; attempts count from 1", attempt.n));
}

void put_attempt(Json& json, const AttemptId& attempt) {
  put(json, "job", attempt.job);
  put(json, "attempt", attempt.n);
}

void read_spec_fields(Fields& in, JobSpec& spec) {
  in.read("argv", spec.argv);
  in.read("script", spec.script);
  in.read("name", spec.name);
  in.read("unique", spec.unique);
  in.read_word("type", spec.type, parse_job_type);
  in.read("gpus", spec.gpus);
  in.read("gpu_mem_mb", spec.gpu_mem_mb);
  in.read_word("share", spec.share, parse_share);
  in.read("gpu_type", spec.gpu_type);
  in.read("time_limit_s", spec.time_limit_s);
  in.read("priority", spec.priority);
  in.read("env", spec.env);
  in.read("workdir", spec.workdir);
  in.read("grace_s", spec.grace_s);
  in.read("hold", spec.hold);
  in.read("labels", spec.labels);
  read_schedule(in, spec);
  read_execution(in, spec);
}

void read_exit(Fields& in, ExitStatus& exit) {
  in.read("exit_code", exit.exit_code);
  in.read("signal", exit.signal);
  in.read("core_dumped", exit.core_dumped);
  in.require("cause");
  in.read_word("cause", exit.cause, parse_exit_cause);
  in.read("message", exit.message);
}

void read_placement(Fields& in, Placement& placement) {
  in.read("node", placement.node);
  in.read("gpu_uuids", placement.gpu_uuids);
  in.read("memory_mb_per_gpu", placement.memory_mb_per_gpu);
}

Result<JobSpec> decode_job_spec(const Json& json) {
  std::optional<Error> error;
  JobSpec spec;
  Fields in(json, "", error);
  if (!error) refuse_unknown_keys(in, json);
  read_spec_fields(in, spec);
  if (error) return fail(std::move(*error));
  return spec;
}

Json encode_job_spec(const JobSpec& spec) {
  Json json = Json::object();
  json["argv"] = spec.argv;
  put(json, "script", spec.script);
  put(json, "name", spec.name);
  put(json, "unique", spec.unique);
  put(json, "type", to_string(spec.type));
  put(json, "gpus", spec.gpus);
  put(json, "gpu_mem_mb", spec.gpu_mem_mb);
  put(json, "share", to_string(spec.share));
  put(json, "gpu_type", spec.gpu_type);
  put(json, "time_limit_s", spec.time_limit_s);
  put(json, "priority", spec.priority);
  json["env"] = spec.env;
  put(json, "workdir", spec.workdir);
  put(json, "grace_s", spec.grace_s);
  put(json, "hold", spec.hold);
  json["labels"] = spec.labels;
  put_schedule(json, spec);
  put_execution(json, spec);
  return json;
}

Json encode_job_progress(const Job& job) {
  Json json = Json::object();
  put_texts(json, "dependencies", job.dependencies);
  if (job.restart != Restart::kNone) put(json, "restart", to_string(job.restart));
  put_unless(json, "retries_used", job.retries_used, 0);
  put_unless(json, "time_limit_given", job.time_limit_given, false);
  put_unless(json, "requeue_asked", job.requeue_asked, false);
  put(json, "not_before_us", job.not_before);
  put_unless(json, "array_number", job.array_number, std::int64_t{0});
  return json;
}

Result<void> decode_job_progress(const Json& json, Job& job) {
  std::optional<Error> error;
  Fields in(json, "", error);
  if (!error) {
    read_texts(in, "dependencies", job.dependencies, parse_dependency_state, "waiting, met or never");
    in.read_word("restart", job.restart, parse_restart);
    in.read("retries_used", job.retries_used);
    in.read("time_limit_given", job.time_limit_given);
    in.read("requeue_asked", job.requeue_asked);
    in.read("not_before_us", job.not_before);
    in.read("array_number", job.array_number);
  }
  if (error) return fail(std::move(*error));
  return {};
}

Json encode_exit(const ExitStatus& exit) {
  Json json = Json::object();
  json["exit_code"] = or_null(exit.exit_code);
  json["signal"] = or_null(exit.signal);
  put(json, "core_dumped", exit.core_dumped);
  put(json, "cause", to_string(exit.cause));
  put(json, "message", exit.message);
  return json;
}

Result<ExitStatus> decode_exit(const Json& json) { return decode_object<ExitStatus>(json, read_exit); }

Json encode_attempt(const Attempt& attempt) {
  Json json = Json::object();
  put_attempt(json, attempt.id);
  put(json, "epoch", attempt.epoch);
  Json placement = Json::object();
  put(placement, "node", attempt.placement.node);
  placement["gpu_uuids"] = id_list(attempt.placement.gpu_uuids);
  put(placement, "memory_mb_per_gpu", attempt.placement.memory_mb_per_gpu);
  json["placement"] = std::move(placement);
  put(json, "state", to_string(attempt.state));
  put(json, "assigned_at_us", attempt.assigned_at);
  put(json, "started_at_us", attempt.started_at);
  put(json, "ended_at_us", attempt.ended_at);
  if (attempt.exit) json["exit"] = encode_exit(*attempt.exit);
  put(json, "stop_reason", attempt.stop_reason);
  put(json, "energy_j", attempt.energy_j);
  put(json, "carbon_g", attempt.carbon_g);
  return json;
}

Result<Attempt> decode_attempt(const Json& json) { return decode_object<Attempt>(json, read_attempt); }

Json encode_job_event(const JobEvent& event) {
  Json json = Json::object();
  put(json, "job", event.job);
  put(json, "time_us", event.time);
  put(json, "time", format_rfc3339(event.time));
  put(json, "from", event.from);
  put(json, "to", event.to);
  put(json, "actor", event.actor);
  put(json, "reason", event.reason);
  put(json, "epoch", event.epoch);
  put(json, "attempt", event.attempt);
  return json;
}

Result<JobEvent> decode_job_event(const Json& json) { return decode_object<JobEvent>(json, read_job_event); }

}  // namespace aether::codec
