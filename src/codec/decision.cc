#include "codec/codec.h"
#include "codec/records.h"

namespace aether::codec {
namespace {

Json encode_candidate(const Candidate& candidate) {
  Json json = Json::object();
  put(json, "gpu_uuid", candidate.gpu_uuid);
  put(json, "gpu_id", candidate.gpu_id);
  put(json, "node", candidate.node);
  put(json, "chosen", candidate.chosen);
  json["rejected_by"] = or_null(candidate.rejected_by);
  put(json, "rejected_text", candidate.rejected_text);
  put(json, "score", candidate.score);
  json["terms"] = list_of(candidate.terms, [](const ScoreTerm& term) {
    Json out = Json::object();
    put(out, "name", term.name);
    put(out, "value", term.value);
    put(out, "weight", term.weight);
    return out;
  });
  json["contributions"] = list_of(candidate.contributions, [](const Contribution& contribution) {
    Json out = Json::object();
    put(out, "feature", contribution.feature);
    put(out, "value", contribution.value);
    put(out, "contribution", contribution.contribution);
    return out;
  });
  return json;
}

void read_term(Fields& in, ScoreTerm& term) {
  in.need("name", term.name);
  in.read("value", term.value);
  in.read("weight", term.weight);
}

void read_contribution(Fields& in, Contribution& contribution) {
  in.need("feature", contribution.feature);
  in.read("value", contribution.value);
  in.read("contribution", contribution.contribution);
}

void read_candidate(Fields& in, Candidate& candidate) {
  in.need("gpu_uuid", candidate.gpu_uuid);
  in.read("gpu_id", candidate.gpu_id);
  in.read("node", candidate.node);
  in.read("chosen", candidate.chosen);
  in.read("rejected_by", candidate.rejected_by);
  in.read("rejected_text", candidate.rejected_text);
  in.read("score", candidate.score);
  in.read_objects("terms", candidate.terms, read_term);
  in.read_objects("contributions", candidate.contributions, read_contribution);
}

void read_model(Fields& in, ModelVersion& model) {
  in.need("name", model.name);
  in.read("version", model.version);
}

void read_placement_record(Fields& in, PlacementRecord& record) {
  need_job(in, "job", record.job);
  in.need("attempt", record.attempt);
  in.need("decided_at_us", record.decided_at);
  in.read("cycle", record.cycle);
  read_placement(in, record.placement);
  in.read("gpu_ids", record.gpu_ids);
  in.read("policy", record.policy);
  in.read("fallback_reason", record.fallback_reason);
  in.read_object("model", record.model, read_model);
  in.read("summary", record.summary);
  in.read_objects("candidates", record.candidates, read_candidate);
}

Json encode_reason(const Reason& reason) {
  Json json = Json::object();
  put(json, "code", reason.code);
  put(json, "blocking", reason.blocking);
  put(json, "text", reason.text);
  json["need"] = or_null(reason.need);
  json["best"] = or_null(reason.best);
  put(json, "unit", reason.unit);
  json["evidence"] = list_of(reason.evidence, [](const NodeFree& node) {
    Json out = Json::object();
    put(out, "node", node.node);
    put(out, "free", node.free);
    put(out, "total", node.total);
    return out;
  });
  json["job_numbers"] = reason.job_numbers;
  if (reason.until) put(json, "until", format_rfc3339(*reason.until));
  return json;
}

Json encode_check(const Check& check) {
  Json json = Json::object();
  put(json, "code", check.code);
  put(json, "verdict", check.verdict);
  json["have"] = or_null(check.have);
  json["need"] = or_null(check.need);
  put(json, "unit", check.unit);
  put(json, "text", check.text);
  return json;
}

Json encode_counterfactual(const Counterfactual& counterfactual) {
  Json json = Json::object();
  put(json, "change", counterfactual.change);
  put(json, "starts", counterfactual.starts);
  return json;
}

}  // namespace

// The form of the API (the placement part of Explain), with what makes it lossless beside it: job, attempt, decided_at_us.
Json encode_placement_record(const PlacementRecord& record) {
  Json json = Json::object();
  put(json, "job", record.job);
  put(json, "attempt", record.attempt);
  put(json, "decided_at", format_rfc3339(record.decided_at));
  put(json, "decided_at_us", record.decided_at);
  put(json, "cycle", record.cycle);
  put(json, "node", record.placement.node);
  json["gpu_uuids"] = id_list(record.placement.gpu_uuids);
  put(json, "memory_mb_per_gpu", record.placement.memory_mb_per_gpu);
  json["gpu_ids"] = record.gpu_ids;
  put(json, "policy", record.policy);
  json["fallback_reason"] = or_null(record.fallback_reason);
  json["model"] = nullptr;
  if (record.model) json["model"] = {{"name", record.model->name}, {"version", record.model->version}};
  put(json, "summary", record.summary);
  json["candidates"] = list_of(record.candidates, encode_candidate);
  return json;
}

Result<PlacementRecord> decode_placement_record(const Json& json) {
  return decode_object<PlacementRecord>(json, read_placement_record);
}

Json encode_wait_record(const WaitRecord& record) {
  Json json = Json::object();
  put(json, "job", record.job);
  put(json, "evaluated_at", format_rfc3339(record.evaluated_at));
  put(json, "cycle", record.cycle);
  put(json, "summary", record.summary);
  json["reasons"] = list_of(record.reasons, encode_reason);
  json["checks"] = list_of(record.checks, encode_check);
  json["counterfactuals"] = list_of(record.counterfactuals, encode_counterfactual);
  put(json, "queue_position", record.queue_position);
  json["start_eta"] = nullptr;
  if (record.start_eta) json["start_eta"] = {{"latest", format_rfc3339(*record.start_eta)}};
  json["counts"] = {{"nodes_evaluated", record.nodes_evaluated}};
  return json;
}

}  // namespace aether::codec
