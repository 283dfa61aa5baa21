// kill -9 of the parts under load: every job ends, and each ran once.
#include <sys/stat.h>

#include <fstream>
#include <random>
#include <thread>

#include "mode_test.h"

namespace aether::e2e {
namespace {

class CrashTest : public ModeTest {
 protected:
  static constexpr int kKills = 10;
  static constexpr int kJobs = 60;

  void SetUp() override {
    start(8);
    if (!system_) return;
    record_ = system_->folder() + "/record";
    std::ofstream(record_).close();
    ASSERT_EQ(chmod(record_.c_str(), 0666), 0);
  }

  // Each job appends its id when it starts and ends with a code of its own.
  void submit_all() {
    for (int i = 0; i < kJobs; ++i) {
      const int code = i % 5;
      const std::string script = "echo $AETHER_JOB_ID >> " + record_ + "; sleep 0." + std::to_string(3 + i % 6) + "; exit " + std::to_string(code);
      codes_[system_->submit({{"argv", {"/bin/sh", "-c", script}}, {"time_limit_s", 300}})] = code;
    }
  }

  void kill_at_random(const std::string& part) {
    std::mt19937 random(20260115);
    for (int i = 0; i < kKills; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100 + random() % 900));
      system_->kill_part(part);
      system_->start_part(part);
    }
  }

  void expect_all_ended_and_each_ran_once() {
    for (const auto& [id, code] : codes_) {
      const Json job = system_->wait_ended(id, 300);
      EXPECT_EQ(job.at("state"), code == 0 ? "COMPLETED" : "FAILED") << job.dump();
      EXPECT_EQ(job.at("exit").at("exit_code"), code) << job.dump();
    }
    std::map<std::string, int> ran;
    std::ifstream lines(record_);
    for (std::string id; lines >> id;) ++ran[id];
    for (const auto& [id, code] : codes_) EXPECT_EQ(ran[id], 1) << id;
    EXPECT_EQ(ran.size(), codes_.size());
  }

  std::string record_;
  std::map<std::string, int> codes_;
};

TEST_P(CrashTest, KillingTheOrchestratorTenTimesLosesNoJobAndRunsNoneTwice) {
  submit_all();
  kill_at_random("orchestrator");
  expect_all_ended_and_each_ran_once();
}

TEST_P(CrashTest, KillingTheAgentTenTimesLosesNoJobAndRunsNoneTwice) {
  submit_all();
  kill_at_random("agent");
  expect_all_ended_and_each_ran_once();
}

AETHER_BOTH_MODES(CrashTest);

}  // namespace
}  // namespace aether::e2e
