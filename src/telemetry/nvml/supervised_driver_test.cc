// The library in a process of its own, sick in every way: hang, crash, loss, reload. Real processes, no asserted times.
#include "telemetry/nvml/supervised_driver.h"

#include <signal.h>

#include <functional>
#include <mutex>
#include <thread>

#include <gmock/gmock.h>

#include "telemetry/nvml/fake_control_test.h"

namespace aether {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

SupervisedNvmlOptions options_for(const std::string& library) {
  SupervisedNvmlOptions options;
  options.command = {AETHER_NVML_WORKER, {"aether-nvml", library}};
  return options;
}

class SupervisedNvml : public testing::Test {
 protected:
  SupervisedNvml() {
    options = options_for(AETHER_FAKE_NVML_LIBRARY);
    options.call_deadline = seconds(5);  // a busy machine is no sick driver; tests of a hang lower it
    options.start_deadline = seconds(60);
    options.first_delay = milliseconds(50);
    options.longest_delay = milliseconds(200);
    options.probation_interval = milliseconds(50);
    options.probation_deadline = seconds(30);
  }
  void open() {
    driver = SupervisedNvmlDriver::open(options, clock).value();
    driver->set_on_event([this](const GpuEvent& event) {
      std::lock_guard lock(mutex);
      events.push_back(event);
    });
    gpus = driver->enumerate().value();
  }
  Result<GpuSample> read(int index) { return driver->read(gpus.at(static_cast<std::size_t>(index)).gpu_uuid); }
  bool eventually(const std::function<bool()>& holds) {
    const auto until = std::chrono::steady_clock::now() + seconds(60);
    while (std::chrono::steady_clock::now() < until) {
      if (holds()) return true;
      std::this_thread::sleep_for(milliseconds(5));
    }
    return false;
  }
  bool saw(GpuEvent::Kind kind, int index) {
    std::lock_guard lock(mutex);
    return std::any_of(events.begin(), events.end(), [&](const GpuEvent& event) {
      return event.kind == kind && event.gpu_uuid == gpus.at(static_cast<std::size_t>(index)).gpu_uuid;
    });
  }

