#include "bus/checks.h"

#include <fmt/format.h>

#include "base/log.h"
#include "bus/subjects.h"
#include "model/job.h"

namespace aether::bus {
namespace {

std::string shown(std::string_view subject) { return log::sanitise(subject.substr(0, subjects::kMaxSubjectBytes)); }

}  // namespace

Result<void> check_message(std::string_view subject, std::string_view payload) {
  if (!subjects::is_publishable(subject))
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("'{}' is not a subject: tokens of printable ASCII joined by dots, no wildcards, at most {} bytes",
                            shown(subject), subjects::kMaxSubjectBytes));
  if (payload.size() > kMaxBusMessageBytes)
    return fail(ErrorCode::kInvalidArgument, fmt::format("a message of {} bytes on {}; at most {} travel on the bus",
                                                         payload.size(), shown(subject), kMaxBusMessageBytes));
  return {};
}

Result<void> check_pattern(std::string_view pattern) {
  if (subjects::is_pattern(pattern)) return {};
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("'{}' is not a pattern: tokens joined by dots, '*' for one token, '>' at the end", shown(pattern)));
}

}  // namespace aether::bus
