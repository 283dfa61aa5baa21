// The library of the tests behind a real agent: what a sick GPU does to the product.
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "mode_test.h"

namespace aether::e2e {
namespace {

class TelemetryTest : public ModeTest {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/aether-e2e-nvml-XXXXXX";
    folder_ = mkdtemp(pattern);
    control({});
    SystemOptions options;
    options.gpus = "nvml";
    PartOptions agent;
    agent.flags = {"--nvml-library", AETHER_FAKE_NVML_LIBRARY};
    agent.environment = {{"AETHER_FAKE_NVML", folder_ + "/control"}};
    options.parts[GetParam() == Mode::kEmbedded ? "orchestrator" : "agent"] = agent;
    std::string why;
    system_ = System::start(GetParam(), 4, why, options);
    if (!system_) GTEST_SKIP() << why;
  }
  void TearDown() override {
    system_.reset();
    std::filesystem::remove_all(folder_);
  }

  void control(const std::vector<std::string>& lines) {
    std::ofstream file(folder_ + "/control.new");
    file << "# " << std::string(++generation_, '.') << "\ngpus 4\n";
    for (const std::string& line : lines) file << line << "\n";
    file.close();
    std::filesystem::rename(folder_ + "/control.new", folder_ + "/control");
  }
  Json gpu(int index) { return system_->get("/api/v1/gpus/n1-" + std::to_string(index)); }
  std::string metrics() {
    http::ClientOptions options;
    options.base_url = system_->metrics_url();
    const auto answer = http::Client(options).request("GET", "/metrics");
    return answer ? answer->body : "";
  }
  static bool eventually(const std::function<bool()>& holds) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (std::chrono::steady_clock::now() < until) {
      if (holds()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return false;
  }
  bool metrics_say(const std::string& line) {
    return eventually([&] { return metrics().find(line) != std::string::npos; });
  }

  std::string folder_;
  std::size_t generation_ = 0;
};

TEST_P(TelemetryTest, AnXidOfTheGpuTakesThatOneOutOfServiceUntilSomebodyReleasesIt) {
  control({"xid.2 48", "xid.1 13"});
  ASSERT_TRUE(eventually([&] { return gpu(2).at("state") == "quarantined"; })) << gpu(2);
  EXPECT_NE(gpu(2).dump().find("double-bit ECC error"), std::string::npos) << gpu(2);
  EXPECT_NE(gpu(1).at("state"), "quarantined") << "the job's own fault";
  EXPECT_TRUE(metrics_say("xid=\"48\"} 1"));
  EXPECT_LT(system_->request("POST", "/api/v1/gpus/n1-2/clear").status, 300);
  EXPECT_NE(gpu(2).at("state"), "quarantined");
}

TEST_P(TelemetryTest, AGpuThatHangsIsQuarantinedAndTheOthersAreReadOn) {
  control({"gpu.3.hang on"});
  ASSERT_TRUE(eventually([&] { return gpu(3).at("state") == "quarantined"; })) << gpu(3);
  EXPECT_TRUE(metrics_say("uuid=\"GPU-fake0000-0000-0000-0000-000000000003\",state=\"hung\"} 1"));
  control({"gpu.3.hang on", "gpu.0.temperature_c 71"});
  EXPECT_TRUE(eventually([&] { return gpu(0).at("sample").at("temperature_c") == 71; }));
  control({});
}

TEST_P(TelemetryTest, TheAgentOutlivesACrashOfTheLibrary) {
  control({"crash.nvmlDeviceGetUtilizationRates on"});
  ASSERT_TRUE(metrics_say("aether_agent_worker_restarts_total{reason=\"crash\"} "));
  ASSERT_TRUE(eventually([&] { return metrics().find("restarts_total{reason=\"crash\"} 0") == std::string::npos; }));
  control({"gpu.0.temperature_c 72"});
  EXPECT_TRUE(eventually([&] { return gpu(0).at("sample").at("temperature_c") == 72; }));
  EXPECT_TRUE(metrics_say("aether_agent_worker_up 1"));
}

TEST_P(TelemetryTest, MetricsHaveTheNamesOfDcgmAndOurOwn) {
  control({"gpu.0.utilization_gpu 47"});
  EXPECT_TRUE(metrics_say("DCGM_FI_DEV_GPU_UTIL{gpu=\"0\",UUID=\"GPU-fake0000-0000-0000-0000-000000000000\""));
  EXPECT_TRUE(metrics_say("aether_gpu_utilization_ratio{gpu=\"0\",uuid=\"GPU-fake0000-0000-0000-0000-000000000000\"} 0.47"));
  EXPECT_TRUE(metrics_say("aether_gpu_sm_active_ratio{gpu=\"0\""));
}

AETHER_BOTH_MODES(TelemetryTest);

}  // namespace
}  // namespace aether::e2e
