#include "store/sql/raw_blocks.h"

#include <fmt/format.h>

#include <algorithm>

#include "store/sql/telemetry_tables.h"

namespace aether::store {
namespace {

struct Rows {
  std::size_t first = 0, last = 0;
};

Result<void> add_block(std::string_view bytes, std::int64_t from_us, std::int64_t to_us,
                       const std::vector<std::string>& metrics, SeriesBuilder& builder) {
  auto block = SampleBlock::open(bytes);
  if (!block) return fail(block.error());
  auto times = block->times_us();
  if (!times) return fail(times.error());
  const auto place = [&](std::int64_t time_us) {
    return static_cast<std::size_t>(std::lower_bound(times->begin(), times->end(), time_us) - times->begin());
  };
  const Rows rows{place(from_us), place(to_us)};
  for (std::size_t metric = 0; metric < metrics.size(); ++metric) {
    auto values = block->metric(metrics[metric]);
    if (!values) return fail(values.error());
    for (std::size_t i = rows.first; i < rows.last; ++i)
      if (const auto& value = (*values)[i]) builder.add(from_unix_us((*times)[i]), metric, {*value, *value, *value, 1});
  }
  return {};
}

}  // namespace

Result<void> add_blocks(SqlConnection& connection, std::int64_t gpu_id, std::int64_t from_us, std::int64_t to_us,
                        const std::vector<std::string>& metrics, SeriesBuilder& builder) {
  static const std::string sql = fmt::format(
      "WITH RECURSIVE hours(n) AS (VALUES ($2 / {0}) UNION ALL SELECT n + 1 FROM hours WHERE n < ($3 - 1) / {0}) "
      "SELECT time_us, data FROM hours CROSS JOIN closed_hours WHERE time_us = n * {0} AND gpu_id = $1",
      kHourUs);
  auto found = connection.run(sql, {gpu_id, from_us, to_us});
  if (!found) return fail(found.error());
  for (const SqlRow& row : found->rows)
    if (auto added = add_block(row.text(1), from_us, to_us, metrics, builder); !added)
      return fail_with_context(fmt::format("samples of the hour from {}", format_rfc3339(from_unix_us(row.integer(0)))),
                               added.error());
  return {};
}

}  // namespace aether::store
