#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>
#include <ostream>

#include "base/secret.h"
#include "client/verbs.h"

namespace aether::client {
namespace {

// The key makes a repeat harmless, so a reply that got lost costs nothing.
constexpr std::array kPauses{std::chrono::milliseconds(200), std::chrono::milliseconds(800)};

bool is_worth_another_try(const Failure& failure) {
  return failure.exit_code == kUnreachable || failure.exit_code == kTimedOut;
}

bool is_valid_key(const std::string& key) {
  return key.size() <= 255 &&
         std::all_of(key.begin(), key.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

bool is_array(const Json& job) { return member(job, "array").is_object(); }

// What was submitted, not its first task.
std::string number_of_submission(const Json& job) {
  return is_array(job) ? text_of(member(job, "array"), "number") : text_of(job, "number");
}

void print_dry_run(Context& context, const Json& reply) {
  const std::string summary = text_of(reply, "summary");
  context.out() << (summary.empty() ? "the job is valid; nothing was stored" : visible(summary)) << "\n";
}

}  // namespace

Outcome<Json> submit_spec(Context& context, const SubmitFlags& flags) {
  const auto spec = job_spec_json(flags.spec);
  if (!spec) return failed(spec.error());
  std::string key = flags.idempotency_key;
  if (key.empty()) key = make_uuid_v7(to_unix_us(context.now()) / 1000, random_u64(), random_u64());
  if (!is_valid_key(key)) return failed(kUsage, "--idempotency-key: give 1 to 255 visible ASCII characters");
  const std::string path = flags.dry_run ? "/api/v1/jobs?dry_run=true" : "/api/v1/jobs";
  auto reply = context.send("POST", path, &*spec, {{"Idempotency-Key", key}});
  for (std::size_t i = 0; i < kPauses.size() && !reply && is_worth_another_try(reply.error()); ++i) {
    if (!sleep_unless_interrupted(kPauses[i])) break;
    reply = context.send("POST", path, &*spec, {{"Idempotency-Key", key}});
  }
  return reply;
}

Outcome<int> submit(Context& context, const SubmitFlags& flags) {
  const auto job = submit_spec(context, flags);
  if (!job) return failed(job.error());
  switch (context.options().parsable ? Output::kId : context.output()) {
    case Output::kJson:
      context.print_last_body();
      break;
    case Output::kId:
      context.out() << visible(text_of(*job, "job_id")) << "\n";
      break;
    case Output::kName:
      context.out() << visible(number_of_submission(*job)) << "\n";
      break;
    default:
      if (flags.dry_run)
        print_dry_run(context, *job);
      else
        context.out() << visible(fmt::format("{} {} is {}  {}", is_array(*job) ? "array" : "job", number_of_submission(*job),
                                             text_of(*job, "state"), text_of(*job, "job_id")))
                      << "\n";
  }
  context.out().flush();
  if (!flags.wait || flags.dry_run) return kOk;
  return wait(
      context,
      {.jobs = {text_of(*job, "job_id")}, .any = false, .all = true, .exit_code = false, .timeout = {}});
}

}  // namespace aether::client
