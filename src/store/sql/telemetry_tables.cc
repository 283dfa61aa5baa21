#include "store/sql/telemetry_tables.h"

#include <fmt/format.h>

#include <algorithm>

#include "store/sql/raw_blocks.h"

namespace aether::store {
namespace {

std::string raw_range_sql(Dialect dialect, const std::string& columns) {
  if (dialect == Dialect::kPostgres)
    return fmt::format("SELECT time_us{} FROM samples WHERE gpu_id = $1 AND time_us >= $2 AND time_us < $3 ORDER BY time_us",
                       columns);
  return fmt::format(
      "WITH RECURSIVE buckets(n) AS (VALUES ($2 / {1}) UNION ALL SELECT n + 1 FROM buckets WHERE n < ($3 - "
      "1) / {1}) "
      "SELECT time_us{0} FROM buckets CROSS JOIN samples "
      "WHERE bucket = n AND gpu_id = $1 AND time_us >= $2 AND time_us < $3",
      columns, kBucketUs);
}

struct Part {
  std::int64_t from = 0, to = 0;
};

Result<void> add_raw(SqlConnection& connection, Dialect dialect, std::int64_t gpu_id, Part part,
                     const std::vector<std::string>& metrics, ReadingSink& sink) {
  if (part.from >= part.to) return {};
  std::string columns;
  for (const std::string& metric : metrics) columns += ", " + metric;
  auto found = connection.run(raw_range_sql(dialect, columns), {gpu_id, part.from, part.to});
  if (!found) return fail(found.error());
  auto row = found->rows.begin();
  const auto add_rows_before = [&](std::optional<Time> limit) {
    for (; row != found->rows.end(); ++row) {
      const Time time = from_unix_us(row->integer(0));
      if (limit && time >= *limit) return;
      for (std::size_t i = 0; i < metrics.size(); ++i)
        if (const auto value = row->optional_real(1 + i)) sink.add(time, i, {*value, *value, *value, 1});
    }
  };
  if (dialect == Dialect::kSqlite)
    AETHER_TRY(read_blocks(connection, gpu_id, part.from, part.to, metrics,
                           [&](Time time, std::span<const std::optional<double>> sample) {
                             add_rows_before(time);  // what came late into a closed hour lies beside its block
                             for (std::size_t i = 0; i < sample.size(); ++i)
                               if (sample[i]) sink.add(time, i, {*sample[i], *sample[i], *sample[i], 1});
                           }));
  add_rows_before(std::nullopt);
  return {};
}

Result<void> add_rollup(SqlConnection& connection, const char* table, std::int64_t gpu_id, Part part,
                        const std::vector<std::string>& metrics, ReadingSink& sink) {
  if (part.from >= part.to) return {};
  const Duration length(std::string_view(table) == "rollup_1h" ? kHourUs : kMinuteUs);
  std::string columns;
  for (const std::string& metric : metrics)
    columns += fmt::format(", {0}_mean, {0}_min, {0}_max, {0}_count", metric);
  auto found = connection.run(fmt::format("SELECT time_us, sample_count{} FROM {} "
                                          "WHERE gpu_id = $1 AND time_us >= $2 AND time_us < $3 ORDER BY time_us",
                                          columns, table),
                              {gpu_id, part.from, part.to});
  if (!found) return fail(found.error());
  for (const SqlRow& row : found->rows) {
    for (std::size_t i = 0; i < metrics.size(); ++i) {
      const std::size_t at = 2 + 4 * i;
      const auto mean = row.optional_real(at);
      if (!mean) continue;
      sink.add(from_unix_us(row.integer(0)), i,
               {*mean, row.optional_real(at + 1).value_or(*mean), row.optional_real(at + 2).value_or(*mean),
                row.optional_integer(at + 3).value_or(row.integer(1)), length});
    }
  }
  return {};
}

// "mean, min, max, count" of every metric, from raw samples.
std::string aggregates_of_samples() {
  std::string sql = "count(*) AS sample_count";
  for (const GpuMetric& metric : gpu_metrics())
    sql += fmt::format(
        ", CASE WHEN min({0}) = max({0}) THEN min({0}) ELSE avg({0}) END AS {0}_mean, "
        "NULLIF(min({0}), max({0})) AS {0}_min, NULLIF(max({0}), min({0})) AS {0}_max, "
        "NULLIF(count({0}), count(*)) AS {0}_count",
        metric.name);
  return sql;
}

// The same from 1-minute rollups; see the comment in the schema about what is left out.
std::string aggregates_of_minutes() {
  std::string sql = "CAST(sum(sample_count) AS BIGINT) AS sample_count";
  for (const GpuMetric& metric : gpu_metrics()) {
    const std::string low = fmt::format("min(coalesce({0}_min, {0}_mean))", metric.name);
    const std::string high = fmt::format("max(coalesce({0}_max, {0}_mean))", metric.name);
    const std::string count = fmt::format(
        "sum(CASE WHEN {0}_mean IS NOT NULL THEN coalesce({0}_count, sample_count) ELSE 0 END)", metric.name);
    sql += fmt::format(
        ", CASE WHEN {1} = {2} THEN {1} ELSE sum({0}_mean * coalesce({0}_count, sample_count)) / {3} END AS "
        "{0}_mean, "
        "NULLIF({1}, {2}) AS {0}_min, NULLIF({2}, {1}) AS {0}_max, "
        "CAST(NULLIF({3}, sum(sample_count)) AS BIGINT) AS {0}_count",
        metric.name, low, high, count);
  }
  return sql;
}

std::string upsert(const char* table, const std::string& select) {
  std::string columns = "gpu_id, time_us, sample_count";
  std::string updates = "sample_count = excluded.sample_count";
  for (const GpuMetric& metric : gpu_metrics()) {
    for (const char* part : {"mean", "min", "max", "count"}) {
      columns += fmt::format(", {}_{}", metric.name, part);
      updates += fmt::format(", {0}_{1} = excluded.{0}_{1}", metric.name, part);
    }
  }
  return fmt::format("INSERT INTO {} ({}) {} ON CONFLICT (gpu_id, time_us) DO UPDATE SET {}", table, columns,
                     select, updates);
}

// $1, $2: range of time; $3, $4: range of gpu_id. SQLite knows no LATERAL; there a CROSS JOIN fixes the same
// order.
std::string rollup_sql(Dialect dialect, const char* table, const char* source, const std::string& aggregates,
                       const std::string& sqlite_extra) {
  if (dialect == Dialect::kPostgres)
    return upsert(table,
                  fmt::format("SELECT gpus.gpu_id, CAST($1 AS BIGINT), part.* FROM gpus CROSS JOIN LATERAL "
                              "(SELECT {} FROM {} AS s WHERE s.gpu_id = gpus.gpu_id AND s.time_us >= $1 "
                              "AND s.time_us < $2) AS part "
                              "WHERE part.sample_count > 0 AND gpus.gpu_id >= $3 AND gpus.gpu_id < $4",
                              aggregates, source));
  return upsert(table, fmt::format("SELECT gpus.gpu_id, $1, {} FROM gpus CROSS JOIN {} AS s "
                                   "WHERE s.gpu_id = gpus.gpu_id AND s.time_us >= $1 AND s.time_us < $2 {}"
                                   "AND gpus.gpu_id >= $3 AND gpus.gpu_id < $4 GROUP BY gpus.gpu_id",
                                   aggregates, source, sqlite_extra));
}

std::string buckets_of_minute() {
  static_assert(kMinuteUs % kBucketUs == 0);
  std::string list;
  for (std::int64_t i = 0; i < kMinuteUs / kBucketUs; ++i)
    list += fmt::format("{}$1 / {} + {}", i == 0 ? "" : ", ", kBucketUs, i);
  return "AND s.bucket IN (" + list + ") ";
}

}  // namespace

Result<TelemetryState> read_telemetry_state(SqlConnection& connection) {
  auto found = connection.run("SELECT name, value FROM telemetry_state");
  if (!found) return fail(found.error());
  TelemetryState state;
  for (const SqlRow& row : found->rows) {
    const std::string name = row.text(0);
    if (name == "rolled_1m") state.rolled_1m = row.integer(1);
    if (name == "rolled_1h") state.rolled_1h = row.integer(1);
    if (name == "raw_from") state.raw_from = row.integer(1);
    if (name == "minutes_from") state.minutes_from = row.integer(1);
    if (name == "sample_count") state.sample_count = row.integer(1);
  }
  return state;
}

Result<void> set_telemetry_state(SqlConnection& connection, const std::string& name, std::int64_t value) {
  AETHER_TRY(connection.run("UPDATE telemetry_state SET value = $2 WHERE name = $1", {name, value}));
  return {};
}

Result<void> add_to_sample_count(SqlConnection& connection, std::int64_t change) {
  AETHER_TRY(
      connection.run("UPDATE telemetry_state SET value = value + $1 WHERE name = 'sample_count'", {change}));
  return {};
}

// Each level answers for its whole steps up to where its rollups reach; the finer one for what is left on both sides.
Result<void> add_stored(SqlConnection& connection, Dialect dialect, const TelemetryState& state, const SeriesSource& source,
                        const std::vector<std::string>& metrics, ReadingSink& sink) {
  if (source.from_us >= source.to_us) return {};
  const bool hours = source.level == Level::kHour;
  // What lies before raw_from is no longer kept, even where a partition of it is still there.
  if (source.level == Level::kRaw)
    return add_raw(connection, dialect, source.gpu_id, {std::max(source.from_us, state.raw_from), source.to_us}, metrics, sink);
  const std::int64_t unit = hours ? kHourUs : kMinuteUs;
  const std::int64_t first = (source.from_us + unit - 1) / unit * unit;
  const std::int64_t last = std::min(source.to_us / unit * unit, hours ? state.rolled_1h : state.rolled_1m);
  SeriesSource finer = source;
  finer.level = hours ? Level::kMinute : Level::kRaw;
  if (first >= last) return add_stored(connection, dialect, state, finer, metrics, sink);
  finer.to_us = first;
  AETHER_TRY(add_stored(connection, dialect, state, finer, metrics, sink));
  AETHER_TRY(add_rollup(connection, hours ? "rollup_1h" : "rollup_1m", source.gpu_id, {first, last}, metrics, sink));
  finer.from_us = last, finer.to_us = source.to_us;
  return add_stored(connection, dialect, state, finer, metrics, sink);
}

Result<Series> read_series(SqlConnection& connection, Dialect dialect, const SeriesQuery& query) {
  auto state = read_telemetry_state(connection);
  if (!state) return fail(state.error());
  auto plan = plan_series(query, from_unix_us(state->raw_from), from_unix_us(state->minutes_from));
  if (!plan) return fail(plan.error());
  SeriesBuilder builder(*plan, query.metrics);
  auto gpu = connection.run("SELECT gpu_id FROM gpus WHERE gpu_uuid = $1", {query.gpu_uuid.str()});
  if (!gpu) return fail(gpu.error());
  if (gpu->rows.empty()) return std::move(builder).finish();

  const SeriesSource source{gpu->rows.front().integer(0), to_unix_us(plan->first), to_unix_us(plan->end()), plan->level};
  AETHER_TRY(add_stored(connection, dialect, *state, source, query.metrics, builder));
  return std::move(builder).finish();
}

Result<void> mark_late(SqlConnection& connection, const LateMinutes& late) {
  for (const auto& [gpu_id, minute_us] : late)
    AETHER_TRY(
        connection.run("INSERT INTO rollup_late (gpu_id, time_us) VALUES ($1, $2) ON CONFLICT DO NOTHING",
                       {gpu_id, minute_us}));
  return {};
}

Result<void> roll_minute(SqlConnection& connection, Dialect dialect, std::int64_t minute_us, GpuRange gpus) {
  static const std::string sqlite =
      rollup_sql(Dialect::kSqlite, "rollup_1m", "samples", aggregates_of_samples(), buckets_of_minute());
  static const std::string postgres =
      rollup_sql(Dialect::kPostgres, "rollup_1m", "samples", aggregates_of_samples(), "");
  AETHER_TRY(connection.run(dialect == Dialect::kSqlite ? sqlite : postgres,
                            {minute_us, minute_us + kMinuteUs, gpus.first, gpus.last}));
  return {};
}

Result<void> roll_hour(SqlConnection& connection, Dialect dialect, std::int64_t hour_us, GpuRange gpus) {
  static const std::string sqlite =
      rollup_sql(Dialect::kSqlite, "rollup_1h", "rollup_1m", aggregates_of_minutes(), "");
  static const std::string postgres =
      rollup_sql(Dialect::kPostgres, "rollup_1h", "rollup_1m", aggregates_of_minutes(), "");
  AETHER_TRY(connection.run(dialect == Dialect::kSqlite ? sqlite : postgres,
                            {hour_us, hour_us + kHourUs, gpus.first, gpus.last}));
  return {};
}

Result<std::optional<std::int64_t>> first_sample_at_or_after(SqlConnection& connection, Dialect dialect,
                                                             std::int64_t time_us) {
  static const std::string sqlite = fmt::format(
      "SELECT bucket * {0} FROM samples WHERE bucket >= $1 / {0} ORDER BY bucket LIMIT 1", kBucketUs);
  static const std::string postgres =
      "SELECT min(next.time_us) FROM gpus CROSS JOIN LATERAL (SELECT time_us FROM samples AS s "
      "WHERE s.gpu_id = gpus.gpu_id AND s.time_us >= $1 ORDER BY time_us LIMIT 1) AS next";
  auto found = connection.run(dialect == Dialect::kSqlite ? sqlite : postgres, {time_us});
  if (!found) return fail(found.error());
  if (found->rows.empty()) return std::optional<std::int64_t>();
  return found->rows.front().optional_integer(0);
}

}  // namespace aether::store
