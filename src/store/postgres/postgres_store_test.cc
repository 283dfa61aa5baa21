#include "store/postgres/postgres_store.h"

#include <chrono>
#include <thread>

#include "store/contract_test.h"
#include "store/postgres/postgres_connection.h"
#include "store/postgres/test_server.h"

namespace aether {
namespace {

// One server for the whole program.
Result<store::TestServer*> server() {
  static auto started = store::TestServer::start();
  if (!started) return fail(started.error());
  return started->get();
}

PostgresStore::Options options_for(const std::string& url, store::Retention retention = {}) {
  PostgresStore::Options options;
  options.url = url;
  options.retention = retention;
  return options;
}

class PostgresHarness final : public StoreHarness {
 public:
  explicit PostgresHarness(std::unique_ptr<store::TestDatabase> database) : database_(std::move(database)) {}
  Result<std::unique_ptr<Store>> open(store::Retention retention) override {
    return PostgresStore::open(options_for(database_->url(), retention));
  }

 private:
  std::unique_ptr<store::TestDatabase> database_;
};

INSTANTIATE_TEST_SUITE_P(Postgres, StoreContract,
                         ::testing::Values(HarnessFactory{[]() -> Result<std::unique_ptr<StoreHarness>> {
                           auto running = server();
                           if (!running) return fail(running.error());
                           auto database = (*running)->make_database();
                           if (!database) return fail(database.error());
                           return std::make_unique<PostgresHarness>(std::move(*database));
                         }}),
                         [](const auto&) { return "Server"; });

class PostgresStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto running = server();
    const char* ci = std::getenv("CI");
    if (!running && ci && std::string(ci) == "true") FAIL() << running.error().message;
    if (!running) GTEST_SKIP() << "SKIPPED: " << running.error().message;
    server_ = *running;
    auto database = server_->make_database();
    ASSERT_TRUE(database) << database.error().message;
    database_ = std::move(*database);
  }
  Result<std::unique_ptr<Store>> open() { return PostgresStore::open(options_for(database_->url())); }
  store::TestServer* server_ = nullptr;
  std::unique_ptr<store::TestDatabase> database_;
};

TEST(PostgresUrl, ABadAddressNamesTheSettingAndNeverThePassword) {
  for (const char* url :
       {"postgres://ada:s3cret@host:port/x", "postgres://ada:s3cret@[::1/x", "s3cret", ""}) {
    auto store = PostgresStore::open(options_for(url));
    ASSERT_FALSE(store) << url;
    EXPECT_EQ(store.error().code, ErrorCode::kInvalidArgument) << url;
    EXPECT_EQ(store.error().field, "DATABASE_URL");
    EXPECT_EQ(store.error().message.find("s3cret"), std::string::npos) << store.error().message;
    EXPECT_NE(store.error().message.find("set DATABASE_URL to"), std::string::npos);
  }
}

TEST(PostgresUrl, AServerThatDoesNotAnswerIsUnavailable) {
  auto store = PostgresStore::open(options_for("postgres://ada:s3cret@127.0.0.1:1/x"));
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(store.error().message.find("s3cret"), std::string::npos) << store.error().message;
}

TEST_F(PostgresStoreTest, ASecondWriterIsRefused) {
  auto first = open();
  ASSERT_TRUE(first) << first.error().message;
  auto second = open();
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kConflict);
  first->reset();
  EXPECT_TRUE(open());
}

TEST_F(PostgresStoreTest, TextThatPostgresRefusesIsRepairedAndDoesNotStopACommit) {
  auto store = open();
  ASSERT_TRUE(store) << store.error().message;
  ASSERT_TRUE((*store)->commit({PutSetting{"a", std::string("x\0y\xff\xed\xa0\x80z", 8)}}));
  auto state = (*store)->load();
  ASSERT_TRUE(state);
  const std::string bad = "\xef\xbf\xbd";
  EXPECT_EQ(state->settings["a"], "x" + bad + "y" + bad + bad + bad + bad + "z");
}

