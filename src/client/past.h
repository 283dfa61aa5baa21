#pragma once
// The time that `history` and `usage` look back at. Internal to the module.
#include <string>

#include "client/context.h"

namespace aether::client {

struct PastFlags {
  std::string last = {}, from = {}, to = {};
};
// "last=2h&to=…" as the API takes it; "" when nothing is given. A time of day is the last one, not the next.
Outcome<std::string> past_query(const PastFlags& flags, Time now);

// The same as "since=…&until=…", for lists.
Outcome<std::string> since_until_query(const PastFlags& flags, Time now);

// "&name=value", encoded; "" for an empty value.
std::string query_part(const std::string& name, const std::string& value);

}  // namespace aether::client
