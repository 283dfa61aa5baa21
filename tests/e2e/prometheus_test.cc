// A real Prometheus over agents of 64 GPUs: what a dashboard made for dcgm-exporter asks for is what the GPUs were set to.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <sstream>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "http/client.h"
#include "process.h"

namespace aether::e2e {
namespace {

using Json = nlohmann::json;

constexpr const char* kPrometheus = "/usr/bin/prometheus";
constexpr const char* kPromtool = "/usr/bin/promtool";
constexpr int kNodes = 4, kGpusPerNode = 16, kGpus = kNodes * kGpusPerNode;

// What GPU `k` of the fleet is set to.
double temperature_c(int k) { return 30 + k; }
double power_w(int k) { return 100.25 + 3 * k; }
double clock_sm_mhz(int k) { return 1000 + 7 * k; }
double utilization_pct(int k) { return k; }
double tensor_active(int k) { return (0.5 + k) / 100; }
double memory_used_mib(int k) { return 2000 + 11 * k; }

std::string free_address() {
  const int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  const bool bound = bind(probe, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                     getsockname(probe, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  close(probe);
  return fmt::format("127.0.0.1:{}", bound ? ntohs(address.sin_port) : 0);
}

class PrometheusTest : public testing::Test {
 protected:
  void SetUp() override {
    const bool installed = access(kPrometheus, X_OK) == 0;
    if (!installed && std::getenv("CI") != nullptr) FAIL() << kPrometheus << " is not installed (package prometheus)";
    if (!installed) GTEST_SKIP() << kPrometheus << " is not installed (package prometheus)";
    char pattern[] = "/tmp/aether-e2e-prometheus-XXXXXX";
    folder_ = mkdtemp(pattern);
    for (int node = 0; node < kNodes; ++node) start_agent(node);
    start_prometheus();
  }
  void TearDown() override {
    prometheus_.reset();
    agents_.clear();
    if (!folder_.empty() && !HasFailure()) std::filesystem::remove_all(folder_);
  }

  void start_agent(int node) {
    const std::string name = fmt::format("n{}", node), address = free_address();
    std::ofstream control(folder_ + "/" + name + ".control");
    control << "gpus " << kGpusPerNode << "\n";
    for (int gpu = 0; gpu < kGpusPerNode; ++gpu) {
      const int k = node * kGpusPerNode + gpu;
      for (const auto& [key, value] : {std::pair("temperature_c", temperature_c(k)), {"power_mw", 1000 * power_w(k)},
                                       {"clock_sm", clock_sm_mhz(k)}, {"utilization_gpu", utilization_pct(k)},
                                       {"gpm.5", 100 * tensor_active(k)}, {"memory_used_mb", memory_used_mib(k)}})
        control << "gpu." << gpu << "." << key << " " << value << "\n";
    }
    control.close();
    std::vector<std::string> command = {AETHER_BIN_DIR "/aether", "agent", "--state-dir", folder_ + "/" + name, "--node", name,
                                        "--nats-url", "nats://127.0.0.1:1", "--listen-metrics", address, "--gpus", "nvml",
                                        "--nvml-library", AETHER_FAKE_NVML_LIBRARY};
    if (geteuid() == 0) command.insert(command.end(), {"--executor-run-as", "nobody"});
    agents_.push_back(Process::start(command, {{"AETHER_FAKE_NVML", folder_ + "/" + name + ".control"}, {"ASAN_OPTIONS", "detect_leaks=0"}},
                                     folder_ + "/" + name + ".log"));
    addresses_.push_back(address);
  }

  void start_prometheus() {
    std::ofstream settings(folder_ + "/prometheus.yml");
    settings << "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n- job_name: gpus\n  static_configs:\n  - targets: [";
    for (const std::string& address : addresses_) settings << (&address == &addresses_[0] ? "" : ", ") << "'" << address << "'";
    settings << "]\n";
    settings.close();
    const std::string address = free_address();
    prometheus_ = Process::start({kPrometheus, "--config.file=" + folder_ + "/prometheus.yml", "--storage.tsdb.path=" + folder_ + "/tsdb",
                                  "--web.listen-address=" + address, "--log.level=warn"}, {}, folder_ + "/prometheus.log");
    http::ClientOptions options;
    options.base_url = "http://" + address;
    client_ = std::make_unique<http::Client>(options);
  }

  Json get(const std::string& path) {
    const auto answer = client_->request("GET", path);
    if (!answer || answer->status != 200) return nullptr;
    return Json::parse(answer->body).at("data");
  }
  Json query(const std::string& expression) {
    const Json data = get("/api/v1/query?query=" + http::url_encode(expression));
    return data.is_null() ? Json::array() : data.at("result");
  }
  static bool eventually(const std::function<bool()>& holds) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(90);
    while (std::chrono::steady_clock::now() < until) {
      if (holds()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
    }
    return false;
  }
  int number_of(const Json& metric) const {
    const std::string instance = metric.at("instance"), gpu = metric.at("gpu");
    const auto node = std::find(addresses_.begin(), addresses_.end(), instance) - addresses_.begin();
    return static_cast<int>(node) * kGpusPerNode + std::stoi(gpu);
  }
  // What differs from the GPUs' own; empty when all 64 are there with the right values.
  std::string difference(const Json& series, double (*expected)(int), double scale = 1) const {
    if (series.size() != kGpus) return fmt::format("{} series", series.size());
    std::set<int> seen;
    for (const Json& one : series) {
      const int k = number_of(one.at("metric"));
      const double value = std::stod(one.at("value").at(1).get<std::string>());
      seen.insert(k);
      if (std::abs(value - scale * expected(k)) > 1e-6 * scale) return fmt::format("GPU {}: {} instead of {}", k, value, scale * expected(k));
    }
    return seen.size() == kGpus ? "" : "a GPU comes twice";
  }

  std::string folder_;
  std::vector<std::string> addresses_;
  std::vector<std::unique_ptr<Process>> agents_;
  std::unique_ptr<Process> prometheus_;
  std::unique_ptr<http::Client> client_;
};

// Grafana's dashboard 12239: two variables, then a query a panel, with both variables at "All".
TEST_F(PrometheusTest, TheTenQueriesOfDcgmExportersDashboardGiveWhatTheGpusWereSetTo) {
  const auto label_values = [&](const std::string& label) {
    const Json data = get("/api/v1/label/" + label + "/values?match[]=DCGM_FI_DEV_GPU_TEMP");
    return data.is_null() ? Json::array() : data;
  };
  ASSERT_TRUE(eventually([&] { return query("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE").size() == kGpus; })) << query("up");
  const Json instances = label_values("instance"), gpus = label_values("gpu");
  EXPECT_EQ(instances.size(), std::size_t{kNodes}) << instances;
  EXPECT_EQ(gpus.size(), std::size_t{kGpusPerNode}) << gpus;
  const auto all = [](const Json& values) {
    std::string out;
    for (const Json& value : values) out += (out.empty() ? "" : "|") + value.get<std::string>();
    return "(" + out + ")";
  };
  const std::string filter = "{instance=~\"" + all(instances) + "\", gpu=~\"" + all(gpus) + "\"}";

  const struct {
    std::string expression;
    double (*expected)(int);
    double scale = 1;
  } panels[] = {{"DCGM_FI_DEV_GPU_TEMP" + filter, temperature_c},
                {"DCGM_FI_DEV_POWER_USAGE" + filter, power_w},
                {"DCGM_FI_DEV_SM_CLOCK" + filter + " * 1000000", clock_sm_mhz, 1e6},
                {"DCGM_FI_DEV_GPU_UTIL" + filter, utilization_pct},
                {"DCGM_FI_PROF_PIPE_TENSOR_ACTIVE" + filter, tensor_active},
                {"DCGM_FI_DEV_FB_USED" + filter, memory_used_mib}};
  for (const auto& panel : panels) {
    std::string last;
    EXPECT_TRUE(eventually([&] { return (last = difference(query(panel.expression), panel.expected, panel.scale)).empty(); }))
        << panel.expression << ": " << last;
  }
  double temperatures = 0, power = 0;
  for (int k = 0; k < kGpus; ++k) temperatures += temperature_c(k), power += power_w(k);
  const auto single = [&](const std::string& expression) {
    const Json result = query(expression);
    return result.size() == 1 ? std::stod(result.at(0).at("value").at(1).get<std::string>()) : std::nan("");
  };
  EXPECT_NEAR(single("avg(DCGM_FI_DEV_GPU_TEMP" + filter + ")"), temperatures / kGpus, 1e-6);
  EXPECT_NEAR(single("sum(DCGM_FI_DEV_POWER_USAGE" + filter + ")"), power, 1e-4);
}

TEST_F(PrometheusTest, PromtoolHasNothingToSayAboutAnAgentsOwnNames) {
  http::ClientOptions options;
  options.base_url = "http://" + addresses_[0];
  http::Client agent(options);
  std::string text;
  ASSERT_TRUE(eventually([&] {
    const auto answer = agent.request("GET", "/metrics");
    if (answer) text = answer->body;
    return text.find("aether_gpu_pipe_active_ratio{gpu=\"15\"") != std::string::npos;
  })) << text;
  std::ofstream own(folder_ + "/metrics.txt");
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (line.find("DCGM_FI_") == std::string::npos || line.starts_with("aether_")) own << line << "\n";
  own.close();
  const Output judged = run({"/bin/sh", "-c", fmt::format("{} check metrics <{}/metrics.txt 2>&1", kPromtool, folder_)});
  EXPECT_EQ(judged.exit_code, 0) << judged.text;
  EXPECT_EQ(judged.text, "");
}

}  // namespace
}  // namespace aether::e2e