  FakeControl control;
  SystemClock clock;
  SupervisedNvmlOptions options;
  std::unique_ptr<SupervisedNvmlDriver> driver;
  std::vector<GpuInfo> gpus;
  std::mutex mutex;
  std::vector<GpuEvent> events;
};

TEST_F(SupervisedNvml, ValuesComeThroughWhole) {
  control.set({"gpu.1.temperature_c 61", "gpu.1.power_mw 345678", "gpu.1.reasons 0x24", "gpu.1.pstate 2",
               "gpu.1.processes 4321:1024,77:", "gpu.1.field.145 1"});
  open();
  EXPECT_EQ(driver->driver_version(), "570.00.fake");
  const auto sample = read(1);
  ASSERT_TRUE(sample) << sample.error().message;
  EXPECT_EQ(sample->temperature_c, 61);
  EXPECT_EQ(sample->power_draw_w, 345.678);
  EXPECT_EQ(sample->throttling_reasons, "power_cap|sw_thermal");
  EXPECT_EQ(sample->performance_state, "P2");
  EXPECT_EQ(*sample->processes, (std::vector<GpuProcess>{{4321, 1024}, {77, std::nullopt}}));
  const auto detail = driver->detail(gpus[1].gpu_uuid);
  ASSERT_TRUE(detail);
  EXPECT_EQ(detail->get(GpuDetailField::kRemappedRowsFailure), 1);
  EXPECT_LE(detail->state_at, clock.mono());
  EXPECT_TRUE(driver->read_fast(gpus[1].gpu_uuid));
}

TEST_F(SupervisedNvml, HungGpuIsLeftAloneWhileTheOthersAreReadAndComesBack) {
  options.call_deadline = milliseconds(500);
  open();
  ASSERT_TRUE(read(2));
  const int first_pid = driver->health().worker_pid;
  control.set({"gpu.2.hang on"});
  EXPECT_EQ(read(2).error().code, ErrorCode::kUnavailable);
  EXPECT_TRUE(eventually([&] { return read(3).has_value(); }));
  EXPECT_TRUE(eventually([&] { return read(0).has_value(); }));
  EXPECT_EQ(read(2).error().code, ErrorCode::kUnavailable);
  EXPECT_FALSE(driver->detail(gpus[2].gpu_uuid));
  EXPECT_EQ(driver->enumerate()->size(), 4u);
  const GpuDriverHealth health = driver->health();
  EXPECT_THAT(health.hung, testing::ElementsAre(gpus[2].gpu_uuid));
  EXPECT_GE(health.restarts.at("hang"), 1u);
  EXPECT_NE(health.worker_pid, first_pid);
  EXPECT_TRUE(saw(GpuEvent::Kind::kHung, 2));
  control.set({});
  EXPECT_TRUE(eventually([&] { return read(2).has_value(); }));
  EXPECT_TRUE(saw(GpuEvent::Kind::kAnswersAgain, 2));
  EXPECT_TRUE(driver->health().hung.empty());
  EXPECT_TRUE(read(3));
}

TEST_F(SupervisedNvml, OnlyGpuThatHangsComesBackToo) {
  options.call_deadline = milliseconds(500);
  control.set({"gpus 1"});
  open();
  control.set({"gpus 1", "gpu.0.hang on"});
  EXPECT_FALSE(read(0));
  EXPECT_EQ(driver->enumerate()->size(), 1u);
  control.set({"gpus 1"});
  EXPECT_TRUE(eventually([&] { return read(0).has_value(); }));
}

TEST_F(SupervisedNvml, CrashOfTheLibraryCostsOneReading) {
  open();
  control.set({"crash.nvmlDeviceGetUtilizationRates on"});
  EXPECT_EQ(read(0).error().code, ErrorCode::kUnavailable);
  control.set({});
  EXPECT_TRUE(eventually([&] { return read(0).has_value(); }));
  EXPECT_EQ(driver->health().restarts.at("crash"), 1u);
  EXPECT_TRUE(driver->health().up);
}

TEST_F(SupervisedNvml, KilledWorkerIsReplaced) {
  open();
  ASSERT_EQ(kill(driver->health().worker_pid, SIGKILL), 0);
  EXPECT_TRUE(eventually([&] { return read(0).has_value(); }));
  EXPECT_EQ(driver->health().restarts.at("crash"), 1u);
}

TEST_F(SupervisedNvml, LibraryThatCrashesAlwaysIsStartedEverMoreRarely) {
  open();
  control.set({"crash.nvmlDeviceGetCount_v2 on", "crash.nvmlDeviceGetUtilizationRates on"});
  ASSERT_TRUE(eventually([&] {
    EXPECT_FALSE(read(0));
    return driver->health().restarts["crash"] >= 4;
  }));
  control.set({});
  EXPECT_TRUE(eventually([&] { return read(0).has_value(); }));
}

TEST_F(SupervisedNvml, LostGpuIsNotFoundAndBackAfterItsReset) {
  open();
  control.set({"gpu.1.error 15"});
  EXPECT_EQ(read(1).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(driver->enumerate()->size(), 3u);
  control.set({});
  EXPECT_EQ(driver->enumerate()->size(), 4u);
  EXPECT_TRUE(read(1));
  EXPECT_TRUE(driver->health().restarts.empty());
}

TEST_F(SupervisedNvml, DriverReloadIsSurvivedWithTheSameUuids) {
  open();
  control.set({"all.error 9", "init.error 9"});
  EXPECT_EQ(read(0).error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(driver->enumerate().error().code, ErrorCode::kUnavailable);
  control.set({"driver_version 580.1"});
  const auto listed = driver->enumerate();
  ASSERT_TRUE(listed) << listed.error().message;
  EXPECT_EQ(*listed, gpus);
  EXPECT_EQ(driver->driver_version(), "580.1");
  EXPECT_TRUE(read(0));
}

TEST_F(SupervisedNvml, EventsComeUnasked) {
  open();
  control.set({"xid.3 79"});
  EXPECT_TRUE(eventually([&] { return saw(GpuEvent::Kind::kXid, 3); }));
}

TEST_F(SupervisedNvml, HangWhileLoadingEndsAtTheDeadline) {
  control.set({"hang.nvmlInit_v2 on"});
  options.start_deadline = milliseconds(300);
  const auto opened = SupervisedNvmlDriver::open(options, clock);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kUnavailable);
}

TEST_F(SupervisedNvml, GpuThatHangsAtTheStartIsLeftOut) {
  control.set({"gpu.1.hang.nvmlDeviceGetUUID on"});
  options.start_deadline = milliseconds(2000);
  open();
  ASSERT_EQ(gpus.size(), 3u);
  EXPECT_EQ(gpus[1].gpu_index, 2);
  EXPECT_TRUE(read(1));
}

TEST_F(SupervisedNvml, WithoutALibrarySaysWhatWasTried) {
  options.command.arguments[1] = "/nonexistent/libnvidia-ml.so.1";
  const auto opened = SupervisedNvmlDriver::open(options, clock);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(opened.error().message, testing::HasSubstr("/nonexistent/libnvidia-ml.so.1"));
}

TEST_F(SupervisedNvml, ProgramThatIsMissingIsUnavailable) {
  options.command.program = "/nonexistent/worker";
  EXPECT_EQ(SupervisedNvmlDriver::open(options, clock).error().code, ErrorCode::kUnavailable);
}

TEST_F(SupervisedNvml, WorkerEndsWithItsDriver) {
  open();
  const int pid = driver->health().worker_pid;
  driver.reset();
  EXPECT_EQ(kill(pid, 0), -1);
}

}  // namespace
}  // namespace aether
