#pragma once
// What a verb ends with: an exit code of API.md §8, or a failure to print. Internal to the module.
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

#include "base/result.h"

namespace aether::client {

enum ExitCode : int {
  kOk = 0,
  kFailure = 1,
  kUsage = 2,
  kNotFound = 3,
  kNotPermitted = 4,
  kConflict = 5,
  kInfeasible = 6,
  kTimedOut = 7,
  kUnreachable = 8,
  kCancelled = 9,
};

struct Failure {
  int exit_code = kFailure;
  std::string message;
  std::string hint = {};
  std::string problem = {};  // the server's problem document as it came; empty when the CLI itself failed
};

template <class T>
using Outcome = tl::expected<T, Failure>;

inline tl::unexpected<Failure> failed(int exit_code, std::string message, std::string hint = {}) {
  return tl::unexpected<Failure>(Failure{exit_code, std::move(message), std::move(hint)});
}
inline tl::unexpected<Failure> failed(Failure failure) { return tl::unexpected<Failure>(std::move(failure)); }

// Of an HTTP status of 400 and more, with the problem's code.
int exit_code_for_status(int status, std::string_view problem_code);
int exit_code_for_error(ErrorCode code);
// The failure that a reply with status 400 and more describes.
Failure failure_of_reply(int status, const std::string& body);

}  // namespace aether::client

// Leaves the function with the failure of `expression` (an Outcome<...>), or goes on.
#define AETHER_CLI_TRY(expression)                                            \
  do {                                                                        \
    if (auto aether_cli_outcome = (expression); !aether_cli_outcome)          \
      return ::aether::client::failed(std::move(aether_cli_outcome).error()); \
  } while (false)
