// The service when its store fails: what is waited out, what is refused, and what ends it.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <future>

#include "bus/in_process/in_process_bus.h"
#include "bus/subjects.h"
#include "codec/codec.h"
#include "orchestrator/service.h"
#include "store/sqlite/sqlite_store.h"

namespace aether {
namespace {

// SQLite's store, until a test says how it fails.
class FailingStore final : public Store {
 public:
  explicit FailingStore(std::unique_ptr<Store> store) : store_(std::move(store)) {}
  std::atomic<bool> fails{false};
  std::atomic<bool> loses_an_answer{false};  // writes, says that it is away, and is
  std::atomic<ErrorCode> code{ErrorCode::kIo};

  Result<void> commit(const std::vector<Write>& writes) override {
    if (fails) return failure();
    const auto done = store_->commit(writes);
    if (!loses_an_answer.exchange(false)) return done;
    fails = true;
    return failure();
  }
  Result<void> append_samples(const std::vector<GpuSample>& samples) override {
    return fails ? failure() : store_->append_samples(samples);
  }
  Result<StoredState> load() override { return fails ? Result<StoredState>(failure()) : store_->load(); }
  Result<Epoch> reserve_epochs(std::uint64_t count, Epoch above) override {
    return store_->reserve_epochs(count, above);
  }
  Result<std::vector<Job>> find_jobs(const JobQuery& query) override { return store_->find_jobs(query); }
  Result<Job> find_job(const JobId& id) override { return store_->find_job(id); }
  Result<Job> find_job_by_number(std::int64_t number) override { return store_->find_job_by_number(number); }
  Result<std::optional<Job>> find_job_by_idempotency_key(const std::string& user, const std::string& key) override {
    return store_->find_job_by_idempotency_key(user, key);
  }
  Result<std::vector<JobEvent>> job_events(const JobId& id) override { return store_->job_events(id); }
  Result<std::vector<StoredEvent>> events(const EventQuery& query) override { return store_->events(query); }
  Result<std::vector<AuditLine>> audit(const AuditQuery& query) override { return store_->audit(query); }
  Result<std::vector<AttemptRecord>> attempts(Time from, Time to) override { return store_->attempts(from, to); }
  Result<GroupSeries> group_series(const GroupSeriesQuery& query) override { return store_->group_series(query); }
  Result<std::vector<KnownGpu>> known_gpus() override { return store_->known_gpus(); }
  Result<std::vector<std::optional<GpuEnergy>>> energy(const std::vector<GpuPart>& parts) override {
    return store_->energy(parts);
  }
  Result<AuditLine> last_audit_line() override { return store_->last_audit_line(); }
  Result<PlacementRecord> placement(const JobId& id) override { return store_->placement(id); }
  Result<Series> series(const SeriesQuery& query) override { return store_->series(query); }
  Result<std::vector<GpuSample>> latest_samples() override { return store_->latest_samples(); }
  Result<std::uint64_t> count_samples() override { return store_->count_samples(); }
  Result<std::uint64_t> maintain(Time now) override { return store_->maintain(now); }
  StoreInfo info() const override { return store_->info(); }

 private:
  tl::unexpected<Error> failure() const { return fail(code, "the test's disk"); }
  std::unique_ptr<Store> store_;
};

class ServiceTest : public testing::Test {
 protected:
  ServiceTest() : folder_(testing::TempDir() + "aether-service-" + std::to_string(getpid())) {
    std::filesystem::remove_all(folder_);
    store_ = std::make_unique<FailingStore>(*SqliteStore::open({folder_}));
    open(std::chrono::minutes(10));
  }
  void open(std::chrono::milliseconds refuse_after) {
    service_.reset();
    ServiceOptions options;
    options.refuse_after = refuse_after;
    options.on_fatal = [this](const Error& error) {
      if (!is_fatal_.exchange(true)) fatal_.set_value(error.message);
    };
    service_ = *OrchestratorService::open(std::move(options), bus_, *store_, nullptr, nullptr, clock_);
    EXPECT_TRUE(service_->start());
  }
  ~ServiceTest() override {
    service_->stop();
    store_.reset();
    std::filesystem::remove_all(folder_);
  }

  std::future<Result<SubmitReply>> submit(const std::string& key = "") {
    JobSpec spec;
    spec.argv = {"train"};
    auto promise = std::make_shared<std::promise<Result<SubmitReply>>>();
    service_->submit({std::move(spec), "admin", key, "body", false},
                     [promise](Result<SubmitReply> reply) { promise->set_value(std::move(reply)); });
    return promise->get_future();
  }

