#include "agent/metrics_text.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include <gmock/gmock.h>

namespace aether {
namespace {

using testing::HasSubstr;
using testing::Not;

class MetricsTextTest : public testing::Test {
 protected:
  MetricsTextTest() {
    input.host_name = "node1";
    input.driver_version = "580.82";
    input.version = "0.2.0";
    input.now = Mono(std::chrono::hours(1));
    for (int index = 0; index < 2; ++index) add_gpu(index);
    input.driver.supervised = true;
    input.processes = {{"agent", 1.5, 2e7}, {"nvml_worker", 0.5, 1e7}};
    input.counters.spool.dropped = 7;
  }
  void add_gpu(int index) {
    Agent::KnownGpu gpu;
    gpu.info.gpu_uuid = GpuUuid("GPU-" + std::to_string(index));
    gpu.info.gpu_index = index;
    gpu.info.gpu_name = "NVIDIA H200";
    gpu.info.gpu_pci_bus_id = "00000000:1A:00.0";
    gpu.info.temperature_slowdown_c = 90;
    Agent::Reading reading;
    reading.at = input.now - std::chrono::milliseconds(500);
    reading.detail.state_at = reading.at;
    reading.sample.gpu_uuid = gpu.info.gpu_uuid;
    reading.sample.gpu_index = index;
    reading.sample.utilization_gpu = 47;
    reading.sample.power_draw_w = 302.206;
    reading.sample.energy_total_mj = 1234567890123;
    reading.sample.memory_used_mb = 1024;
    reading.sample.memory_total_mb = 81559;
    reading.sample.memory_reserved_mb = 551;
    reading.sample.throttling_reasons_mask = 0x44;
    reading.detail.set(GpuDetailField::kEngineActivePct, 97.1);
    reading.detail.set(GpuDetailField::kPcieTxMbPerS, 2);
    reading.detail.set(GpuDetailField::kThrottleHwThermalNs, 2.5e9);
    input.gpus.push_back(gpu);
    input.readings.push_back(reading);
  }
  std::string text() const { return metrics_text(input, options); }
  // name{labels} -> value, of lines that are no comments.
  static std::map<std::string, std::string> lines_of(const std::string& text) {
    std::map<std::string, std::string> out;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) {
      if (line.starts_with('#')) continue;
      const std::size_t space = line.rfind(' ');
      EXPECT_TRUE(out.emplace(line.substr(0, space), line.substr(space + 1)).second) << "twice: " << line;
    }
    return out;
  }

