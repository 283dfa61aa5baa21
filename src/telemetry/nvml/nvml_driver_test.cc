#include "telemetry/nvml/nvml_driver.h"

#include <stdlib.h>

#include <thread>

#include <gmock/gmock.h>

#include "telemetry/contract_test.h"
#include "telemetry/nvml/fake_control_test.h"
#include "telemetry/nvml/supervised_driver.h"
#include "telemetry/sampler.h"

namespace aether {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

class FakeSubject : public GpuDriverSubject {
 public:
  explicit FakeSubject(const char* library) : driver_(NvmlDriver::open({.library_path = library}, clock_).value()) {}
  GpuDriver& driver() override { return *driver_; }
  void advance_one_second() override { clock_.advance(seconds(1)); }
  bool lose_gpu(int gpu_index) override {
    control_.add("gpu." + std::to_string(gpu_index) + ".error 15");
    return true;
  }

 private:
  FakeControl control_;
  ManualClock clock_;
  std::unique_ptr<NvmlDriver> driver_;
};

// The machine's own GPUs, when asked for.
class RealSubject : public GpuDriverSubject {
 public:
  std::string skip_reason() override {
    const char* wanted = getenv("AETHER_TEST_REAL_NVML");
    if (!wanted || std::string(wanted) != "1") return "real GPUs are tested with AETHER_TEST_REAL_NVML=1";
    auto opened = NvmlDriver::open({}, clock_);
    EXPECT_TRUE(opened) << opened.error().message;
    if (!opened) return "no NVIDIA driver";
    driver_ = *std::move(opened);
    return {};
  }
  GpuDriver& driver() override { return *driver_; }
  void advance_one_second() override { std::this_thread::sleep_for(seconds(1)); }
  bool lose_gpu(int) override { return false; }

 private:
  SystemClock clock_;
  std::unique_ptr<NvmlDriver> driver_;
};

// The same library in a process of its own.
SupervisedNvmlOptions supervised_options(const std::string& library) {
  SupervisedNvmlOptions options;
  options.command = {AETHER_NVML_WORKER, {"aether-nvml", library}};
  return options;
}

class SupervisedSubject : public GpuDriverSubject {
 public:
  explicit SupervisedSubject(const char* library) : driver_(SupervisedNvmlDriver::open(supervised_options(library), clock_).value()) {}
  GpuDriver& driver() override { return *driver_; }
  void advance_one_second() override {}  // the fake library's counters rise with every call
  bool lose_gpu(int gpu_index) override {
    control_.add("gpu." + std::to_string(gpu_index) + ".error 15");
    return true;
  }

 private:
  FakeControl control_;
  SystemClock clock_;
  std::unique_ptr<SupervisedNvmlDriver> driver_;
};

std::unique_ptr<GpuDriverSubject> make_fake() { return std::make_unique<FakeSubject>(AETHER_FAKE_NVML_LIBRARY); }
std::unique_ptr<GpuDriverSubject> make_old() { return std::make_unique<FakeSubject>(AETHER_FAKE_NVML_OLD_LIBRARY); }
std::unique_ptr<GpuDriverSubject> make_real() { return std::make_unique<RealSubject>(); }

INSTANTIATE_TEST_SUITE_P(NvmlFake, GpuDriverContract, testing::Values(&make_fake));
INSTANTIATE_TEST_SUITE_P(NvmlFakeOf2020, GpuDriverContract, testing::Values(&make_old));
INSTANTIATE_TEST_SUITE_P(NvmlReal, GpuDriverContract, testing::Values(&make_real));

std::unique_ptr<GpuDriverSubject> make_supervised() { return std::make_unique<SupervisedSubject>(AETHER_FAKE_NVML_LIBRARY); }
std::unique_ptr<GpuDriverSubject> make_supervised_old() { return std::make_unique<SupervisedSubject>(AETHER_FAKE_NVML_OLD_LIBRARY); }
INSTANTIATE_TEST_SUITE_P(NvmlSupervised, GpuDriverContract, testing::Values(&make_supervised));
INSTANTIATE_TEST_SUITE_P(NvmlSupervisedOf2020, GpuDriverContract, testing::Values(&make_supervised_old));

class NvmlDriverTest : public testing::Test {
 protected:
  void open(const char* library = AETHER_FAKE_NVML_LIBRARY) {
    driver = NvmlDriver::open({.library_path = library}, clock).value();
    gpus = driver->enumerate().value();
  }
  Result<GpuSample> read(int index) { return driver->read(gpus.at(static_cast<std::size_t>(index)).gpu_uuid); }
  GpuSample sample(int index) {
    Result<GpuSample> got = read(index);
    EXPECT_TRUE(got) << got.error().message;
    return got ? *got : GpuSample{};
  }

