// Telemetry from elsewhere, good and bad, over a real nats-server into a real PostgreSQL.
#include <libpq-fe.h>

#include <thread>

#include "bus/nats/nats_bus.h"
#include "mode_test.h"

namespace aether::e2e {
namespace {

// What the original prototype's agent sends, to the letter.
constexpr const char* kPrototypeMessage =
    R"({"gpu_name":"Mock RTX 4090","utilization_gpu":40,"utilization_memory_controller":35,"performance_state":"P2",)"
    R"("clock_gpu_mhz":1250,"clock_mem_mhz":5250,"memory_used_mb":306,"memory_total_mb":24564,"temperature_c":50,)"
    R"("power_draw_w":67,"throttling_reasons":"None"})";

class IngestTest : public ModeTest {
 protected:
  void SetUp() override {
    start(2);
    if (!system_) return;
    auto bus = NatsBus::open({.url = system_->nats_url(), .require_connected = true});
    ASSERT_TRUE(bus) << bus.error().message;
    bus_ = std::move(*bus);
  }
  Json find_gpu(const std::string& name) {
    for (const Json& gpu : system_->items("/api/v1/gpus"))
      if (gpu.at("gpu_name") == name) return gpu;
    return {};
  }
  template <class Holds>
  bool soon(Holds holds) {
    for (int i = 0; i < 500; ++i, std::this_thread::sleep_for(std::chrono::milliseconds(20)))
      if (holds()) return true;
    return false;
  }
  std::int64_t query(const std::string& sql) {
    PGconn* connection = PQconnectdb(system_->database_url().c_str());
    PGresult* result = PQexec(connection, sql.c_str());
    const std::int64_t value = PQntuples(result) == 1 ? std::atoll(PQgetvalue(result, 0, 0)) : -1;
    EXPECT_EQ(PQresultStatus(result), PGRES_TUPLES_OK) << PQerrorMessage(connection);
    PQclear(result);
    PQfinish(connection);
    return value;
  }
  std::string metrics() { return system_->request("GET", "/metrics").body; }

  std::unique_ptr<Bus> bus_;
};

TEST_P(IngestTest, TheOriginalAgentsMessageReachesTheApiAndTheDatabase) {
  ASSERT_TRUE(bus_->publish("aether.telemetry.gpu-0", kPrototypeMessage));
  ASSERT_TRUE(soon([&] { return !find_gpu("Mock RTX 4090").is_null(); }));
  const Json gpu = find_gpu("Mock RTX 4090");
  EXPECT_EQ(gpu.at("node"), "unknown");
  EXPECT_EQ(gpu.at("source"), "external");
  const Json& sample = gpu.at("sample");
  EXPECT_EQ(sample.at("temperature_c"), 50);
  EXPECT_EQ(sample.at("power_draw_w"), 67);
  EXPECT_EQ(sample.at("memory_used_mb"), 306);
  EXPECT_EQ(sample.at("performance_state"), "P2");
  EXPECT_EQ(sample.at("throttling_reasons"), "none");
  EXPECT_TRUE(soon([&] { return query("SELECT count(*) FROM samples s JOIN gpus g USING (gpu_id) WHERE g.gpu_name = 'Mock RTX 4090' AND s.temperature_c = 50") == 1; }));
}

TEST_P(IngestTest, MalformedTelemetryIsCountedNamedAndStopsNothing) {
  const std::string before = metrics();
  for (const char* text : {"", "{", "not json", R"({"temperature_c":"hot"})", R"({"temperature_c":1e999})", R"([1,2,3])",
                           R"({"gpu_name":"x","memory_used_mb":9223372036854775794})"})
    ASSERT_TRUE(bus_->publish("aether.telemetry.gpu-0", text));
  ASSERT_TRUE(bus_->publish("aether.telemetry.gpu-0", kPrototypeMessage));
  EXPECT_TRUE(soon([&] { return !find_gpu("Mock RTX 4090").is_null(); }));
  EXPECT_TRUE(soon([&] { return metrics().find("aether_samples_rejected_total 7\n") != std::string::npos; })) << metrics();
  const std::string id = system_->submit({{"argv", {"/bin/true"}}, {"time_limit_s", 60}});
  EXPECT_EQ(system_->wait_ended(id).at("state"), "COMPLETED");
}

TEST_P(IngestTest, ForgedAgentEventsChangeNothing) {
  const std::string id = system_->submit({{"argv", {"/bin/sleep", "1"}}, {"time_limit_s", 60}});
  for (const char* text : {"", "{}", R"({"v":1,"node":"n1","kind":"nonsense"})", R"({"v":99,"node":"n1"})"})
    ASSERT_TRUE(bus_->publish("aether.events.n1", text));
  ASSERT_TRUE(bus_->publish("aether.events.n2", R"({"v":1,"node":"n1","incarnation":"x","kind":"heartbeat"})"));
  EXPECT_EQ(system_->wait_ended(id).at("state"), "COMPLETED");
}

INSTANTIATE_TEST_SUITE_P(Modes, IngestTest, testing::Values(Mode::kCluster),
                         [](const testing::TestParamInfo<Mode>& mode) { return to_string(mode.param); });

}  // namespace
}  // namespace aether::e2e
