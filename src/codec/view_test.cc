#include <gtest/gtest.h>

#include <limits>

#include <nlohmann/json.hpp>

#include "codec/codec.h"
#include "codec/random_model.h"

namespace aether::codec {
namespace {

using namespace std::chrono_literals;

const Time kTime = from_unix_us(1'768'470'137'250'000);  // 2026-01-15T09:42:17.250Z

TEST(View, AlertHasTheKeysOfTheContract) {
  Alert alert;
  alert.id = AlertId("throttling/GPU-1");
  alert.severity = Severity::kCritical;
  alert.kind = "throttling";
  alert.title = "GPU 2 on n1 is throttling";
  alert.detail = "hw_thermal";
  alert.node = NodeId("n1");
  alert.gpu_uuid = GpuUuid("GPU-1");
  alert.gpu_id = "n1-2";
  alert.since = kTime;
  alert.value = 92.5;
  alert.unit = "°C";
  EXPECT_EQ(encode_alert(alert), Json::parse(R"({"alert_id":"throttling/GPU-1","severity":"critical","kind":"throttling",
    "title":"GPU 2 on n1 is throttling","detail":"hw_thermal","gpu_id":"n1-2","gpu_uuid":"GPU-1","node":"n1","job_id":null,
    "since":"2026-01-15T09:42:17.250Z","cleared_at":null,"value":92.5,"threshold":null,"unit":"°C","acknowledged":false})"));
  alert.job = JobId("01J");
  alert.cleared_at = kTime + 1s;
  EXPECT_EQ(encode_alert(alert)["job_id"], "01J");
  EXPECT_EQ(encode_alert(alert)["cleared_at"], "2026-01-15T09:42:18.250Z");
}

TEST(View, CarbonSaysItsAge) {
  CarbonReport report{"GB", "UK Carbon Intensity API (NESO)", "measured", false, 142.5, kTime, kTime, {}};
  report.forecast.push_back({kTime + 30min, 130});
  const Json json = encode_carbon(report, kTime + 90s);
  EXPECT_EQ(json, Json::parse(R"json({"zone":"GB","source":"UK Carbon Intensity API (NESO)","label":"measured",
    "is_estimated":false,"intensity_g_per_kwh":142.5,"observed_at":"2026-01-15T09:42:17.250Z","age_s":90,
    "forecast":[{"time":"2026-01-15T10:12:17.250Z","intensity_g_per_kwh":130.0}]})json"));
  EXPECT_EQ(encode_carbon(report, kTime - 5s)["age_s"], 0);  // a source ahead of our clock
  report.intensity_g_per_kwh = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE(encode_carbon(report, kTime).contains("intensity_g_per_kwh"));
}

TEST(View, WaitRecordIsThePartOfExplain) {
  WaitRecord record;
  record.job = JobId("01J");
  record.evaluated_at = kTime;
  record.cycle = 88123;
  record.summary = "Waits for 2 of 4 GPUs on one node";
  record.reasons = {Reason{"INSUFFICIENT_GPUS", true, "4 GPUs on one node", 4, 2, "gpu", {{NodeId("n3"), 2, 8}}, {4107}}};
  record.checks = {Check{"INSUFFICIENT_VRAM", "pass", 81920, 40960, "mb", "fits"}};
  record.counterfactuals = {{"it asks for 2 GPUs", "now"}};
  record.queue_position = 7;
  record.nodes_evaluated = 32;
  EXPECT_EQ(encode_wait_record(record), Json::parse(R"({"job":"01J","evaluated_at":"2026-01-15T09:42:17.250Z","cycle":88123,
    "summary":"Waits for 2 of 4 GPUs on one node","reasons":[{"code":"INSUFFICIENT_GPUS","blocking":true,
    "text":"4 GPUs on one node","need":4,"best":2,"unit":"gpu","evidence":[{"node":"n3","free":2,"total":8}],
    "job_numbers":[4107]}],"checks":[{"code":"INSUFFICIENT_VRAM","verdict":"pass","have":81920.0,"need":40960.0,"unit":"mb",
    "text":"fits"}],"counterfactuals":[{"change":"it asks for 2 GPUs","starts":"now"}],"queue_position":7,"start_eta":null,
    "counts":{"nodes_evaluated":32}})"));
  record.start_eta = kTime + 1h;
  EXPECT_EQ(encode_wait_record(record)["start_eta"], Json::parse(R"({"latest":"2026-01-15T10:42:17.250Z"})"));
}

TEST(View, WaitRecordsOfAnyContentAreJson) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    testing::RandomModel random(seed);
    EXPECT_TRUE(parse(dump_pretty(encode_wait_record(random.wait_record()))));
  }
}

TEST(View, PlacementRecordHasTheKeysOfExplain) {
  testing::RandomModel random(3);
  PlacementRecord record = random.placement_record();
  record.model.reset();
  record.fallback_reason.reset();
  const Json json = encode_placement_record(record);
  for (const char* key : {"decided_at", "cycle", "node", "gpu_uuids", "gpu_ids", "policy", "fallback_reason", "model",
                          "summary", "candidates"})
    EXPECT_TRUE(json.contains(key)) << key;
  EXPECT_TRUE(json["model"].is_null());
  EXPECT_TRUE(json["fallback_reason"].is_null());
}

}  // namespace
}  // namespace aether::codec
