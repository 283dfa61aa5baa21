// The values beyond the sample: batched fields, profiling metrics, MIG instances, the fast tier.
#include <gtest/gtest.h>

#include "telemetry/nvml/fake_control_test.h"
#include "telemetry/nvml/nvml_driver.h"

namespace aether {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using D = GpuDetailField;

class NvmlDetails : public testing::Test {
 protected:
  void open(const char* library = AETHER_FAKE_NVML_LIBRARY) {
    driver = NvmlDriver::open({.library_path = library}, clock).value();
    gpus = driver->enumerate().value();
  }
  GpuDetail detail(ReadTier tier = ReadTier::kState) {
    const GpuUuid& uuid = gpus.at(0).gpu_uuid;
    EXPECT_TRUE(tier == ReadTier::kFast ? driver->read_fast(uuid) : driver->read(uuid));
    return driver->detail(uuid).value();
  }

  FakeControl control;
  ManualClock clock;
  std::unique_ptr<NvmlDriver> driver;
  std::vector<GpuInfo> gpus;
};

TEST_F(NvmlDetails, EveryFieldArrivesInItsPlaceAndUnit) {
  control.set({"gpu.0.field.186.0 101500", "gpu.0.field.186.1 131000", "gpu.0.field.186.2 30250", "gpu.0.field.138 7000",
               "gpu.0.field.145 1", "gpu.0.field.230 2", "gpu.0.serial S-1", "gpu.0.clock_video 1500", "gpu.0.bar1_used_mb 9"});
  open();
  const GpuDetail d = detail();
  EXPECT_EQ(d.get(D::kPowerInstantW), 101.5);
  EXPECT_EQ(d.get(D::kPowerModuleW), 131);
  EXPECT_EQ(d.get(D::kPowerMemW), 30.25);
  EXPECT_EQ(d.get(D::kPowerLimitMinW), 200);
  EXPECT_EQ(d.get(D::kPowerLimitMaxW), 700);
  EXPECT_EQ(d.get(D::kPcieTxBytes), 4000000);
  EXPECT_EQ(d.get(D::kPcieRxBytes), 5000000);
  EXPECT_EQ(d.get(D::kNvlinkTxBytes), 7000 * 1024);
  EXPECT_EQ(d.get(D::kNvlinkRxBytes), 8000 * 1024);
  EXPECT_EQ(d.get(D::kThrottlePowerCapNs), 11000000);
  EXPECT_EQ(d.get(D::kThrottleHwPowerBrakeNs), 19000000);
  EXPECT_EQ(d.get(D::kEccSbeAggregate), 21);
  EXPECT_EQ(d.get(D::kRemappedRowsCorrectable), 2);
  EXPECT_EQ(d.get(D::kRemappedRowsFailure), 1);
  EXPECT_EQ(d.get(D::kNvlinkRecoveryErrors), 34);
  EXPECT_EQ(d.get(D::kRecoveryAction), 2);
  EXPECT_EQ(d.get(D::kClockVideoMhz), 1500);
  EXPECT_EQ(d.get(D::kBar1UsedMb), 9);
  EXPECT_EQ(d.get(D::kTemperatureMarginC), 50);
  EXPECT_EQ(d.get(D::kTemperatureMaxC), 87);
  EXPECT_EQ(d.get(D::kPcieLinkGenMax), 5);
  EXPECT_EQ(d.get(D::kPcieLinkWidth), 16);
  EXPECT_EQ(d.serial, "S-1");
  EXPECT_FALSE(d.get(D::kRetiredPagesSbe));  // this GPU remaps rows instead
}

TEST_F(NvmlDetails, LibraryOf2020LeavesOutWhatItLacks) {
  open(AETHER_FAKE_NVML_OLD_LIBRARY);
  const GpuDetail d = detail();
  EXPECT_FALSE(d.get(D::kTemperatureMarginC));
  EXPECT_FALSE(d.get(D::kUtilizationJpgPct));
  EXPECT_FALSE(d.get(D::kSmActivePct));
  EXPECT_TRUE(d.get(D::kPcieLinkGen));
}

TEST_F(NvmlDetails, FieldThatVanishesIsAbsentAndNotRepeated) {
  open();
  EXPECT_TRUE(detail().get(D::kPowerInstantW));
  control.set({"gpu.0.field_type.186 77"});
  EXPECT_FALSE(detail().get(D::kPowerInstantW));
}

TEST_F(NvmlDetails, NarrowCounterThatWrapsGoesOn) {
  control.set({"gpu.0.field.197 4294967000"});
  open();
  EXPECT_EQ(detail().get(D::kPcieTxBytes), 4294967000);
  control.set({"gpu.0.field.197 704"});
  EXPECT_EQ(detail().get(D::kPcieTxBytes), 4294968000);
}

TEST_F(NvmlDetails, ProfilingMetricsNeedTwoSamples) {
  control.set({"gpu.0.gpm.2 55.5", "gpu.0.gpm.5 12.25", "gpu.0.gpm.10 off", "gpu.0.gpm.20 640"});
  open();
  EXPECT_FALSE(detail().get(D::kSmActivePct));
  clock.advance(seconds(1));
  const GpuDetail d = detail();
  EXPECT_EQ(d.get(D::kSmActivePct), 55.5);
  EXPECT_EQ(d.get(D::kTensorActivePct), 12.25);
  EXPECT_EQ(d.get(D::kPcieTxMbPerS), 640);
  EXPECT_FALSE(d.get(D::kDramActivePct));
  control.set({"gpu.0.gpm.2 66"});
  clock.advance(milliseconds(50));
  EXPECT_EQ(detail().get(D::kSmActivePct), 55.5);  // too short a time to measure anything
  clock.advance(milliseconds(100));
  EXPECT_EQ(detail().get(D::kSmActivePct), 66);
  clock.advance(std::chrono::hours(1));
  EXPECT_FALSE(detail().get(D::kSmActivePct));
  control.set({"gpu.0.sentinel gpm"});
  clock.advance(seconds(1));
  EXPECT_FALSE(detail().get(D::kSmActivePct));
}

TEST_F(NvmlDetails, GpuWithoutProfilingMetricsHasNone) {
  control.set({"gpu.0.gpm off"});
  open();
  detail();
  clock.advance(seconds(1));
  EXPECT_FALSE(detail().get(D::kSmActivePct));
  EXPECT_TRUE(detail().get(D::kPowerInstantW));
}

TEST_F(NvmlDetails, MigInstancesComeAndGo) {
  control.set({"gpu.0.mig 2", "gpu.0.mig.1.used_mb 777", "gpu.0.gpm.1 31"});
  open();
  ASSERT_EQ(detail().mig.size(), 2u);
  clock.advance(seconds(6));
  const GpuDetail d = detail();
  ASSERT_EQ(d.mig.size(), 2u);
  EXPECT_EQ(d.mig[1].profile, "1g.10gb");
  EXPECT_EQ(d.mig[1].gpu_instance, 8);
  EXPECT_EQ(d.mig[1].memory_used_mb, 777);
  EXPECT_EQ(d.mig[1].memory_total_mb, 10240);
  EXPECT_EQ(d.mig[1].engine_active_pct, 31);
  EXPECT_TRUE(d.mig[1].uuid.starts_with("MIG-"));
  control.set({"gpu.0.mig 1"});
  clock.advance(seconds(6));
  EXPECT_EQ(detail().mig.size(), 1u);
  control.set({});
  clock.advance(seconds(6));
  EXPECT_TRUE(detail().mig.empty());
}

TEST_F(NvmlDetails, FastTierRefreshesItsCountersAndKeepsTheRest) {
  control.set({"gpu.0.temperature_c 50", "gpu.0.power_mw 100000", "gpu.0.energy_mj 5"});
  open();
  detail();
  control.set({"gpu.0.temperature_c 70", "gpu.0.power_mw 200000", "gpu.0.energy_mj 9"});
  clock.advance(milliseconds(100));
  const GpuSample fast = driver->read_fast(gpus[0].gpu_uuid).value();
  EXPECT_EQ(fast.power_draw_w, 200);
  EXPECT_EQ(fast.energy_total_mj, 9u);
  EXPECT_EQ(fast.temperature_c, 50);
  const GpuDetail d = driver->detail(gpus[0].gpu_uuid).value();
  EXPECT_EQ(d.fast_at - d.state_at, milliseconds(100));
  EXPECT_EQ(driver->read(gpus[0].gpu_uuid)->temperature_c, 70);
}

TEST_F(NvmlDetails, FastValueThatFailsIsAbsentAndNotTheOldOne) {
  open();
  detail();
  control.set({"gpu.0.sentinel power,energy,utilization"});
  const GpuSample fast = driver->read_fast(gpus[0].gpu_uuid).value();
  EXPECT_FALSE(fast.power_draw_w || fast.energy_total_mj || fast.utilization_gpu);
}

TEST_F(NvmlDetails, EventsAreToldWithTheirKind) {
  open();
  std::vector<GpuEvent> events;
  driver->set_on_event([&](const GpuEvent& event) { events.push_back(event); });
  control.set({"xid.2 48", "xid.1 dbe"});
  driver->poll_events();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0], (GpuEvent{gpus[1].gpu_uuid, GpuEvent::Kind::kDoubleBitEcc, 0, clock.now()}));
  EXPECT_EQ(events[1], (GpuEvent{gpus[2].gpu_uuid, GpuEvent::Kind::kXid, 48, clock.now()}));
}

}  // namespace
}  // namespace aether
