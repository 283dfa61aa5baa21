// The agent's core over NVIDIA's library as a fake: what is measured decides, whatever the runner says.
#include "agent/gpu_check.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "agent/agent_core.h"
#include "executor/simulated/simulated_runner.h"
#include "telemetry/nvml/nvml_driver.h"

namespace aether {
namespace {

using std::chrono::milliseconds;

class GpuCheckTest : public testing::Test {
 protected:
  GpuCheckTest() {
    path_ = (std::filesystem::temp_directory_path() / ("aether-gpu-check-" + std::to_string(getpid()))).string();
    tell({});
    setenv("AETHER_FAKE_NVML", path_.c_str(), 1);
    driver_ = NvmlDriver::open({.library_path = AETHER_FAKE_NVML_LIBRARY, .process_interval = milliseconds(0)}, clock_).value();
    gpus_ = driver_->enumerate().value();
    open_agent();
    step({AgentCore::Inventory{gpus_, driver_->driver_version()}});
  }
  ~GpuCheckTest() override {
    unsetenv("AETHER_FAKE_NVML");
    std::filesystem::remove(path_);
  }

  void open_agent() {
    core_.reset();
    runner_ = std::make_unique<SimulatedRunner>(SimulatedRunnerOptions{}, clock_, journal_);
    AgentCoreOptions options;
    options.node = NodeId("n1");
    options.heartbeat_interval = milliseconds(500);
    options.gpu_check = GpuCheckOptions{};
    core_ = std::make_unique<AgentCore>(options, *runner_, "first");
    EXPECT_TRUE(runner_->recover([this](const AttemptReport& report) { inputs_.push_back(report); }));
  }

  // The fake library's behaviour from now on.
  void tell(const std::vector<std::string>& lines) {
    std::ofstream file(path_ + ".new");
    file << "# " << std::string(++generation_, '.') << "\n";  // another size each time: clocks of files are coarse
    for (const std::string& line : lines) file << line << "\n";
    file.close();
    std::filesystem::rename(path_ + ".new", path_);
  }

  std::vector<AgentEvent> step(std::vector<AgentCore::Input> more = {}) {
    runner_->poll();
    inputs_.insert(inputs_.end(), more.begin(), more.end());
    if (measuring_)
      for (const GpuInfo& gpu : gpus_)
        if (auto sample = driver_->read(gpu.gpu_uuid)) {
          sample->gpu_uuid = gpu.gpu_uuid;
          inputs_.push_back(*std::move(sample));
        }
    auto events = core_->step(clock_.mono(), std::exchange(inputs_, {}));
    for (const auto& event : events) events_.push_back(event);
    clock_.advance(milliseconds(100));
    return events;
  }
  void steps_for(milliseconds time) {
    for (milliseconds passed{0}; passed < time; passed += milliseconds(100)) step();
  }

  StartCommand start_on(int gpu, int number = 1, std::int64_t mem_mb = 4096) {
    StartCommand command;
    command.attempt = {JobId("01J0000000000000000000000" + std::to_string(number)), 1};
    command.epoch = static_cast<Epoch>(number);
    command.spec.argv = {"train"};
    command.spec.time_limit_s = 60;
    command.spec.gpu_mem_mb = mem_mb;
    command.spec.env["AETHER_SIM_DURATION_MS"] = "2000";
    command.gpu_uuids = {gpus_[static_cast<std::size_t>(gpu)].gpu_uuid};
    return command;
  }
  void send(const StartCommand& command) { step({Command{NodeId("n1"), "", command}}); }

  std::optional<AttemptReport> last_report(const AttemptId& attempt) const {
    std::optional<AttemptReport> found;
    for (const auto& event : events_)
      if (const auto* report = std::get_if<AttemptReport>(&event.body); report && report->attempt == attempt) found = *report;
    return found;
  }
  bool ends_within(const AttemptId& attempt, milliseconds time) {
    for (milliseconds passed{0}; passed < time; passed += milliseconds(100)) {
      step();
      if (const auto report = last_report(attempt); report && is_terminal(report->state)) return true;
    }
    return false;
  }
  // GPU -> evidence.
  std::map<GpuUuid, GpuFaultEvent> faults() const {
    std::map<GpuUuid, GpuFaultEvent> found;
    for (const auto& event : events_)
      if (const auto* fault = std::get_if<GpuFaultEvent>(&event.body)) found.emplace(fault->gpu_uuid, *fault);
    return found;
  }
  std::vector<std::string> refusals() const {
    std::vector<std::string> codes;
    for (const auto& event : events_)
      if (const auto* refused = std::get_if<RefusedEvent>(&event.body)) codes.push_back(refused->code);
    return codes;
  }

