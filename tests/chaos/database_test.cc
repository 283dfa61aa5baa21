// A database that goes away under running jobs and waiting requests, and comes back.
#include "fault_test.h"

namespace aether::chaos {
namespace {

class DatabaseTest : public FaultTest {
 protected:
  void TearDown() override { system_.reset(); }
};

TEST_F(DatabaseTest, WhileItIsAwayRequestsAreRefusedInTimeAndNothingOfThemIsKept) {
  start(e2e::Mode::kCluster);
  if (!system_) return;
  std::vector<std::string> running;
  for (int code = 0; code < 4; ++code) running.push_back(try_submit(3, code));
  for (const std::string& id : running) system_->wait_running(id);

  system_->stop_database();
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(try_submit(0.1, 5, std::chrono::seconds(60)), "");
    EXPECT_EQ(status_, 503) << "0: nobody answered at all";
  }
  EXPECT_TRUE(eventually(60, [&] { return system_->request("GET", "/readyz").status == 503; }));
  EXPECT_EQ(system_->request("GET", "/api/v1/gpus").status, 200);
  std::this_thread::sleep_for(std::chrono::seconds(4));  // the jobs end while nothing can be written

  ASSERT_TRUE(system_->start_database());
  EXPECT_TRUE(eventually(60, [&] { return !try_submit(0.1, 6, std::chrono::seconds(60)).empty(); })) << status_;
  EXPECT_TRUE(eventually(60, [&] { return system_->request("GET", "/readyz").status == 200; }));
  EXPECT_FALSE(system_->exit_of("orchestrator")) << "no restart is needed";
  expect_all_is_well();
  EXPECT_EQ(system_->items("/api/v1/jobs?limit=1000").size(), accepted_.size()) << "what was refused was not done";
}

}  // namespace
}  // namespace aether::chaos
