// What changes a job after its submission: the actions, and PATCH.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "api/body.h"
#include "api/context.h"
#include "api/view_json.h"
#include "codec/codec.h"

namespace aether::api {
namespace {

constexpr const char* kJob = "/api/v1/jobs/{id}";

struct Action {
  const char* method;
  std::string path;
  JobAction action;
};

Result<std::optional<std::int64_t>> read_grace(const Json& body) {
  if (!body.contains("grace_s") || body["grace_s"].is_null()) return std::nullopt;
  const Json& grace = body["grace_s"];
  if (!grace.is_number_integer() || grace.get<std::int64_t>() < 0 || grace.get<std::int64_t>() > 3600)
    return fail(ErrorCode::kInvalidArgument, "grace_s is a whole number of seconds from 0 to 3600", "/grace_s");
  return grace.get<std::int64_t>();
}

Result<std::optional<std::int64_t>> read_signal(const Json& body) {
  std::optional<int> signal;
  if (body.contains("signal") && body["signal"].is_string()) signal = parse_signal(body["signal"].get_ref<const std::string&>());
  if (body.contains("signal") && body["signal"].is_number_integer()) signal = parse_signal(body["signal"].dump());
  if (!signal) return fail(ErrorCode::kInvalidArgument, "signal is a name like USR1 or a number", "/signal");
  return *signal;
}

std::vector<std::string> keys_of(JobAction action) {
  if (action == JobAction::kCancel || action == JobAction::kCancelArray) return {"grace_s"};
  if (action == JobAction::kSignal) return {"signal"};
  return {};
}

void act(Context& context, JobAction action, const Request& request, const Responder& respond) {
  if (auto refusal = refuse_unknown_query(request, {})) return respond(*refusal);
  auto body = read_body(request);
  if (body.refusal) return respond(*body.refusal);
  if (auto refusal = refuse_unknown_keys(body.json, keys_of(action), request)) return respond(*refusal);
  const auto argument = action == JobAction::kSignal ? read_signal(body.json) : read_grace(body.json);
  if (!argument) return respond(http::problem(argument.error(), request));
  const auto job = context.control.find_job(request.params.at("id"));
  if (!job) return respond(no_job(job.error(), request));
  if (action == JobAction::kCancelArray && !(*job)->is_array_task())
    return respond(http::problem(404, "not_found", fmt::format("job {} is no array", (*job)->number), request));
  // The number of an array means all of it; its first task is 4131_0.
  const bool names_array = (*job)->is_array_task() && request.params.at("id") == std::to_string((*job)->array_number);
  if (action == JobAction::kCancel && names_array) action = JobAction::kCancelArray;
  const JobId target = action == JobAction::kCancelArray ? (*job)->array_parent : (*job)->id;
  context.control.act(target, action, *argument, request.identity,
                      [&context, request, respond](Result<std::shared_ptr<const Job>> result) {
                        if (!result) return respond(http::problem(result.error(), request));
                        respond(ok(job_json(**result, *context.control.view()), 202));
                      });
}

Result<JobUpdate> read_update(const Json& body) {
  JobUpdate update;
  const auto whole = [&](const char* key) { return body.contains(key) && body[key].is_number_integer(); };
  for (const char* key : {"priority", "time_limit_s"})
    if (body.contains(key) && !whole(key))
      return fail(ErrorCode::kInvalidArgument, std::string(key) + " is a whole number", std::string("/") + key);
  if (whole("priority")) update.priority = static_cast<int>(std::clamp<std::int64_t>(body["priority"], -1, 101));
  if (whole("time_limit_s")) update.time_limit_s = body["time_limit_s"].get<std::int64_t>();
  if (!body.contains("labels")) return update;
  if (!body["labels"].is_object()) return fail(ErrorCode::kInvalidArgument, "labels is an object of strings", "/labels");
  update.labels.emplace();
  for (const auto& [key, value] : body["labels"].items()) {
    if (!value.is_string()) return fail(ErrorCode::kInvalidArgument, "labels is an object of strings", "/labels/" + key);
    (*update.labels)[key] = value.get<std::string>();
  }
  return update;
}

Response etag_problem(const Request& request) {
  return http::problem(412, "etag_mismatch", "the job has changed since it was read", request, "read it again, then decide again");
}

void patch(Context& context, const Request& request, const Responder& respond) {
  if (auto refusal = refuse_unknown_query(request, {})) return respond(*refusal);
  auto body = read_body(request);
  if (body.refusal) return respond(*body.refusal);
  if (auto refusal = refuse_unknown_keys(body.json, {"priority", "time_limit_s", "labels"}, request)) return respond(*refusal);
  const auto update = read_update(body.json);
  if (!update) return respond(http::problem(update.error(), request));
  const std::string match = request.header("if-match");
  if (match.empty())
    return respond(http::problem(428, "if_match_missing", "send If-Match with the ETag of what you read, or *", request));
  const auto job = context.control.find_job(request.params.at("id"));
  if (!job) return respond(no_job(job.error(), request));
  if (match != "*" && !matches_etag(match, job_json(**job, *context.control.view()))) return respond(etag_problem(request));
  context.control.update((*job)->id, *update, match == "*" ? nullptr : *job, request.identity,
                         [&context, request, respond](Result<std::shared_ptr<const Job>> result) {
                           if (!result && result.error().field == "etag") return respond(etag_problem(request));
                           if (!result) return respond(http::problem(result.error(), request));
                           respond(with_etag(job_json(**result, *context.control.view()), request));
                         });
}

}  // namespace

void add_job_action_routes(http::Server& server, Context& context) {
  const std::string job = kJob;
  for (const Action& one : {Action{"DELETE", job, JobAction::kCancel}, Action{"POST", job + "/cancel", JobAction::kCancel},
                            Action{"POST", job + "/hold", JobAction::kHold}, Action{"POST", job + "/release", JobAction::kRelease},
                            Action{"POST", job + "/requeue", JobAction::kRequeue},
                            Action{"POST", job + "/suspend", JobAction::kSuspend},
                            Action{"POST", job + "/resume", JobAction::kResume},
                            Action{"POST", job + "/signal", JobAction::kSignal},
                            Action{"POST", "/api/v1/arrays/{id}/cancel", JobAction::kCancelArray}})
    server.route_async(one.method, one.path, http::Access::kWrite,
                       [&context, action = one.action](const Request& request, const Responder& respond) {
                         act(context, action, request, respond);
                       });
  server.route_async("PATCH", job, http::Access::kWrite, [&context](const Request& request, const Responder& respond) {
    patch(context, request, respond);
  });
}

}  // namespace aether::api
