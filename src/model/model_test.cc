#include <gtest/gtest.h>

#include "model/gpu.h"
#include "model/job.h"

namespace aether {
namespace {

JobSpec valid_spec() {
  JobSpec spec;
  spec.argv = {"sleep", "1"};
  return spec;
}

TEST(JobSpec, APlainCommandIsValid) { EXPECT_TRUE(validate(valid_spec())); }

TEST(JobSpec, EachBadFieldIsNamed) {
  const std::pair<const char*, void (*)(JobSpec&)> cases[] = {
      {"/argv", [](JobSpec& s) { s.argv.clear(); }},
      {"/argv", [](JobSpec& s) { s.script = "true"; }},
      {"/argv/0", [](JobSpec& s) { s.argv = {""}; }},
      {"/argv/1", [](JobSpec& s) { s.argv[1] = std::string("a\0b", 3); }},
      {"/gpus", [](JobSpec& s) { s.gpus = -1; }},
      {"/gpu_mem_mb", [](JobSpec& s) { s.gpu_mem_mb = 0; }},
      {"/gpu_mem_mb", [](JobSpec& s) { s.share = Share::kMemory; }},
      {"/time_limit_s", [](JobSpec& s) { s.time_limit_s = -1; }},
      {"/priority", [](JobSpec& s) { s.priority = 101; }},
      {"/workdir", [](JobSpec& s) { s.workdir = "relative"; }},
      {"/name", [](JobSpec& s) { s.name = "a\x1b[31m"; }},
      {"/env/A=B", [](JobSpec& s) { s.env["A=B"] = "1"; }},
  };
  for (const auto& [field, spoil] : cases) {
    JobSpec spec = valid_spec();
    spoil(spec);
    const auto result = validate(spec);
    ASSERT_FALSE(result) << field;
    EXPECT_EQ(result.error().field, field);
  }
}

TEST(JobState, EveryNameParsesBack) {
  for (int i = 0; i <= static_cast<int>(JobState::kLost); ++i) {
    const auto state = static_cast<JobState>(i);
    EXPECT_EQ(parse_job_state(to_string(state)), state);
    EXPECT_FALSE(is_terminal(state) && holds_gpus(state));
  }
  EXPECT_FALSE(parse_job_state("running"));
}

TEST(JobState, TheCauseDecidesTheTerminalState) {
  ExitStatus exit;
  exit.exit_code = 0;
  EXPECT_EQ(terminal_state(exit), JobState::kCompleted);
  exit.exit_code = 7;
  EXPECT_EQ(terminal_state(exit), JobState::kFailed);
  exit.exit_code.reset();
  exit.signal = 9;
  EXPECT_EQ(terminal_state(exit), JobState::kFailed);
  exit.cause = ExitCause::kTimeout;
  EXPECT_EQ(terminal_state(exit), JobState::kTimeout);
  exit.cause = ExitCause::kLostExit;
  EXPECT_EQ(terminal_state(exit), JobState::kLost);
}

TEST(GpuMetric, SetThenGetReturnsTheValueAndNothingElseChanges) {
  for (const GpuMetric& metric : gpu_metrics()) {
    GpuSample sample;
    EXPECT_FALSE(metric.get(sample)) << metric.name;
    metric.set(sample, 42);
    EXPECT_EQ(metric.get(sample), 42.0) << metric.name;
    int present = 0;
    for (const GpuMetric& other : gpu_metrics()) present += other.get(sample).has_value() ? 1 : 0;
    EXPECT_EQ(present, 1) << metric.name;
    EXPECT_EQ(find_gpu_metric(metric.name), &metric);
  }
  EXPECT_EQ(find_gpu_metric("nonsense"), nullptr);
}

TEST(Throttling, ReasonsAreNamedAndPowerCapIsHarmless) {
  EXPECT_EQ(throttling_reasons_text(0), "none");
  EXPECT_EQ(throttling_reasons_text(0x24), "power_cap|sw_thermal");
  EXPECT_EQ(throttling_reasons_text(0x1000), "bit_0x1000");
  EXPECT_FALSE(is_harmful_throttling("none"));
  EXPECT_FALSE(is_harmful_throttling("gpu_idle|power_cap"));
  EXPECT_TRUE(is_harmful_throttling("power_cap|hw_thermal"));
}

}  // namespace
}  // namespace aether
