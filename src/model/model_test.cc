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
      {"/deadline", [](JobSpec& s) { s.begin = Time(std::chrono::hours(2)), s.deadline = Time(std::chrono::hours(1)); }},
      {"/depends_on/0", [](JobSpec& s) { s.depends_on = {{DependencyKind::kAfterOk, ""}}; }},
      {"/depends_on/0", [](JobSpec& s) { s.depends_on = {{DependencyKind::kAfterCorr, "7"}}; }},
      {"/retries", [](JobSpec& s) { s.retries = -1; }},
      {"/array", [](JobSpec& s) { s.array = "9-1"; }},
      {"/unique", [](JobSpec& s) { s.array = "0-3", s.unique = true; }},
      {"/cpus", [](JobSpec& s) { s.cpus = 0; }},
      {"/mem_mb", [](JobSpec& s) { s.mem_mb = 0; }},
      {"/stop_after_s", [](JobSpec& s) { s.stop_after_s = 0; }},
      {"/early_signal/signal", [](JobSpec& s) { s.early_signal = EarlySignal{0, 60}; }},
      {"/early_signal/before_s", [](JobSpec& s) { s.early_signal = EarlySignal{10, 0}; }},
      {"/checkpoint_timeout_s", [](JobSpec& s) { s.checkpoint_timeout_s = 0; }},
      {"/stdout_path", [](JobSpec& s) { s.stdout_path = "a\nb"; }},
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

TEST(JobWords, DependenciesAreAKindAndAJob) {
  for (const char* text : {"after:7", "afterok:01JD8Z", "afterany:4131_7", "afternotok:1", "aftercorr:9", "singleton"})
    EXPECT_EQ(to_string(*parse_dependency(text)), text);
  for (const char* text : {"", "afterok", "afterok:", "singleton:7", "afterok:1:2", "before:7", "singleton:"})
    EXPECT_FALSE(parse_dependency(text)) << text;
}

TEST(JobWords, RetryRulesAreCodesOrCauses) {
  for (const char* text : {"75", "1-9", "signal", "oom", "node", "preempt"})
    EXPECT_EQ(to_string(*parse_retry_rule(text)), text);
  for (const char* text : {"", "0", "256", "9-1", "1-", "-1", "exit", "1-2-3"}) EXPECT_FALSE(parse_retry_rule(text)) << text;
}

TEST(JobWords, AnArrayIsASetOfIndicesWithALimit) {
  const auto indices = [](const char* text) { return parse_array_range(text).value_or(ArrayRange{}).indices; };
  EXPECT_EQ(indices("0-3"), (std::vector<int>{0, 1, 2, 3}));
  EXPECT_EQ(indices("1,3,7-9,8"), (std::vector<int>{1, 3, 7, 8, 9}));
  EXPECT_EQ(indices("0-30:10%2"), (std::vector<int>{0, 10, 20, 30}));
  EXPECT_EQ(parse_array_range("0-99%8")->limit, 8);
  EXPECT_EQ(parse_array_range("0-9999")->indices.size(), kMaxArrayTasks);
  for (const char* text : {"", "a", "3-1", "0-10000", "1,", "0-3%0", "0-3:0", "5:2", "-1", "0-9%", "2000000", "1-2-3"})
    EXPECT_FALSE(parse_array_range(text)) << text;
}

TEST(JobWords, SignalsHaveNamesAndNumbers) {
  EXPECT_EQ(parse_signal("USR1"), 10);
  EXPECT_EQ(parse_signal("SIGUSR1"), 10);
  EXPECT_EQ(parse_signal("10"), 10);
  EXPECT_EQ(signal_name(10), "USR1");
  EXPECT_EQ(signal_name(33), "33");
  for (const char* text : {"", "0", "65", "usr1", "SIG", "FOO"}) EXPECT_FALSE(parse_signal(text)) << text;
}

TEST(JobState, EveryNameParsesBack) {
  for (const JobState state : kAllJobStates) {
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
