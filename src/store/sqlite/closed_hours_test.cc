#include "store/sqlite/closed_hours.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "store/contract_harness.h"
#include "store/sqlite/sqlite_files.h"
#include "store/sqlite/sqlite_store.h"

namespace aether::store {
namespace {

using contract::hours;
using contract::kStart;
using contract::minutes;
using contract::seconds;

class ClosedHours : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/aether-closed-XXXXXX";
    directory_ = mkdtemp(name);
  }
  void TearDown() override {
    file_.reset();
    store_.reset();
    std::filesystem::remove_all(directory_);
  }
  void open() {
    file_.reset();
    store_.reset();
    auto store = SqliteStore::open({directory_});
    ASSERT_TRUE(store) << store.error().message;
    store_ = std::move(*store);
    auto file = SqliteConnection::open(directory_ + "/telemetry.db", Access::kWrite, Durability::kEventually);
    ASSERT_TRUE(file) << file.error().message;
    file_ = std::move(*file);
  }
  std::int64_t number(const std::string& sql) {
    auto found = file_->run(sql);
    EXPECT_TRUE(found) << found.error().message;
    return found ? found->rows.front().integer(0) : -1;
  }
  // One sample every 10 s for `span` from kStart on.
  static std::vector<GpuSample> samples(const std::string& gpu, Duration span) {
    std::vector<GpuSample> list;
    for (Time time = kStart; time < kStart + span; time += seconds(10)) {
      list.push_back(contract::make_sample(gpu, time, list.size() + 1));
      list.back().temperature_c = static_cast<double>(list.size() % 50);
    }
    return list;
  }
  Result<Series> temperatures(int hour) {
    return store_->series({GpuUuid("GPU-0"), {"temperature_c"}, kStart + hours(hour), kStart + hours(hour + 1), seconds(10)});
  }
  std::string directory_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<SqliteConnection> file_;
};

TEST_F(ClosedHours, RowsBecomeBlocksOnceTheirHourIsOver) {
  open();
  STORE_OK(store_->append_samples(samples("GPU-0", hours(2))));
  STORE_OK(store_->append_samples(samples("GPU-1", hours(2))));
  STORE_OK(store_->maintain(kStart + hours(1) + minutes(9)));
  EXPECT_EQ(number("SELECT count(*) FROM closed_hours"), 0) << "ten minutes are left for what comes late";
  STORE_OK(store_->maintain(kStart + hours(1) + minutes(11)));
  EXPECT_EQ(number("SELECT count(*) FROM closed_hours"), 2);
  EXPECT_EQ(number("SELECT count(*) FROM samples"), 720);
  EXPECT_EQ(number("SELECT sum(sample_count) FROM closed_hours"), 720);
  EXPECT_EQ(store_->count_samples().value_or(0), 1440u);
  for (int hour = 0; hour < 2; ++hour) {
    auto series = temperatures(hour);
    STORE_OK(series);
    const auto& mean = series->columns.at("temperature_c").mean;
    ASSERT_EQ(mean.size(), 360u);
    for (int i = 0; i < 360; ++i) ASSERT_EQ(mean[static_cast<std::size_t>(i)], (hour * 360 + i + 1) % 50) << hour << " " << i;
  }
}

