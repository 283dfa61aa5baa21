#pragma once
// A request's JSON body, or why it is refused. Internal to api/.
#include <optional>

#include <nlohmann/json.hpp>

#include "api/context.h"

namespace aether::api {

struct Body {
  Json json;
  std::optional<Response> refusal;
};

}  // namespace aether::api
