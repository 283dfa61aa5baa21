#include "store/sqlite/sqlite_backup.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/files.h"
#include "base/rng.h"
#include "store/contract_harness.h"
#include "store/sqlite/sqlite_inspect.h"
#include "store/sqlite/sqlite_store.h"

namespace aether::store {
namespace {

namespace fs = std::filesystem;

class Backup : public testing::Test {
 protected:
  Backup() {
    std::string pattern = (fs::temp_directory_path() / "aether-backup-XXXXXX").string();
    root_ = mkdtemp(pattern.data());
    directory_ = root_ + "/store";
    backup_ = root_ + "/backup";
  }
  ~Backup() override {
    std::error_code ignored;
    fs::remove_all(root_, ignored);
  }
  std::unique_ptr<Store> open() {
    auto store = SqliteStore::open({directory_});
    EXPECT_TRUE(store) << store.error().message;
    return store ? std::move(*store) : nullptr;
  }
  // Job `number`, an audit line and a sample.
  void write(Store& store, std::int64_t number) {
    const Job job = contract::make_job(number);
    ASSERT_TRUE(store.commit({PutJob{job}, PutAudit{{contract::kStart, "ada", "submit", job.id.str(), ""}}}));
    ASSERT_TRUE(store.append_samples({contract::make_sample("GPU-0", contract::kStart + std::chrono::seconds(number), 1)}));
  }
  std::vector<std::int64_t> jobs() {
    auto store = open();
    return contract::numbers(store->find_jobs({}).value_or(std::vector<Job>()));
  }
  std::string verdicts(Depth depth = Depth::kQuick) {
    std::string out;
    for (const Finding& finding : inspect_sqlite(directory_, depth))
      out += finding.verdict == Finding::Verdict::kOk ? "o" : finding.verdict == Finding::Verdict::kWarn ? "w" : "F";
    return out;
  }

  std::string root_, directory_, backup_;
};

TEST_F(Backup, IsTakenWhileTheStoreIsInUseAndComesBackWhole) {
  auto store = open();
  for (int i = 1; i <= 20; ++i) write(*store, i);
  const auto taken = back_up_sqlite(directory_, backup_);
  ASSERT_TRUE(taken) << taken.error().message;
  EXPECT_EQ(taken->jobs, 20);
  EXPECT_EQ(taken->audit_lines, 20);
  EXPECT_EQ(taken->samples, 20);
  EXPECT_EQ(fs::status(backup_ + "/jobs.db").permissions() & fs::perms::all, fs::perms::owner_read | fs::perms::owner_write);
  write(*store, 21);
  EXPECT_EQ(back_up_sqlite(directory_, backup_).error().code, ErrorCode::kConflict);

  const auto refused = restore_sqlite(backup_, directory_, contract::kStart);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kConflict);
  EXPECT_NE(refused.error().message.find(std::to_string(getpid())), std::string::npos);
  store.reset();
  EXPECT_EQ(jobs().size(), 21u);

