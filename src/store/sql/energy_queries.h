#pragma once
// Energy of parts of GPUs' time, and the attempts that ran in a time. Inside a transaction of the caller.
#include "store/sql/telemetry_tables.h"

namespace aether::store {

Result<std::vector<std::optional<GpuEnergy>>> read_energy(SqlConnection& connection, Dialect dialect,
                                                          const std::vector<GpuPart>& parts);
Result<std::vector<AttemptRecord>> read_attempts(SqlConnection& connection, Time from, Time to);

}  // namespace aether::store
