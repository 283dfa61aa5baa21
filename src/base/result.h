#pragma once
// Expected failures travel as values: Result<T> holds a T or an Error. Names follow std::expected.
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace aether {

enum class ErrorCode {
  kInvalidArgument,    // the caller's input is wrong; trying again does not help
  kNotFound,
  kConflict,           // the state does not allow it, or somebody else was faster
  kPermissionDenied,
  kUnauthenticated,
  kResourceExhausted,  // a bound was reached
  kUnavailable,        // a service or device does not answer now; trying again may help
  kTimeout,
  kCorrupt,            // stored or received data does not make sense
  kUnsupported,        // this device, library or server can't do it
  kIo,
  kInternal,
};

// The lower-case name used in logs, metrics and problem documents, e.g. "invalid_argument".
std::string_view to_string(ErrorCode code);

// `message` says what was tried, on what, and what to do.
// `field` names the offending input as a JSON pointer ("/gpus") or a setting ("api.listen"); empty when none.
struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;
  std::string field = {};
};

template <class T>
using Result = tl::expected<T, Error>;

// `return fail(ErrorCode::kNotFound, "no job 7");` from any function that returns a Result.
inline tl::unexpected<Error> fail(ErrorCode code, std::string message, std::string field = {}) {
  return tl::unexpected<Error>(Error{code, std::move(message), std::move(field)});
}
inline tl::unexpected<Error> fail(Error error) { return tl::unexpected<Error>(std::move(error)); }

// The same error with the caller's context in front: "reading /x: permission denied".
tl::unexpected<Error> fail_with_context(std::string_view context, const Error& error);

}  // namespace aether

// Leaves the function with the error of `expression` (a Result<...>), or goes on.
#define AETHER_TRY(expression)                                                  \
  do {                                                                          \
    if (auto aether_try_result = (expression); !aether_try_result)              \
      return ::aether::fail(std::move(aether_try_result).error());              \
  } while (false)
