// Power cuts at any moment of a store's life: no accepted commit is lost, no file is damaged.
//   AETHER_POWER_LOSS_RUNS: cuts in EveryAcceptedCommitSurvives (default 50).
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "store/contract_harness.h"
#include "store/sample_block.h"
#include "store/sqlite/power_loss_vfs.h"
#include "store/sqlite/sqlite_files.h"
#include "store/sqlite/sqlite_store.h"

namespace aether::store {
namespace {

constexpr int kCutsPerDirectory = 10;
constexpr std::size_t kSamplesPerBatch = 24;  // an hour of two GPUs, one sample in five minutes

std::uint64_t runs() {
  const char* text = std::getenv("AETHER_POWER_LOSS_RUNS");
  return text ? std::strtoull(text, nullptr, 10) : 50;
}

// A store on a disk that fails, and what has been accepted of it.
class Machine {
 public:
  Machine(PowerLossVfs& disk, std::uint64_t seed) : disk_(disk), rng_(seed) {
    std::string name = std::string(std::filesystem::exists("/dev/shm") ? "/dev/shm" : "/tmp") + "/aether-power-XXXXXX";
    directory_ = mkdtemp(name.data());
  }
  ~Machine() { std::filesystem::remove_all(directory_); }

  // Writes until the power fails, then leaves the files as a disk may hold them. Empty, or what else went wrong.
  std::string work_until_cut() {
    disk_.cut_after(1 + rng_.below(rng_.chance(0.3) ? 60 : 2'000));
    std::string trouble;
    while (!disk_.is_off() && trouble.empty()) {  // a restart in order now and then, which syncs telemetry too
      auto store = SqliteStore::open({directory_});
      if (!store && !disk_.is_off()) trouble = store.error().message;
      for (std::uint64_t steps = rng_.below(40); store && steps > 0 && !disk_.is_off() && trouble.empty(); --steps)
        trouble = step(**store);
    }
    disk_.restore(rng_.chance(0.3) ? PowerLossVfs::Survives::kNothing : PowerLossVfs::Survives::kAnyPart, rng_);
    return trouble;
  }

  // Empty, or what is missing or damaged after the restart.
  std::string verify() {
    auto store = SqliteStore::open({directory_});
    if (!store) return "opening: " + store.error().message;
    auto state = (*store)->load();
    if (!state) return "loading: " + state.error().message;
    const auto jobs = static_cast<std::int64_t>(state->live_jobs.size());
    if (jobs < jobs_ || state->last_job_number != jobs) return "lost job " + std::to_string(jobs + 1);
    if (state->outbox.size() != state->live_jobs.size()) return "half a commit";
    const std::string setting = state->settings.contains("note") ? state->settings.at("note").substr(0, 20) : "";
    if (setting != setting_ && setting != setting_in_flight_) return "lost setting " + setting_;
    jobs_ = jobs;  // one that nobody was told of may be there
    setting_ = setting;
    return verify_files();
  }
  std::int64_t closed_hours() const { return closed_hours_; }

 private:
  std::string step(Store& store) {
    const std::uint64_t kind = rng_.below(10);
    auto done = kind < 5 ? submit(store) : kind < 7 ? set(store) : kind < 9 ? append(store) : maintain(store);
    return done || disk_.is_off() ? "" : done.error().message;
  }
  Result<void> submit(Store& store) {
    const Job job = contract::make_job(jobs_ + 1);
    AETHER_TRY(store.commit({PutJob{job}, PutOutbox{{job.id, 1}, 1, "start", "s", "p"}}));
    ++jobs_;
    return {};
  }
  // Long enough that the log is moved into the file again and again.
  Result<void> set(Store& store) {
    setting_in_flight_ = std::to_string(1'000'000 + rng_.below(1'000'000'000));
    setting_in_flight_.resize(20, '-');
    std::string value = setting_in_flight_;
    for (int i = 0; i < 10'000; ++i) value += static_cast<char>('a' + rng_.below(26));
    AETHER_TRY(store.commit({PutSetting{"note", value}}));
    setting_ = setting_in_flight_;
    return {};
  }
  Result<void> append(Store& store) {
    std::vector<GpuSample> samples;
    for (std::size_t i = 0; i < kSamplesPerBatch; ++i) {
      samples.push_back(contract::make_sample(i % 2 == 0 ? "GPU-0" : "GPU-1",
                                              now_ + contract::minutes(5 * static_cast<int>(i / 2)), ++sequence_));
      samples.back().power_draw_w = static_cast<double>(rng_.below(700'000)) / 1000;
    }
    now_ += contract::hours(1);
    return store.append_samples(samples);
  }
  Result<void> maintain(Store& store) {
    auto removed = store.maintain(now_ + contract::minutes(15));
    return removed ? Result<void>() : fail(removed.error());
  }

  std::string verify_files() {
    for (const char* name : {"/jobs.db", "/telemetry.db"}) {
      auto file = SqliteConnection::open(directory_ + name, Access::kRead, Durability::kEventually);
      if (!file) return file.error().message;
      auto found = (*file)->run("PRAGMA integrity_check");
      if (!found) return found.error().message;
      if (found->rows.front().text(0) != "ok") return std::string(name) + ": " + found->rows.front().text(0);
      if (name == std::string("/telemetry.db"))
        if (auto trouble = verify_samples(**file); !trouble.empty()) return trouble;
    }
    return "";
  }
  // Whole batches, and each sample counted once, whether it lies in a row or in a closed hour.
  std::string verify_samples(SqliteConnection& file) {
    auto found = file.run("SELECT (SELECT count(*) FROM samples), (SELECT value FROM telemetry_state WHERE name = 'sample_count')");
    auto blocks = file.run("SELECT data, sample_count FROM closed_hours");
    if (!found || !blocks) return "telemetry can't be read";
    std::int64_t samples = found->rows.front().integer(0);
    for (const SqlRow& row : blocks->rows) {
      const std::string data = row.text(0);
      auto block = SampleBlock::open(data);
      auto unpacked = block ? block->samples() : Result<std::vector<GpuSample>>(fail(block.error()));
      if (!unpacked) return unpacked.error().message;
      if (unpacked->size() != static_cast<std::size_t>(row.integer(1))) return "a closed hour counts wrongly";
      samples += row.integer(1);
    }
    closed_hours_ = std::max(closed_hours_, static_cast<std::int64_t>(blocks->rows.size()));
    if (samples != found->rows.front().integer(1)) return "samples are counted wrongly";
    return samples % static_cast<std::int64_t>(kSamplesPerBatch) == 0 ? "" : "half a batch of samples";
  }

  PowerLossVfs& disk_;
  Rng rng_;
  std::string directory_;
  std::int64_t jobs_ = 0;
  std::string setting_, setting_in_flight_;
  Time now_ = contract::kStart;
  std::uint64_t sequence_ = 0;
  std::int64_t closed_hours_ = 0;
};

TEST(PowerLoss, EveryAcceptedCommitSurvives) {
  PowerLossVfs disk(PowerLossVfs::Sync::kHonest);
  std::int64_t closed_hours = 0;
  for (std::uint64_t run = 0; run < runs();) {
    Machine machine(disk, run);
    for (int cut = 0; cut < kCutsPerDirectory && run < runs(); ++cut, ++run) {
      ASSERT_EQ(machine.work_until_cut(), "") << "run " << run;
      ASSERT_EQ(machine.verify(), "") << "run " << run;
    }
    closed_hours += machine.closed_hours();
  }
  EXPECT_TRUE(runs() < 50 || closed_hours > 0) << "no hour was ever closed: the test does not try what it should";
}

// The same test on a disk that keeps what it was told to sync in its cache: it must find what is lost there.
TEST(PowerLoss, ADiskThatOnlyClaimsToSyncIsFoundOut) {
  PowerLossVfs disk(PowerLossVfs::Sync::kClaimedOnly);
  int found = 0;
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    Machine machine(disk, seed);
    for (int cut = 0; cut < 3; ++cut)
      if (machine.work_until_cut().empty() && !machine.verify().empty()) {
        ++found;
        break;
      }
  }
  EXPECT_EQ(found, 5);
}

// Steps of a schema as a long-lived installation meets them: a table rebuilt with its rows, an index, a column.
std::vector<Migration> three_steps() {
  return {{1, "0001_first", "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1), (2), (3);"},
          {2, "0002_rebuilt",
           "CREATE TABLE b (x INTEGER PRIMARY KEY, y INTEGER); INSERT INTO b SELECT x, 10 * x FROM a; DROP TABLE a;"},
          {3, "0003_more", "ALTER TABLE b ADD COLUMN z TEXT NOT NULL DEFAULT 'new'; CREATE INDEX b_y ON b (y);"}};
}

// The one that is there afterwards: 30 = 10 * 3 from the first step's last row, read by way of the last step's column.
std::int64_t migrated_value(SqliteConnection& file) {
  auto found = file.run("SELECT max(y) FROM b WHERE z = 'new'");
  return found ? found->rows.front().integer(0) : -1;
}

// Stops at each write, sync and removal of a migration in turn, first as kill -9 does it, then as a power cut.
TEST(PowerLoss, AMigrationStoppedAtAnyMomentIsTakenUpAgain) {
  for (const auto survives : {PowerLossVfs::Survives::kEverything, PowerLossVfs::Survives::kAnyPart}) {
    int stops = 0;
    for (std::uint64_t operations = 1;; ++operations) {
      PowerLossVfs disk(PowerLossVfs::Sync::kHonest);
      Rng rng(operations);
      std::string directory = "/tmp/aether-power-XXXXXX";
      ASSERT_TRUE(mkdtemp(directory.data()));
      const std::string path = directory + "/test.db";
      const auto open = [&](const std::vector<Migration>& steps) {
        return open_for_writing(path, Durability::kEveryCommit, Check::kAfterUncleanStop, steps);
      };
      ASSERT_TRUE(open({three_steps().front()}));
      disk.cut_after(operations);
      (void)open(three_steps());
      const bool stopped = disk.is_off();
      disk.restore(survives, rng);
      auto again = open(three_steps());
      ASSERT_TRUE(again) << "stopped at " << operations << ": " << again.error().message;
      EXPECT_EQ(again->schema_version, 3);
      EXPECT_EQ(migrated_value(*again->connection), 30) << operations;
      EXPECT_TRUE(std::filesystem::exists(path + ".backup-v1")) << operations;
      again->connection.reset();
      auto backup = SqliteConnection::open(path + ".backup-v1", Access::kRead, Durability::kEventually);
      ASSERT_TRUE(backup) << backup.error().message;
      auto rows = (*backup)->run("SELECT sum(x) FROM a");
      ASSERT_TRUE(rows) << "stopped at " << operations << ": " << rows.error().message;
      EXPECT_EQ(rows->rows.front().integer(0), 6) << operations;
      backup->reset();
      std::filesystem::remove_all(directory);
      if (!stopped) break;
      ++stops;
    }
    EXPECT_GT(stops, 20) << "a migration has more moments than that";
  }
}

std::int64_t rows_after_cut(const std::string& synchronous) {
  PowerLossVfs disk(PowerLossVfs::Sync::kHonest);
  Rng rng(1);
  std::string directory = "/tmp/aether-power-XXXXXX";
  if (!mkdtemp(directory.data())) return -1;
  const std::string path = directory + "/test.db";
  const auto count = [&](SqliteConnection& file) {
    auto found = file.run("SELECT count(*) FROM a");
    return found ? found->rows.front().integer(0) : 0;
  };
  {
    auto file = SqliteConnection::open(path, Access::kWrite, Durability::kEveryCommit);
    EXPECT_TRUE(file && (*file)->run_script(synchronous));
    EXPECT_TRUE((*file)->run_script("CREATE TABLE a (x INTEGER)"));
    for (int i = 0; i < 10; ++i) EXPECT_TRUE((*file)->run_script("INSERT INTO a VALUES (1)"));
    EXPECT_EQ(count(**file), 10);
    disk.cut_after(1);
  }
  disk.restore(PowerLossVfs::Survives::kNothing, rng);
  auto file = SqliteConnection::open(path, Access::kWrite, Durability::kEveryCommit);
  const std::int64_t rows = file ? count(**file) : -1;
  file->reset();
  std::filesystem::remove_all(directory);
  return rows;
}

TEST(PowerLoss, WithoutSyncsCommitsAreLostAndWithThemNot) {
  EXPECT_EQ(rows_after_cut(""), 10);
  EXPECT_EQ(rows_after_cut("PRAGMA synchronous=OFF"), 0);
}

}  // namespace
}  // namespace aether::store
