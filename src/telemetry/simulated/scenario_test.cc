#include "telemetry/simulated/scenario.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "telemetry/simulated/gpu_type.h"

namespace aether {
namespace {

using testing::HasSubstr;

std::string message_of(std::string_view text) {
  const Result<SimulatedOptions> options = parse_simulated(text);
  EXPECT_FALSE(options) << text;
  if (options) return {};
  EXPECT_EQ(options.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(options.error().field, "gpus");
  return options.error().message;
}

TEST(ParseSimulated, ReadsAllSettings) {
  const auto options = parse_simulated("simulated:8,seed=7,scenario=hot,model=h100+t4");
  ASSERT_TRUE(options) << options.error().message;
  EXPECT_EQ(options->gpus, 8);
  EXPECT_EQ(options->seed, 7u);
  EXPECT_EQ(options->scenario.name, "hot");
  EXPECT_FALSE(options->scenario.faults.empty());
  EXPECT_EQ(options->models, (std::vector<std::string>{"h100", "t4"}));
}

TEST(ParseSimulated, DefaultsHold) {
  const auto options = parse_simulated("simulated");
  ASSERT_TRUE(options);
  EXPECT_EQ(options->gpus, SimulatedOptions{}.gpus);
  EXPECT_EQ(options->scenario.name, "none");
  EXPECT_TRUE(options->scenario.faults.empty());
  EXPECT_TRUE(options->models.empty());
}

TEST(ParseSimulated, UnknownScenarioListsTheKnownOnes) {
  const std::string message = message_of("simulated:8,scenario=warm");
  for (const ShippedScenario& shipped : shipped_scenarios()) EXPECT_THAT(message, HasSubstr(std::string(shipped.name)));
}

TEST(ParseSimulated, UnknownModelListsTheKnownOnes) {
  const std::string message = message_of("simulated:8,model=h100+b9000");
  for (const SimulatedGpuType& type : simulated_gpu_types()) EXPECT_THAT(message, HasSubstr(std::string(type.key)));
  EXPECT_THAT(message, HasSubstr("b9000"));
}

TEST(ParseSimulated, MisspeltSettingNamesTheNearest) {
  EXPECT_THAT(message_of("simulated:8,scenaro=hot"), HasSubstr("did you mean 'scenario'"));
}

TEST(ParseSimulated, BadNumbersAreRefused) {
  for (const char* text : {"simulated:", "simulated:0", "simulated:65", "simulated:-1", "simulated:8x", "simulated8",
                           "nvml", "", "simulated:2,seed=", "simulated:2,seed=-1", "simulated:2,seed=x"})
    EXPECT_FALSE(message_of(text).empty()) << text;
}

TEST(ParseSimulated, ScenarioNeedsItsGpus) {
  EXPECT_THAT(message_of("simulated:3,scenario=xid"), HasSubstr("at least 4"));
  EXPECT_TRUE(parse_simulated("simulated:4,scenario=xid"));
}

TEST(SimulatedGpuTypes, EveryNameSaysSimulated) {
  for (const SimulatedGpuType& type : simulated_gpu_types()) {
    EXPECT_THAT(std::string(type.name), HasSubstr("(simulated)"));
    EXPECT_EQ(find_simulated_gpu_type(type.key), &type);
  }
}

}  // namespace
}  // namespace aether
