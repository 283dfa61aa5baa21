#include "agent/agent.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <set>

#include "bus/in_process/in_process_bus.h"
#include "bus/subjects.h"
#include "codec/codec.h"
#include "executor/simulated/simulated_runner.h"
#include "telemetry/simulated/simulated_gpu_driver.h"

namespace aether {
namespace {

// A bus that can be cut.
class SwitchedBus final : public Bus {
 public:
  Result<void> publish(std::string_view subject, std::string_view payload) override {
    if (!connected()) return fail(ErrorCode::kUnavailable, "cut");
    if (swallows_) return {};
    return bus_.publish(subject, payload);
  }
  Result<std::unique_ptr<Subscription>> subscribe(std::string_view pattern, Handler handler) override {
    return bus_.subscribe(pattern, std::move(handler));
  }
  bool connected() const override { return connected_; }
  BusCounters counters() const override {
    BusCounters counters = bus_.counters();
    counters.reconnects = reconnects_;
    return counters;
  }
  std::string_view name() const override { return "switched"; }
  void connect(bool on) { connected_ = on; }
  void swallow(bool on) { swallows_ = on; }
  void reconnect() {
    swallows_ = false;
    ++reconnects_;
  }

 private:
  InProcessBus bus_;
  std::atomic<bool> connected_{true}, swallows_{false};
  std::atomic<std::uint64_t> reconnects_{0};
};

// A driver whose events the test makes.
class SickDriver final : public GpuDriver, public GpuEventSource {
 public:
  explicit SickDriver(GpuDriver& driver) : driver_(driver) {}
  Result<std::vector<GpuInfo>> enumerate() override { return driver_.enumerate(); }
  Result<GpuSample> read(const GpuUuid& gpu) override { return driver_.read(gpu); }
  GpuSource source() const override { return driver_.source(); }
  std::string driver_version() const override { return driver_.driver_version(); }
  void set_on_event(std::function<void(const GpuEvent&)> on_event) override {
    std::lock_guard lock(mutex_);
    on_event_ = std::move(on_event);
  }
  void say(const GpuEvent& event) {
    std::lock_guard lock(mutex_);
    ASSERT_TRUE(on_event_);
    on_event_(event);
  }

 private:
  GpuDriver& driver_;
  std::mutex mutex_;
  std::function<void(const GpuEvent&)> on_event_;
};

class AgentTest : public testing::Test {
 protected:
  AgentTest() {
    events_ = *bus_.subscribe(subjects::kAllEvents, [this](const BusMessage& message) {
      const AgentEvent event = *codec::decode_event(message.payload);
      if (const auto* heartbeat = std::get_if<HeartbeatEvent>(&event.body); heartbeat && answering_)
        (void)bus_.publish(subjects::commands(NodeId("n1")),
                           codec::encode_command({NodeId("n1"), "", HeartbeatAckCommand{heartbeat->heartbeat_seq, false}}));
      std::lock_guard lock(mutex_);
      seen_.push_back(event);
      changed_.notify_all();
    });
    samples_ = *bus_.subscribe(subjects::kAllTelemetry, [this](const BusMessage& message) {
      std::lock_guard lock(mutex_);
      sequences_[message.subject].push_back(codec::decode_sample(message.payload, NodeId("n1"), message.subject.back() - '0', clock_.now())->sample_seq);
      changed_.notify_all();
    });
    start_agent(20000);
  }

  void start_agent(std::size_t spool, std::chrono::milliseconds answer_timeout = {}, GpuDriver* driver = nullptr) {
    AgentOptions options;
    options.node = NodeId("n1");
    options.sampler.interval = std::chrono::milliseconds(20);
    options.heartbeat_interval = std::chrono::milliseconds(50);
    options.spool.max_records = spool;
    agent_.reset();
    runner_ = std::make_unique<SimulatedRunner>(SimulatedRunnerOptions{.poll_interval = std::chrono::milliseconds(5)}, clock_, journal_);
    options.answer_timeout = answer_timeout;
    agent_ = std::make_unique<Agent>(options, driver ? *driver : driver_, &driver_, *runner_, bus_, clock_);
    ASSERT_TRUE(agent_->start());
  }

