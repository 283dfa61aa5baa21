#include "store/sqlite/sqlite_store.h"

#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "store/contract_test.h"
#include "store/sqlite/sqlite_files.h"

namespace aether {
namespace {

struct TemporaryDirectory {
  std::string path;
  TemporaryDirectory() {
    char name[] = "/tmp/aether-store-XXXXXX";
    path = mkdtemp(name);
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};

class SqliteHarness final : public StoreHarness {
 public:
  Result<std::unique_ptr<Store>> open(store::Retention retention) override {
    return SqliteStore::open({directory_.path, retention});
  }

 private:
  TemporaryDirectory directory_;
};

INSTANTIATE_TEST_SUITE_P(Sqlite, StoreContract,
                         ::testing::Values(HarnessFactory{[]() -> Result<std::unique_ptr<StoreHarness>> {
                           return std::make_unique<SqliteHarness>();
                         }}),
                         [](const auto&) { return "Embedded"; });

TEST(SqliteStore, ASecondWriterIsRefusedAndNamesTheFirst) {
  TemporaryDirectory directory;
  auto first = SqliteStore::open({directory.path});
  ASSERT_TRUE(first) << first.error().message;
  auto second = SqliteStore::open({directory.path});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kConflict);
  EXPECT_NE(second.error().message.find(std::to_string(getpid())), std::string::npos);
  first->reset();
  EXPECT_TRUE(SqliteStore::open({directory.path}));
}

// Its lock lies on a disk that two machines share and only one of them honours.
TEST(SqliteStore, AnOvertakenOrchestratorIsStoppedInsideItsNextTransaction) {
  TemporaryDirectory directory;
  auto store = SqliteStore::open({directory.path});
  ASSERT_TRUE(store) << store.error().message;
  auto other = store::SqliteConnection::open(directory.path + "/jobs.db", store::Access::kWrite,
                                             store::Durability::kEveryCommit);
  ASSERT_TRUE(other) << other.error().message;
  ASSERT_TRUE((*other)->run_script("UPDATE leader SET leader_epoch = leader_epoch + 1"));
  const auto refused = (*store)->commit({PutJob{contract::make_job(1)}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kConflict);
  EXPECT_NE(refused.error().message.find("another orchestrator has taken over"), std::string::npos)
      << refused.error().message;
  EXPECT_EQ((*store)->reserve_epochs(1).error().code, ErrorCode::kConflict);
  auto state = (*store)->load();
  ASSERT_TRUE(state) << state.error().message;
  EXPECT_TRUE(state->live_jobs.empty());
}

// While one lives, nothing can be written into a file of jobs itself; its log is as before.
class FailingFile {
 public:
  FailingFile() { set(reinterpret_cast<sqlite3_syscall_ptr>(&write), reinterpret_cast<sqlite3_syscall_ptr>(&write_at)); }
  ~FailingFile() { set(nullptr, nullptr); }

 private:
  static bool fails(int file) {
    std::error_code ignored;
    const std::string path = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(file), ignored);
    errno = EIO;
    return path.ends_with("jobs.db");
  }
  static ssize_t write(int file, const void* data, std::size_t size) { return fails(file) ? -1 : ::write(file, data, size); }
  static ssize_t write_at(int file, const void* data, std::size_t size, off_t offset) {
    return fails(file) ? -1 : ::pwrite(file, data, size, offset);
  }
  // Which of them SQLite calls was chosen when it was built.
  static void set(sqlite3_syscall_ptr write, sqlite3_syscall_ptr write_at) {
    sqlite3_vfs* vfs = sqlite3_vfs_find(nullptr);
    vfs->xSetSystemCall(vfs, "write", write);
    for (const char* name : {"pwrite", "pwrite64"}) vfs->xSetSystemCall(vfs, name, write_at);
  }
};

// SQLite's own checkpoints would fail without a word, again and again.
TEST(SqliteStore, ALogThatCannotBeMovedIntoTheFileIsAFailedDisk) {
  TemporaryDirectory directory;
  auto store = SqliteStore::open({directory.path});
  ASSERT_TRUE(store) << store.error().message;
  const FailingFile failing;
  Result<void> done;
  // Each value differs in every page: SQLite writes only the pages that change.
  for (int i = 0; i < 200 && done; ++i)
    done = (*store)->commit({PutSetting{"key", std::string(100'000, static_cast<char>('a' + i % 26))}});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, ErrorCode::kIo) << done.error().message;
  EXPECT_EQ((*store)->commit({PutSetting{"key", "y"}}).error().code, ErrorCode::kIo) << "nothing is tried again";
}

TEST(SqliteStore, AnAttemptOfAJobThatIsNotStoredIsRefused) {
  TemporaryDirectory directory;
  auto store = SqliteStore::open({directory.path});
  ASSERT_TRUE(store) << store.error().message;
  const Job job = contract::make_job(1);
  const auto refused = (*store)->commit({PutAttempt{contract::make_attempt(job, 1)}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  // Order inside a commit is free.
  EXPECT_TRUE((*store)->commit({PutAttempt{contract::make_attempt(job, 1)}, PutJob{job}}));
}

// What an earlier version stored is a plain job with every later field at its default.
TEST(SqliteStore, AJobOfTheFirstSchemaIsReadAfterTheMigration) {
  TemporaryDirectory directory;
  Job job = contract::make_job(1);
  job.spec = JobSpec{};
  job.spec.argv = {"true"};
  job.spec.name = "train-1";
  {
    auto file = store::open_for_writing(directory.path + "/jobs.db", store::Durability::kEveryCommit,
                                        store::Check::kNever, {store::sqlite_jobs_migrations().front()});
    ASSERT_TRUE(file) << file.error().message;
    auto done = file->connection->run(
        "INSERT INTO jobs VALUES ($1, 1, 'ada', 'train-1', 'default', 'PENDING', 50, $2, NULL, $3, '', 'abc')",
        {job.id.str(), to_unix_us(job.submitted_at), R"({"argv":["true"],"name":"train-1","labels":{},"hold":false})"});
    ASSERT_TRUE(done) << done.error().message;
  }
  auto store = SqliteStore::open({directory.path});
  ASSERT_TRUE(store) << store.error().message;
  auto found = (*store)->find_job(job.id);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(*found, job);
}

// Commits jobs for ever, writing each number to `report` once commit() has returned.
[[noreturn]] void commit_and_report(const std::string& directory, std::int64_t first, int report) {
  auto store = SqliteStore::open({directory});
  if (!store) _exit(3);
  for (std::int64_t number = first;; ++number) {
    const Job job = contract::make_job(number);
    if (!(*store)->commit({PutJob{job}, PutOutbox{{job.id, 1}, 1, "start", "s", "p"}})) _exit(4);
    if (write(report, &number, sizeof number) != sizeof number) _exit(5);
  }
}

// Starts the child, reads reports until `kill_after` of them have come, kills it and returns the highest.
std::int64_t run_until_killed(const std::string& directory, std::int64_t first, std::uint64_t kill_after) {
  int ends[2];
  if (pipe(ends) != 0) return -1;
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    commit_and_report(directory, first, ends[1]);
  }
  close(ends[1]);
  std::int64_t number = 0, highest = 0;
  for (std::uint64_t count = 0; read(ends[0], &number, sizeof number) == sizeof number;) {
    highest = number;
    if (++count == kill_after) kill(child, SIGKILL);
  }
  int status = 0;
  waitpid(child, &status, 0);
  close(ends[0]);
  return WIFSIGNALED(status) ? highest : -1;
}

TEST(SqliteStore, EveryReportedCommitSurvivesKill) {
  TemporaryDirectory directory;
  Rng rng(7);
  std::int64_t highest = 0;
  for (int round = 0; round < 8; ++round) {
    highest = run_until_killed(directory.path, highest + 1, 1 + rng.below(40));
    ASSERT_GT(highest, 0);
    auto store = SqliteStore::open({directory.path});
    ASSERT_TRUE(store) << store.error().message;
    auto state = (*store)->load();
    ASSERT_TRUE(state) << state.error().message;
    // A commit that was not reported may be there too, whole.
    ASSERT_GE(state->live_jobs.size(), static_cast<std::size_t>(highest));
    ASSERT_EQ(state->live_jobs.size(), state->outbox.size());
    for (std::size_t i = 0; i < state->live_jobs.size(); ++i)
      ASSERT_EQ(state->live_jobs[i].number, static_cast<std::int64_t>(i) + 1);
    highest = state->last_job_number;
  }
}

}  // namespace
}  // namespace aether
