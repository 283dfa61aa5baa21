// Submission: the whole specification at /api/v1/jobs, the short form at /submit.
#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>

#include "api/body.h"
#include "api/context.h"
#include "api/view_json.h"
#include "codec/codec.h"

namespace aether::api {
namespace {

// Parsed JSON with sorted keys and no defaults filled in: a newer server still recognises an old body.
std::string canonical_sha256(const Json& body) { return http::sha256_hex(codec::dump(body)); }

Result<std::string> read_key(const Request& request) {
  const std::string key = request.header("idempotency-key");
  const bool is_visible = std::all_of(key.begin(), key.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  if (request.headers.contains("idempotency-key") && (key.empty() || key.size() > 255 || !is_visible))
    return fail(ErrorCode::kInvalidArgument, "Idempotency-Key is 1 to 255 visible ASCII characters");
  return key;
}

Response refusal_of(const Error& error, const Request& request) {
  if (error.code == ErrorCode::kConflict && error.field == "idempotency_key")
    return http::problem(422, "idempotency_mismatch", error.message, request,
                         "use a new Idempotency-Key for another job");
  return http::problem(error, request);
}

Result<void> check_size(const JobSpec& spec) {
  if (codec::dump(codec::encode_job_spec(spec)).size() <= kMaxSpecBytes) return {};
  return fail(
      ErrorCode::kInvalidArgument,
      fmt::format(
          "the specification is longer than {} KiB; put the script into a file and let the job's command name it",
          kMaxSpecBytes / 1024),
      spec.script ? "/script" : "/argv");
}

// Keys whose first request has not been answered yet. Thread-safe.
class InFlight {
 public:
  bool enter(const std::string& user, const std::string& key) {
    std::lock_guard lock(mutex_);
    return key.empty() || keys_.emplace(user, key).second;
  }
  void leave(const std::string& user, const std::string& key) {
    std::lock_guard lock(mutex_);
    keys_.erase({user, key});
  }

 private:
  std::mutex mutex_;
  std::set<std::pair<std::string, std::string>> keys_;
};

using Done = std::function<void(Result<SubmitReply>)>;

void send(Context& context, const std::shared_ptr<InFlight>& in_flight, SubmitRequest submission, const Request& request,
          const Responder& respond, Done done) {
  const std::string user = submission.user, key = submission.idempotency_key;
  if (submission.dry_run) return context.control.submit(std::move(submission), std::move(done));
  if (!in_flight->enter(user, key)) {
    Response busy = http::problem(409, "idempotency_in_flight", "the first request with this key is not answered yet", request,
                                  "send it again in a second");
    busy.headers["Retry-After"] = "1";
    return respond(std::move(busy));
  }
  context.control.submit(std::move(submission), [in_flight, user, key, done = std::move(done)](Result<SubmitReply> result) {
    in_flight->leave(user, key);
    done(std::move(result));
  });
}

// Null when the request was answered with a refusal.
std::optional<SubmitRequest> read_request(const Request& request, const Json& spec_json, const Json& body,
                                          const Responder& respond) {
  if (auto refusal = refuse_unknown_keys(spec_json, codec::job_spec_keys(), request)) {
    respond(*refusal);
    return std::nullopt;
  }
  auto key = read_key(request);
  if (!key) {
    respond(http::problem(400, "invalid_idempotency_key", key.error(), request));
    return std::nullopt;
  }
  auto spec = codec::decode_job_spec(spec_json);
  Result<void> valid = spec ? check_size(*spec) : Result<void>(fail(spec.error()));
  if (valid) valid = validate(*spec);
  if (!valid) {
    respond(http::problem(valid.error(), request));
    return std::nullopt;
  }
  SubmitRequest out;
  out.spec = std::move(*spec);
  out.user = request.identity;
  out.idempotency_key = std::move(*key);
  out.body_sha256 = canonical_sha256(body);
  return out;
}

// What the next cycle would do with the job, as its records say it.
Json plan_json(const SubmitReply& reply) {
  if (reply.would_start)
    return {{"starts_now", true},
            {"summary", reply.would_start->summary},
            {"placement", codec::encode_placement_record(*reply.would_start)},
            {"wait", nullptr}};
  if (reply.would_wait)
    return {{"starts_now", false},
            {"summary", reply.would_wait->summary},
            {"placement", nullptr},
            {"wait", codec::encode_wait_record(*reply.would_wait)}};
  return nullptr;
}

Response dry_run_reply(const JobSpec& spec, const SubmitReply& reply) {
  return ok({{"dry_run", true},
             {"valid", true},
             {"summary", "the job is valid; nothing was stored"},
             {"spec", codec::encode_job_spec(spec)},
             {"plan", plan_json(reply)}});
}

void submit(Context& context, const std::shared_ptr<InFlight>& in_flight, const Request& request, const Responder& respond) {
  if (auto refusal = refuse_unknown_query(request, {"dry_run"})) return respond(*refusal);
  const auto dry_run = query_flag(request, "dry_run");
  if (!dry_run) return respond(bad_parameter("dry_run", dry_run.error().message, request));
  auto body = read_body(request);
  if (body.refusal) return respond(*body.refusal);
  auto submission = read_request(request, body.json, body.json, respond);
  if (!submission) return;
  submission->dry_run = *dry_run;
  const JobSpec spec = submission->spec;
  send(context, in_flight, std::move(*submission), request, respond,
      [&context, request, respond, spec, dry = *dry_run](Result<SubmitReply> result) {
        if (!result) return respond(refusal_of(result.error(), request));
        if (dry || !result->job) return respond(dry_run_reply(spec, *result));
        Response response = ok(job_json(*result->job, *context.control.view()), result->replayed ? 200 : 201);
        if (result->replayed) response.headers["Idempotent-Replayed"] = "true";
        response.headers["Location"] = "/api/v1/jobs/" + result->job->id.str();
        respond(std::move(response));
      });
}

// ---- the short form ----

Result<Json> short_form_spec(const Context& context, const Json& body) {
  for (const char* key : {"id", "type"})
    if (!body.contains(key) || !body[key].is_string() || body[key].get_ref<const std::string&>().empty())
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("'{}' is missing: the body is {{\"id\": \"demo-001\", \"type\": \"training\"}}", key),
                  std::string("/") + key);
  const std::string type = body["type"];
  if (!parse_job_type(type)) return fail(ErrorCode::kInvalidArgument, "type is \"training\" or \"inference\"", "/type");
  const auto known = context.options.job_types.find(type);
  Json spec = known == context.options.job_types.end() ? Json::object() : codec::encode_job_spec(known->second);
  if (body.contains("spec")) {
    if (!body["spec"].is_object())
      return fail(ErrorCode::kInvalidArgument, "spec is an object with fields of a job specification", "/spec");
    // The command replaces the template's command as a whole.
    if (body["spec"].contains("script")) spec.erase("argv");
    if (body["spec"].contains("argv")) spec.erase("script");
    spec.update(body["spec"]);
  }
  spec["name"] = body["id"];
  spec["unique"] = true;
  spec["type"] = type;
  return spec;
}

void submit_short(Context& context, const std::shared_ptr<InFlight>& in_flight, const Request& request, const Responder& respond) {
  if (auto refusal = refuse_unknown_query(request, {})) return respond(*refusal);
  auto body = read_body(request);
  if (body.refusal) return respond(*body.refusal);
  if (auto refusal = refuse_unknown_keys(body.json, {"id", "type", "spec"}, request)) return respond(*refusal);
  const auto spec = short_form_spec(context, body.json);
  if (!spec) return respond(http::problem(400, "invalid_argument", spec.error(), request));
  auto submission = read_request(request, *spec, body.json, respond);
  if (!submission) return;
  if (submission->idempotency_key.empty())
    submission->idempotency_key = ("submit/" + submission->spec.name).substr(0, 255);
  send(context, in_flight, std::move(*submission), request, respond, [request, respond](Result<SubmitReply> result) {
    if (!result) return respond(refusal_of(result.error(), request));
    const Job& job = *result->job;
    Response response = ok({{"status", "job added"},
                            {"id", job.spec.name},
                            {"job_id", job.id.str()},
                            {"number", job.number},
                            {"state", to_string(job.state)}},
                           result->replayed ? 200 : 201);
    if (result->replayed) response.headers["Idempotent-Replayed"] = "true";
    respond(std::move(response));
  });
}

}  // namespace

void add_submit_routes(http::Server& server, Context& context) {
  const auto in_flight = std::make_shared<InFlight>();
  server.route_async("POST", "/api/v1/jobs", http::Access::kWrite,
                     [&context, in_flight](const Request& request, const Responder& respond) {
                       submit(context, in_flight, request, respond);
                     });
  server.route_async("POST", "/submit", http::Access::kWrite,
                     [&context, in_flight](const Request& request, const Responder& respond) {
                       submit_short(context, in_flight, request, respond);
                     });
}

}  // namespace aether::api