  const auto restored = restore_sqlite(backup_, directory_, contract::kStart);
  ASSERT_TRUE(restored) << restored.error().message;
  EXPECT_EQ(jobs().size(), 20u);
  EXPECT_TRUE(fs::exists(restored->moved_aside + "/jobs.db"));
  EXPECT_FALSE(fs::exists(directory_ + kRestoringSuffix));
  directory_ = restored->moved_aside;
  EXPECT_EQ(jobs().size(), 21u);  // what was there before is whole too
}

TEST_F(Backup, RestoresIntoAnEmptyPlaceAndFromAReadOnlyBackup) {
  write(*open(), 1);
  ASSERT_TRUE(back_up_sqlite(directory_, backup_));
  for (const char* file : {"jobs.db", "telemetry.db", "SHA256SUMS"}) fs::permissions(backup_ + "/" + file, fs::perms::owner_read);
  fs::permissions(backup_, fs::perms::owner_read | fs::perms::owner_exec);
  directory_ = root_ + "/elsewhere";
  const auto restored = restore_sqlite(backup_, directory_, contract::kStart);
  fs::permissions(backup_, fs::perms::owner_all);
  ASSERT_TRUE(restored) << restored.error().message;
  EXPECT_EQ(restored->moved_aside, "");
  EXPECT_EQ(jobs(), std::vector<std::int64_t>{1});
}

// Whatever byte is flipped, nothing of it is ever restored.
TEST_F(Backup, ADamagedBackupIsNeverRestored) {
  {
    auto store = open();
    for (int i = 1; i <= 5; ++i) write(*store, i);
    ASSERT_TRUE(back_up_sqlite(directory_, backup_));
    write(*store, 6);
  }
  Rng rng(7);
  for (int round = 0; round < 40; ++round) {
    const std::string path = backup_ + (round % 2 == 0 ? "/jobs.db" : "/telemetry.db");
    const std::string whole = read_file(path).value();
    std::string damaged = whole;
    damaged[rng.below(damaged.size())] ^= static_cast<char>(1 + rng.below(255));
    std::ofstream(path, std::ios::binary) << damaged;
    const auto refused = restore_sqlite(backup_, directory_, contract::kStart);
    ASSERT_FALSE(refused) << round;
    EXPECT_EQ(refused.error().code, ErrorCode::kCorrupt) << refused.error().message;
    std::ofstream(path, std::ios::binary) << whole;
  }
  EXPECT_EQ(jobs().size(), 6u);
  fs::remove(backup_ + "/SHA256SUMS");
  EXPECT_FALSE(restore_sqlite(backup_, directory_, contract::kStart));
  EXPECT_FALSE(verify_sqlite_backup(root_ + "/nothing"));
}

// A backup whose sums were made again after a line of the audit log was changed.
TEST_F(Backup, AForgedAuditLogIsRefused) {
  {
    auto store = open();
    for (int i = 1; i <= 3; ++i) write(*store, i);
    auto connection = SqliteConnection::open(directory_ + "/jobs.db", Access::kWrite, Durability::kEveryCommit);
    ASSERT_TRUE(connection);
    ASSERT_TRUE((*connection)->run_script("DROP TRIGGER audit_is_never_changed; UPDATE audit SET actor = 'bob' WHERE seq = 2"));
  }
  const auto refused = back_up_sqlite(directory_, backup_);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("line 2"), std::string::npos);
  EXPECT_FALSE(fs::exists(backup_));
  EXPECT_EQ(verdicts(), "oooF");
}

TEST_F(Backup, ANewerSchemaIsRefused) {
  write(*open(), 1);
  ASSERT_TRUE(back_up_sqlite(directory_, backup_));
  auto connection = SqliteConnection::open(directory_ + "/jobs.db", Access::kWrite, Durability::kEveryCommit);
  ASSERT_TRUE((*connection)->run_script("INSERT INTO schema_version VALUES (99, 'later')"));
  connection->reset();
  EXPECT_EQ(back_up_sqlite(directory_, root_ + "/second").error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(verdicts(), "oFoo");
}

TEST_F(Backup, InspectionSaysWhatIsWrongAndWhatToDo) {
  EXPECT_EQ(verdicts(), "w");  // nothing there yet
  {
    auto store = open();
    for (int i = 1; i <= 50; ++i) write(*store, i);
    EXPECT_EQ(verdicts(), "oooo");  // in use
  }
  EXPECT_EQ(verdicts(Depth::kEverything), "oooo");
  // The middle of the file: pages of tables and indexes.
  std::string bytes = read_file(directory_ + "/jobs.db").value();
  for (std::size_t i = 4096 * 3; i < bytes.size(); i += 97) bytes[i] ^= 0x55;
  std::ofstream(directory_ + "/jobs.db", std::ios::binary) << bytes;
  const auto findings = inspect_sqlite(directory_, Depth::kQuick);
  ASSERT_EQ(findings.size(), 4u);
  EXPECT_EQ(findings[1].verdict, Finding::Verdict::kFail);
  EXPECT_NE(findings[1].next.find("aether restore"), std::string::npos);
  EXPECT_EQ(findings[2].verdict, Finding::Verdict::kOk);
}

}  // namespace
}  // namespace aether::store
