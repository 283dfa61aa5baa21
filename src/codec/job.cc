#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/log.h"
#include "base/names.h"
#include "codec/codec.h"
#include "codec/records.h"

namespace aether::codec {
namespace {

const std::vector<std::string>& spec_keys() {
  static const std::vector<std::string> keys = {
      "argv",         "script",   "name", "unique",  "type",    "gpus", "gpu_mem_mb", "share", "gpu_type",
      "time_limit_s", "priority", "env",  "workdir", "grace_s", "hold", "labels"};
  return keys;
}

void refuse_unknown_keys(Fields& in, const Json& json) {
  for (const auto& entry : json.items()) {
    const std::string& key = entry.key();
    if (std::find(spec_keys().begin(), spec_keys().end(), key) != spec_keys().end()) continue;
    const std::string near = nearest_name(key.substr(0, 64), spec_keys());
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

}  // namespace

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
  return json;
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
