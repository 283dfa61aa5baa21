// What a year of telemetry takes on disk: eight GPUs at 1 Hz with the default retention, appended and maintained by a
// clock that runs as fast as the store does. A part of the year shows what each level takes per row, the rest is counted.
//   AETHER_YEAR_DAYS: how much of it (default 0.17: four hours; 365 is the whole year, some hours of work).
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "simulated_fleet.h"
#include "store/sqlite/sqlite_connection.h"
#include "store/sqlite/sqlite_store.h"

namespace aether {
namespace {

// README.md, "What it promises".
constexpr double kPromisedMb = 200;

constexpr int kGpus = 8;
constexpr Time kStart{Duration(1'800'000'000'000'000)};
constexpr std::int64_t kTicksPerBatch = 60;

double days() {
  const char* text = std::getenv("AETHER_YEAR_DAYS");
  return text ? std::strtod(text, nullptr) : 0.17;
}

class Year : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/aether-year-XXXXXX";
    directory_ = mkdtemp(name);
    auto store = SqliteStore::open({directory_});
    ASSERT_TRUE(store) << store.error().message;
    store_ = std::move(*store);
  }
  void TearDown() override {
    store_.reset();
    std::filesystem::remove_all(directory_);
  }

  // Maintenance once an hour of that time: what it does by the minute, in one go.
  void run() {
    SimulatedFleet fleet(kGpus, kStart, 1);
    const auto seconds = static_cast<std::int64_t>(days() * 86'400);
    std::vector<GpuSample> batch;
    for (std::int64_t tick = 1; tick <= seconds; ++tick) {
      for (GpuSample& sample : fleet.tick()) batch.push_back(std::move(sample));
      if (tick % kTicksPerBatch == 0) {
        auto appended = store_->append_samples(batch);
        ASSERT_TRUE(appended) << appended.error().message;
        batch.clear();
      }
      if (tick % 3'600 == 900) {
        auto maintained = store_->maintain(fleet.now());
        ASSERT_TRUE(maintained) << maintained.error().message;
      }
    }
  }

  // Rows of a table and what its pages take.
  struct Level {
    double rows = 0, bytes = 0;
  };
  Level level(const std::string& table, const std::string& rows) {
    auto file = store::SqliteConnection::open(directory_ + "/telemetry.db", store::Access::kRead,
                                              store::Durability::kEventually);
    EXPECT_TRUE(file) << file.error().message;
    auto found = (*file)->run(fmt::format(
        "SELECT (SELECT CAST({0} AS REAL) FROM {1}), (SELECT CAST(sum(pgsize) AS REAL) FROM dbstat WHERE name = '{1}')", rows, table));
    EXPECT_TRUE(found) << found.error().message;
    if (!found) return {};
    return {found->rows.front().optional_real(0).value_or(0), found->rows.front().optional_real(1).value_or(0)};
  }

  std::string directory_;
  std::unique_ptr<Store> store_;
};

TEST_F(Year, OfEightGpusFitsWhatTheReadmeSays) {
  run();
  const store::Retention retention;
  const double open_s = 3'600 + static_cast<double>(store::kCloseDelay.count()) + 300;
  struct Line {
    const char *name, *table, *rows;
    double rows_per_gpu;  // in a year's end
  };
  double total = 0;
  fmt::print("{} GPUs at 1 Hz, {:.2f} days run, a year counted; default retention: raw {} h, minutes {} days, hours {} days\n",
             kGpus, days(), retention.raw.count() / 3'600, retention.minutes.count() / 86'400, retention.hours.count() / 86'400);
  for (const Line& line : {
           Line{"samples, open hour", "samples", "count(*)", open_s},
           Line{"samples, closed hours", "closed_hours", "sum(sample_count)", static_cast<double>(retention.raw.count())},
           Line{"minutes", "rollup_1m", "count(*)", static_cast<double>(retention.minutes.count()) / 60},
           Line{"hours", "rollup_1h", "count(*)", std::min(static_cast<double>(retention.hours.count()), 365.0 * 86'400) / 3'600}}) {
    const Level found = level(line.table, line.rows);
    ASSERT_GT(found.rows, 0) << line.table;
    const double megabytes = found.bytes / found.rows * line.rows_per_gpu * kGpus / 1e6;
    fmt::print("  {:24} {:7.1f} bytes per row, {:9.0f} rows: {:6.1f} MB\n", line.name, found.bytes / found.rows,
               line.rows_per_gpu * kGpus, megabytes);
    total += megabytes;
  }
  const double file = static_cast<double>(std::filesystem::file_size(directory_ + "/telemetry.db")) / 1e6;
  fmt::print("  a year: {:.0f} MB; the file now: {:.1f} MB; promised: {:.0f} MB\n", total, file, kPromisedMb);
  EXPECT_LT(days() < 365 ? total : file, kPromisedMb);
}

}  // namespace
}  // namespace aether
