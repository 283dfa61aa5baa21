// The whole loop in one process, with every part simulated that can be: what a newcomer reads first to see how the rooms fit.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <future>
#include <thread>

#include "agent/agent.h"
#include "bus/in_process/in_process_bus.h"
#include "executor/simulated/simulated_runner.h"
#include "orchestrator/service.h"
#include "store/sqlite/sqlite_store.h"
#include "telemetry/simulated/simulated_gpu_driver.h"

namespace aether {
namespace {

class LoopTest : public testing::Test {
 protected:
  LoopTest() : folder_(testing::TempDir() + "aether-loop-" + std::to_string(getpid())) {
    std::filesystem::remove_all(folder_);
    store_ = *SqliteStore::open({folder_});
    driver_ = std::make_unique<SimulatedGpuDriver>(*parse_simulated("simulated:4,seed=3"), NodeId("n1"), clock_);
    runner_ = std::make_unique<SimulatedRunner>(SimulatedRunnerOptions{.poll_interval = std::chrono::milliseconds(10)}, clock_, journal_);
    service_ = *OrchestratorService::open({}, bus_, *store_, nullptr, nullptr, clock_);
    EXPECT_TRUE(service_->start());
    AgentOptions options;
    options.node = NodeId("n1");
    options.sampler.interval = std::chrono::milliseconds(100);
    options.heartbeat_interval = std::chrono::milliseconds(100);
    agent_ = std::make_unique<Agent>(options, *driver_, driver_.get(), *runner_, bus_, clock_);
    EXPECT_TRUE(agent_->start());
  }
  ~LoopTest() override {
    agent_->stop();
    service_->stop();
    store_.reset();
    std::filesystem::remove_all(folder_);
  }

  JobId submit(JobSpec spec) {
    std::promise<Result<SubmitReply>> promise;
    service_->submit({std::move(spec), "admin", "", "", false}, [&](Result<SubmitReply> reply) { promise.set_value(std::move(reply)); });
    return promise.get_future().get()->job->id;
  }
  // Polls the published view.
  bool eventually(const std::function<bool(const ClusterView&)>& holds) {
    for (int i = 0; i < 1500; ++i, std::this_thread::sleep_for(std::chrono::milliseconds(10)))
      if (holds(*service_->view())) return true;
    return false;
  }

  const std::string folder_;
  SystemClock clock_;
  InProcessBus bus_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<SimulatedGpuDriver> driver_;
  std::shared_ptr<SimulatedJournal> journal_ = std::make_shared<SimulatedJournal>();
  std::unique_ptr<SimulatedRunner> runner_;
  std::unique_ptr<OrchestratorService> service_;
  std::unique_ptr<Agent> agent_;
};

TEST_F(LoopTest, AJobGoesFromSubmissionThroughAGpuToTheHistory) {
  ASSERT_TRUE(eventually([](const ClusterView& view) { return view.gpus.size() == 4 && view.gpus.begin()->second.sample; }));
  JobSpec spec;
  spec.argv = {"train"};
  spec.env = {{"AETHER_SIM_DURATION_MS", "1500"}, {"AETHER_SIM_EXIT_CODE", "7"}};
  const JobId id = submit(spec);
  // The simulated GPU feels the job.
  EXPECT_TRUE(eventually([&](const ClusterView& view) {
    const auto attempt = view.jobs.at(id)->last_attempt();
    if (attempt == nullptr || attempt->placement.gpu_uuids.empty()) return false;
    const auto& gpu = view.gpus.at(attempt->placement.gpu_uuids[0]);
    return gpu.sample && gpu.sample->utilization_gpu.value_or(0) > 0;
  }));
  EXPECT_TRUE(eventually([&](const ClusterView& view) { return is_terminal(view.jobs.at(id)->state); }));
  const auto job = service_->view()->jobs.at(id);
  EXPECT_EQ(job->state, JobState::kFailed);
  EXPECT_EQ(job->attempts.back().exit->exit_code, 7);
  EXPECT_GT(job->attempts.back().energy_j.value_or(0), 0);
  EXPECT_EQ(service_->view()->placements.at(id)->policy, "heuristic");
  EXPECT_EQ(store_->find_job(id)->state, JobState::kFailed);
  EXPECT_GE(store_->job_events(id)->size(), 4u);
  for (int i = 0; i < 200 && *store_->count_samples() == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_GT(*store_->count_samples(), 0u);
}

TEST_F(LoopTest, MoreJobsThanGpusAllEndAndEachWaitIsExplained) {
  std::vector<JobId> ids;
  for (int i = 0; i < 12; ++i) {
    JobSpec spec;
    spec.argv = {"train"};
    spec.env = {{"AETHER_SIM_DURATION_MS", "300"}};
    ids.push_back(submit(spec));
  }
  EXPECT_TRUE(eventually([&](const ClusterView& view) {
    for (const auto& [id, wait] : view.waiting) EXPECT_FALSE(wait->summary.empty());
    return std::all_of(ids.begin(), ids.end(), [&](const JobId& id) { return is_terminal(view.jobs.at(id)->state); });
  }));
  for (const JobId& id : ids) EXPECT_EQ(service_->view()->jobs.at(id)->state, JobState::kCompleted);
}

}  // namespace
}  // namespace aether
