// An agent over GPUs that count as real: it measures them, and a driver that hangs holds up nothing else.
#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "agent/agent.h"
#include "bus/in_process/in_process_bus.h"
#include "bus/subjects.h"
#include "codec/codec.h"
#include "executor/simulated/simulated_runner.h"
#include "telemetry/simulated/simulated_gpu_driver.h"

namespace aether {
namespace {

using std::chrono::milliseconds;

// Readings of simulated GPUs under the name of real ones; they can be made to hang.
class HangingDriver final : public GpuDriver {
 public:
  explicit HangingDriver(GpuDriver& inner) : inner_(inner) {}
  Result<std::vector<GpuInfo>> enumerate() override { return inner_.enumerate(); }
  Result<GpuSample> read(const GpuUuid& gpu) override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !hangs_; });
    return inner_.read(gpu);
  }
  GpuSource source() const override { return GpuSource::kNvml; }
  std::string driver_version() const override { return "1"; }
  void hang(bool on) {
    std::lock_guard lock(mutex_);
    hangs_ = on;
    changed_.notify_all();
  }

 private:
  GpuDriver& inner_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool hangs_ = false;
};

class AgentGpus : public testing::Test {
 protected:
  // Until every GPU was read once: one without a reading gets no job.
  void start_agent(Duration gpu_limit) {
    events_ = *bus_.subscribe(subjects::kAllEvents, [this](const BusMessage& message) {
      std::lock_guard lock(mutex_);
      seen_.push_back(*codec::decode_event(message.payload));
      changed_.notify_all();
    });
    samples_ = *bus_.subscribe(subjects::kAllTelemetry, [this](const BusMessage&) {
      std::lock_guard lock(mutex_);
      ++readings_;
      changed_.notify_all();
    });
    AgentOptions options;
    options.node = NodeId("n1");
    options.sampler.interval = milliseconds(20);
    options.heartbeat_interval = milliseconds(50);
    options.gpu_check.limit = gpu_limit;
    agent_ = std::make_unique<Agent>(options, driver_, nullptr, runner_, bus_, clock_);
    ASSERT_TRUE(agent_->start());
    ASSERT_TRUE(eventually([&] { return readings_ >= 4; }));
  }
  void TearDown() override {
    driver_.hang(false);
    agent_.reset();
  }

  bool eventually(const std::function<bool()>& holds) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(60), holds);
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
  bool sees_state(JobState state) {
    return sees<AttemptReport>([&](const AttemptReport& report) { return report.state == state; });
  }
  void forget_what_was_seen() {
    std::lock_guard lock(mutex_);
    seen_.clear();
  }
  void command(decltype(Command::body) body) {
    ASSERT_TRUE(bus_.publish(subjects::commands(NodeId("n1")), codec::encode_command({NodeId("n1"), "", std::move(body)})));
  }
  StartCommand start_for(milliseconds duration) const {
    StartCommand start;
    start.attempt = {JobId("J1"), 1};
    start.epoch = 5;
    start.spec.argv = {"x"};
    start.spec.time_limit_s = 60;
    start.spec.env["AETHER_SIM_DURATION_MS"] = std::to_string(duration.count());
    start.spec.env["AETHER_SIM_STDOUT"] = "hello";
    start.gpu_uuids = {gpu_};
    return start;
  }

  SystemClock clock_;
  InProcessBus bus_;
  SimulatedGpuDriver simulated_{*parse_simulated("simulated:2,seed=5"), NodeId("n1"), clock_};
  HangingDriver driver_{simulated_};
  const GpuUuid gpu_ = simulated_.enumerate()->at(0).gpu_uuid;
  SimulatedRunner runner_{SimulatedRunnerOptions{.poll_interval = milliseconds(5)}, clock_, std::make_shared<SimulatedJournal>()};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<AgentEvent> seen_;
  int readings_ = 0;
  std::unique_ptr<Bus::Subscription> events_, samples_;
  std::unique_ptr<Agent> agent_;
};

TEST_F(AgentGpus, AnEndIsToldOnceItsGpuIsMeasuredFree) {
  start_agent(std::chrono::seconds(60));
  command(start_for(milliseconds(100)));
  ASSERT_TRUE(sees_state(JobState::kCompleted));
  EXPECT_TRUE(sees_state(JobState::kCompleting));
  std::lock_guard lock(mutex_);
  for (const AgentEvent& event : seen_) EXPECT_FALSE(std::holds_alternative<GpuFaultEvent>(event.body));
}

TEST_F(AgentGpus, ADriverThatHangsHoldsUpNothingButItsGpus) {
  start_agent(milliseconds(300));
  command(start_for(milliseconds(1500)));
  ASSERT_TRUE(sees_state(JobState::kRunning));
  driver_.hang(true);
  ASSERT_TRUE(sees_state(JobState::kCompleting));
  forget_what_was_seen();
  EXPECT_TRUE(sees<HeartbeatEvent>([](const HeartbeatEvent& heartbeat) { return heartbeat.attempts.size() == 1; }));
  command(ReadLogCommand{77, {JobId("J1"), 1}, "stdout", 1, 3});
  EXPECT_TRUE(sees<LogEvent>([](const LogEvent& log) { return log.chunk && log.chunk->data == "ell"; }));
  EXPECT_TRUE(sees<GpuFaultEvent>([&](const GpuFaultEvent& fault) {
    return fault.gpu_uuid == gpu_ && fault.fault == "leak" && fault.message.find("no reading since") != std::string::npos;
  }));
  EXPECT_TRUE(sees_state(JobState::kCompleted)) << "and the end is told";
}

}  // namespace
}  // namespace aether
