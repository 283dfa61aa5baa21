#include "client/outcome.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "client/json_view.h"

namespace aether::client {
namespace {

bool same_word(std::string_view text, std::string_view lower_word) {
  return text.size() == lower_word.size() &&
         std::equal(text.begin(), text.end(), lower_word.begin(),
                    [](char a, char b) { return (a | 0x20) == (b | 0x20); });
}

bool can_never_run(std::string_view code) {
  return same_word(code, "infeasible") || same_word(code, "policy") || same_word(code, "rejected_by_policy");
}

}  // namespace

int exit_code_for_status(int status, std::string_view problem_code) {
  if (can_never_run(problem_code)) return kInfeasible;
  if (problem_code == "idempotency_mismatch") return kConflict;
  if (problem_code == "idempotency_in_flight") return kTimedOut;  // the first request is still on its way: worth another try
  switch (status) {
    case 401:
    case 403:
      return kNotPermitted;
    case 404:
      return kNotFound;
    case 409:
    case 412:
      return kConflict;
    case 400:
    case 413:
    case 415:
    case 422:
      return kUsage;
    case 408:
    case 504:
      return kTimedOut;
    default:
      return kFailure;
  }
}

int exit_code_for_error(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return kUsage;
    case ErrorCode::kNotFound:
      return kNotFound;
    case ErrorCode::kPermissionDenied:
    case ErrorCode::kUnauthenticated:
      return kNotPermitted;
    case ErrorCode::kConflict:
      return kConflict;
    case ErrorCode::kTimeout:
      return kTimedOut;
    case ErrorCode::kUnavailable:
      return kUnreachable;
    default:
      return kFailure;
  }
}

Failure failure_of_reply(int status, const std::string& body) {
  const Json problem = parse_json(body);
  if (!problem.is_object())
    return {exit_code_for_status(status, {}), fmt::format("the server answered with status {}", status)};
  Failure failure{exit_code_for_status(status, text_of(problem, "code")), text_of(problem, "detail"),
                  text_of(problem, "hint"), body};
  if (failure.message.empty()) failure.message = text_of(problem, "title");
  if (failure.message.empty()) failure.message = fmt::format("the server answered with status {}", status);
  for (const Json& error : items_of(problem, "errors")) {
    const std::string message = text_of(error, "message");
    if (!message.empty() && failure.message.find(message) == std::string::npos)
      failure.message += fmt::format("\n  {}: {}", text_of(error, "pointer"), message);
  }
  return failure;
}

}  // namespace aether::client
