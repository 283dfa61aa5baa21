#include "store/sqlite/sample_table.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>

#include "store/sql/sample_row.h"
#include "store/sqlite/closed_hours.h"

namespace aether::store {
namespace {

constexpr std::int64_t kBucketsPerRemoval = 12;

const std::string& insert_sql() {
  static const std::string sql = [] {
    std::string values;
    for (std::size_t i = 1; i <= gpu_metrics().size() + 7; ++i) values += fmt::format("{}${}", i == 1 ? "" : ", ", i);
    return fmt::format("INSERT OR IGNORE INTO samples (bucket, gpu_id, {}) VALUES ({})", sample_columns(),
                       values);
  }();
  return sql;
}

void bind_text(sqlite3_stmt* statement, int index, const std::optional<std::string>& text) {
  if (text)
    sqlite3_bind_text(statement, index, text->data(), static_cast<int>(text->size()), SQLITE_STATIC);
  else
    sqlite3_bind_null(statement, index);
}

// Newest sample of one GPU in [from, to): buckets are tried from the newest back.
Result<std::optional<GpuSample>> newest_in(SqliteConnection& connection, std::int64_t gpu_id,
                                           std::int64_t from_us, std::int64_t to_us) {
  static const std::string sql = fmt::format(
      "WITH RECURSIVE buckets(n) AS (VALUES (($3 - 1) / {1}) UNION ALL SELECT n - 1 FROM buckets WHERE n > "
      "$2 / {1}) "
      "SELECT {0} FROM samples WHERE bucket = (SELECT n FROM buckets CROSS JOIN samples AS s WHERE s.bucket "
      "= n "
      "AND s.gpu_id = $1 AND s.time_us >= $2 AND s.time_us < $3 LIMIT 1) AND gpu_id = $1 AND time_us < $3 "
      "ORDER BY time_us DESC LIMIT 1",
      sample_columns(), kBucketUs);
  auto found = connection.run(sql, {gpu_id, from_us, to_us});
  if (!found) return fail(found.error());
  if (found->rows.empty()) return std::optional<GpuSample>();
  return std::optional<GpuSample>(decode_sample_row(found->rows.front(), 0));
}

Result<std::optional<std::int64_t>> one_integer(SqlConnection& connection, std::string_view sql,
                                                const SqlParameters& parameters) {
  auto found = connection.run(sql, parameters);
  if (!found) return fail(found.error());
  if (found->rows.empty()) return std::optional<std::int64_t>();
  return found->rows.front().optional_integer(0);
}

// Where raw samples lie that no rollup knows yet. Before the first rollup that is the whole file.
Result<TimeRange> not_rolled_up(SqliteConnection& connection) {
  auto state = read_telemetry_state(connection);
  if (!state) return fail(state.error());
  auto first = one_integer(connection, "SELECT min(bucket) FROM samples", {});
  if (!first) return fail(first.error());
  auto last = one_integer(connection, "SELECT max(bucket) FROM samples", {});
  if (!last) return fail(last.error());
  if (!*first || !*last) return TimeRange{};
  return TimeRange{std::max(state->rolled_1m, **first * kBucketUs), (**last + 1) * kBucketUs};
}

}  // namespace

Result<void> SampleTable::load(SqliteConnection& connection) {
  gpus_.clear();
  auto found = connection.run("SELECT gpu_id, gpu_uuid, node, gpu_index, gpu_name FROM gpus");
  if (!found) return fail(found.error());
  auto fresh = not_rolled_up(connection);
  if (!fresh) return fail(fresh.error());
  for (const SqlRow& row : found->rows) {
    Gpu gpu{row.integer(0), NodeId(row.text(2)), static_cast<int>(row.integer(3)), row.text(4), {}};
    AETHER_TRY(load_latest(connection, GpuUuid(row.text(1)), gpu, *fresh));
    gpus_.emplace(row.text(1), std::move(gpu));
  }
  return {};
}

// Looks where the newest sample can be: after the last rollup, else in the newest minute that was rolled up.
Result<void> SampleTable::load_latest(SqliteConnection& connection, const GpuUuid& gpu_uuid, Gpu& gpu,
                                      TimeRange fresh) {
  auto newest = fresh.first < fresh.last ? newest_in(connection, gpu.id, fresh.first, fresh.last)
                                         : Result<std::optional<GpuSample>>();
  if (!newest) return fail(newest.error());
  if (!*newest) {
    auto minute = one_integer(connection,
                              "SELECT time_us FROM rollup_1m WHERE gpu_id = $1 ORDER BY time_us DESC LIMIT 1",
                              {gpu.id});
    if (!minute) return fail(minute.error());
    if (*minute) newest = newest_in(connection, gpu.id, **minute, **minute + kMinuteUs);
    if (!newest) return fail(newest.error());
    auto closed = *minute ? newest_closed_sample(connection, gpu.id, **minute, **minute + kMinuteUs)
                          : Result<std::optional<GpuSample>>();
    if (!closed) return fail(closed.error());
    if (*closed && (!*newest || (*newest)->sample_time < (*closed)->sample_time)) newest = std::move(*closed);
  }
  if (!*newest) return {};
  gpu.latest = std::move(**newest);
  gpu.latest->gpu_uuid = gpu_uuid;
  gpu.latest->node = gpu.node;
  gpu.latest->gpu_index = gpu.gpu_index;
  gpu.latest->gpu_name = gpu.gpu_name;
  return {};
}

Result<SampleTable::Gpu*> SampleTable::known_gpu(SqliteConnection& connection, const GpuSample& sample) {
  const auto known = gpus_.find(sample.gpu_uuid.str());
  if (known != gpus_.end() && known->second.node == sample.node &&
      known->second.gpu_index == sample.gpu_index && known->second.gpu_name == sample.gpu_name)
    return &known->second;
  auto id = connection.run(
      "INSERT INTO gpus (gpu_uuid, node, gpu_index, gpu_name) VALUES ($1, $2, $3, $4) ON CONFLICT (gpu_uuid) "
      "DO UPDATE SET node = excluded.node, gpu_index = excluded.gpu_index, gpu_name = excluded.gpu_name "
      "RETURNING gpu_id",
      {sample.gpu_uuid.str(), sample.node.str(), std::int64_t{sample.gpu_index}, sample.gpu_name});
  if (!id) return fail(id.error());
  Gpu& gpu = gpus_[sample.gpu_uuid.str()];
  gpu.id = id->rows.front().integer(0);
  gpu.node = sample.node;
  gpu.gpu_index = sample.gpu_index;
  gpu.gpu_name = sample.gpu_name;
  return &gpu;
}

Result<void> SampleTable::insert(SqliteConnection& connection, sqlite3_stmt* statement, std::int64_t gpu_id,
                                 const GpuSample& sample) {
  const std::int64_t time_us = to_unix_us(sample.sample_time);
  int index = 0;
  sqlite3_bind_int64(statement, ++index, time_us / kBucketUs);
  sqlite3_bind_int64(statement, ++index, gpu_id);
  sqlite3_bind_int64(statement, ++index, time_us);
  sqlite3_bind_int64(statement, ++index, static_cast<std::int64_t>(sample.sample_seq));
  for (const GpuMetric& metric : gpu_metrics()) {
    const auto value = metric.get(sample);
    if (value)
      sqlite3_bind_double(statement, ++index, *value);
    else
      sqlite3_bind_null(statement, ++index);
  }
  bind_text(statement, ++index, sample.performance_state);
  bind_text(statement, ++index, sample.throttling_reasons);
  if (sample.xid_last_time)
    sqlite3_bind_int64(statement, ++index, to_unix_us(*sample.xid_last_time));
  else
    sqlite3_bind_null(statement, ++index);
  const int step = sqlite3_step(statement);
  if (step != SQLITE_DONE) {
    auto error = connection.error("appending samples to");
    sqlite3_reset(statement);
    return error;
  }
  sqlite3_reset(statement);
  return {};
}

Result<void> insert_sample(SqlConnection& connection, std::int64_t gpu_id, const GpuSample& sample) {
  const std::int64_t time_us = to_unix_us(sample.sample_time);
  SqlParameters values = {time_us / kBucketUs, gpu_id, time_us, static_cast<std::int64_t>(sample.sample_seq)};
  for (const GpuMetric& metric : gpu_metrics()) values.push_back(sql_value(metric.get(sample)));
  values.push_back(sql_value(sample.performance_state));
  values.push_back(sql_value(sample.throttling_reasons));
  values.emplace_back();
  if (sample.xid_last_time) values.back() = to_unix_us(*sample.xid_last_time);
  AETHER_TRY(connection.run(insert_sql(), values));
  return {};
}

Result<void> SampleTable::append(SqliteConnection& connection, const std::vector<GpuSample>& samples,
                                 std::int64_t late_before_us) {
  auto statement = connection.prepare_for_good(insert_sql());
  if (!statement) return fail(statement.error());
  const std::int64_t changes_before = sqlite3_total_changes64(connection.handle());
  std::int64_t other_changes = 0;
  LateMinutes late;
  ClosedTimes closed;
  for (const GpuSample& sample : samples) {
    const std::int64_t before = sqlite3_total_changes64(connection.handle());
    auto gpu = known_gpu(connection, sample);
    if (!gpu) return fail(gpu.error());
    other_changes += sqlite3_total_changes64(connection.handle()) - before;
    const std::int64_t time_us = to_unix_us(sample.sample_time);
    if (time_us < late_before_us) {
      auto known = closed.contain(connection, (*gpu)->id, time_us);
      if (!known) return fail(known.error());
      if (*known) continue;
      late.emplace((*gpu)->id, time_us / kMinuteUs * kMinuteUs);
    }
    AETHER_TRY(insert(connection, *statement, (*gpu)->id, sample));
    if (!(*gpu)->latest || (*gpu)->latest->sample_time < sample.sample_time) (*gpu)->latest = sample;
  }
  const std::int64_t added = sqlite3_total_changes64(connection.handle()) - changes_before - other_changes;
  AETHER_TRY(mark_late(connection, late));
  return add_to_sample_count(connection, added);
}

Result<void> SampleTable::finish(SqliteConnection& connection, bool committed) {
  return committed ? Result<void>() : load(connection);
}

std::vector<GpuSample> SampleTable::latest() const {
  std::vector<GpuSample> samples;
  for (const auto& [uuid, gpu] : gpus_)
    if (gpu.latest) samples.push_back(*gpu.latest);
  std::sort(samples.begin(), samples.end(), [](const GpuSample& a, const GpuSample& b) {
    return std::tie(a.node, a.gpu_index, a.gpu_uuid) < std::tie(b.node, b.gpu_index, b.gpu_uuid);
  });
  return samples;
}

Result<std::int64_t> remove_raw_samples(SqlConnection& connection, std::int64_t before_us) {
  auto closed = remove_closed_hours(connection, before_us);
  if (!closed || *closed > 0) return closed;
  const std::int64_t before = before_us / kBucketUs;
  auto first = one_integer(connection, "SELECT min(bucket) FROM samples", {});
  if (!first) return fail(first.error());
  if (!*first || **first >= before) return std::int64_t{0};
  auto removed = connection.run("DELETE FROM samples WHERE bucket < $1",
                                {std::min(before, **first + kBucketsPerRemoval)});
  if (!removed) return fail(removed.error());
  return removed->changed;
}

}  // namespace aether::store
