#pragma once
// A request's JSON body, or why it is refused. Internal to api/.
#include <nlohmann/json.hpp>
#include <optional>

#include "api/context.h"

namespace aether::api {

struct Body {
  Json json;
  std::optional<Response> refusal;
};

}  // namespace aether::api
