// Scenario files drive the fake library as they drive the simulated GPUs.
#include <fstream>
#include <thread>

#include <gtest/gtest.h>

#include "telemetry/nvml/fake_control_test.h"
#include "telemetry/nvml/nvml_driver.h"

namespace aether {
namespace {

class NvmlScenario : public testing::Test {
 protected:
  ~NvmlScenario() override { std::remove(path_.c_str()); }
  void play(const std::string& text) {
    std::ofstream(path_) << text;
    control_.set({"gpus 4", "scenario " + path_});
    driver_ = NvmlDriver::open({.library_path = AETHER_FAKE_NVML_LIBRARY}, clock_).value();
    gpus_ = driver_->enumerate().value();
  }
  Result<GpuSample> read(std::size_t gpu) { return driver_->read(gpus_[gpu].gpu_uuid); }

  // The library begins anew when the name of the scenario is another one.
  inline static int plays_ = 0;
  const std::string path_ = testing::TempDir() + "/aether-nvml-scenario-" + std::to_string(getpid()) + "-" + std::to_string(++plays_) + ".toml";
  FakeControl control_;
  SystemClock clock_;
  std::unique_ptr<NvmlDriver> driver_;
  std::vector<GpuInfo> gpus_;
};

TEST_F(NvmlScenario, FaultsShowOnTheirGpusAndNoOthers) {
  play(R"(
[[fault]]
kind = "missing_values"
gpus = [1]
metrics = ["temperature_c", "power_draw_w"]
[[fault]]
kind = "power_brake"
gpus = [2]
[[fault]]
kind = "stuck_values"
gpus = [3]
)");
  ASSERT_EQ(gpus_.size(), 4u);
  const GpuSample healthy = read(0).value(), missing = read(1).value();
  EXPECT_TRUE(healthy.temperature_c && healthy.power_draw_w);
  EXPECT_FALSE(missing.temperature_c || missing.power_draw_w);
  EXPECT_TRUE(missing.memory_used_mb);
  const GpuSample stuck = read(3).value();
  std::this_thread::sleep_for(std::chrono::milliseconds(900));
  EXPECT_EQ(read(3)->energy_total_mj, stuck.energy_total_mj);
  EXPECT_GT(*read(0)->energy_total_mj, *healthy.energy_total_mj);
  EXPECT_EQ(read(2)->throttling_reasons_mask.value_or(0) & 0x80, 0x80u);
  EXPECT_EQ(read(0)->throttling_reasons_mask.value_or(0) & 0x80, 0u);
}

TEST_F(NvmlScenario, AGpuIsLostWithoutAWordAndTheOthersStay) {
  play("[[fault]]\nkind = \"silent_loss\"\ngpus = [3]\nfrom = \"4s\"\n");
  ASSERT_TRUE(read(3));
  for (int i = 0; i < 200 && read(3); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(read(3).error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(read(0));
}

TEST_F(NvmlScenario, AnXidArrivesAsAnEvent) {
  play("[[fault]]\nkind = \"xid\"\ngpus = [2]\nfrom = \"4s\"\ncode = 94\n");
  ASSERT_TRUE(read(2));
  for (int i = 0; i < 200 && !read(2)->xid_last; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(read(2)->xid_last, 94);
  EXPECT_FALSE(read(1)->xid_last);
}

}  // namespace
}  // namespace aether
