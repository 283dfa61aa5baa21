#include "store/sqlite/closed_hours.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "store/block_columns.h"
#include "store/sample_block.h"
#include "store/sql/sample_row.h"
#include "store/sqlite/sample_table.h"

namespace aether::store {
namespace {

constexpr std::int64_t kGpusPerStep = 8;  // share the pages that the removal of their rows touches
constexpr std::int64_t kBlocksPerRemoval = 128;

// Of one GPU ($1) in the hour from $2 on.
std::string buckets_of_hour() {
  return fmt::format(
      "WITH RECURSIVE buckets(n) AS (VALUES ($2 / {0}) UNION ALL "
      "SELECT n + 1 FROM buckets WHERE n < ($2 + {1}) / {0} - 1)",
      kBucketUs, kHourUs);
}

Result<std::vector<GpuSample>> rows_of_hour(SqlConnection& connection, std::int64_t gpu_id, std::int64_t hour_us) {
  static_assert(kHourUs % kBucketUs == 0);
  static const std::string sql =
      fmt::format("{} SELECT {} FROM buckets CROSS JOIN samples WHERE bucket = n AND gpu_id = $1", buckets_of_hour(),
                  sample_columns());
  auto found = connection.run(sql, {gpu_id, hour_us});
  if (!found) return fail(found.error());
  std::vector<GpuSample> samples;
  samples.reserve(found->rows.size());
  for (const SqlRow& row : found->rows) samples.push_back(decode_sample_row(row, 0));
  const auto earlier = [](const GpuSample& a, const GpuSample& b) { return a.sample_time < b.sample_time; };
  if (!std::is_sorted(samples.begin(), samples.end(), earlier)) std::sort(samples.begin(), samples.end(), earlier);
  return samples;
}

// Nothing when the hour is not closed.
Result<std::optional<std::string>> block_of(SqlConnection& connection, std::int64_t gpu_id, std::int64_t hour_us) {
  auto found =
      connection.run("SELECT data FROM closed_hours WHERE time_us = $2 AND gpu_id = $1", {gpu_id, hour_us});
  if (!found) return fail(found.error());
  if (found->rows.empty()) return std::optional<std::string>();
  return std::optional<std::string>(found->rows.front().text(0));
}

// A closed hour with rows beside it waits until it has been opened again.
Result<void> close_hour(SqlConnection& connection, std::int64_t gpu_id, std::int64_t hour_us) {
  static const std::string remove =
      fmt::format("DELETE FROM samples WHERE bucket IN ({} SELECT n FROM buckets) AND gpu_id = $1", buckets_of_hour());
  auto samples = rows_of_hour(connection, gpu_id, hour_us);
  if (!samples) return fail(samples.error());
  if (samples->empty() || samples->size() > kMaxBlockRows) return {};
  auto block = block_of(connection, gpu_id, hour_us);
  if (!block) return fail(block.error());
  if (*block) return {};
  AETHER_TRY(connection.run(
      "INSERT INTO closed_hours (time_us, gpu_id, sample_count, data) VALUES ($1, $2, $3, $4)",
      {hour_us, gpu_id, static_cast<std::int64_t>(samples->size()), SqlBlob{encode_block(*samples)}}));
  AETHER_TRY(connection.run(remove, {gpu_id, hour_us}));
  return {};
}

// The samples of an hour's block; nothing when it is damaged, which is said in the log.
Result<std::vector<GpuSample>> unpack(const std::string& data) {
  auto block = SampleBlock::open(data);
  return block ? block->samples() : Result<std::vector<GpuSample>>(fail(block.error()));
}

void warn_of_damage(std::int64_t gpu_id, std::int64_t hour_us, const Error& error) {
  log::warn("store", "a closed hour of samples can't be read and stays as it is",
            {{"gpu_id", std::to_string(gpu_id)},
             {"hour", format_rfc3339(from_unix_us(hour_us))},
             {"reason", error.message}});
}

}  // namespace

Result<bool> close_some_hours(SqlConnection& connection, CloseCursor& cursor, std::int64_t until_us) {
  if (cursor.first_gpu == 0) {
    auto next = first_sample_at_or_after(connection, Dialect::kSqlite, cursor.hour_us);
    if (!next) return fail(next.error());
    if (!*next || **next / kHourUs * kHourUs >= until_us) return false;
    cursor.hour_us = **next / kHourUs * kHourUs;
  }
  auto gpus = connection.run("SELECT gpu_id FROM gpus WHERE gpu_id >= $1 ORDER BY gpu_id LIMIT $2",
                             {cursor.first_gpu, kGpusPerStep});
  if (!gpus) return fail(gpus.error());
  for (const SqlRow& row : gpus->rows) AETHER_TRY(close_hour(connection, row.integer(0), cursor.hour_us));
  cursor = gpus->rows.empty() ? CloseCursor{cursor.hour_us + kHourUs, 0}
                              : CloseCursor{cursor.hour_us, gpus->rows.back().integer(0) + 1};
  return true;
}

Result<Reopened> reopen_hour(SqlConnection& connection, std::int64_t gpu_id, std::int64_t hour_us) {
  auto data = block_of(connection, gpu_id, hour_us);
  if (!data) return fail(data.error());
  if (!*data) return Reopened::kNothing;
  auto samples = unpack(**data);
  if (!samples) {
    warn_of_damage(gpu_id, hour_us, samples.error());
    return Reopened::kDamaged;
  }
  for (const GpuSample& sample : *samples) AETHER_TRY(insert_sample(connection, gpu_id, sample));
  AETHER_TRY(connection.run("DELETE FROM closed_hours WHERE time_us = $2 AND gpu_id = $1", {gpu_id, hour_us}));
  return Reopened::kDone;
}

Result<std::int64_t> remove_closed_hours(SqlConnection& connection, std::int64_t before_us) {
  auto removed = connection.run(
      "DELETE FROM closed_hours WHERE (time_us, gpu_id) IN (SELECT time_us, gpu_id FROM closed_hours "
      "WHERE time_us <= $1 ORDER BY time_us, gpu_id LIMIT $2) RETURNING sample_count",
      {before_us - kHourUs, kBlocksPerRemoval});
  if (!removed) return fail(removed.error());
  std::int64_t samples = 0;
  for (const SqlRow& row : removed->rows) samples += row.integer(0);
  return samples;
}

Result<std::optional<GpuSample>> newest_closed_sample(SqlConnection& connection, std::int64_t gpu_id,
                                                      std::int64_t from_us, std::int64_t to_us) {
  std::optional<GpuSample> newest;
  for (std::int64_t hour_us = (to_us - 1) / kHourUs * kHourUs; hour_us + kHourUs > from_us && !newest;
       hour_us -= kHourUs) {
    auto data = block_of(connection, gpu_id, hour_us);
    if (!data) return fail(data.error());
    if (!*data) continue;
    auto samples = unpack(**data);
    if (!samples) {
      warn_of_damage(gpu_id, hour_us, samples.error());
      continue;
    }
    for (GpuSample& sample : *samples)
      if (to_unix_us(sample.sample_time) >= from_us && to_unix_us(sample.sample_time) < to_us) newest = std::move(sample);
  }
  return newest;
}

Result<bool> ClosedTimes::contain(SqlConnection& connection, std::int64_t gpu_id, std::int64_t time_us) {
  const std::int64_t hour_us = time_us / kHourUs * kHourUs;
  const auto [known, added] = times_.try_emplace({gpu_id, hour_us});
  if (added) {
    auto data = block_of(connection, gpu_id, hour_us);
    if (!data) return fail(data.error());
    auto block = *data ? SampleBlock::open(**data) : Result<SampleBlock>(fail(ErrorCode::kNotFound, "not closed"));
    auto times = block ? block->times_us() : Result<std::vector<std::int64_t>>(fail(block.error()));
    if (times) known->second = std::move(*times);
  }
  return std::binary_search(known->second.begin(), known->second.end(), time_us);
}

}  // namespace aether::store
