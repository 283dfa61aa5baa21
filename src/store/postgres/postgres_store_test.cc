#include "store/postgres/postgres_store.h"

#include <chrono>
#include <thread>

#include "store/contract_test.h"
#include "store/postgres/cutting_proxy.h"
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

// No session is cut and no lock is lost: only the transaction itself can notice.
TEST_F(PostgresStoreTest, AnOvertakenOrchestratorIsStoppedInsideItsNextTransaction) {
  auto opened = open();
  ASSERT_TRUE(opened) << opened.error().message;
  auto other = store::PostgresConnection::open({.url = database_->url(), .session_settings = ""});
  ASSERT_TRUE(other) << other.error().message;
  ASSERT_TRUE((*other)->run_script("UPDATE leader SET leader_epoch = leader_epoch + 1"));
  const auto refused = (*opened)->commit({PutJob{contract::make_job(2)}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kConflict);
  EXPECT_NE(refused.error().message.find("another orchestrator has taken over"), std::string::npos)
      << refused.error().message;
  EXPECT_EQ((*opened)->reserve_epochs(1).error().code, ErrorCode::kConflict);
  EXPECT_EQ((*opened)->maintain(contract::kStart).error().code, ErrorCode::kConflict);
  auto state = (*opened)->load();
  ASSERT_TRUE(state) << state.error().message;
  EXPECT_TRUE(state->live_jobs.empty());
  EXPECT_EQ(state->last_epoch, 0u);
}

// The store behind a proxy that cuts its connection at a COMMIT.
class PostgresCutTest : public PostgresStoreTest {
 protected:
  void SetUp() override {
    PostgresStoreTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    if (!server_->can_restart()) GTEST_SKIP() << "SKIPPED: the server of AETHER_TEST_DATABASE_URL has no socket of ours";
    const std::string url = database_->url();
    const std::size_t host = url.find("host=") + 5;
    auto started = store::CuttingProxy::start(url.substr(host));
    ASSERT_TRUE(started) << started.error().message;
    proxy_ = std::move(*started);
    auto opened = PostgresStore::open(options_for(url.substr(0, host) + proxy_->directory()));
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = std::move(*opened);
    const Job job = contract::make_job(1);
    ASSERT_TRUE(store_->commit({PutJob{job}}));
    job_ = job.id;
  }
  // An event is a plain insert: committed twice it is there twice.
  Write event(const std::string& reason) const {
    return PutEvent{{job_, contract::kStart, "PENDING", "PENDING", "user", reason, 0, 0}};
  }
  std::vector<std::string> reasons() {
    std::vector<std::string> found;
    auto events = store_->job_events(job_);
    EXPECT_TRUE(events);
    if (events)
      for (const JobEvent& event : *events) found.push_back(event.reason);
    return found;
  }
  void commit_until_answered(const std::vector<Write>& writes) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (std::chrono::steady_clock::now() < deadline) {
      const auto done = store_->commit(writes);
      if (done) return;
      ASSERT_EQ(done.error().code, ErrorCode::kUnavailable) << done.error().message;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    FAIL() << "no commit went through";
  }
  std::unique_ptr<store::CuttingProxy> proxy_;
  std::unique_ptr<Store> store_;
  JobId job_;
};

TEST_F(PostgresCutTest, ACommitWhoseAnswerWasLostIsNotWrittenASecondTime) {
  std::vector<std::string> expected;
  for (int round = 0; round < 6; ++round) {
    const auto cut = round % 2 == 0 ? store::CuttingProxy::Cut::kAfterCommit : store::CuttingProxy::Cut::kBeforeCommit;
    expected.push_back("round " + std::to_string(round));
    proxy_->cut(cut);
    const auto first = store_->commit({event(expected.back())});
    ASSERT_FALSE(first);
    ASSERT_EQ(first.error().code, ErrorCode::kUnavailable) << first.error().message;
    ASSERT_EQ(proxy_->cuts(), round + 1);
    commit_until_answered({event(expected.back())});
    EXPECT_EQ(reasons(), expected);
  }
}

TEST_F(PostgresCutTest, AServerThatSaysNothingAnyMoreIsNotWaitedForWithoutEnd) {
  store_.reset();
  const std::string url = database_->url();
  auto options = options_for(url.substr(0, url.find("host=") + 5) + proxy_->directory());
  options.answer_within = std::chrono::milliseconds(300);
  auto opened = PostgresStore::open(options);
  for (int attempt = 0; attempt < 1000 && !opened; ++attempt) {  // until the server has noticed that the first one left
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    opened = PostgresStore::open(options);
  }
  ASSERT_TRUE(opened) << opened.error().message;
  store_ = std::move(*opened);
  proxy_->cut(store::CuttingProxy::Cut::kWhileSilent);
  const auto first = store_->commit({event("silence")});
  ASSERT_FALSE(first);
  EXPECT_EQ(first.error().code, ErrorCode::kUnavailable) << first.error().message;
  commit_until_answered({event("silence")});
  EXPECT_EQ(reasons(), (std::vector<std::string>{"silence"}));
}

TEST_F(PostgresCutTest, AfterALostAnswerLoadTellsWhatIsThereAndOtherWritesMayFollow) {
  for (const auto cut : {store::CuttingProxy::Cut::kAfterCommit, store::CuttingProxy::Cut::kBeforeCommit}) {
    const auto before = reasons();
    proxy_->cut(cut);
    ASSERT_FALSE(store_->commit({event("lost")}));
    Result<StoredState> state = store_->load();
    for (int attempt = 0; attempt < 1000 && !state; ++attempt) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      state = store_->load();
    }
    ASSERT_TRUE(state) << state.error().message;
    auto expected = before;
    if (cut == store::CuttingProxy::Cut::kAfterCommit) expected.push_back("lost");
    EXPECT_EQ(reasons(), expected);
    ASSERT_TRUE(store_->commit({event("other")}));
    expected.push_back("other");
    EXPECT_EQ(reasons(), expected);
  }
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
