#pragma once
// What every adapter refuses before a message or a subscription leaves the program.
#include <string_view>

#include "base/result.h"

namespace aether::bus {

Result<void> check_message(std::string_view subject, std::string_view payload);
Result<void> check_pattern(std::string_view pattern);

}  // namespace aether::bus
