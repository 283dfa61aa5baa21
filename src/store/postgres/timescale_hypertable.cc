#include <fmt/format.h>

#include "base/log.h"
#include "store/postgres/sample_tables.h"

namespace aether::store {
namespace {

class TimescaleHypertable final : public SampleStorage {
 public:
  explicit TimescaleHypertable(TimescaleFeatures features) : features_(std::move(features)) {}

  const std::vector<Migration>& migrations() const override { return postgres_timescale_migrations(); }
  Result<void> prepare_for(PostgresConnection&, const std::set<std::int64_t>&) override { return {}; }
  void forget() override {}

  Result<std::int64_t> remove_before(SqlConnection& connection, std::int64_t before_us) override {
    auto chunks = connection.run(
        "SELECT CAST(show_chunks('samples', older_than => CAST($1 AS BIGINT)) AS TEXT)", {before_us});
    if (!chunks) return fail(chunks.error());
    std::int64_t removed = 0;
    for (const SqlRow& chunk : chunks->rows) {
      auto rows = connection.run(fmt::format("SELECT count(*) FROM {}", chunk.text(0)));
      if (!rows) return fail(rows.error());
      removed += rows->rows.front().integer(0);
    }
    if (!chunks->rows.empty())
      AETHER_TRY(
          connection.run("SELECT drop_chunks('samples', older_than => CAST($1 AS BIGINT))", {before_us}));
    return removed;
  }

  // The background jobs of TimescaleDB 2.28 on PostgreSQL 15.20 report failure for work they have done, so
  // the chunks are compressed from here, one per call.
  Result<void> maintain(PostgresConnection& connection, std::int64_t now_us) override {
    if (!features_.compression) return {};
    AETHER_TRY(switch_compression_on(connection));
    auto chunk = connection.run(
        "SELECT format('%I.%I', chunk_schema, chunk_name) FROM timescaledb_information.chunks "
        "WHERE hypertable_name = 'samples' AND NOT is_compressed AND range_end_integer < $1 "
        "ORDER BY range_end_integer LIMIT 1",
        {now_us - kDayUs});
    if (!chunk) return fail(chunk.error());
    if (chunk->rows.empty()) return {};
    AETHER_TRY(connection.run("SELECT compress_chunk(CAST(CAST($1 AS TEXT) AS regclass))",
                              {chunk->rows.front().text(0)}));
    return {};
  }

 private:
  Result<void> switch_compression_on(PostgresConnection& connection) {
    if (compression_set_) return {};
    auto known = connection.run(
        "SELECT 1 FROM timescaledb_information.hypertables WHERE hypertable_name = 'samples' AND "
        "compression_enabled");
    if (!known) return fail(known.error());
    if (known->rows.empty())
      AETHER_TRY(
          connection.run_script("ALTER TABLE samples SET (timescaledb.compress, "
                                "timescaledb.compress_segmentby = 'gpu_id', "
                                "timescaledb.compress_orderby = 'time_us')"));
    compression_set_ = true;
    return {};
  }

  const TimescaleFeatures features_;
  bool compression_set_ = false;
};

}  // namespace

Result<TimescaleFeatures> detect_timescale(PostgresConnection& connection) {
  TimescaleFeatures features;
  auto offered = connection.run(
      "SELECT (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'), "
      "(SELECT default_version FROM pg_available_extensions WHERE name = 'timescaledb')");
  if (!offered) return fail(offered.error());
  bool there = !offered->rows.front().is_null(0);
  if (!there && !offered->rows.front().is_null(1)) {
    const auto made = connection.run_script("CREATE EXTENSION IF NOT EXISTS timescaledb");
    if (!made) log::info("store", "TimescaleDB is not used", {{"reason", made.error().message}});
    there = made.has_value();
  }
  if (!there) return features;
  features.hypertable = true;
  features.version =
      offered->rows.front().is_null(0) ? offered->rows.front().text(1) : offered->rows.front().text(0);
  auto licence = connection.run("SELECT current_setting('timescaledb.license', true)");
  if (!licence) return fail(licence.error());
  features.compression = licence->rows.front().text(0) == "timescale";
  return features;
}

std::unique_ptr<SampleStorage> timescale_hypertable(const TimescaleFeatures& features) {
  return std::make_unique<TimescaleHypertable>(features);
}

}  // namespace aether::store