  // Once the database is back: asked again and again, as a client does.
  SubmitReply submit_until_taken(const std::string& key) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (std::chrono::steady_clock::now() < deadline) {
      auto reply = submit(key).get();
      if (reply) return *reply;
      EXPECT_EQ(reply.error().code, ErrorCode::kUnavailable) << reply.error().message;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    ADD_FAILURE() << "never taken";
    return {};
  }
  std::size_t stored_jobs() { return store_->find_jobs({})->size(); }

  const std::string folder_;
  SystemClock clock_;
  InProcessBus bus_;
  std::unique_ptr<FailingStore> store_;
  std::atomic<bool> is_fatal_{false};
  std::promise<std::string> fatal_;
  std::unique_ptr<OrchestratorService> service_;
};

TEST_F(ServiceTest, AFullDiskTurnsNewRequestsAwayAndIsWaitedOut) {
  store_->code = ErrorCode::kResourceExhausted;
  store_->fails = true;
  auto first = submit();  // part of the commit that waits
  for (;;) {              // once the store is known to be away, nobody waits
    auto next = submit();
    if (next.wait_for(std::chrono::milliseconds(20)) != std::future_status::ready) continue;
    const auto refused = next.get();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
    break;
  }
  store_->fails = false;
  const auto reply = first.get();
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_TRUE(store_->find_job(reply->job->id));
  EXPECT_TRUE(submit().get());
}

TEST_F(ServiceTest, NobodyWaitsForADatabaseThatStaysAwayAndNothingIsLeftHalfDone) {
  open(std::chrono::milliseconds(200));
  ASSERT_TRUE(submit("before").get());
  store_->code = ErrorCode::kUnavailable;
  store_->fails = true;
  std::vector<std::future<Result<SubmitReply>>> waiting;
  for (int i = 0; i < 50; ++i) waiting.push_back(submit("key " + std::to_string(i)));
  for (auto& reply : waiting) {
    ASSERT_EQ(reply.wait_for(std::chrono::seconds(60)), std::future_status::ready);
    const auto refused = reply.get();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
  }
  EXPECT_FALSE(service_->store_answers());
  store_->fails = false;
  const SubmitReply again = submit_until_taken("key 0");
  ASSERT_NE(again.job, nullptr);
  EXPECT_FALSE(again.replayed) << "what was refused was not done";
  EXPECT_EQ(stored_jobs(), 2u);
  EXPECT_EQ(service_->view()->jobs.size(), 2u);
  EXPECT_TRUE(submit_until_taken("before").replayed);
  EXPECT_TRUE(service_->store_answers());
}

TEST_F(ServiceTest, ASubmissionWhoseAnswerWasLostIsFoundAgainUnderItsKey) {
  open(std::chrono::milliseconds(200));
  store_->code = ErrorCode::kUnavailable;
  store_->loses_an_answer = true;
  const auto refused = submit("key").get();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(stored_jobs(), 1u);
  store_->fails = false;
  EXPECT_TRUE(submit_until_taken("key").replayed);
  EXPECT_EQ(stored_jobs(), 1u);
}

TEST_F(ServiceTest, AnOvertakenOrchestratorEndsAndSaysWhy) {
  store_->code = ErrorCode::kConflict;
  store_->fails = true;
  auto reply = submit();
  EXPECT_EQ(fatal_.get_future().get(), "the test's disk");
}

TEST_F(ServiceTest, ADiskThatFailsUnderACommitEndsTheService) {
  store_->fails = true;
  auto reply = submit();
  EXPECT_EQ(fatal_.get_future().get(), "the test's disk");
  EXPECT_THROW(reply.get(), std::future_error) << "nothing was promised: the reply is dropped with its commit";
}

TEST_F(ServiceTest, ADiskThatFailsUnderTheHistoryEndsTheServiceToo) {
  store_->fails = true;
  GpuSample sample;
  sample.gpu_uuid = GpuUuid("g0");
  sample.node = NodeId("n1");
  sample.sample_time = clock_.now();
  sample.temperature_c = 50;
  ASSERT_TRUE(bus_.publish(subjects::telemetry(sample.node, 0), codec::encode_sample(sample)));
  EXPECT_EQ(fatal_.get_future().get(), "the test's disk");
}

}  // namespace
}  // namespace aether