  bool eventually_counted(const std::function<bool(const AgentCounters&)>& holds) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (std::chrono::steady_clock::now() < until) {
      if (holds(agent_->counters())) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
  }
  bool eventually(const std::function<bool()>& holds) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), holds);
  }
  template <class Body>
  bool sees(const std::function<bool(const Body&)>& matches) {
    return eventually([&] {
      return std::any_of(seen_.begin(), seen_.end(), [&](const AgentEvent& event) {
        const Body* body = std::get_if<Body>(&event.body);
        return body != nullptr && matches(*body);
      });
    });
  }
  void command(decltype(Command::body) body, const std::string& incarnation = "") {
    ASSERT_TRUE(bus_.publish(subjects::commands(NodeId("n1")), codec::encode_command({NodeId("n1"), incarnation, std::move(body)})));
  }
  StartCommand start_on(const std::string& gpu) {
    StartCommand start;
    start.attempt = {JobId("J1"), 1};
    start.epoch = 5;
    start.job_number = 1;
    start.user = "admin";
    start.spec.argv = {"x"};
    start.spec.time_limit_s = 60;
    start.spec.env["AETHER_SIM_DURATION_MS"] = "200";
    start.spec.env["AETHER_SIM_STDOUT"] = "hello";
    start.gpu_uuids = {GpuUuid(gpu)};
    return start;
  }
  std::string first_gpu() {
    std::string uuid;
    EXPECT_TRUE(sees<HelloEvent>([&](const HelloEvent& hello) {
      uuid = hello.inventory.gpus.empty() ? "" : hello.inventory.gpus[0].gpu_uuid.str();
      return !uuid.empty();
    }));
    return uuid;
  }

  SystemClock clock_;
  SwitchedBus bus_;
  SimulatedGpuDriver driver_{*parse_simulated("simulated:2,seed=5"), NodeId("n1"), clock_};
  std::shared_ptr<SimulatedJournal> journal_ = std::make_shared<SimulatedJournal>();
  std::unique_ptr<SimulatedRunner> runner_;
  std::atomic<bool> answering_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<AgentEvent> seen_;
  std::map<std::string, std::vector<std::uint64_t>> sequences_;
  std::unique_ptr<Bus::Subscription> events_, samples_;
  std::unique_ptr<Agent> agent_;
};

TEST_F(AgentTest, ItIntroducesItselfAndRepeatsThatWhenAsked) {
  EXPECT_FALSE(first_gpu().empty());
  {
    std::lock_guard lock(mutex_);
    seen_.clear();
  }
  command(HeartbeatAckCommand{1, true});
  EXPECT_FALSE(first_gpu().empty());
}

TEST_F(AgentTest, AStartRunsAndItsResultIsRepeatedUntilAcknowledged) {
  command(start_on(first_gpu()));
  EXPECT_TRUE(sees<AttemptReport>([](const AttemptReport& report) { return report.state == JobState::kCompleted; }));
  {
    std::lock_guard lock(mutex_);
    seen_.clear();
  }
  const auto listed = [](const HeartbeatEvent& heartbeat) { return heartbeat.attempts.size() == 1 && is_terminal(heartbeat.attempts[0].state); };
  EXPECT_TRUE(sees<HeartbeatEvent>(listed));
  command(ResultAckCommand{{JobId("J1"), 1}, 5});
  EXPECT_TRUE(sees<HeartbeatEvent>([](const HeartbeatEvent& heartbeat) { return heartbeat.attempts.empty(); }));
}

TEST_F(AgentTest, AStartOnAGpuThatIsNotHereIsRefused) {
  first_gpu();
  command(start_on("GPU-elsewhere"));
  EXPECT_TRUE(sees<RefusedEvent>([](const RefusedEvent& refused) { return refused.code == "GPU_UNAVAILABLE"; }));
}

TEST_F(AgentTest, AStopThatOvertakesItsStartIsRemembered) {
  const std::string gpu = first_gpu();
  command(StopCommand{{JobId("J1"), 1}, 5, "user_cancel", 1});
  command(start_on(gpu));
  // Either as a refusal or as the terminal report of what never ran; never as a run.
  EXPECT_TRUE(eventually([&] {
    return std::any_of(seen_.begin(), seen_.end(), [](const AgentEvent& event) {
      const auto* refused = std::get_if<RefusedEvent>(&event.body);
      const auto* report = std::get_if<AttemptReport>(&event.body);
      return (refused != nullptr && refused->code == "CANCELLED") || (report != nullptr && report->state == JobState::kCancelled);
    });
  }));
  std::lock_guard lock(mutex_);
  for (const AgentEvent& event : seen_) {
    const auto* report = std::get_if<AttemptReport>(&event.body);
    EXPECT_FALSE(report != nullptr && report->state == JobState::kRunning);
  }
}

TEST_F(AgentTest, OutputIsReadByOffset) {
  command(start_on(first_gpu()));
  EXPECT_TRUE(sees<AttemptReport>([](const AttemptReport& report) { return report.state == JobState::kCompleted; }));
  command(ReadLogCommand{77, {JobId("J1"), 1}, "stdout", 1, 3});
  EXPECT_TRUE(sees<LogEvent>([](const LogEvent& log) { return log.request_id == 77 && log.chunk && log.chunk->data == "ell"; }));
  command(ReadLogCommand{78, {JobId("J9"), 1}, "stdout", 0, 3});
  EXPECT_TRUE(sees<LogEvent>([](const LogEvent& log) { return log.request_id == 78 && !log.chunk && !log.error.empty(); }));
}