  std::string path_;
  std::size_t generation_ = 0;
  ManualClock clock_;
  bool measuring_ = true;
  std::unique_ptr<NvmlDriver> driver_;
  std::vector<GpuInfo> gpus_;
  std::shared_ptr<SimulatedJournal> journal_ = std::make_shared<SimulatedJournal>();
  std::unique_ptr<SimulatedRunner> runner_;
  std::vector<AgentCore::Input> inputs_;
  std::unique_ptr<AgentCore> core_;
  std::vector<AgentEvent> events_;
};

TEST_F(GpuCheckTest, AnEndIsToldOnceItsGpuIsMeasuredFree) {
  const auto start = start_on(1);
  send(start);
  steps_for(milliseconds(500));
  const int pid = runner_->processes(start.attempt).at(0);
  const std::string process = "gpu.1.processes " + std::to_string(pid) + ":4096";
  tell({process, "gpu.1.memory_used_mb 4296"});
  ASSERT_FALSE(ends_within(start.attempt, milliseconds(3000))) << "it has ended, but its process is still listed";
  EXPECT_EQ(last_report(start.attempt)->state, JobState::kCompleting);
  for (const auto& event : events_)
    if (const auto* heartbeat = std::get_if<HeartbeatEvent>(&event.body)) {
      for (const auto& report : heartbeat->attempts) EXPECT_FALSE(is_terminal(report.state)) << "nor does a heartbeat tell it";
    }
  tell({"gpu.1.memory_used_mb 110"});
  ASSERT_TRUE(ends_within(start.attempt, milliseconds(500)));
  EXPECT_EQ(last_report(start.attempt)->state, JobState::kCompleted);
  EXPECT_TRUE(faults().empty());
}

struct LeakCase {
  const char* name;
  std::function<std::vector<std::string>(int pid)> after;  // what the library answers once the job has ended
  bool measuring = true;
  std::string evidence;
};

class Leak : public GpuCheckTest, public testing::WithParamInterface<LeakCase> {};

TEST_P(Leak, QuarantinesThatOneGpuWithEvidence) {
  const auto start = start_on(1), neighbour = start_on(2, 2);
  send(start);
  send(neighbour);
  steps_for(milliseconds(500));
  const int pid = runner_->processes(start.attempt).at(0);
  tell({"gpu.1.processes " + std::to_string(pid) + ":4096", "gpu.1.memory_used_mb 4296"});
  steps_for(milliseconds(500));
  tell(GetParam().after(pid));
  measuring_ = GetParam().measuring;
  ASSERT_TRUE(ends_within(start.attempt, milliseconds(8000))) << "the end is told, its GPU does not come back";
  const auto found = faults();
  ASSERT_TRUE(found.contains(gpus_[1].gpu_uuid));
  EXPECT_EQ(found.at(gpus_[1].gpu_uuid).fault, "leak");
  EXPECT_NE(found.at(gpus_[1].gpu_uuid).message.find(GetParam().evidence), std::string::npos)
      << found.at(gpus_[1].gpu_uuid).message;
  if (!GetParam().measuring) {  // then nobody can say that the other one is free, nor that anything may start
    steps_for(milliseconds(11'000));
    send(start_on(3, 3));
    EXPECT_EQ(refusals(), std::vector<std::string>{"GPU_UNAVAILABLE"});
    return;
  }
  EXPECT_EQ(found.size(), 1U) << "the others stay in service";
  EXPECT_TRUE(ends_within(neighbour.attempt, milliseconds(3000)));
}

INSTANTIATE_TEST_SUITE_P(
    Nvml, Leak,
    testing::Values(
        LeakCase{"ProcessStays",
                 [](int pid) { return std::vector{"gpu.1.processes " + std::to_string(pid) + ":512", std::string("gpu.1.memory_used_mb 612")}; },
                 true, "its processes 1001 are still on it"},
        LeakCase{"MemoryStays", [](int) { return std::vector<std::string>{"gpu.1.memory_used_mb 4200"}; }, true,
                 "4200 MiB are in use, 100 were before it"},
        LeakCase{"GpuIsLost", [](int) { return std::vector<std::string>{"gpu.1.error 15"}; }, true, "no reading since"},
        LeakCase{"NvmlHangs", [](int) { return std::vector<std::string>{}; }, false, "no reading since"}),
    [](const auto& test) { return std::string(test.param.name); });

TEST_F(GpuCheckTest, AFaultIsSaidAgainForAWhile) {
  const auto start = start_on(1);
  send(start);
  steps_for(milliseconds(500));
  tell({"gpu.1.memory_used_mb 4200"});
  ASSERT_TRUE(ends_within(start.attempt, milliseconds(9000)));
  steps_for(milliseconds(4000));
  const auto said = std::count_if(events_.begin(), events_.end(), [](const AgentEvent& event) {
    return std::holds_alternative<GpuFaultEvent>(event.body);
  });
  EXPECT_EQ(said, 4) << "at once, and with three heartbeats";
}

TEST_F(GpuCheckTest, AForeignProcessKeepsTheGpuFromAStartUntilItIsGone) {
  tell({"gpu.1.processes 4242:2000", "gpu.1.memory_used_mb 2100", "gpu.2.processes 4243:90"});
  steps_for(milliseconds(1000));
  const auto start = start_on(1);
  send(start);
  EXPECT_EQ(refusals(), std::vector<std::string>{"FOREIGN_PROCESS"});
  EXPECT_TRUE(runner_->attempts().empty()) << "nothing was journalled, so the command may come again";
  send(start_on(2, 2));
  EXPECT_EQ(refusals().size(), 1U) << "a display server's 90 MiB keep nobody away";
  tell({});
  step();
  send(start);
  EXPECT_EQ(refusals().size(), 1U);
  EXPECT_TRUE(ends_within(start.attempt, milliseconds(5000)));
}

TEST_F(GpuCheckTest, AForeignProcessIsNoticedWithTheNextReading) {
  GpuCheck check{GpuCheckOptions{}};
  const Mono now = clock_.mono();
  GpuSample sample;
  sample.gpu_uuid = gpus_[0].gpu_uuid;
  sample.processes = std::vector<GpuProcess>{{77, 5000}};
  check.set_processes({{AttemptId{JobId("J"), 1}, {77}}});
  check.observe(sample, now);
  EXPECT_EQ(check.foreign()[gpus_[0].gpu_uuid], 0u);
  sample.processes->push_back({78, std::nullopt});
  check.observe(sample, now + milliseconds(1));
  EXPECT_EQ(check.foreign()[gpus_[0].gpu_uuid], 1u);
}

TEST_F(GpuCheckTest, TooLittleFreeMemoryIsARefusal) {
  tell({"gpu.1.memory_used_mb 80000"});
  step();
  send(start_on(1, 1, 4096));
  EXPECT_EQ(refusals(), std::vector<std::string>{"INSUFFICIENT_VRAM"});
}

TEST_F(GpuCheckTest, OfASharedGpuOnlyTheJobsOwnProcessesMustBeGone) {
  auto start = start_on(1), other = start_on(1, 2);
  start.spec.share = other.spec.share = Share::kMemory;
  other.spec.env["AETHER_SIM_DURATION_MS"] = "60000";
  send(start);
  send(other);
  steps_for(milliseconds(500));
  const std::string others = std::to_string(runner_->processes(other.attempt).at(0)) + ":9000";
  tell({"gpu.1.processes " + others + "," + std::to_string(runner_->processes(start.attempt).at(0)) + ":4096", "gpu.1.memory_used_mb 13200"});
  steps_for(milliseconds(500));
  tell({"gpu.1.processes " + others, "gpu.1.memory_used_mb 9100"});
  EXPECT_TRUE(ends_within(start.attempt, milliseconds(3000)));
  EXPECT_TRUE(faults().empty());
}

TEST_F(GpuCheckTest, AnAttemptThatWasAdoptedIsJudgedWithoutItsBaseline) {
  const auto start = start_on(1);
  send(start);
  tell({"gpu.1.memory_used_mb 40000"});
  steps_for(milliseconds(500));
  open_agent();
  step({AgentCore::Inventory{gpus_, ""}});
  events_.clear();
  steps_for(milliseconds(2500));
  EXPECT_EQ(last_report(start.attempt)->state, JobState::kCompleting) << "40000 MiB are not free";
  tell({"gpu.1.memory_used_mb 700"});
  EXPECT_TRUE(ends_within(start.attempt, milliseconds(1000)));
  EXPECT_TRUE(faults().empty());
}

TEST_F(GpuCheckTest, TheGpusOfAnUnkillableAttemptAreFaulty) {
  auto start = start_on(1);
  start.spec.env["AETHER_SIM_UNKILLABLE"] = "1";
  send(start);
  steps_for(milliseconds(500));
  step({Command{NodeId("n1"), "", StopCommand{start.attempt, start.epoch, "user_cancel", 1}}});
  steps_for(milliseconds(63'000));
  const auto found = faults();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found.begin()->first, gpus_[1].gpu_uuid);
  EXPECT_EQ(found.begin()->second.fault, "unkillable");
  EXPECT_EQ(last_report(start.attempt)->state, JobState::kStopping) << "it has not ended";
}

}  // namespace
}  // namespace aether
