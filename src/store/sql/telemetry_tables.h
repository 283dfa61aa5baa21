#pragma once
// The history of telemetry in SQL: reading series and making rollups. The databases differ only in how one
// GPU's raw samples of a range are reached, which Dialect settles.
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "store/series.h"
#include "store/sql/connection.h"
#include "store/store.h"

namespace aether::store {

enum class Dialect { kSqlite, kPostgres };

// Raw samples of SQLite are kept in buckets of this length; a whole number of them makes a minute.
inline constexpr std::int64_t kBucketUs = 5'000'000;
inline constexpr std::int64_t kMinuteUs = 60'000'000;
inline constexpr std::int64_t kHourUs = 3'600'000'000;

// Values of the table telemetry_state; see its comment in the schema.
struct TelemetryState {
  std::int64_t rolled_1m = 0, rolled_1h = 0, raw_from = 0, minutes_from = 0, sample_count = 0;
};
Result<TelemetryState> read_telemetry_state(SqlConnection& connection);
Result<void> set_telemetry_state(SqlConnection& connection, const std::string& name, std::int64_t value);
Result<void> add_to_sample_count(SqlConnection& connection, std::int64_t change);

// Hands over what is stored of one GPU in [from_us, to_us), no coarser than `level`: rollups where they lie wholly inside,
// raw readings at the edges and where no rollup is made yet. Ascending.
struct SeriesSource {
  std::int64_t gpu_id = 0;
  std::int64_t from_us = 0, to_us = 0;
  Level level = Level::kRaw;
};
Result<void> add_stored(SqlConnection& connection, Dialect dialect, const TelemetryState& state, const SeriesSource& source,
                        const std::vector<std::string>& metrics, ReadingSink& sink);

// Inside a read transaction, so that rollups and raw samples belong together.
Result<Series> read_series(SqlConnection& connection, Dialect dialect, const SeriesQuery& query);

// Remembers (gpu_id, start of minute) pairs that got samples after their minute was rolled up.
using LateMinutes = std::set<std::pair<std::int64_t, std::int64_t>>;
Result<void> mark_late(SqlConnection& connection, const LateMinutes& late);

// Range of gpu_id, first included, last not.
struct GpuRange {
  std::int64_t first = 0, last = 0;
};
// Replaces the rollups of one minute (one hour) of these GPUs by what the level below says.
Result<void> roll_minute(SqlConnection& connection, Dialect dialect, std::int64_t minute_us, GpuRange gpus);
Result<void> roll_hour(SqlConnection& connection, Dialect dialect, std::int64_t hour_us, GpuRange gpus);

// The first raw sample at or after a time, of any GPU.
Result<std::optional<std::int64_t>> first_sample_at_or_after(SqlConnection& connection, Dialect dialect,
                                                             std::int64_t time_us);

}  // namespace aether::store