TEST_F(ClosedHours, ALateSampleOpensOnlyItsOwnHour) {
  open();
  STORE_OK(store_->append_samples(samples("GPU-0", hours(2))));
  STORE_OK(store_->append_samples(samples("GPU-1", hours(2))));
  STORE_OK(store_->maintain(kStart + hours(3)));
  ASSERT_EQ(number("SELECT count(*) FROM closed_hours"), 4);
  ASSERT_EQ(number("SELECT count(*) FROM samples"), 0);

  GpuSample late = contract::make_sample("GPU-0", kStart + seconds(5), 9'999);
  late.temperature_c = 100;
  STORE_OK(store_->append_samples({late}));
  STORE_OK(store_->append_samples(samples("GPU-0", hours(2))));  // all known
  EXPECT_EQ(number("SELECT count(*) FROM samples"), 1);
  EXPECT_EQ(store_->count_samples().value_or(0), 1441u);
  auto series = temperatures(0);
  STORE_OK(series);
  EXPECT_EQ(series->columns.at("temperature_c").max[0], 100) << "read before it is packed";

  STORE_OK(store_->maintain(kStart + hours(3) + minutes(1)));
  EXPECT_EQ(number("SELECT count(*) FROM samples"), 0);
  EXPECT_EQ(number("SELECT max(sample_count) FROM closed_hours"), 361);
  EXPECT_EQ(store_->count_samples().value_or(0), 1441u);
  auto minute = store_->series({GpuUuid("GPU-0"), {"temperature_c"}, kStart, kStart + hours(1), minutes(1)});
  STORE_OK(minute);
  EXPECT_EQ(minute->columns.at("temperature_c").max[0], 100);
  EXPECT_EQ(minute->columns.at("temperature_c").min[0], 1) << "the minute's other samples still count";
}

TEST_F(ClosedHours, ADamagedBlockIsSaidAndHoldsUpNothing) {
  open();
  STORE_OK(store_->append_samples(samples("GPU-0", hours(2))));
  STORE_OK(store_->maintain(kStart + hours(3)));
  ASSERT_TRUE(file_->run("UPDATE closed_hours SET data = zeroblob(100) WHERE time_us = $1", {to_unix_us(kStart)}));
  auto series = temperatures(0);
  ASSERT_FALSE(series);
  EXPECT_EQ(series.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(series.error().message.find(format_rfc3339(kStart)), std::string::npos) << series.error().message;
  STORE_OK(temperatures(1));
  auto before = store_->series({GpuUuid("GPU-0"), {"temperature_c"}, kStart, kStart + hours(1), minutes(1)});
  STORE_OK(store_->append_samples({contract::make_sample("GPU-0", kStart + seconds(5), 9'999)}));
  STORE_OK(store_->maintain(kStart + hours(4)));
  auto after = store_->series({GpuUuid("GPU-0"), {"temperature_c"}, kStart, kStart + hours(1), minutes(1)});
  STORE_OK(before);
  STORE_OK(after);
  EXPECT_EQ(before->columns.at("temperature_c").mean, after->columns.at("temperature_c").mean) << "rollups stay";
  open();
  STORE_OK(store_->latest_samples());
}

TEST_F(ClosedHours, RetentionRemovesWholeBlocks) {
  open();
  STORE_OK(store_->append_samples(samples("GPU-0", hours(5))));
  STORE_OK(store_->maintain(kStart + hours(6)));
  ASSERT_EQ(number("SELECT count(*) FROM closed_hours"), 5);
  auto removed = store_->maintain(kStart + Retention().raw + hours(2) + minutes(30));
  STORE_OK(removed);
  EXPECT_EQ(*removed, 720u);
  EXPECT_EQ(number("SELECT min(time_us) FROM closed_hours"), to_unix_us(kStart + hours(2)));
  EXPECT_EQ(store_->count_samples().value_or(0), 1080u);
}

// A file of the first schema: its rows are served at once, and packed by the next maintenance.
TEST_F(ClosedHours, AFileOfTheSchemaBeforeIsTakenOver) {
  const std::string path = directory_ + "/telemetry.db";
  {
    auto old = open_for_writing(path, Durability::kEventually, Check::kNever, {sqlite_telemetry_migrations().front()});
    ASSERT_TRUE(old) << old.error().message;
    ASSERT_TRUE(old->connection->run_script("INSERT INTO gpus VALUES (1, 'GPU-0', 'node-1', 0, 'Simulated GPU')"));
    for (int i = 0; i < 360; ++i) {
      const std::int64_t time_us = to_unix_us(kStart) + std::int64_t{i} * 10'000'000;
      ASSERT_TRUE(old->connection->run(
          "INSERT INTO samples (bucket, gpu_id, time_us, sample_seq, temperature_c) VALUES ($1, 1, $2, $3, $4)",
          {time_us / kBucketUs, time_us, std::int64_t{i} + 1, static_cast<double>(i % 50)}));
    }
    ASSERT_TRUE(old->connection->run_script("UPDATE telemetry_state SET value = 360 WHERE name = 'sample_count'"));
  }
  open();
  EXPECT_TRUE(std::filesystem::exists(path + ".backup-v1"));
  auto before = temperatures(0);
  STORE_OK(before);
  EXPECT_EQ(before->columns.at("temperature_c").mean[49], 49);
  STORE_OK(store_->maintain(kStart + hours(3)));
  EXPECT_EQ(number("SELECT count(*) FROM samples"), 0);
  auto after = temperatures(0);
  STORE_OK(after);
  EXPECT_EQ(after->columns.at("temperature_c").mean, before->columns.at("temperature_c").mean);
  auto latest = store_->latest_samples();
  STORE_OK(latest);
  EXPECT_EQ(latest->size(), 1u);
}

}  // namespace
}  // namespace aether::store
