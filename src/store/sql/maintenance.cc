#include "store/sql/maintenance.h"

#include <fmt/format.h>

#include <algorithm>

namespace aether::store {
namespace {

constexpr std::int64_t kGpusPerTransaction = 64;
constexpr std::int64_t kLateMinutesPerTransaction = 256;
constexpr int kReopenedPerTransaction = 8;

std::int64_t floor_to(std::int64_t value, std::int64_t unit) { return value / unit * unit; }

Result<bool> exists(SqlConnection& connection, const char* table, std::int64_t gpu_id, std::int64_t time_us) {
  auto found = connection.run(fmt::format("SELECT 1 FROM {} WHERE gpu_id = $1 AND time_us = $2", table),
                              {gpu_id, time_us});
  if (!found) return fail(found.error());
  return !found->rows.empty();
}

Result<void> forget_late_minute(SqlConnection& connection, std::int64_t gpu_id, std::int64_t minute_us) {
  AETHER_TRY(
      connection.run("DELETE FROM rollup_late WHERE gpu_id = $1 AND time_us = $2", {gpu_id, minute_us}));
  return {};
}

// One late minute: rolled again, and its hour when that had been rolled. A rollup whose source is removed
// stays.
Result<void> roll_late_minute(SqlConnection& connection, Dialect dialect, const TelemetryState& state,
                              std::int64_t gpu_id, std::int64_t minute_us) {
  const GpuRange gpu{gpu_id, gpu_id + 1};
  const std::int64_t hour_us = floor_to(minute_us, kHourUs);
  auto known = exists(connection, "rollup_1m", gpu_id, minute_us);
  if (!known) return fail(known.error());
  if (minute_us >= state.raw_from || !*known) AETHER_TRY(roll_minute(connection, dialect, minute_us, gpu));
  auto hour_known = exists(connection, "rollup_1h", gpu_id, hour_us);
  if (!hour_known) return fail(hour_known.error());
  if (hour_us < state.rolled_1h && (hour_us >= state.minutes_from || !*hour_known))
    AETHER_TRY(roll_hour(connection, dialect, hour_us, gpu));
  return forget_late_minute(connection, gpu_id, minute_us);
}

Result<std::optional<std::int64_t>> first_minute_at_or_after(SqlConnection& connection,
                                                             std::int64_t time_us) {
  auto found = connection.run(
      "SELECT min(first_us) FROM (SELECT (SELECT min(time_us) FROM rollup_1m AS r WHERE r.gpu_id = "
      "gpus.gpu_id "
      "AND r.time_us >= $1) AS first_us FROM gpus) AS firsts",
      {time_us});
  if (!found) return fail(found.error());
  return found->rows.front().optional_integer(0);
}

}  // namespace

Result<std::uint64_t> Maintenance::run(Time now) {
  const std::int64_t now_us = to_unix_us(now);
  const auto before = [&](std::chrono::seconds age) { return now_us - Duration(age).count(); };
  AETHER_TRY(roll_minutes(floor_to(before(kRollupDelay), kMinuteUs)));
  AETHER_TRY(roll_late());
  AETHER_TRY(roll_hours());

  auto reached = state();
  if (!reached) return fail(reached.error());
  auto raw = remove_raw(std::min(floor_to(before(retention_.raw), kMinuteUs), reached->rolled_1m));
  if (!raw) return fail(raw.error());
  std::int64_t removed = *raw;
  AETHER_TRY(close_hours(std::min(reached->rolled_1h, floor_to(before(kCloseDelay), kHourUs))));
  const std::int64_t minutes_from =
      std::min(floor_to(before(retention_.minutes), kHourUs), reached->rolled_1h);
  if (minutes_from <= reached->minutes_from) return static_cast<std::uint64_t>(removed);
  auto minutes = remove_rollups("rollup_1m", minutes_from, "minutes_from");
  if (!minutes) return fail(minutes.error());
  auto hours = remove_rollups("rollup_1h", before(retention_.hours), nullptr);
  if (!hours) return fail(hours.error());
  return static_cast<std::uint64_t>(removed + *minutes + *hours);
}

Result<TelemetryState> Maintenance::state() {
  TelemetryState found;
  const auto done = writer_([&](SqlConnection& connection) -> Result<void> {
    auto read = read_telemetry_state(connection);
    if (!read) return fail(read.error());
    found = *read;
    return {};
  });
  if (!done) return fail(done.error());
  return found;
}

// Every GPU in portions; the last portion's transaction also says how far the rollups reach now.
Result<void> Maintenance::for_gpu_ranges(const RollStep& roll, const std::string& state_name,
                                         std::int64_t state_value) {
  for (std::int64_t first = 0;; first += kGpusPerTransaction) {
    bool last = false;
    const auto done = writer_([&](SqlConnection& connection) -> Result<void> {
      AETHER_TRY(roll(connection, {first, first + kGpusPerTransaction}));
      auto more =
          connection.run("SELECT 1 FROM gpus WHERE gpu_id >= $1 LIMIT 1", {first + kGpusPerTransaction});
      if (!more) return fail(more.error());
      last = more->rows.empty();
      return last ? set_telemetry_state(connection, state_name, state_value) : Result<void>();
    });
    if (!done) return fail(done.error());
    if (last) return {};
  }
}

Result<void> Maintenance::roll_minutes(std::int64_t until_us) {
  auto reached = state();
  if (!reached) return fail(reached.error());
  if (until_us <= reached->rolled_1m) return {};
  // From here on samples of these minutes count as late; what was appended before is visible to the steps
  // below.
  late_before_us_ = until_us;
  std::int64_t from = reached->rolled_1m;
  for (;;) {
    std::optional<std::int64_t> next;
    const auto done = writer_([&](SqlConnection& connection) -> Result<void> {
      auto first = first_sample_at_or_after(connection, dialect_, from);
      if (!first) return fail(first.error());
      next = *first;
      const bool finished = !next || floor_to(*next, kMinuteUs) >= until_us;
      return finished ? set_telemetry_state(connection, "rolled_1m", until_us) : Result<void>();
    });
    if (!done) return fail(done.error());
    if (!next || floor_to(*next, kMinuteUs) >= until_us) return {};
    const std::int64_t minute = floor_to(*next, kMinuteUs);
    AETHER_TRY(for_gpu_ranges([&](SqlConnection& connection,
                                  GpuRange gpus) { return roll_minute(connection, dialect_, minute, gpus); },
                              "rolled_1m", minute + kMinuteUs));
    from = minute + kMinuteUs;
  }
}

Result<void> Maintenance::roll_late() {
  for (;;) {
    std::size_t count = 0;
    const auto done = writer_([&](SqlConnection& connection) -> Result<void> {
      auto reached = read_telemetry_state(connection);
      if (!reached) return fail(reached.error());
      auto late = connection.run("SELECT gpu_id, time_us FROM rollup_late WHERE time_us < $1 LIMIT $2",
                                 {reached->rolled_1m, kLateMinutesPerTransaction});
      if (!late) return fail(late.error());
      count = late->rows.size();
      int reopened = 0;
      for (const SqlRow& row : late->rows) {
        auto hour = raw_.reopen ? raw_.reopen(connection, row.integer(0), floor_to(row.integer(1), kHourUs))
                                : Result<Reopened>(Reopened::kNothing);
        if (!hour) return fail(hour.error());
        AETHER_TRY(*hour == Reopened::kDamaged
                       ? forget_late_minute(connection, row.integer(0), row.integer(1))
                       : roll_late_minute(connection, dialect_, *reached, row.integer(0), row.integer(1)));
        if (*hour == Reopened::kDone && ++reopened == kReopenedPerTransaction) break;
      }
      return {};
    });
    if (!done) return fail(done.error());
    if (count == 0) return {};
  }
}

Result<void> Maintenance::roll_hours() {
  auto reached = state();
  if (!reached) return fail(reached.error());
  const std::int64_t until = floor_to(reached->rolled_1m, kHourUs);
  std::int64_t from = reached->rolled_1h;
  while (from < until) {
    std::optional<std::int64_t> next;
    const auto done = writer_([&](SqlConnection& connection) -> Result<void> {
      auto first = first_minute_at_or_after(connection, from);
      if (!first) return fail(first.error());
      next = *first;
      const bool finished = !next || *next >= until;
      return finished ? set_telemetry_state(connection, "rolled_1h", until) : Result<void>();
    });
    if (!done) return fail(done.error());
    if (!next || *next >= until) return {};
    const std::int64_t hour = floor_to(*next, kHourUs);
    AETHER_TRY(for_gpu_ranges(
        [&](SqlConnection& connection, GpuRange gpus) { return roll_hour(connection, dialect_, hour, gpus); },
        "rolled_1h", hour + kHourUs));
    from = hour + kHourUs;
  }
  return {};
}

Result<void> Maintenance::close_hours(std::int64_t until_us) {
  CloseCursor cursor;
  for (bool more = static_cast<bool>(raw_.close_some); more;)
    AETHER_TRY(writer_([&](SqlConnection& connection) -> Result<void> {
      auto step = raw_.close_some(connection, cursor, until_us);
      if (!step) return fail(step.error());
      more = *step;
      return {};
    }));
  return {};
}

Result<std::int64_t> Maintenance::remove_raw(std::int64_t before_us) {
  std::int64_t removed = 0;
  for (;;) {
    std::int64_t now_removed = 0;
    const auto done = writer_([&](SqlConnection& connection) -> Result<void> {
      auto reached = read_telemetry_state(connection);
      if (!reached) return fail(reached.error());
      if (before_us > reached->raw_from) AETHER_TRY(set_telemetry_state(connection, "raw_from", before_us));
      auto step = raw_.remove(connection, before_us);
      if (!step) return fail(step.error());
      now_removed = *step;
      return now_removed > 0 ? add_to_sample_count(connection, -now_removed) : Result<void>();
    });
    if (!done) return fail(done.error());
    if (now_removed == 0) return removed;
    removed += now_removed;
  }
}

Result<std::int64_t> Maintenance::remove_rollups(const char* table, std::int64_t before_us,
                                                 const char* state_name) {
  std::int64_t removed = 0;
  const std::string sql = fmt::format("DELETE FROM {} WHERE gpu_id = $1 AND time_us < $2", table);
  const auto done = writer_([&](SqlConnection& connection) -> Result<void> {
    auto gpus = connection.run("SELECT gpu_id FROM gpus");
    if (!gpus) return fail(gpus.error());
    for (const SqlRow& gpu : gpus->rows) {
      auto step = connection.run(sql, {gpu.integer(0), before_us});
      if (!step) return fail(step.error());
      removed += step->changed;
    }
    return state_name ? set_telemetry_state(connection, state_name, before_us) : Result<void>();
  });
  if (!done) return fail(done.error());
  return removed;
}

}  // namespace aether::store
