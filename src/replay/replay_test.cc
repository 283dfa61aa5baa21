#include <gtest/gtest.h>

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <nlohmann/json.hpp>

#include "replay/metrics.h"
#include "replay/referee_client.h"

namespace aether::replay {
namespace {

Trace small_trace() {
  return {{"a"}, {1}, {{"1", "ada", 0, 8, 0, 0, 100}, {"2", "ada", 0, 8, 0, 10, 50}, {"3", "bob", 0, 1, 0, 10, 5}}};
}

queueing::DispatchOptions options_of(queueing::Policy policy, std::int64_t (*overhead_s)(int) = venus_overhead_s) {
  queueing::DispatchOptions options;
  options.policy = policy;
  options.overhead_s = overhead_s;
  return options;
}

TEST(Replay, FifoRunsOneAfterTheOther) {
  const Trace trace = small_trace();
  const auto outcome = run_replay(trace, options_of(queueing::Policy::kFifo), nullptr, {});
  EXPECT_EQ(outcome.jobs[0].end_s, 100);
  EXPECT_EQ(outcome.jobs[1].end_s, 150);
  EXPECT_EQ(outcome.jobs[2].end_s, 155);
  const Metrics metrics = measure(trace, outcome);
  EXPECT_DOUBLE_EQ(metrics.mean_queue_s, (0 + 90 + 140) / 3.0);
  EXPECT_EQ(metrics.makespan_s, 155);
}

TEST(Replay, APreemptionCostsItsOverheadAndTheHeldSecond) {
  const Trace trace = small_trace();
  const auto outcome = run_replay(trace, options_of(queueing::Policy::kSrtf), nullptr, {});
  // Job 2 stops job 1 with 90 s left, job 3 waits for its end 5 s later only if it did not come first.
  EXPECT_EQ(outcome.preemptions, 1);
  EXPECT_EQ(outcome.jobs[2].end_s, 16);
  EXPECT_EQ(outcome.jobs[1].end_s, 16 + 51);
  EXPECT_EQ(outcome.jobs[0].ran_s, 100 + 40 + 1);
}

TEST(Trace, ReadsFilesAndCompressesTheTimes) {
  const auto folder = std::filesystem::temp_directory_path() / ("aether_trace_" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "vcs.csv") << "vc,nodes\na,1\n";
  std::ofstream(folder / "jobs.csv") << "job_id,user,vc,gpu_num,cpu_num,submit_time,duration,state\n"
                                        "x,ada,a,4,0,100,10,COMPLETED\ny,ada,a,9,0,110,10,FAILED\nz,bob,a,1,2,120,7,FAILED\n";
  const auto trace = read_trace(folder.string(), 2.0);
  std::filesystem::remove_all(folder);
  ASSERT_TRUE(trace) << trace.error().message;
  ASSERT_EQ(trace->jobs.size(), 2u);  // nine GPUs fit no node of the cluster
  EXPECT_EQ(trace->jobs[1].submit_s, 110);
  EXPECT_EQ(trace->jobs[1].run_time_s, 7);
  EXPECT_FALSE(read_trace(folder.string()));
}

TEST(RefereeClient, AnswersWithPlacements) {
  std::istringstream in("VC a 1\nREADY\nAT 5\nSUB j1 ada a 3 1\nSUB j2 ada a 8 1\nGO\nAT 9\nEND j1\nGO\nBYE\n");
  std::ostringstream out, errors;
  GlobalEstimator estimator;
  EXPECT_TRUE(serve_referee(in, out, errors, options_of(queueing::Policy::kFifoSkip), estimator));
  EXPECT_EQ(out.str(), "RUN j1 0:3\nOK\nRUN j2 0:8\nOK\n");
  std::istringstream wrong("HELLO\n");
  EXPECT_FALSE(serve_referee(wrong, out, errors, options_of(queueing::Policy::kFifoSkip), estimator));
}

TEST(Replay, EqualsThePublishedTablesPerVirtualCluster) {
  const char* root = std::getenv("AETHER_TRACES");
  if (root == nullptr) GTEST_SKIP() << "AETHER_TRACES names no folder with venus_sept and philly_dev";
  for (const std::string set : {"venus_sept", "philly_dev"}) {
    const std::string folder = std::string(root) + "/" + set;
    const auto trace = read_trace(folder);
    ASSERT_TRUE(trace) << trace.error().message;
    const auto reference = nlohmann::json::parse(std::ifstream(folder + "/reference.json"));
    for (const std::string name : {"fifo", "fifo-skip", "sjf", "srtf", "tiresias"}) {
      auto* overhead = set == "venus_sept" ? venus_overhead_s : philly_overhead_s;
      const auto outcome = run_replay(*trace, options_of(*queueing::policy_from(name), overhead), nullptr, {});
      const auto measured = measure_partitions(*trace, outcome);
      for (std::size_t i = 0; i < measured.size(); ++i) {
        const auto& expected = reference.at(name).at("per_vc").at(trace->partitions[i]);
        EXPECT_NEAR(measured[i].mean_jct_s, expected.at("avg_jct"), 1) << set << ' ' << name << ' ' << trace->partitions[i];
        EXPECT_NEAR(measured[i].mean_queue_s, expected.at("avg_queue"), 1) << set << ' ' << name << ' ' << trace->partitions[i];
      }
    }
  }
}

}  // namespace
}  // namespace aether::replay
