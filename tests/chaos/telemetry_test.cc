// The process that calls NVIDIA's library, the agent and the bus are killed and stopped at random while GPUs are read: no
// reading that was numbered may be missing from the database, unless a counter says so.
//   AETHER_TELEMETRY_CHAOS_SECONDS=600 AETHER_TELEMETRY_CHAOS_SEED=7 build/release/tests/chaos_telemetry_test
#include <libpq-fe.h>
#include <signal.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <random>

#include "base/files.h"
#include "fault_test.h"
#include "http/client.h"

namespace aether::chaos {
namespace {

constexpr int kGpus = 4;
constexpr int kIntervalMs = 200;

struct Row {
  std::int64_t gpu = 0, seq = 0, time_us = 0;
};

// Numbers that an agent gave and nobody stored. An agent counts by one; the next one begins behind the milliseconds of its
// own start, which is further on than any interval between two readings explains.
std::int64_t missing_from(std::vector<Row> rows) {
  std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return std::pair(a.gpu, a.seq) < std::pair(b.gpu, b.seq); });
  std::int64_t missing = 0;
  for (std::size_t i = 1; i < rows.size(); ++i) {
    const Row &before = rows[i - 1], &row = rows[i];
    if (before.gpu != row.gpu) continue;
    const std::int64_t step = row.seq - before.seq, elapsed_ms = (row.time_us - before.time_us) / 1000;
    const bool next_agent = step > 1 && step > elapsed_ms / 4;
    if (!next_agent) missing += step - 1;
  }
  return missing;
}

TEST(MissingReadings, AreFoundAndARestartIsNone) {
  const auto at = [](std::int64_t seq, std::int64_t ms) { return Row{1, seq, ms * 1000}; };
  EXPECT_EQ(missing_from({at(5000, 0), at(5001, 200), at(5002, 400)}), 0);
  EXPECT_EQ(missing_from({at(5000, 0), at(5003, 600), at(5004, 800)}), 2);
  EXPECT_EQ(missing_from({at(5000, 0), at(5001, 200), at(5900, 900), at(5901, 1100)}), 0) << "another agent";
  EXPECT_EQ(missing_from({{1, 10, 0}, {2, 90, 0}}), 0) << "another GPU";
}

class TelemetryChaosTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/aether-chaos-nvml-XXXXXX";
    control_ = mkdtemp(pattern);
    std::ofstream(control_ + "/control") << "gpus " << kGpus << "\n";
    e2e::SystemOptions options;
    options.gpus = "nvml";
    e2e::PartOptions agent;
    agent.flags = {"--nvml-library", AETHER_FAKE_NVML_LIBRARY, "--sample-interval-ms", std::to_string(kIntervalMs)};
    agent.environment = {{"AETHER_FAKE_NVML", control_ + "/control"}};
    options.parts["agent"] = agent;
    std::string why;
    system_ = e2e::System::start(e2e::Mode::kCluster, kGpus, why, options);
    if (!system_ && std::getenv("CI") != nullptr) FAIL() << why;
    if (!system_) GTEST_SKIP() << why;
  }
  void TearDown() override {
    system_.reset();
    std::filesystem::remove_all(control_);
  }

  // The one of this test: several may run on a machine.
  std::optional<pid_t> worker() const {
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
      const std::string name = entry.path().filename();
      if (name.find_first_not_of("0123456789") != std::string::npos) continue;
      if (read_file(entry.path().string() + "/comm").value_or("") != "aether-nvml\n") continue;
      if (read_file(entry.path().string() + "/environ").value_or("").find(control_) != std::string::npos) return std::stoi(name);
    }
    return std::nullopt;
  }

  double between(double from, double to) { return std::uniform_real_distribution<double>(from, to)(random_); }
  void rest(double from_s, double to_s) { std::this_thread::sleep_for(std::chrono::duration<double>(between(from_s, to_s))); }

  void break_something() {
    switch (std::uniform_int_distribution<int>(0, 5)(random_)) {
      case 0:
        if (const auto pid = worker()) ::kill(*pid, SIGKILL);
        return;
      case 1:
        if (const auto pid = worker()) {
          ::kill(*pid, SIGSTOP);
          rest(0.1, 2);
          if (worker() == pid) ::kill(*pid, SIGCONT);
        }
        return;
      case 2:
        system_->kill_part("agent");
        rest(0, 2);
        return system_->start_part("agent");
      case 3:
        system_->signal_part("agent", SIGSTOP);
        rest(0.1, 4);
        return system_->signal_part("agent", SIGCONT);
      case 4:
        system_->stop_nats();
        rest(0, 3);
        EXPECT_TRUE(system_->start_nats());
        return;
      default:
        system_->freeze_nats();
        rest(0.1, between(0, 1) < 0.2 ? 12 : 3);
        return system_->thaw_nats();
    }
  }

  std::string text(const std::string& base_url) const {
    http::ClientOptions options;
    options.base_url = base_url;
    const auto answer = http::Client(options).request("GET", "/metrics");
    return answer ? answer->body : "";
  }
  static double value_of(const std::string& metrics, const std::string& name) {
    const std::size_t at = metrics.find("\n" + name + " ");
    return at == std::string::npos ? std::nan("") : std::strtod(metrics.c_str() + at + name.size() + 2, nullptr);
  }
  // Whatever any counter of drops says.
  static double dropped(const std::string& metrics) {
    double sum = 0;
    std::istringstream lines(metrics);
    for (std::string line; std::getline(lines, line);)
      if (line[0] != '#' && line.find("dropped") != std::string::npos) sum += std::strtod(line.c_str() + line.rfind(' '), nullptr);
    return sum;
  }

  std::vector<Row> stored() const {
    std::vector<Row> rows;
    PGconn* connection = PQconnectdb(system_->database_url().c_str());
    PGresult* result = PQexec(connection, "SELECT gpu_id, sample_seq, time_us FROM samples");
    EXPECT_EQ(PQresultStatus(result), PGRES_TUPLES_OK) << PQerrorMessage(connection);
    for (int i = 0; i < PQntuples(result); ++i)
      rows.push_back({std::atoll(PQgetvalue(result, i, 0)), std::atoll(PQgetvalue(result, i, 1)), std::atoll(PQgetvalue(result, i, 2))});
    PQclear(result);
    PQfinish(connection);
    return rows;
  }

  std::string control_;
  std::unique_ptr<e2e::System> system_;
  std::mt19937_64 random_;
};

TEST_F(TelemetryChaosTest, NoReadingIsMissingThatNoCounterKnows) {
  const double seconds = numbers_from("AETHER_TELEMETRY_CHAOS_SECONDS", {20})[0];
  const auto seed = static_cast<std::uint64_t>(numbers_from("AETHER_TELEMETRY_CHAOS_SEED", {1})[0]);
  random_.seed(seed);
  int faults = 0;
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  for (; std::chrono::steady_clock::now() < until; ++faults) {
    rest(0.1, 3);
    break_something();
  }
  rest(1, 2);
  // All is said when nothing waits and what was asked for again has been sent: after two rounds of heartbeats.
  ASSERT_TRUE(eventually(90, [&] { return value_of(text(system_->metrics_url()), "aether_spool_waiting") == 0; }));
  rest(12, 12);
  ASSERT_TRUE(eventually(90, [&] { return value_of(text(system_->metrics_url()), "aether_spool_waiting") == 0; }));
  rest(3, 3);

  const std::string agent = text(system_->metrics_url()), orchestrator = text(system_->api_url());
  const double counted = dropped(agent) + dropped(orchestrator);
  const std::vector<Row> rows = stored();
  const std::int64_t missing = missing_from(rows);
  std::cout << "seed " << seed << ": " << faults << " faults in " << seconds << " s, " << rows.size() << " readings stored, " << missing
            << " missing, " << counted << " counted as dropped\n";
  EXPECT_GT(rows.size(), static_cast<std::size_t>(seconds * kGpus));
  EXPECT_LE(static_cast<double>(missing), counted);
}

}  // namespace
}  // namespace aether::chaos
