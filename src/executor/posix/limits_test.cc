// What the machine may be asked for, and what this machine really limits. A limit that nothing here can hold is a visible
// skip.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "base/files.h"
#include "executor/posix/attempt_files.h"
#include "executor/posix/cgroup.h"
#include "executor/posix/limits.h"
#include "executor/posix/test_support.h"

namespace aether {
namespace {

using namespace executor_test;
using executor_contract::attempt_id;

bool is_cgroup(const ProcessRunner& runner, const std::string& what) {
  return runner.limits().find(what + "=cgroup") != std::string::npos;
}

TEST(Limits, AMemoryHogIsOutOfMemoryAndItsNeighbourIsNot) {
  PosixHarness harness;
  if (!is_cgroup(harness.runner(), "memory")) GTEST_SKIP() << "no memory controller here: " << harness.runner().limits();
  auto neighbour = shell(attempt_id(2), "sleep 1; exit 5");
  neighbour.spec.mem_mb = 64;
  ASSERT_TRUE(harness.runner().launch(neighbour));
  auto hog = shell(attempt_id(1), "x=$(head -c 300000000 /dev/zero | tr '\\0' x); echo survived");
  hog.spec.mem_mb = 64;
  ASSERT_TRUE(harness.runner().launch(hog));
  const auto end = harness.wait_for_end(attempt_id(1));
  ASSERT_TRUE(end && end->exit);
  EXPECT_EQ(end->exit->cause, ExitCause::kOomHost);
  EXPECT_EQ(end->state, JobState::kOutOfMemory);
  EXPECT_EQ(harness.output(attempt_id(1)), "");
  EXPECT_EQ(harness.wait_for_end(attempt_id(2))->exit->exit_code, 5);
}

TEST(Limits, AWorkerThatRunsOutOfMemoryEndsTheWholeAttempt) {
  PosixHarness harness;
  if (!is_cgroup(harness.runner(), "memory")) GTEST_SKIP() << "no memory controller here: " << harness.runner().limits();
  auto launch = shell(attempt_id(1), "sh -c 'x=$(head -c 300000000 /dev/zero | tr \"\\0\" x)' & setsid -f sleep 1000; wait $!; exit 3");
  launch.spec.mem_mb = 64;
  ASSERT_TRUE(harness.runner().launch(launch));
  const auto end = harness.wait_for_end(attempt_id(1));
  ASSERT_TRUE(end && end->exit);
  EXPECT_EQ(end->state, JobState::kOutOfMemory);
  EXPECT_TRUE(find_processes_mentioning("AETHER_JOB_ID=" + attempt_id(1).job.str()).empty());
}

TEST(Limits, AForkBombIsBoundedAndEnds) {
  PosixHarness harness([](PosixRunnerOptions& options) { options.pids_max = 40; });
  if (!is_cgroup(harness.runner(), "pids")) GTEST_SKIP() << "no pids controller here: " << harness.runner().limits();
  const auto id = attempt_id(1);
  ASSERT_TRUE(harness.runner().launch(shell(id, "sh -c 'i=0; while [ $i -lt 200 ]; do sleep 1000 & i=$((i+1)); done'; kill -STOP $$")));
  std::size_t most = 0;
  harness.run_until([&] { return most = std::max(most, harness.runner().processes(id).size()), most >= 38; });
  EXPECT_GE(most, 20U);
  EXPECT_LE(most, 40U);
  ASSERT_TRUE(harness.runner().stop(id, 1, "user_cancel", 1));
  EXPECT_TRUE(harness.wait_for_end(id)) << "the agent and the shim are unharmed";
  EXPECT_TRUE(find_processes_mentioning("AETHER_JOB_ID=" + id.job.str()).empty());
}

TEST(Limits, ProcessorTimeIsLimitedAndTheCgroupsGoWithTheAttempt) {
  PosixHarness harness;
  if (!is_cgroup(harness.runner(), "cpus")) GTEST_SKIP() << "no cpu controller here: " << harness.runner().limits();
  auto launch = shell(attempt_id(1), "sleep 0.5");
  launch.spec.cpus = 2;
  ASSERT_TRUE(harness.runner().launch(launch));
  const auto manifest = executor::AttemptFiles(harness.attempt_directory(attempt_id(1))).read_manifest();
  ASSERT_TRUE(manifest);
  std::string quota;
  for (const auto& directory : manifest->limit_cgroups)
    quota += read_file(directory + "/cpu.cfs_quota_us").value_or("");
  quota += read_file(manifest->cgroup + "/job/cpu.max").value_or("");
  EXPECT_TRUE(quota.starts_with("200000")) << quota;
  ASSERT_TRUE(harness.wait_for_end(attempt_id(1)));
  for (const auto& directory : manifest->limit_cgroups)
    EXPECT_TRUE(harness.run_until([&] { return access(directory.c_str(), F_OK) != 0; })) << directory;
}

TEST(Limits, WithoutCgroupsTheAddressSpaceIsLimitedForJobsWithoutGpus) {
  PosixHarness harness([](PosixRunnerOptions& options) { options.use_cgroups = false; });
  const std::string limits = harness.runner().limits();
  EXPECT_TRUE(limits.starts_with("memory=rlimit,pids=" + std::string(geteuid() == 0 ? "rlimit" : "none") + ",cpus=none")) << limits;
  EXPECT_EQ(harness.runner().exec_mode(), "pgrp-only");
  auto small = shell(attempt_id(1), "ulimit -v; ulimit -p");
  small.spec.mem_mb = 512;
  auto with_gpu = shell(attempt_id(2), "ulimit -v");
  with_gpu.spec.mem_mb = 512;
  with_gpu.gpu_uuids = {GpuUuid("GPU-1")};
  for (const auto& launch : {small, with_gpu}) {
    ASSERT_TRUE(harness.runner().launch(launch));
    ASSERT_EQ(harness.wait_for_end(launch.attempt)->exit->exit_code, 0);
  }
  EXPECT_TRUE(harness.output(attempt_id(1)).starts_with("524288\n")) << harness.output(attempt_id(1));
  if (geteuid() == 0) {
    EXPECT_EQ(harness.output(attempt_id(1)), "524288\n16384\n");
  }
  EXPECT_NE(harness.output(attempt_id(2)), "524288\n") << "CUDA reserves address space far beyond its use";
}

// The files of a delegated cgroup v2 as plain ones: what is written where. That the kernel holds it, nothing here shows.
class Cgroup2Files : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const std::string& directory : {base_, base_ + "/aether-jobs", root_, attempt_, attempt_ + "/job"}) {
      std::filesystem::create_directory(directory);
      put(directory + "/cgroup.controllers", "cpuset cpu memory pids\n");
      put(directory + "/cgroup.subtree_control", "");
    }
    for (const char* file : {"memory.max", "memory.swap.max", "memory.oom.group", "pids.max", "cpu.max", "cpu.weight"})
      put(attempt_ + "/job/" + file, "");
  }
  static void put(const std::string& path, const std::string& text) { ASSERT_TRUE(write_file_durably(path, text)); }
  std::string setting(const std::string& file) const { return read_file(attempt_ + "/job/" + file).value_or("none"); }

  TemporaryDirectory directory_;
  const std::string base_ = directory_.path() + "/agent", root_ = base_ + "/aether-jobs/i", attempt_ = root_ + "/j.1";
};