TEST_F(PostgresStoreTest, TheStoreComesBackAfterTheServerWasAway) {
  if (!server_->can_restart())
    GTEST_SKIP() << "SKIPPED: the server of AETHER_TEST_DATABASE_URL is not ours to stop";
  auto opened = open();
  ASSERT_TRUE(opened) << opened.error().message;
  Store& store = **opened;
  ASSERT_TRUE(store.commit({PutJob{contract::make_job(1)}}));
  ASSERT_TRUE(store.append_samples({contract::make_sample("GPU-0", contract::kStart, 1)}));
  ASSERT_TRUE(store.load());
  server_->stop();
  EXPECT_EQ(store.commit({PutJob{contract::make_job(2)}}).error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(store.load().error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(store.append_samples({contract::make_sample("GPU-0", contract::kStart, 1)}).error().code,
            ErrorCode::kUnavailable);
  ASSERT_TRUE(server_->start_again());
  bool committed = false;
  for (int attempt = 0; attempt < 100 && !committed; ++attempt) {
    committed = store.commit({PutJob{contract::make_job(3)}}).has_value();
    if (!committed) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  EXPECT_TRUE(committed);
  bool appended = false;
  for (int attempt = 0; attempt < 100 && !appended; ++attempt) {
    appended =
        store.append_samples({contract::make_sample("GPU-0", contract::kStart + Duration(1), 2)}).has_value();
    if (!appended) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  EXPECT_TRUE(appended);
  auto state = store.load();
  ASSERT_TRUE(state) << state.error().message;
  EXPECT_EQ(contract::numbers(state->live_jobs), (std::vector<std::int64_t>{1, 3}));
}

TEST_F(PostgresStoreTest, AnOrchestratorThatWasOvertakenWritesNothingMore) {
  auto opened = open();
  ASSERT_TRUE(opened) << opened.error().message;
  ASSERT_TRUE((*opened)->commit({PutJob{contract::make_job(1)}}));
  auto other = store::PostgresConnection::open({.url = database_->url(), .session_settings = ""});
  ASSERT_TRUE(other) << other.error().message;
  // The first one's session is cut and somebody else leads for a while.
  ASSERT_TRUE(
      (*other)->run_script("UPDATE leader SET leader_epoch = leader_epoch + 1;"
                           "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"));
  const auto refused = (*opened)->commit({PutJob{contract::make_job(2)}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kConflict) << refused.error().message;
}

TEST_F(PostgresStoreTest, ACommitCutAfterItWasSentReportsWhatHappened) {
  int ended_by_cut = 0;
  auto connection = store::PostgresConnection::open({.url = database_->url(), .session_settings = ""});
  auto killer = store::PostgresConnection::open({.url = database_->url(), .session_settings = ""});
  ASSERT_TRUE(connection && killer);
  ASSERT_TRUE((*connection)->run_script("CREATE TABLE t (x BIGINT)"));
  Rng rng(3);
  for (std::int64_t i = 0; i < 25; ++i) {
    bool begun = false;
    for (int attempt = 0; attempt < 100 && !begun; ++attempt) {
      begun = (*connection)->begin(store::Access::kWrite).has_value();
      if (!begun) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    ASSERT_TRUE(begun) << i;
    auto pid = (*connection)->run("SELECT pg_backend_pid()");
    ASSERT_TRUE(pid) << i << ": " << pid.error().message;
    ASSERT_TRUE((*connection)->run("INSERT INTO t VALUES ($1)", {i}));
    std::thread cut([&] {
      std::this_thread::sleep_for(std::chrono::microseconds(rng.below(600)));
      (void)(*killer)->run("SELECT pg_terminate_backend(CAST($1 AS INTEGER))", {pid->rows[0].integer(0)});
    });
    const bool said = (*connection)->commit().has_value();
    cut.join();
    auto found = (*killer)->run("SELECT count(*) FROM t WHERE x = $1", {i});
    ASSERT_TRUE(found);
    EXPECT_EQ(found->rows[0].integer(0), said ? 1 : 0) << i;
    ended_by_cut += said ? 0 : 1;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  RecordProperty("not_written", ended_by_cut);
}

}  // namespace
}  // namespace aether
