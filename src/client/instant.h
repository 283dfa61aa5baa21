#pragma once
// Points in time as people write them, in the zone of this process. Internal to the module.
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace aether::client {

// RFC 3339; YYYY-MM-DD with THH:MM or THH:MM:SS; HH:MM and HH:MM:SS (the next one); now, now+2h, now+30minutes, now+60
// (seconds, as Slurm reads it); today, tomorrow, midnight, noon.
Result<Time> parse_instant(std::string_view text, Time now);

}  // namespace aether::client