TEST_F(AgentTest, CommandsForAnotherIncarnationAndGarbageAreIgnored) {
  const std::string gpu = first_gpu();
  command(start_on(gpu), "somebody-else");
  ASSERT_TRUE(bus_.publish(subjects::commands(NodeId("n1")), "not json"));
  for (int i = 0; i < 500 && agent_->counters().commands_rejected == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(agent_->counters().commands_rejected, 1u);
  EXPECT_TRUE(runner_->attempts().empty());
}

TEST_F(AgentTest, ReadingsOfADisconnectComeAfterwardsWithoutAGap) {
  first_gpu();
  bus_.connect(false);
  ASSERT_TRUE(eventually_counted([](const AgentCounters& counters) { return counters.spool.waiting >= 20; }));
  bus_.connect(true);
  ASSERT_TRUE(eventually_counted([](const AgentCounters& counters) { return counters.spool.waiting == 0; }));
  EXPECT_EQ(agent_->counters().spool.dropped, 0u);
  std::lock_guard lock(mutex_);
  for (auto& [subject, sequence] : sequences_) {  // some come twice: the connection may have swallowed them
    const std::set<std::uint64_t> distinct(sequence.begin(), sequence.end());
    EXPECT_EQ(*distinct.rbegin() - *distinct.begin() + 1, distinct.size()) << subject;
  }
}

TEST_F(AgentTest, ReadingsThatABrokenConnectionMaySwallowAreSentAgain) {
  first_gpu();
  ASSERT_TRUE(eventually_counted([](const AgentCounters& counters) { return counters.published >= 10; }));
  bus_.swallow(true);  // written to a socket that nobody reads any more
  const std::uint64_t before = agent_->counters().published;
  ASSERT_TRUE(eventually_counted([&](const AgentCounters& counters) { return counters.published >= before + 10; }));
  bus_.reconnect();
  ASSERT_TRUE(eventually_counted([](const AgentCounters& counters) { return counters.sent_again > 0 && counters.spool.waiting == 0; }));
  std::lock_guard lock(mutex_);
  for (auto& [subject, sequence] : sequences_) {
    const std::set<std::uint64_t> distinct(sequence.begin(), sequence.end());
    EXPECT_EQ(*distinct.rbegin() - *distinct.begin() + 1, distinct.size()) << subject;
  }
}

TEST_F(AgentTest, ReadingsAreKeptWhileNoOrchestratorAnswers) {
  agent_.reset();
  start_agent(20000, std::chrono::milliseconds(300));
  ASSERT_TRUE(eventually_counted([](const AgentCounters& counters) { return counters.spool.waiting >= 10; }));
  answering_ = true;
  EXPECT_TRUE(eventually_counted([](const AgentCounters& counters) { return counters.spool.waiting == 0; }));
  answering_ = false;
  EXPECT_TRUE(eventually_counted([](const AgentCounters& counters) { return counters.spool.waiting >= 10; }));
}

TEST_F(AgentTest, AFullSpoolDropsTheOldestAndCountsExactly) {
  agent_.reset();
  bus_.connect(false);
  start_agent(5);
  ASSERT_TRUE(eventually_counted([](const AgentCounters& counters) { return counters.spool.dropped >= 7; }));
  const SpoolCounters counters = agent_->counters().spool;
  EXPECT_EQ(counters.appended, counters.dropped + 5);
}

// ---- health ----

TEST_F(AgentTest, SickGpuIsToldAtOnceAndAgain) {
  agent_.reset();
  SickDriver sick(driver_);
  start_agent(20000, std::chrono::milliseconds(0), &sick);
  const GpuUuid gpu(first_gpu());
  sick.say({gpu, GpuEvent::Kind::kXid, 79, clock_.now()});
  sick.say({gpu, GpuEvent::Kind::kXid, 13, clock_.now()});
  const auto is_fault = [&](const GpuFaultEvent& fault) {
    return fault.gpu_uuid == gpu && fault.fault == "xid" && fault.message.starts_with("Xid 79: fallen off the bus");
  };
  EXPECT_TRUE(sees<GpuFaultEvent>(is_fault));
  EXPECT_TRUE(eventually([&] {
    return std::count_if(seen_.begin(), seen_.end(), [](const AgentEvent& event) {
             return std::holds_alternative<GpuFaultEvent>(event.body);
           }) >= 3;
  }));
  EXPECT_EQ(agent_->xids().size(), 2u);
  agent_.reset();
}

}  // namespace
}  // namespace aether