  MetricsInput input;
  MetricsOptions options;
};

constexpr const char* kLabels =
    R"({gpu="0",UUID="GPU-0",pci_bus_id="00000000:1A:00.0",device="nvidia0",modelName="NVIDIA H200",Hostname="node1",DCGM_FI_DRIVER_VERSION="580.82"})";

TEST_F(MetricsTextTest, LinesOfDcgmHaveItsNamesLabelsOrderAndNumbers) {
  auto lines = lines_of(text());
  const auto value = [&](const std::string& name) { return lines["DCGM_FI_" + name + kLabels]; };
  EXPECT_EQ(value("DEV_GPU_UTIL"), "47");
  EXPECT_EQ(value("DEV_POWER_USAGE"), "302.206000");
  EXPECT_EQ(value("DEV_TOTAL_ENERGY_CONSUMPTION"), "1234567890123");
  EXPECT_EQ(value("DEV_FB_USED"), "1024");
  EXPECT_EQ(value("DEV_FB_FREE"), "79984");
  EXPECT_EQ(value("DEV_FB_RESERVED"), "551");
  EXPECT_EQ(value("PROF_GR_ENGINE_ACTIVE"), "0.971000");
  EXPECT_EQ(value("PROF_PCIE_TX_BYTES"), "2097152");
  EXPECT_EQ(value("DEV_SLOWDOWN_TEMP"), "90");
  EXPECT_THAT(text(), HasSubstr("# TYPE DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION counter\n"));
  EXPECT_THAT(text(), HasSubstr("# TYPE DCGM_FI_DEV_XID_ERRORS gauge\n"));
  EXPECT_THAT(text(), HasSubstr(R"(err_code="0",err_msg="No Error"} 0)"));
}

TEST_F(MetricsTextTest, ValueThatIsAbsentHasNoLine) {
  EXPECT_THAT(text(), Not(HasSubstr("DCGM_FI_DEV_GPU_TEMP")));
  EXPECT_THAT(text(), Not(HasSubstr("aether_gpu_temperature_celsius")));
  EXPECT_THAT(text(), Not(HasSubstr("nan")));
}

TEST_F(MetricsTextTest, RenamedFamiliesFollowTheSetting) {
  const auto has = [&](DcgmNames names, const char* name) {
    options.dcgm_names = names;
    return text().find(std::string("\n") + name + "{") != std::string::npos;
  };
  EXPECT_TRUE(has(DcgmNames::kOld, "DCGM_FI_DEV_POWER_USAGE"));
  EXPECT_FALSE(has(DcgmNames::kOld, "DCGM_FI_DEV_BOARD_POWER_WATTS"));
  EXPECT_FALSE(has(DcgmNames::kNew, "DCGM_FI_DEV_POWER_USAGE"));
  EXPECT_TRUE(has(DcgmNames::kNew, "DCGM_FI_DEV_BOARD_POWER_WATTS"));
  EXPECT_TRUE(has(DcgmNames::kBoth, "DCGM_FI_DEV_POWER_USAGE"));
  EXPECT_TRUE(has(DcgmNames::kBoth, "DCGM_FI_DEV_BOARD_POWER_WATTS"));
  EXPECT_TRUE(has(DcgmNames::kNew, "DCGM_FI_DEV_FB_USED"));  // not renamed
  EXPECT_FALSE(has(DcgmNames::kOff, "DCGM_FI_DEV_FB_USED"));
}

TEST_F(MetricsTextTest, HostLabelFollowsTheSetting) {
  for (const auto& [label, wanted] : {std::pair(HostLabel::kUpper, R"(H200",Hostname="node1",DCGM)"),
                                      std::pair(HostLabel::kLower, R"(H200",hostname="node1",DCGM)"),
                                      std::pair(HostLabel::kBoth, R"(H200",Hostname="node1",hostname="node1",DCGM)"),
                                      std::pair(HostLabel::kNone, R"(H200",DCGM)")}) {
    options.host_label = label;
    EXPECT_THAT(text(), HasSubstr(wanted));
  }
}

TEST_F(MetricsTextTest, MigInstancesStandForTheirGpu) {
  input.readings[0].detail.mig = {{"MIG-a", "1g.18gb", 7, 0, 100, 16384, 30.0, std::nullopt, 12.5, std::nullopt},
                                  {"MIG-b", "2g.35gb", 8, 0, 200, 32768, 40.0, std::nullopt, 50.0, std::nullopt}};
  const std::string all = text();
  EXPECT_THAT(all, Not(HasSubstr(std::string("DCGM_FI_DEV_FB_USED") + kLabels)));
  EXPECT_THAT(all, HasSubstr(R"(DCGM_FI_DEV_FB_USED{gpu="0",UUID="GPU-0",pci_bus_id="00000000:1A:00.0",device="nvidia0",modelName="NVIDIA H200",GPU_I_PROFILE="2g.35gb",GPU_I_ID="8",Hostname="node1",DCGM_FI_DRIVER_VERSION="580.82"} 200)"));
  EXPECT_THAT(all, HasSubstr(R"(GPU_I_ID="7",Hostname="node1",DCGM_FI_DRIVER_VERSION="580.82"} 0.125000)"));
  EXPECT_THAT(all, HasSubstr(R"(aether_gpu_mig_memory_used_bytes{gpu="0",uuid="GPU-0",mig_uuid="MIG-a",profile="1g.18gb",gpu_instance="7"} 104857600)"));
}

TEST_F(MetricsTextTest, OwnNamesAreInBaseUnits) {
  auto lines = lines_of(text());
  EXPECT_EQ(lines[R"(aether_gpu_utilization_ratio{gpu="0",uuid="GPU-0"})"], "0.47");
  EXPECT_EQ(lines[R"(aether_gpu_energy_joules_total{gpu="0",uuid="GPU-0"})"], "1234567890.123");
  EXPECT_EQ(lines[R"(aether_gpu_memory_used_bytes{gpu="1",uuid="GPU-1"})"], "1073741824");
  EXPECT_EQ(lines[R"(aether_gpu_throttle_seconds_total{gpu="0",uuid="GPU-0",reason="hw_thermal"})"], "2.5");
  EXPECT_EQ(lines[R"(aether_gpu_throttle_active{gpu="0",uuid="GPU-0",reason="hw_thermal"})"], "1");
  EXPECT_EQ(lines[R"(aether_gpu_throttle_active{gpu="0",uuid="GPU-0",reason="sync_boost"})"], "0");
  EXPECT_EQ(lines[R"(aether_gpu_sample_age_seconds{gpu="0",uuid="GPU-0",tier="state"})"], "0.5");
  EXPECT_EQ(lines["aether_spool_dropped_total"], "7");
}

TEST_F(MetricsTextTest, LostGpuKeepsItsUpLineAndLosesItsValues) {
  input.gpus[1].present = false;
  input.readings.pop_back();
  const std::string all = text();
  EXPECT_THAT(all, HasSubstr("aether_gpu_up{gpu=\"1\",uuid=\"GPU-1\"} 0\n"));
  EXPECT_THAT(all, HasSubstr("aether_gpu_state{gpu=\"1\",uuid=\"GPU-1\",state=\"lost\"} 1\n"));
  EXPECT_THAT(all, Not(HasSubstr("DCGM_FI_DEV_GPU_UTIL{gpu=\"1\"")));
  EXPECT_THAT(all, HasSubstr("DCGM_FI_DEV_GPU_UTIL{gpu=\"0\""));
}

TEST_F(MetricsTextTest, StaleReadingIsLeftOut) {
  input.readings[0].at = input.now - std::chrono::seconds(4);
  input.driver.hung = {GpuUuid("GPU-0")};
  const std::string all = text();
  EXPECT_THAT(all, Not(HasSubstr("DCGM_FI_DEV_GPU_UTIL{gpu=\"0\"")));
  EXPECT_THAT(all, HasSubstr("aether_gpu_state{gpu=\"0\",uuid=\"GPU-0\",state=\"hung\"} 1\n"));
}

TEST_F(MetricsTextTest, XidsAreCountedByNumber) {
  input.xids = {{GpuUuid("GPU-1"), 31, 2, from_unix_us(1'700'000'000'500'000)}};
  const std::string all = text();
  EXPECT_THAT(all, HasSubstr("aether_gpu_xid_events_total{gpu=\"1\",uuid=\"GPU-1\",xid=\"31\"} 2\n"));
  EXPECT_THAT(all, HasSubstr("aether_gpu_xid_events_total{gpu=\"0\",uuid=\"GPU-0\",xid=\"48\"} 0\n")) << "an alert has to see it grow";
  EXPECT_THAT(all, HasSubstr("aether_gpu_xid_last_timestamp_seconds{gpu=\"1\",uuid=\"GPU-1\",xid=\"31\"} 1700000000.5\n"));
}

TEST_F(MetricsTextTest, EveryFamilyHasOneHelpAndTypeAndItsLinesTogether) {
  options.dcgm_names = DcgmNames::kBoth;
  std::set<std::string> finished;
  std::string current;
  std::istringstream in(text());
  for (std::string line; std::getline(in, line);) {
    const std::string family = line.starts_with("# HELP ") ? line.substr(7, line.find(' ', 7) - 7) : "";
    if (!family.empty()) {
      finished.insert(current);
      current = family;
      EXPECT_FALSE(finished.contains(current)) << current << " begins twice";
    } else if (!line.starts_with('#')) {
      EXPECT_EQ(line.substr(0, line.find_first_of("{ ")), current);
    }
  }
}

TEST_F(MetricsTextTest, OpenMetricsHasItsOwnRulesForCounters) {
  options.format = TextFormat::kOpenMetrics;
  const std::string all = text();
  EXPECT_TRUE(all.ends_with("# EOF\n"));
  EXPECT_THAT(all, HasSubstr("# TYPE aether_gpu_energy_joules counter\naether_gpu_energy_joules_total{"));
  EXPECT_THAT(all, HasSubstr("# TYPE DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION unknown\n"));
}

TEST_F(MetricsTextTest, LabelValuesAreEscaped) {
  input.gpus[0].info.gpu_name = "a \"b\"\\\nc";
  EXPECT_THAT(text(), HasSubstr(R"(modelName="a \"b\"\\\nc")"));
}

// promtool knows the conventions better than we do. DCGM's own names break them, in dcgm-exporter's spelling.
TEST_F(MetricsTextTest, PromtoolFindsNothingInOurOwnNames) {
  if (std::system("command -v promtool >/dev/null 2>&1") != 0) GTEST_SKIP() << "no promtool here (Debian package prometheus)";
  options.dcgm_names = DcgmNames::kOff;
  for (const GpuDetailName& name : gpu_detail_names()) input.readings[0].detail.set(name.field, 1);
  for (const GpuMetric& metric : gpu_metrics()) metric.set(input.readings[0].sample, 1);
  input.readings[0].detail.mig = {{"MIG-a", "1g.18gb", 7, 0, 100, 16384, 30.0, 1.0, 12.5, 1.0}};
  input.readings[0].sample.processes.emplace();
  input.xids = {{GpuUuid("GPU-1"), 31, 2, from_unix_us(1'700'000'000'500'000)}};
  const std::string path = (std::filesystem::temp_directory_path() / ("aether-metrics-" + std::to_string(getpid()))).string();
  std::ofstream(path) << text();
  EXPECT_EQ(std::system(("promtool check metrics <" + path + " >&2").c_str()), 0);
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace aether