TEST_F(Cgroup2Files, GetTheLimitsOfTheAttempt) {
  const auto limiter = executor::Limiter::probe(root_, "exec-limits-test", true, true);
  EXPECT_EQ(limiter.describe(), "memory=cgroup2,pids=cgroup2,cpus=cgroup2");
  const auto applied = limiter.apply("j.1", attempt_, {64, 40, 3, true});
  ASSERT_TRUE(applied) << applied.error().message;
  EXPECT_EQ(setting("memory.max"), "67108864");
  EXPECT_EQ(setting("memory.swap.max"), "0");
  EXPECT_EQ(setting("memory.oom.group"), "1");
  EXPECT_EQ(setting("pids.max"), "40");
  EXPECT_EQ(setting("cpu.max"), "300000 100000");
  EXPECT_EQ(setting("cpu.weight"), "300");
  EXPECT_EQ(applied->oom_events, attempt_ + "/job/memory.events");
  EXPECT_TRUE(applied->cgroups.empty() && applied->resource_limits.empty());
}

TEST_F(Cgroup2Files, ThatRefuseALimitLetNothingStart) {
  const auto limiter = executor::Limiter::probe(root_, "exec-limits-test", true, true);
  std::filesystem::remove(attempt_ + "/job/pids.max");
  const auto applied = limiter.apply("j.1", attempt_, {{}, 40, {}, false});
  ASSERT_FALSE(applied);
  EXPECT_EQ(applied.error().code, ErrorCode::kIo);
  EXPECT_NE(applied.error().message.find("pids.max"), std::string::npos) << applied.error().message;
}

TEST_F(Cgroup2Files, OfAControllerThatWasNotDelegatedAreNotUsed) {
  put(base_ + "/cgroup.controllers", "cpu pids\n");
  const auto limiter = executor::Limiter::probe(root_, "exec-limits-test", true, true);
  EXPECT_NE(limiter.mode_of("memory"), executor::LimitMode::kCgroup2);
  EXPECT_EQ(limiter.mode_of("pids"), executor::LimitMode::kCgroup2);
  limiter.remove_roots();
}

TEST(Limits, TheModesSayWhatWasFound) {
  PosixHarness with;
  const bool has_cgroup2 = with.runner().exec_mode() == "cgroup2-delegated";
  const std::string root = executor::find_job_cgroup_root("test-" + std::to_string(getpid()));
  EXPECT_EQ(has_cgroup2, !root.empty());
  rmdir(root.c_str());
  for (const char* what : {"memory=", "pids=", "cpus="}) EXPECT_NE(with.runner().limits().find(what), std::string::npos);
}

}  // namespace
}  // namespace aether
