#include "store/sql/raw_blocks.h"

#include <fmt/format.h>

#include <algorithm>

#include "store/sql/telemetry_tables.h"

namespace aether::store {
namespace {

struct Rows {
  std::size_t first = 0, last = 0;
};

Result<void> read_block(std::string_view bytes, std::int64_t from_us, std::int64_t to_us,
                        const std::vector<std::string>& metrics, const TakeSample& take) {
  auto block = SampleBlock::open(bytes);
  if (!block) return fail(block.error());
  auto times = block->times_us();
  if (!times) return fail(times.error());
  const auto place = [&](std::int64_t time_us) {
    return static_cast<std::size_t>(std::lower_bound(times->begin(), times->end(), time_us) - times->begin());
  };
  const Rows rows{place(from_us), place(to_us)};
  std::vector<std::vector<std::optional<double>>> columns;
  for (const std::string& metric : metrics) {
    auto values = block->metric(metric);
    if (!values) return fail(values.error());
    columns.push_back(std::move(*values));
  }
  std::vector<std::optional<double>> sample(metrics.size());
  for (std::size_t i = rows.first; i < rows.last; ++i) {
    for (std::size_t metric = 0; metric < metrics.size(); ++metric) sample[metric] = columns[metric][i];
    take(from_unix_us((*times)[i]), sample);
  }
  return {};
}

}  // namespace

Result<void> read_blocks(SqlConnection& connection, std::int64_t gpu_id, std::int64_t from_us, std::int64_t to_us,
                         const std::vector<std::string>& metrics, const TakeSample& take) {
  static const std::string sql = fmt::format(
      "WITH RECURSIVE hours(n) AS (VALUES ($2 / {0}) UNION ALL SELECT n + 1 FROM hours WHERE n < ($3 - 1) / {0}) "
      "SELECT time_us, data FROM hours CROSS JOIN closed_hours WHERE time_us = n * {0} AND gpu_id = $1",
      kHourUs);
  auto found = connection.run(sql, {gpu_id, from_us, to_us});
  if (!found) return fail(found.error());
  for (const SqlRow& row : found->rows)
    if (auto read = read_block(row.text(1), from_us, to_us, metrics, take); !read)
      return fail_with_context(fmt::format("samples of the hour from {}", format_rfc3339(from_unix_us(row.integer(0)))),
                               read.error());
  return {};
}

}  // namespace aether::store
