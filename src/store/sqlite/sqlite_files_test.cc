#include "store/sqlite/sqlite_files.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace aether::store {
namespace {

class SqliteFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/aether-files-XXXXXX";
    directory_ = mkdtemp(name);
    path_ = directory_ + "/test.db";
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  Result<OpenedFile> open(const std::vector<Migration>& migrations) {
    return open_for_writing(path_, Durability::kEveryCommit, Check::kAfterUncleanStop, migrations);
  }
  static std::int64_t count(SqliteConnection& connection, const std::string& table) {
    auto found = connection.run("SELECT count(*) FROM " + table);
    return found ? found->rows.front().integer(0) : -1;
  }
  std::string directory_, path_;
  const Migration first_{1, "0001_first", "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (7);"};
  const Migration second_{2, "0002_second",
                          "CREATE TABLE b (x INTEGER); INSERT INTO b SELECT x FROM a; DROP TABLE a;"};
};

TEST_F(SqliteFiles, AMigrationTakesABackupFirst) {
  ASSERT_TRUE(open({first_}));
  EXPECT_FALSE(std::filesystem::exists(path_ + ".backup-v1"));
  auto file = open({first_, second_});
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->schema_version, 2);
  EXPECT_EQ(count(*file->connection, "b"), 1);
  auto backup = SqliteConnection::open(path_ + ".backup-v1", Access::kRead, Durability::kEventually);
  ASSERT_TRUE(backup);
  EXPECT_EQ(count(**backup, "a"), 1);
}

TEST_F(SqliteFiles, AFailedStepLeavesTheOldSchema) {
  ASSERT_TRUE(open({first_}));
  auto failed =
      open({first_, {2, "0002_bad", "CREATE TABLE b (x INTEGER); INSERT INTO nowhere VALUES (1);"}});
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().message.find("0002_bad"), std::string::npos);
  auto file = open({first_});
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(count(*file->connection, "a"), 1);
  EXPECT_EQ(count(*file->connection, "b"), -1);
}

TEST_F(SqliteFiles, ANewerSchemaIsRefused) {
  ASSERT_TRUE(open({first_, second_}));
  auto refused = open({first_});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(refused.error().message.find("schema version 2"), std::string::npos);
}

TEST_F(SqliteFiles, AFileThatIsNoDatabaseIsCorrupt) {
  std::ofstream(path_) << std::string(8192, 'x');
  auto refused = open({first_});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(refused.error().message.find(path_), std::string::npos);
}

TEST_F(SqliteFiles, DamageIsFoundAfterAnUncleanStop) {
  {
    auto file = open({first_});
    ASSERT_TRUE(file);
    ASSERT_TRUE(file->connection->run_script(
        "CREATE TABLE wide (t TEXT); CREATE INDEX wide_t ON wide (t);"
        "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 3000) "
        "INSERT INTO wide SELECT hex(randomblob(40)) FROM n;"));
  }
  {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(20 * 4096);
    file << std::string(40 * 4096, '\xff');
  }
  EXPECT_TRUE(open({first_}));  // stopped in order: not read through
  std::ofstream(path_ + "-wal") << std::string(64, '\0');
  auto refused = open({first_});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kCorrupt);
}

TEST_F(SqliteFiles, AStatementSeesItsParametersByNumber) {
  auto file = open({first_});
  ASSERT_TRUE(file);
  auto found = file->connection->run("SELECT $2, $1, $1", {std::int64_t{1}, std::string("two")});
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->rows[0].text(0), "two");
  EXPECT_EQ(found->rows[0].integer(1), 1);
  EXPECT_EQ(found->rows[0].integer(2), 1);
}

}  // namespace
}  // namespace aether::store