  FakeControl control;
  ManualClock clock;
  std::unique_ptr<NvmlDriver> driver;
  std::vector<GpuInfo> gpus;
};

TEST_F(NvmlDriverTest, EveryValueArrivesInItsField) {
  control.set({"gpus 2", "driver_version 575.51.03", "gpu.1.name Test GPU", "gpu.1.temperature_c 61",
               "gpu.1.temperature_mem_c 72", "gpu.1.utilization_gpu 83", "gpu.1.utilization_memory 44",
               "gpu.1.encoder 5", "gpu.1.decoder 6", "gpu.1.memory_total_mb 81000", "gpu.1.memory_used_mb 12345",
               "gpu.1.memory_reserved_mb 501", "gpu.1.power_mw 345678", "gpu.1.power_limit_mw 650000",
               "gpu.1.energy_mj 1234567890123", "gpu.1.clock_graphics 1755", "gpu.1.clock_sm 1740",
               "gpu.1.clock_mem 2600", "gpu.1.pstate 2", "gpu.1.reasons 0x24", "gpu.1.fan 55", "gpu.1.ecc_sbe 7",
               "gpu.1.ecc_dbe 8", "gpu.1.replays 9", "gpu.1.processes 4321:1024,77:", "gpu.1.graphics_processes 500:16",
               "gpu.1.clock_max 1981", "gpu.1.clock_mem_max 2620", "gpu.1.slowdown_c 91", "gpu.1.shutdown_c 96"});
  open();
  EXPECT_EQ(driver->driver_version(), "575.51.03");
  ASSERT_EQ(gpus.size(), 2u);
  const GpuInfo& info = gpus[1];
  EXPECT_EQ(info.gpu_name, "Test GPU");
  EXPECT_EQ(info.gpu_pci_bus_id, "00000000:11:00.0");
  EXPECT_EQ(info.gpu_architecture, "hopper");
  EXPECT_EQ(info.gpu_compute_capability, "9.0");
  EXPECT_EQ(info.memory_total_mb, 81000);
  EXPECT_EQ(info.power_limit_w, 650);
  EXPECT_EQ(info.clock_gpu_max_mhz, 1981);
  EXPECT_EQ(info.clock_mem_max_mhz, 2620);
  EXPECT_EQ(info.temperature_slowdown_c, 91);
  EXPECT_EQ(info.temperature_shutdown_c, 96);

  const GpuSample s = sample(1);
  EXPECT_EQ(s.gpu_index, 1);
  EXPECT_EQ(s.temperature_c, 61);
  EXPECT_EQ(s.temperature_mem_c, 72);
  EXPECT_EQ(s.utilization_gpu, 83);
  EXPECT_EQ(s.utilization_memory_controller, 44);
  EXPECT_EQ(s.utilization_encoder_pct, 5);
  EXPECT_EQ(s.utilization_decoder_pct, 6);
  EXPECT_EQ(s.memory_total_mb, 81000);
  EXPECT_EQ(s.memory_used_mb, 12345);
  EXPECT_EQ(s.memory_reserved_mb, 501);
  EXPECT_EQ(s.power_draw_w, 345.678);
  EXPECT_EQ(s.power_limit_w, 650);
  EXPECT_EQ(s.energy_total_mj, 1234567890123u);
  EXPECT_EQ(s.clock_gpu_mhz, 1755);
  EXPECT_EQ(s.clock_sm_mhz, 1740);
  EXPECT_EQ(s.clock_mem_mhz, 2600);
  EXPECT_EQ(s.performance_state, "P2");
  EXPECT_EQ(s.throttling_reasons_mask, 0x24u);
  EXPECT_EQ(s.throttling_reasons, "power_cap|sw_thermal");
  EXPECT_EQ(s.fan_speed_pct, 55);
  EXPECT_EQ(s.ecc_sbe_volatile_total, 7u);
  EXPECT_EQ(s.ecc_dbe_volatile_total, 8u);
  EXPECT_EQ(s.pcie_replay_total, 9u);
  ASSERT_TRUE(s.processes);
  EXPECT_EQ(*s.processes, (std::vector<GpuProcess>{{4321, 1024}, {77, std::nullopt}, {500, 16}}));
  EXPECT_FALSE(s.xid_last);
}

TEST_F(NvmlDriverTest, OldLibraryGivesTheSameByItsOlderCalls) {
  control.set({"gpu.0.temperature_c 61", "gpu.0.memory_used_mb 1000", "gpu.0.memory_reserved_mb 300",
               "gpu.0.reasons 0x40", "gpu.0.processes 11:22", "field.185 off", "field.190 off", "field.83 off",
               "field.3 off", "field.4 off", "field.94 off", "field.82 off", "gpu.0.power_mw 99000",
               "gpu.0.energy_mj 55", "gpu.0.ecc_dbe 3", "gpu.0.replays 4"});
  open(AETHER_FAKE_NVML_OLD_LIBRARY);
  const GpuSample s = sample(0);
  EXPECT_EQ(s.temperature_c, 61);
  EXPECT_FALSE(s.temperature_mem_c);
  EXPECT_EQ(s.memory_used_mb, 1300);  // the old call counts what the driver reserves
  EXPECT_FALSE(s.memory_reserved_mb);
  EXPECT_EQ(s.throttling_reasons, "hw_thermal");
  EXPECT_EQ(s.power_draw_w, 99);
  EXPECT_EQ(s.power_limit_w, 700);
  EXPECT_EQ(s.energy_total_mj, 55u);
  EXPECT_EQ(s.ecc_dbe_volatile_total, 3u);
  EXPECT_EQ(s.pcie_replay_total, 4u);
  EXPECT_EQ(s.processes, (std::vector<GpuProcess>{{11, 22}}));
}

TEST_F(NvmlDriverTest, SentinelsAreAbsentAndTheRestStays) {
  control.set({"gpu.0.sentinel memory,temperature,pstate,power,energy,utilization,clocks,fan,reasons,replays",
               "gpu.0.temperature_mem_c 255", "gpu.0.ecc_dbe -16"});
  open();
  const GpuSample s = sample(0);
  EXPECT_FALSE(s.memory_used_mb || s.memory_total_mb || s.memory_reserved_mb);
  EXPECT_FALSE(s.temperature_c || s.temperature_mem_c || s.performance_state || s.power_draw_w || s.energy_total_mj);
  EXPECT_FALSE(s.utilization_gpu || s.utilization_memory_controller || s.utilization_encoder_pct);
  EXPECT_FALSE(s.clock_gpu_mhz || s.clock_sm_mhz || s.clock_mem_mhz || s.fan_speed_pct);
  EXPECT_FALSE(s.throttling_reasons || s.throttling_reasons_mask || s.ecc_dbe_volatile_total);
  EXPECT_EQ(s.power_limit_w, 700);
  EXPECT_EQ(s.ecc_sbe_volatile_total, 0u);
  EXPECT_TRUE(sample(1).memory_used_mb);
}

TEST_F(NvmlDriverTest, UnsupportedMetricIsNotAskedForAgain) {
  control.set({"gpu.0.error.nvmlDeviceGetFanSpeed 3"});
  open();
  EXPECT_FALSE(sample(0).fan_speed_pct);
  control.set({});
  EXPECT_FALSE(sample(0).fan_speed_pct);
  EXPECT_TRUE(sample(1).fan_speed_pct);
}

TEST_F(NvmlDriverTest, MetricThatFailsOnceComesBack) {
  open();
  for (int code : {4, 6, 8, 11, 14, 19, 21, 27, 29, 2, 20, 999, 31, 12345}) {
    control.set({"gpu.0.error.nvmlDeviceGetFanSpeed " + std::to_string(code)});
    EXPECT_FALSE(sample(0).fan_speed_pct) << code;
    control.set({});
    EXPECT_TRUE(sample(0).fan_speed_pct) << code;
  }
}

TEST_F(NvmlDriverTest, LostGpuComesBackAfterItsReset) {
  open();
  for (int code : {15, 16}) {
    control.set({"gpu.2.error " + std::to_string(code)});
    const auto lost = read(2);
    ASSERT_FALSE(lost);
    EXPECT_EQ(lost.error().code, ErrorCode::kNotFound);
    EXPECT_EQ(driver->enumerate()->size(), 3u);
    EXPECT_EQ(read(2).error().code, ErrorCode::kNotFound);
    EXPECT_TRUE(read(3));
    control.set({});
    EXPECT_EQ(driver->enumerate()->size(), 4u);
    EXPECT_TRUE(read(2));
  }
}

TEST_F(NvmlDriverTest, GpuThatOnlyAnswersUnknownIsLostAfterThreeReadings) {
  open();
  control.set({"gpu.1.error 999"});
  for (int i = 0; i < 2; ++i) EXPECT_EQ(read(1).error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(read(1).error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(read(0));
  EXPECT_EQ(driver->enumerate()->size(), 3u);
}

TEST_F(NvmlDriverTest, GpuWithoutPermissionIsLeftOutAndTheOthersStay) {
  control.set({"gpu.1.error 4"});
  open();
  ASSERT_EQ(gpus.size(), 3u);
  EXPECT_EQ(gpus[1].gpu_index, 2);
  EXPECT_TRUE(read(1));
}

TEST_F(NvmlDriverTest, VoidGenerationIsLoadedAnewByEnumerate) {
  open();
  for (int code : {1, 9, 12, 17, 18, 28}) {
    control.set({"all.error " + std::to_string(code), "init.error 9"});
    EXPECT_EQ(read(0).error().code, ErrorCode::kUnavailable) << code;
    EXPECT_EQ(read(0).error().code, ErrorCode::kUnavailable) << code;
    const auto still_gone = driver->enumerate();
    ASSERT_FALSE(still_gone);
    EXPECT_EQ(still_gone.error().code, ErrorCode::kUnavailable);
    control.set({"driver_version 600." + std::to_string(code)});
    ASSERT_TRUE(driver->enumerate());
    EXPECT_EQ(driver->driver_version(), "600." + std::to_string(code));
    EXPECT_TRUE(read(0));
  }
}

TEST_F(NvmlDriverTest, IndexesMaySwapOverAReloadAndUuidsHold) {
  control.set({"gpus 2", "gpu.0.uuid GPU-a", "gpu.1.uuid GPU-b", "gpu.0.temperature_c 50", "gpu.1.temperature_c 60"});
  open();
  EXPECT_EQ(driver->read(GpuUuid("GPU-b"))->temperature_c, 60);
  control.set({"count.error 9"});
  EXPECT_FALSE(driver->enumerate());
  control.set({"gpus 2", "gpu.0.uuid GPU-b", "gpu.1.uuid GPU-a", "gpu.0.temperature_c 60", "gpu.1.temperature_c 50"});
  ASSERT_TRUE(driver->enumerate());
  const auto b = driver->read(GpuUuid("GPU-b"));
  EXPECT_EQ(b->temperature_c, 60);
  EXPECT_EQ(b->gpu_index, 0);
}

TEST_F(NvmlDriverTest, XidIsShownOnItsGpuWithTheTimeOfReceipt) {
  control.set({"xid.3 13"});  // of before: not reported
  open();
  EXPECT_FALSE(sample(3).xid_last);
  control.set({"xid.3 31"});
  const Time first = clock.now();
  EXPECT_FALSE(sample(0).xid_last);
  EXPECT_EQ(sample(3).xid_last, 31);
  clock.advance(seconds(10));
  EXPECT_EQ(sample(3).xid_last_time, first);
  control.set({"xid.3 31 again"});
  EXPECT_EQ(sample(3).xid_last, 31);
  EXPECT_EQ(sample(3).xid_last_time, first + seconds(10));
}

TEST_F(NvmlDriverTest, XidThenLossNamesTheXid) {
  open();
  control.set({"xid.3 79", "gpu.3.error 15"});
  EXPECT_TRUE(read(0));
  EXPECT_THAT(read(3).error().message, HasSubstr("XID 79"));
  control.set({"xid.1 48"});
  EXPECT_TRUE(read(0));
  EXPECT_EQ(sample(1).xid_last, 48);  // the watch over the others goes on
}

TEST_F(NvmlDriverTest, EventWaitThatReportsALossKeepsTheOtherWatches) {
  open();
  control.set({"wait.error 15", "gpu.2.error 15"});
  EXPECT_TRUE(read(0));
  EXPECT_EQ(read(2).error().code, ErrorCode::kNotFound);
  control.set({"xid.1 48"});
  EXPECT_EQ(sample(1).xid_last, 48);
}

TEST_F(NvmlDriverTest, ProcessListsOfWideEntriesGiveTruePids) {
  for (int stride : {24, 32, 40}) {
    control.set({"process_stride " + std::to_string(stride), "gpu.0.processes 1184:100,1185:200,1186:300"});
    open();
    EXPECT_EQ(sample(0).processes, (std::vector<GpuProcess>{{1184, 100}, {1185, 200}, {1186, 300}})) << stride;
  }
  control.set({"process_stride 28", "gpu.0.processes 1184:100,1185:200,1186:300"});
  open();
  EXPECT_FALSE(sample(0).processes);
}

TEST_F(NvmlDriverTest, ProcessListsAreAskedForAtTheirInterval) {
  control.set({"gpu.0.processes 1:1"});
  open();
  EXPECT_EQ(sample(0).processes->size(), 1u);
  control.set({"gpu.0.processes 1:1,2:2"});
  EXPECT_EQ(sample(0).processes->size(), 1u);
  clock.advance(seconds(5));
  EXPECT_EQ(sample(0).processes->size(), 2u);
}

TEST_F(NvmlDriverTest, MemoryTemperatureWithAWrongTypeIsRight) {
  control.set({"gpu.0.temperature_mem_c 66", "gpu.0.field_type.82 2"});
  open();
  EXPECT_EQ(sample(0).temperature_mem_c, 66);
}

TEST_F(NvmlDriverTest, EnumerationFindsGpusThatCameAndWent) {
  control.set({"gpus 1"});
  open();
  control.set({"gpus 3"});
  EXPECT_EQ(driver->enumerate()->size(), 3u);
  control.set({"gpus 2"});
  EXPECT_EQ(driver->enumerate()->size(), 2u);
}

// Twenty seconds without a driver, then another version with its energy counters at zero.
TEST_F(NvmlDriverTest, SamplerOutlivesADriverReload) {
  open();
  std::map<int, GpuSample> last;
  std::size_t inventories = 0;
  Sampler sampler(
      NodeId("n"), *driver, clock, {}, [&](GpuSample s) { last[s.gpu_index] = std::move(s); },
      [&](std::vector<GpuInfo>) { ++inventories; });
  const auto run = [&](int rounds) {
    last.clear();
    for (int i = 0; i < rounds; ++i) {
      sampler.tick();
      clock.advance(seconds(1));
    }
  };
  run(5);
  EXPECT_EQ(last.size(), 4u);
  EXPECT_EQ(last[3].sample_seq, 5u);
  control.set({"all.error 9", "init.error 9"});
  run(20);
  EXPECT_TRUE(last.empty());
  EXPECT_EQ(sampler.counters().failed_reads, 80u);
  control.set({"driver_version 580.1", "gpu.3.energy_mj 12"});
  run(16);
  ASSERT_EQ(last.size(), 4u);
  EXPECT_EQ(last[3].energy_total_mj, 12u);
  EXPECT_GT(last[3].sample_seq, 5u);
  EXPECT_EQ(inventories, 1u);  // the same GPUs as before
  EXPECT_EQ(driver->driver_version(), "580.1");
}

// Every code at every call, one at a time: no crash, the answer is one of the port's, the others go on, and after the
// fault is gone an enumeration repairs everything.
TEST_F(NvmlDriverTest, EveryCodeAtEveryCallIsSurvived) {
  const std::vector<std::string> functions = {
      "nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetName", "nvmlDeviceGetUUID", "nvmlDeviceGetPciInfo_v3",
      "nvmlDeviceGetUtilizationRates", "nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetTemperatureV",
      "nvmlDeviceGetClockInfo", "nvmlDeviceGetPerformanceState", "nvmlDeviceGetCurrentClocksEventReasons",
      "nvmlDeviceGetFanSpeed", "nvmlDeviceGetFieldValues", "nvmlDeviceGetComputeRunningProcesses_v3",
      "nvmlDeviceGetSupportedEventTypes", "nvmlDeviceRegisterEvents"};
  open();
  for (const std::string& function : functions)
    for (int code = 1; code <= 31; ++code) {
      SCOPED_TRACE(function + " " + std::to_string(code));
      control.set({"gpu.1.error." + function + " " + std::to_string(code)});
      const auto listed = driver->enumerate();
      EXPECT_TRUE(listed || listed.error().code == ErrorCode::kUnavailable);
      const auto one = read(1);
      EXPECT_TRUE(one || one.error().code == ErrorCode::kUnavailable || one.error().code == ErrorCode::kNotFound);
      expect_plausible(one.value_or(GpuSample{}));
      clock.advance(seconds(6));
      control.set({});
      ASSERT_TRUE(driver->enumerate());
      ASSERT_TRUE(read(0));
    }
}

TEST(NvmlOpen, WithoutALibrarySaysWhatWasTried) {
  ManualClock clock;
  const auto opened = NvmlDriver::open({.library_path = "/nonexistent/libnvidia-ml.so.1"}, clock);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(opened.error().message, HasSubstr("/nonexistent/libnvidia-ml.so.1"));
}

TEST(NvmlOpen, WithoutADriverNamesTheCode) {
  FakeControl control;
  control.set({"init.error 9"});
  ManualClock clock;
  const auto opened = NvmlDriver::open({.library_path = AETHER_FAKE_NVML_LIBRARY}, clock);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(opened.error().message, HasSubstr("DRIVER_NOT_LOADED (9)"));
}

TEST(NvmlOpen, LibraryWithoutARequiredFunctionIsUnsupported) {
  ManualClock clock;
  const auto opened = NvmlDriver::open({.library_path = AETHER_FAKE_NVML_INCOMPLETE_LIBRARY}, clock);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kUnsupported);
}

TEST(NvmlOpen, NoGpuIsAnEmptyList) {
  FakeControl control;
  control.set({"gpus 0"});
  ManualClock clock;
  auto driver = NvmlDriver::open({.library_path = AETHER_FAKE_NVML_LIBRARY}, clock).value();
  const auto gpus = driver->enumerate();
  ASSERT_TRUE(gpus);
  EXPECT_TRUE(gpus->empty());
}

}  // namespace
}  // namespace aether
