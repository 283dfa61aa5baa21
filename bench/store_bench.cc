// The history as one orchestrator writes and reads it: simulated fleet (tests/store/simulated_fleet.h), appended by batches
// of one second, maintained by the minute of its own time. Generating the samples is not in the figures.
//   bench_store [--rows N] [--store sqlite|postgresql|both]   default: 10,000,000 rows (of one GPU at one time), both
//   bench_store --export [--rows N]                           the same samples as OpenMetrics text, for peers
// bench/store.sh runs both and the peers.
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include <CLI/CLI.hpp>

#include "measure.h"
#include "row_stores.h"
#include "simulated_fleet.h"
#include "store/postgres/postgres_connection.h"
#include "store/postgres/postgres_store.h"
#include "store/postgres/test_server.h"
#include "store/sqlite/sqlite_connection.h"
#include "store/sqlite/sqlite_store.h"

namespace aether::bench {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr Time kStart{Duration(1'800'000'000'000'000)};
constexpr int kGpus = 64;
constexpr std::uint64_t kFewerRows = 10;  // of the plain stores, which are slow
constexpr int kFleetGpus = 1'000, kLatestGpus = 10'000;

std::uint64_t values_of(const GpuSample& sample) {
  std::uint64_t count = 0;
  for (const GpuMetric& metric : gpu_metrics()) count += metric.get(sample) ? 1 : 0;
  return count;
}

// Of every process named postgres, in seconds.
double postgres_cpu_s() {
  double ticks = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::string line;
    std::ifstream file(entry.path() / "stat");
    if (!std::getline(file, line) || line.find("(postgres)") == std::string::npos) continue;
    std::istringstream rest(line.substr(line.rfind(')') + 2));
    std::string word;
    double user = 0, system = 0;
    for (int i = 0; i < 11; ++i) rest >> word;
    rest >> user >> system;
    ticks += user + system;
  }
  return ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

double own_cpu_s() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto in_s = [](const timeval& time) { return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec); };
  return in_s(usage.ru_utime) + in_s(usage.ru_stime);
}

// Wall and CPU time of what is done through it.
class Stopwatch {
 public:
  explicit Stopwatch(bool with_server) : with_server_(with_server) {}
  template <class Body>
  double measure(const Body& body) {
    const double cpu = own_cpu_s(), server = with_server_ ? postgres_cpu_s() : 0;
    const auto begin = SteadyClock::now();
    body();
    const double took = seconds_since(begin);
    wall_s += took;
    cpu_s += own_cpu_s() - cpu + (with_server_ ? postgres_cpu_s() - server : 0);
    return took;
  }
  double wall_s = 0, cpu_s = 0;

