#pragma once
// Closed hours of raw samples: rows become one block per GPU and hour, and rows again when samples come late. Each step
// moves samples whole, inside the caller's write transaction.
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "store/sql/maintenance.h"

namespace aether::store {

// The functions that Maintenance asks for; what they promise is written at RawSamples. A GPU's hour with more than
// kMaxBlockRows samples stays rows.
Result<bool> close_some_hours(SqlConnection& connection, CloseCursor& cursor, std::int64_t until_us);
Result<Reopened> reopen_hour(SqlConnection& connection, std::int64_t gpu_id, std::int64_t hour_us);
// Removes at most some blocks that lie wholly before a time; returns samples removed, 0 when no such block is left.
Result<std::int64_t> remove_closed_hours(SqlConnection& connection, std::int64_t before_us);

// The newest sample of one GPU in [from, to) in closed hours.
Result<std::optional<GpuSample>> newest_closed_sample(SqlConnection& connection, std::int64_t gpu_id,
                                                      std::int64_t from_us, std::int64_t to_us);

// Which samples closed hours hold. For one transaction: it remembers what it has read.
class ClosedTimes {
 public:
  // False also for an hour whose block can't be read.
  Result<bool> contain(SqlConnection& connection, std::int64_t gpu_id, std::int64_t time_us);

 private:
  std::map<std::pair<std::int64_t, std::int64_t>, std::vector<std::int64_t>> times_;  // by GPU and hour
};

}  // namespace aether::store
