#include "telemetry/simulated/scenario_file.h"

#include <fstream>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/gpu.h"
#include "telemetry/simulated/scenario.h"

namespace aether {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

std::string message_of(std::string_view text) {
  const auto scenario = parse_scenario(text, "a.toml");
  EXPECT_FALSE(scenario) << text;
  if (scenario) return {};
  EXPECT_EQ(scenario.error().code, ErrorCode::kInvalidArgument);
  return scenario.error().message;
}
std::string fault_message(const std::string& lines) { return message_of("[[fault]]\nkind = \"hot_air\"\n" + lines); }

TEST(ParseScenario, ReadsEveryKey) {
  const auto scenario = parse_scenario(R"(description = "warm"
gpus = 8
[[fault]]
kind = "hot_air"
gpus = [1, 5]
from = "10m"
for = "30s"
every = "1m"
ramp = "5s"
air_c = 12.5
[[fault]]
kind = "missing_values"
gpus = "all"
metrics = ["power_draw_w"]
)", "a.toml");
  ASSERT_TRUE(scenario) << scenario.error().message;
  EXPECT_EQ(scenario->description, "warm");
  EXPECT_EQ(scenario->gpus_needed, 8);
  ASSERT_EQ(scenario->faults.size(), 2u);
  const Fault& air = scenario->faults[0];
  EXPECT_EQ(air.kind, FaultKind::kHotAir);
  EXPECT_EQ(air.gpus, (std::vector<int>{1, 5}));
  EXPECT_EQ(air.from, Duration(seconds(600)));
  EXPECT_EQ(air.lasts, Duration(seconds(30)));
  EXPECT_EQ(air.every, Duration(seconds(60)));
  EXPECT_EQ(air.ramp, Duration(seconds(5)));
  EXPECT_EQ(air.level, 12.5);
  const Fault& missing = scenario->faults[1];
  EXPECT_TRUE(missing.gpus.empty());
  EXPECT_EQ(missing.metrics, std::uint64_t{1} << (find_gpu_metric("power_draw_w") - gpu_metrics().data()));
}

TEST(ParseScenario, DefaultsAreThoseOfTheKind) {
  const auto scenario = parse_scenario("[[fault]]\nkind = \"cooling_loss\"\ngpus = [2]\n", "a.toml");
  ASSERT_TRUE(scenario);
  EXPECT_EQ(scenario->gpus_needed, 3);
  EXPECT_EQ(scenario->faults[0].level, info_of(FaultKind::kCoolingLoss).level);
  EXPECT_EQ(scenario->faults[0].ramp, Duration(seconds(120)));
  EXPECT_EQ(scenario->faults[0].lasts, Fault::kForever);
}

TEST(ParseScenario, MistakesNameFileLineAndKey) {
  EXPECT_THAT(message_of("gpus = 0\n"), HasSubstr("a.toml:1: gpus: a whole number from 1 to 64"));
  EXPECT_THAT(message_of("\ndescripton = \"x\"\n"), HasSubstr("a.toml:2: descripton: no such key, did you mean 'description'?"));
  EXPECT_THAT(message_of("[[fault]]\nfrom = \"1s\"\n"), HasSubstr("a.toml:1: kind: is missing; the kinds are cooling_loss"));
  EXPECT_THAT(message_of("\n[[fault]]\nkind = \"hot_aire\"\n"), HasSubstr("a.toml:3: kind: no kind 'hot_aire', did you mean 'hot_air'?"));
  EXPECT_THAT(message_of("x = \n"), HasSubstr("a.toml:1: "));
  EXPECT_THAT(message_of("fault = 3\n"), HasSubstr("a.toml:1: fault: write [[fault]]"));
  EXPECT_THAT(fault_message("air_c = \"warm\"\n"), HasSubstr("a.toml:3: air_c: a number from -20 to 60"));
  EXPECT_THAT(fault_message("air_c = 61\n"), HasSubstr("a.toml:3: air_c: a number from -20 to 60"));
  EXPECT_THAT(fault_message("air_c = nan\n"), HasSubstr("a.toml:3: air_c"));
  EXPECT_THAT(fault_message("aire_c = 6\n"), HasSubstr("a hot_air has no such key, did you mean 'air_c'?"));
  EXPECT_THAT(fault_message("from = 10\n"), HasSubstr("a.toml:3: from: a time with its unit in quotes"));
  EXPECT_THAT(fault_message("for = \"0s\"\n"), HasSubstr("longer than nothing"));
  EXPECT_THAT(fault_message("for = \"2m\"\nevery = \"1m\"\n"), HasSubstr("every: must be longer than `for`"));
  EXPECT_THAT(fault_message("gpus = [64]\n"), HasSubstr("a.toml:3: gpus: \"all\" or a list of indexes from 0 to 63"));
  EXPECT_THAT(fault_message("gpus = []\n"), HasSubstr("gpus: \"all\" or a list"));
  EXPECT_THAT(fault_message("metrics = [\"power_draw_w\"]\n"), HasSubstr("no such key"));
  EXPECT_THAT(message_of("[[fault]]\nkind = \"missing_values\"\nmetrics = [\"power_drawn_w\"]\n"),
              HasSubstr("a.toml:3: metrics: no metric 'power_drawn_w', did you mean 'power_draw_w'?"));
  EXPECT_THAT(message_of(std::string(kMaxScenarioBytes + 1, ' ')), HasSubstr("more than"));
}

TEST(ShippedScenarios, AreAllReadAndTogetherShowEveryKind) {
  std::set<FaultKind> kinds;
  for (const ShippedScenario& shipped : shipped_scenarios()) {
    const auto scenario = load_scenario(std::string(shipped.name));
    ASSERT_TRUE(scenario) << scenario.error().message;
    EXPECT_FALSE(scenario->description.empty()) << shipped.name;
    EXPECT_LE(scenario->gpus_needed, 8) << shipped.name;
    for (const Fault& fault : scenario->faults) kinds.insert(fault.kind);
  }
  for (const FaultKindInfo& kind : fault_kinds()) EXPECT_TRUE(kinds.contains(kind.kind)) << kind.name;
}

TEST(LoadScenario, ReadsAFileByItsPath) {
  const std::string path = testing::TempDir() + "/aether-scenario-test.toml";
  std::ofstream(path) << "[[fault]]\nkind = \"hang\"\ngpus = [1]\n";
  const auto options = parse_simulated("simulated:4,scenario=" + path);
  ASSERT_TRUE(options) << options.error().message;
  EXPECT_EQ(options->scenario.faults.size(), 1u);
  std::remove(path.c_str());
  EXPECT_THAT(load_scenario(path).error().message, HasSubstr("no such file"));
  EXPECT_THAT(load_scenario("/dev/zero").error().message, HasSubstr("no such file"));
}

}  // namespace
}  // namespace aether
