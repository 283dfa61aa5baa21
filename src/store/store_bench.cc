// Ingest, commits and history of both stores. Sizes are fixed: 64 or 1,000 GPUs at 1 Hz, 20 metrics each.
//   AETHER_BENCH_DIR: where SQLite's files go (default /tmp).  PostgreSQL: as in the tests.
#include <benchmark/benchmark.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "base/rng.h"
#include "base/ulid.h"
#include "store/postgres/postgres_store.h"
#include "store/postgres/test_server.h"
#include "store/sqlite/sqlite_store.h"

namespace aether {
namespace {

constexpr Time kStart{Duration(1'800'000'000'000'000)};

struct Database {
  std::string directory;
  std::unique_ptr<store::TestDatabase> server_database;
  std::unique_ptr<Store> store;
  ~Database() {
    store.reset();
    std::error_code ignored;
    if (!directory.empty()) std::filesystem::remove_all(directory, ignored);
  }
};

store::TestServer* server() {
  static auto started = store::TestServer::start(store::TestServer::Fsync::kOn);
  return started ? started->get() : nullptr;
}

// 0 = SQLite, 1 = PostgreSQL.
std::unique_ptr<Database> open(benchmark::State& state, std::int64_t kind) {
  auto database = std::make_unique<Database>();
  Result<std::unique_ptr<Store>> opened;
  if (kind == 0) {
    const char* base = std::getenv("AETHER_BENCH_DIR");
    std::string name = std::string(base ? base : "/tmp") + "/aether-bench-XXXXXX";
    database->directory = mkdtemp(name.data()) ? name : std::string();
    opened = SqliteStore::open({database->directory});
  } else {
    if (!server()) {
      state.SkipWithError("no PostgreSQL");
      return nullptr;
    }
    auto made = server()->make_database();
    if (!made) {
      state.SkipWithError(made.error().message.c_str());
      return nullptr;
    }
    database->server_database = std::move(*made);
    PostgresStore::Options options;
    options.url = database->server_database->url();
    opened = PostgresStore::open(options);
  }
  if (!opened) {
    state.SkipWithError(opened.error().message.c_str());
    return nullptr;
  }
  database->store = std::move(*opened);
  state.SetLabel(database->store->info().name);
  return database;
}

std::vector<GpuSample> make_tick(int gpus, std::int64_t tick, Rng& rng) {
  std::vector<GpuSample> samples(static_cast<std::size_t>(gpus));
  for (int i = 0; i < gpus; ++i) {
    GpuSample& sample = samples[static_cast<std::size_t>(i)];
    sample.gpu_uuid = GpuUuid("GPU-00000000-0000-0000-0000-" + std::to_string(100000000 + i));
    sample.node = NodeId("node-" + std::to_string(i / 8));
    sample.gpu_index = i % 8;
    sample.gpu_name = "NVIDIA H100 80GB HBM3";
    sample.sample_seq = static_cast<std::uint64_t>(tick) + 1;
    // Nodes tick at their own moments, not at whole seconds.
    sample.sample_time = kStart + std::chrono::seconds(tick) + Duration(i / 8 * 1'237);
    sample.temperature_c = static_cast<double>(55 + rng.below(10));
    sample.temperature_mem_c = static_cast<double>(60 + rng.below(10));
    sample.utilization_gpu = static_cast<double>(rng.below(101));
    sample.utilization_memory_controller = static_cast<double>(rng.below(101));
    sample.utilization_encoder_pct = sample.utilization_decoder_pct = 0;
    sample.memory_used_mb = 40'000 + static_cast<std::int64_t>(rng.below(1'000));
    sample.memory_total_mb = 81'559;
    sample.memory_reserved_mb = 551;
    sample.power_draw_w = 300 + static_cast<double>(rng.below(100'000)) / 1'000;
    sample.power_limit_w = 700;
    sample.energy_total_mj =
        1'000'000'000ULL + static_cast<std::uint64_t>(tick) * 300'000 + rng.below(100'000);
    sample.clock_gpu_mhz = sample.clock_sm_mhz = static_cast<double>(1'900 + 15 * rng.below(5));
    sample.clock_mem_mhz = 2'619;
    sample.performance_state = "P0";
    sample.throttling_reasons = "none";
    sample.throttling_reasons_mask = sample.ecc_sbe_volatile_total = sample.ecc_dbe_volatile_total = 0;
    sample.pcie_replay_total = 0;
  }
  return samples;
}

// Appends `ticks` ticks, `per_batch` in each batch, as ingestion does under load.
bool fill(benchmark::State& state, Store& store, int gpus, std::int64_t ticks, std::int64_t per_batch) {
  Rng rng(1);
  for (std::int64_t tick = 0; tick < ticks; tick += per_batch) {
    std::vector<GpuSample> batch;
    for (std::int64_t i = tick; i < std::min(ticks, tick + per_batch); ++i)
      for (GpuSample& sample : make_tick(gpus, i, rng)) batch.push_back(std::move(sample));
    if (auto done = store.append_samples(batch); !done) {
      state.SkipWithError(done.error().message.c_str());
      return false;
    }
  }
  return true;
}

// Arguments: kind, GPUs, ticks per batch.
void BM_AppendSamples(benchmark::State& state) {
  auto database = open(state, state.range(0));
  if (!database) return;
  const int gpus = static_cast<int>(state.range(1));
  Rng rng(1);
  std::int64_t tick = 0, rows = 0;
  std::vector<GpuSample> batch;
  for (auto _ : state) {
    state.PauseTiming();
    batch.clear();
    for (std::int64_t i = 0; i < state.range(2); ++i)
      for (GpuSample& sample : make_tick(gpus, tick++, rng)) batch.push_back(std::move(sample));
    state.ResumeTiming();
    if (auto done = database->store->append_samples(batch); !done)
      state.SkipWithError(done.error().message.c_str());
    rows += static_cast<std::int64_t>(batch.size());
  }
  state.SetItemsProcessed(rows);
  std::error_code ignored;
  if (!database->directory.empty())
    state.counters["bytes_per_row"] =
        static_cast<double>(std::filesystem::file_size(database->directory + "/telemetry.db", ignored)) /
        static_cast<double>(rows);
}
BENCHMARK(BM_AppendSamples)
    ->ArgNames({"store", "gpus", "ticks"})
    ->Args({0, 64, 1})
    ->Args({0, 64, 16})
    ->Args({0, 1000, 1})
    ->Args({0, 1000, 4})
    ->Args({1, 64, 1})
    ->Args({1, 64, 16})
    ->Args({1, 1000, 1})
    ->Args({1, 1000, 10})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond)
    ->MinTime(2);

// Arguments: kind, writes per commit (a submission is a job and an event).
void BM_Commit(benchmark::State& state) {
  auto database = open(state, state.range(0));
  if (!database) return;
  std::int64_t number = 0;
  for (auto _ : state) {
    std::vector<Write> writes;
    for (std::int64_t i = 0; i < state.range(1); ++i) {
      Job job;
      job.number = ++number;
      job.id = JobId(make_ulid(kStart + Duration(1000 * number), 1, static_cast<std::uint64_t>(number)));
      job.user = "ada";
      job.spec.name = "train";
      job.spec.argv = {"python3", "train.py", "--epochs", "10"};
      job.submitted_at = kStart;
      writes.emplace_back(PutJob{job});
      writes.emplace_back(PutEvent{{job.id, kStart, "", "PENDING", "user", "submitted", 0, 0}});
    }
    if (auto done = database->store->commit(writes); !done) state.SkipWithError(done.error().message.c_str());
  }
  state.counters["commits"] =
      benchmark::Counter(static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
  state.counters["jobs"] = benchmark::Counter(static_cast<double>(number), benchmark::Counter::kIsRate);
}
BENCHMARK(BM_Commit)
    ->ArgNames({"store", "jobs"})
    ->ArgsProduct({{0, 1}, {1, 16, 128}})
    ->UseRealTime()
    ->MinTime(1);

// Arguments: kind, GPUs, 1 = after maintain(). 15 minutes of one GPU, five metrics, step 1 s.
void BM_SeriesOf15MinutesRaw(benchmark::State& state) {
  auto database = open(state, state.range(0));
  if (!database) return;
  const int gpus = static_cast<int>(state.range(1));
  if (!fill(state, *database->store, gpus, 1'200, 10)) return;
  std::uint64_t gpu = 0;
  for (auto _ : state) {
    SeriesQuery query;
    query.gpu_uuid = GpuUuid("GPU-00000000-0000-0000-0000-" + std::to_string(100000000 + gpu++ % gpus));
    query.metrics = {"temperature_c", "power_draw_w", "utilization_gpu", "memory_used_mb", "clock_sm_mhz"};
    query.from = kStart + std::chrono::seconds(200);
    query.to = query.from + std::chrono::minutes(15);
    query.step = std::chrono::seconds(1);
    auto series = database->store->series(query);
    if (!series) state.SkipWithError(series.error().message.c_str());
    benchmark::DoNotOptimize(series);
  }
}
BENCHMARK(BM_SeriesOf15MinutesRaw)
    ->ArgNames({"store", "gpus"})
    ->ArgsProduct({{0, 1}, {64, 1000}})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond)
    ->MinTime(1);

// One minute of all GPUs becomes rollups.
void BM_MaintainOneMinute(benchmark::State& state) {
  auto database = open(state, state.range(0));
  if (!database) return;
  if (!fill(state, *database->store, static_cast<int>(state.range(1)), 60 * 12, 10)) return;
  std::int64_t minute = 1;
  (void)database->store->maintain(kStart + std::chrono::seconds(30) + std::chrono::minutes(minute));
  for (auto _ : state) {
    auto done = database->store->maintain(kStart + std::chrono::seconds(30) + std::chrono::minutes(++minute));
    if (!done) state.SkipWithError(done.error().message.c_str());
  }
}
BENCHMARK(BM_MaintainOneMinute)
    ->ArgNames({"store", "gpus"})
    ->ArgsProduct({{0, 1}, {64, 1000}})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond)
    ->Iterations(10);

void BM_LatestSamples(benchmark::State& state) {
  auto database = open(state, state.range(0));
  if (!database) return;
  if (!fill(state, *database->store, static_cast<int>(state.range(1)), 120, 10)) return;
  for (auto _ : state) {
    auto latest = database->store->latest_samples();
    if (!latest) state.SkipWithError(latest.error().message.c_str());
  }
}
BENCHMARK(BM_LatestSamples)
    ->ArgNames({"store", "gpus"})
    ->ArgsProduct({{0, 1}, {64, 1000}})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond)
    ->MinTime(0.5);

}  // namespace
}  // namespace aether
