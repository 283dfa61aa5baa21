// Wall clocks that jump: no decision uses them. The agent stamps its readings with the wall clock, so its case also shows
// that the clock was moved; the orchestrator's own time goes on with boot time, so its stamps must not move.
#include <algorithm>
#include <filesystem>

#include "base/clock.h"
#include "fault_test.h"

namespace aether::chaos {
namespace {

std::string find_faketime() {
  for (const char* path : {"/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1", "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1"})
    if (std::filesystem::exists(path)) return path;
  return "";
}

class ClockTest : public FaultTest, public testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    const std::string library = find_faketime();
    if (library.empty()) GTEST_SKIP() << "libfaketime is not installed (package faketime)";
#if defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "ThreadSanitizer's runtime does not start under a preloaded library";
#endif
    char pattern[] = "/tmp/aether-clock-XXXXXX";
    folder_ = mkdtemp(pattern);
    step("+0");
    e2e::PartOptions part;
    part.environment = {{"LD_PRELOAD", library}, {"FAKETIME_TIMESTAMP_FILE", folder_ + "/offset"}, {"FAKETIME_NO_CACHE", "1"},
                        {"FAKETIME_DONT_FAKE_MONOTONIC", "1"}, {"ASAN_OPTIONS", "detect_leaks=0:verify_asan_link_order=0"}};
    e2e::SystemOptions options;
    options.parts[GetParam()] = part;
    start(e2e::Mode::kCluster, options);
  }
  void TearDown() override {
    system_.reset();
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }
  void step(const std::string& offset) {
    std::ofstream(folder_ + "/offset.new") << offset << "\n";
    std::filesystem::rename(folder_ + "/offset.new", folder_ + "/offset");
  }
  static bool is_old(const Json& stamp) {
    const auto time = stamp.is_string() ? parse_rfc3339(stamp.get<std::string>()) : Result<Time>(fail(ErrorCode::kNotFound, "no time"));
    return time && *time < SystemClock().now() - std::chrono::minutes(30);
  }
  void expect_steady_stamps() {
    const Json jobs = system_->items("/api/v1/jobs?limit=1000");
    EXPECT_FALSE(jobs.empty());
    for (const Json& job : jobs) EXPECT_FALSE(is_old(job.at("submitted_at"))) << job.dump();
  }
  // Otherwise nothing was tried: what the agent stamps is an hour old.
  void expect_clock_was_moved() {
    const std::string path = "/api/v1/gpus";
    const auto is_moved = [](const Json& gpu) {
      return gpu.contains("sample") && gpu.at("sample").is_object() && is_old(gpu.at("sample").value("time", Json()));
    };
    bool moved = false;
    for (int i = 0; i < 300 && !moved; ++i, std::this_thread::sleep_for(std::chrono::milliseconds(50))) {
      const Json items = system_->items(path);
      moved = std::any_of(items.begin(), items.end(), is_moved);
    }
    EXPECT_TRUE(moved) << system_->get(path).dump();
  }
  std::string folder_;
};

TEST_P(ClockTest, AClockThatJumpsByAnHourNeitherEndsNorKeepsAJob) {
  if (!system_) return;
  submit(4, 3);
  const std::string limited = system_->submit({{"argv", {"/bin/sleep", "600"}}, {"time_limit_s", 3}, {"grace_s", 1}});
  const std::string waiting = try_submit(0.2, 0);
  system_->wait_running(limited);
  for (const char* offset : {"+1h", "-1h", "+3600", "+0"}) {
    step(offset);
    submit(0.3, 4);
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    if (std::string(offset) != "-1h") continue;
    if (std::string(GetParam()) == "agent")
      expect_clock_was_moved();
    else
      expect_steady_stamps();
  }
  EXPECT_EQ(system_->wait_ended(limited).at("state"), "TIMEOUT");
  expect_all_is_well();
  EXPECT_FALSE(system_->exit_of(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Parts, ClockTest, testing::Values("agent", "orchestrator"), [](const auto& part) { return std::string(part.param); });

}  // namespace
}  // namespace aether::chaos