 private:
  bool with_server_;
};

template <class T>
T must(Result<T> result) {
  if (result) return std::move(*result);
  fmt::print(stderr, "{}\n", result.error().message);
  std::exit(1);
}
void must(const Result<void>& result) {
  if (result) return;
  fmt::print(stderr, "{}\n", result.error().message);
  std::exit(1);
}

struct Database {
  std::string directory;
  std::unique_ptr<store::TestServer> server;
  std::unique_ptr<store::TestDatabase> database;
  std::unique_ptr<Store> store;
  ~Database() {
    store.reset();
    database.reset();
    server.reset();
    std::error_code ignored;
    if (!directory.empty()) std::filesystem::remove_all(directory, ignored);
  }
};

std::unique_ptr<Database> open(const std::string& kind) {
  auto opened = std::make_unique<Database>();
  if (kind == "sqlite") {
    std::string name = "/tmp/aether-bench-XXXXXX";
    opened->directory = mkdtemp(name.data()) ? name : std::string();
    opened->store = must(SqliteStore::open({opened->directory}));
    return opened;
  }
  opened->server = must(store::TestServer::start(store::TestServer::Fsync::kOn));
  opened->database = must(opened->server->make_database());
  PostgresStore::Options options;
  options.url = opened->database->url();
  opened->store = must(PostgresStore::open(options));
  return opened;
}

double one_number(store::SqlConnection& connection, const std::string& sql) {
  return must(connection.run(sql)).rows.front().optional_real(0).value_or(0);
}

// Bytes per value: of closed hours in SQLite, of the whole table in PostgreSQL.
void print_size(const Database& database, double values_per_row) {
  if (database.server) {
    auto connection = must(store::PostgresConnection::open({.url = database.database->url(), .session_settings = "SET jit = off"}));
    const double bytes = one_number(*connection,
                                    "SELECT CAST(sum(pg_total_relation_size(inhrelid)) AS double precision) FROM pg_inherits WHERE inhparent = 'samples'::regclass");
    const double rows = one_number(*connection, "SELECT CAST(count(*) AS double precision) FROM samples");
    fmt::print("  size        {:.3f} bytes per sample, rows and index\n", bytes / rows / values_per_row);
    return;
  }
  auto connection = must(store::SqliteConnection::open(database.directory + "/telemetry.db", store::Access::kRead, store::Durability::kEventually));
  const auto pages = [&](const char* table) {
    return one_number(*connection, fmt::format("SELECT CAST(sum(pgsize) AS REAL) FROM dbstat WHERE name = '{}'", table));
  };
  const double closed = one_number(*connection, "SELECT CAST(sum(sample_count) AS REAL) FROM closed_hours");
  const double open = one_number(*connection, "SELECT CAST(count(*) AS REAL) FROM samples");
  fmt::print("  size        {:.3f} bytes per sample in closed hours ({:.0f} of {:.0f} rows), {:.3f} in the open one; file {:.1f} MB\n",
             closed > 0 ? pages("closed_hours") / closed / values_per_row : 0, closed, closed + open,
             open > 0 ? pages("samples") / open / values_per_row : 0,
             static_cast<double>(std::filesystem::file_size(database.directory + "/telemetry.db")) / 1e6);
}

// Median of some rounds, in ms.
template <class Body>
double median_ms(int rounds, const Body& body) {
  std::vector<double> took;
  for (int i = 0; i < rounds; ++i) {
    const auto begin = SteadyClock::now();
    body();
    took.push_back(1e3 * seconds_since(begin));
  }
  return percentiles(took).p50;
}

void query_raw(Store& store, const std::vector<GpuUuid>& gpus, Time from) {
  for (const std::size_t metrics : {std::size_t{1}, std::size_t{5}}) {
    std::vector<std::string> names = {"power_draw_w", "temperature_c", "utilization_gpu", "memory_used_mb", "clock_sm_mhz"};
    names.resize(metrics);
    std::size_t points = 0;
    const double took = median_ms(5, [&] {
      points = 0;
      for (const GpuUuid& gpu : gpus)
        for (const auto& value : must(store.series({gpu, names, from, from + minutes(15), seconds(1)})).columns.at("power_draw_w").mean)
          points += value ? 1 : 0;
    });
    fmt::print("  15 min raw  {} GPUs, {} metric{}: {:.1f} ms ({} points of each)\n", gpus.size(), metrics, metrics == 1 ? "" : "s", took, points);
  }
}

void ingest(const std::string& kind, std::uint64_t rows) {
  auto database = open(kind);
  SimulatedFleet fleet(kGpus, kStart, 1);
  Stopwatch appends(database->server != nullptr), maintenance(database->server != nullptr);
  std::uint64_t appended = 0, values = 0;
  std::vector<double> waits;
  std::vector<GpuUuid> gpus;
  for (std::uint64_t tick = 1; appended < rows; ++tick) {
    const std::vector<GpuSample> batch = fleet.tick();
    for (const GpuSample& sample : batch) values += values_of(sample);
    if (gpus.empty())
      for (const GpuSample& sample : batch) gpus.push_back(sample.gpu_uuid);
    waits.push_back(appends.measure([&] { must(database->store->append_samples(batch)); }));
    appended += batch.size();
    if (tick % 60 == 0) maintenance.measure([&] { must(database->store->maintain(fleet.now())); });
  }
  maintenance.measure([&] { must(database->store->maintain(fleet.now())); });
  const StoreInfo info = database->store->info();
  const double total_s = appends.wall_s + maintenance.wall_s;
  const auto count = static_cast<double>(appended);
  fmt::print("{} {}: {} rows of {} GPUs, {:.1f} values each; {} stored\n", info.name, info.version, appended, kGpus,
             static_cast<double>(values) / count, must(database->store->count_samples()));
  fmt::print("  write       {:.0f} rows/s with rollups, packing and retention ({:.0f} without), {:.2f} CPU s per million samples\n",
             count / total_s, count / appends.wall_s, (appends.cpu_s + maintenance.cpu_s) / static_cast<double>(values) * 1e6);
  fmt::print("  append      {} per batch of {} rows\n", in_milliseconds(percentiles(waits)), kGpus);
  print_size(*database, static_cast<double>(values) / count);
  const Duration span = fleet.now() - kStart;
  query_raw(*database->store, gpus, kStart + std::max(Duration(0), span / 2 - span / 2 % Duration(hours(1))));
}

GpuSample plain_sample(int gpu, Time time, std::uint64_t sequence) {
  GpuSample sample;
  sample.gpu_uuid = GpuUuid(fmt::format("GPU-{:08}-fleet", gpu));
  sample.node = NodeId("node-" + std::to_string(gpu / 8));
  sample.gpu_index = gpu % 8;
  sample.gpu_name = "NVIDIA H100 80GB HBM3";
  sample.sample_seq = sequence;
  sample.sample_time = time;
  for (const GpuMetric& metric : gpu_metrics()) metric.set(sample, static_cast<double>((gpu * 7 + to_unix_us(time) / 1'000'000) % 97));
  sample.performance_state = "P0";
  return sample;
}

// A fleet's month: one sample an hour is enough for the level that answers.
void query_fleet(const std::string& kind) {
  auto database = open(kind);
  std::vector<GpuSample> batch;
  for (int hour = 0; hour < 30 * 24; ++hour) {
    batch.clear();
    for (int gpu = 0; gpu < kFleetGpus; ++gpu)
      batch.push_back(plain_sample(gpu, kStart + hours(hour), static_cast<std::uint64_t>(hour) + 1));
    must(database->store->append_samples(batch));
    if (hour % 24 == 23) must(database->store->maintain(kStart + hours(hour + 1)));
  }
  must(database->store->maintain(kStart + hours(30 * 24) + minutes(2)));
  const double month = median_ms(3, [&] {
    for (int gpu = 0; gpu < kFleetGpus; ++gpu)
      must(database->store->series({plain_sample(gpu, kStart, 1).gpu_uuid, {"power_draw_w"}, kStart, kStart + hours(30 * 24), hours(1)}));
  });
  fmt::print("  30 days     {} GPUs by the hour, one metric: {:.1f} ms\n", kFleetGpus, month);
  batch.clear();
  for (int gpu = 0; gpu < kLatestGpus; ++gpu) batch.push_back(plain_sample(gpu, kStart + hours(30 * 24), 1'000));
  must(database->store->append_samples(batch));
  std::size_t found = 0;
  const double latest = median_ms(5, [&] { found = must(database->store->latest_samples()).size(); });
  fmt::print("  latest      of {} GPUs, whole samples: {:.1f} ms\n", found, latest);
}

void export_text(std::uint64_t rows) {
  SimulatedFleet fleet(kGpus, kStart, 1);
  std::string text;
  for (std::uint64_t written = 0; written < rows;) {
    for (const GpuSample& sample : fleet.tick()) {
      for (const GpuMetric& metric : gpu_metrics())
        if (const auto value = metric.get(sample))
          fmt::format_to(std::back_inserter(text), "{}{{gpu=\"{}\"}} {} {:.3f}\n", metric.name, sample.gpu_uuid.str(), *value,
                         static_cast<double>(to_unix_us(sample.sample_time)) / 1e6);
      ++written;
    }
    if (text.size() < 1 << 20) continue;
    std::fwrite(text.data(), 1, text.size(), stdout);
    text.clear();
  }
  text += "# EOF\n";
  std::fwrite(text.data(), 1, text.size(), stdout);
}

int run(int argc, char** argv) {
  CLI::App app("The history: how fast it is written, what it takes on disk, how fast it is read");
  std::uint64_t rows = 10'000'000;
  std::string kind = "both";
  bool text = false;
  app.add_option("--rows", rows, "rows of one GPU at one time");
  app.add_option("--store", kind)->check(CLI::IsMember({"sqlite", "postgresql", "both"}));
  app.add_flag("--export", text, "print the samples as OpenMetrics text");
  CLI11_PARSE(app, argc, argv);
  if (text) {
    export_text(rows);
    return 0;
  }
  for (const std::string store : {"sqlite", "postgresql"}) {
    if (kind != "both" && kind != store) continue;
    ingest(store, rows);
    query_fleet(store);
    std::fflush(stdout);
    if (store == "sqlite") {
      plain_rows_in_sqlite(rows / kFewerRows);
    } else {
      const auto database = open(store);
      plain_rows_in_postgres(rows / kFewerRows, database->database->url());
    }
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace aether::bench

int main(int argc, char** argv) { return aether::bench::run(argc, argv); }
