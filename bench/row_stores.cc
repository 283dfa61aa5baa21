#include "row_stores.h"

#include <fmt/format.h>
#include <libpq-fe.h>
#include <sqlite3.h>
#include <unistd.h>

#include <filesystem>
#include <functional>

#include "measure.h"
#include "simulated_fleet.h"

namespace aether::bench {
namespace {

constexpr Time kStart{Duration(1'800'000'000'000'000)};
constexpr int kGpus = 64;
constexpr int kPowerDraw = 9;  // its place in gpu_metrics()
constexpr std::int64_t kQuarterUs = 900'000'000;

struct Value {
  std::int64_t gpu, metric, time_us;
  double value;
};

// Batches of one second, as the stores get them. Returns the seconds that `write` took, and counts the values.
double write_fleet(std::uint64_t rows, std::uint64_t& values, const std::function<void(const std::vector<Value>&)>& write) {
  SimulatedFleet fleet(kGpus, kStart, 1);
  double took = 0;
  std::vector<Value> batch;
  for (std::uint64_t written = 0; written < rows;) {
    batch.clear();
    std::int64_t gpu = 0;
    for (const GpuSample& sample : fleet.tick()) {
      std::int64_t metric = 0;
      for (const GpuMetric& known : gpu_metrics()) {
        if (const auto value = known.get(sample)) batch.push_back({gpu, metric, to_unix_us(sample.sample_time), *value});
        ++metric;
      }
      ++gpu;
      ++written;
    }
    values += batch.size();
    const auto begin = SteadyClock::now();
    write(batch);
    took += seconds_since(begin);
  }
  return took;
}

void print(const char* name, std::uint64_t rows, std::uint64_t values, double took, double bytes, double query_ms) {
  fmt::print("{}, one row per value: {} rows of {} GPUs ({} values)\n  write       {:.0f} rows/s\n  size        {:.2f} bytes per sample\n"
             "  15 min raw  {} GPUs, 1 metric: {:.1f} ms\n",
             name, rows, kGpus, values, static_cast<double>(rows) / took, bytes / static_cast<double>(values), kGpus, query_ms);
}

}  // namespace

void plain_rows_in_sqlite(std::uint64_t rows) {
  std::string directory = "/tmp/aether-bench-XXXXXX";
  if (!mkdtemp(directory.data())) return;
  const std::string path = directory + "/plain.db";
  sqlite3* database = nullptr;
  sqlite3_open(path.c_str(), &database);
  sqlite3_exec(database,
               "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-65536;"
               "CREATE TABLE samples (gpu INTEGER, metric INTEGER, time_us INTEGER, value REAL, PRIMARY KEY (gpu, metric, time_us)) WITHOUT ROWID",
               nullptr, nullptr, nullptr);
  sqlite3_stmt* insert = nullptr;
  sqlite3_prepare_v2(database, "INSERT OR IGNORE INTO samples VALUES (?, ?, ?, ?)", -1, &insert, nullptr);
  std::uint64_t values = 0;
  const double took = write_fleet(rows, values, [&](const std::vector<Value>& batch) {
    sqlite3_exec(database, "BEGIN", nullptr, nullptr, nullptr);
    for (const Value& value : batch) {
      sqlite3_bind_int64(insert, 1, value.gpu);
      sqlite3_bind_int64(insert, 2, value.metric);
      sqlite3_bind_int64(insert, 3, value.time_us);
      sqlite3_bind_double(insert, 4, value.value);
      sqlite3_step(insert);
      sqlite3_reset(insert);
    }
    sqlite3_exec(database, "COMMIT", nullptr, nullptr, nullptr);
  });
  sqlite3_finalize(insert);
  sqlite3_wal_checkpoint_v2(database, nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
  sqlite3_stmt* query = nullptr;
  sqlite3_prepare_v2(database, "SELECT time_us, value FROM samples WHERE gpu = ? AND metric = ? AND time_us >= ? AND time_us < ?", -1,
                     &query, nullptr);
  const auto begin = SteadyClock::now();
  for (int gpu = 0; gpu < kGpus; ++gpu) {
    sqlite3_bind_int(query, 1, gpu);
    sqlite3_bind_int(query, 2, kPowerDraw);
    sqlite3_bind_int64(query, 3, to_unix_us(kStart));
    sqlite3_bind_int64(query, 4, to_unix_us(kStart) + kQuarterUs);
    while (sqlite3_step(query) == SQLITE_ROW) (void)sqlite3_column_double(query, 1);
    sqlite3_reset(query);
  }
  const double query_ms = 1e3 * seconds_since(begin);
  sqlite3_finalize(query);
  sqlite3_close(database);
  print("SQLite", rows, values, took, static_cast<double>(std::filesystem::file_size(path)), query_ms);
  std::filesystem::remove_all(directory);
}

void plain_rows_in_postgres(std::uint64_t rows, const std::string& url) {
  PGconn* connection = PQconnectdb(url.c_str());
  const auto run = [&](const std::string& sql) {
    PGresult* result = PQexec(connection, sql.c_str());
    const bool done = PQresultStatus(result) == PGRES_COMMAND_OK || PQresultStatus(result) == PGRES_TUPLES_OK || PQresultStatus(result) == PGRES_COPY_IN;
    if (!done) fmt::print(stderr, "{}", PQerrorMessage(connection));
    const std::string value = PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "";
    PQclear(result);
    return value;
  };
  run("SET synchronous_commit = off");
  run("CREATE TABLE plain (gpu INTEGER, metric INTEGER, time_us BIGINT, value DOUBLE PRECISION, PRIMARY KEY (gpu, metric, time_us))");
  std::uint64_t values = 0;
  std::string text;
  const double took = write_fleet(rows, values, [&](const std::vector<Value>& batch) {
    text.clear();
    for (const Value& value : batch)
      fmt::format_to(std::back_inserter(text), "{}\t{}\t{}\t{}\n", value.gpu, value.metric, value.time_us, value.value);
    run("COPY plain FROM STDIN");
    PQputCopyData(connection, text.data(), static_cast<int>(text.size()));
    PQputCopyEnd(connection, nullptr);
    while (PGresult* result = PQgetResult(connection)) PQclear(result);
  });
  run("VACUUM ANALYZE plain");
  const auto begin = SteadyClock::now();
  for (int gpu = 0; gpu < kGpus; ++gpu)
    run(fmt::format("SELECT time_us, value FROM plain WHERE gpu = {} AND metric = {} AND time_us >= {} AND time_us < {}", gpu, kPowerDraw,
                    to_unix_us(kStart), to_unix_us(kStart) + kQuarterUs));
  const double query_ms = 1e3 * seconds_since(begin);
  print("PostgreSQL", rows, values, took, std::stod("0" + run("SELECT pg_total_relation_size('plain')")), query_ms);
  PQfinish(connection);
}

}  // namespace aether::bench
