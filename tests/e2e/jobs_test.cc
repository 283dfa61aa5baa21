// What a user does with jobs, on both kinds of system.
#include <algorithm>
#include <fstream>
#include <sstream>
#include <sys/stat.h>
#include <thread>

#include "mode_test.h"

namespace aether::e2e {
namespace {

class JobsTest : public ModeTest {
 protected:
  void SetUp() override { start(8); }

  static Json shell(const std::string& script) { return {{"argv", {"/bin/sh", "-c", script}}, {"time_limit_s", 300}}; }

  // Processes whose command line holds the mark, as root's ps sees them.
  static int processes_with(const std::string& mark) {
    const Output listed = run({"/bin/sh", "-c", "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep -c '^" + mark + "$'"});
    return std::atoi(listed.text.c_str());
  }
};

TEST_P(JobsTest, AJobIsPlacedExplainedRunAndItsExitCodeReported) {
  const std::string id = system_->submit(shell("echo out on $CUDA_VISIBLE_DEVICES; echo err >&2; exit 7"));
  const Json job = system_->wait_ended(id);
  EXPECT_EQ(job.at("state"), "FAILED");
  EXPECT_EQ(job.at("exit").at("exit_code"), 7);
  EXPECT_EQ(job.at("exit").at("cause"), "self");
  ASSERT_EQ(job.at("gpu_uuids").size(), 1u);
  EXPECT_EQ(system_->log(id), "out on " + job.at("gpu_uuids")[0].get<std::string>() + "\n");
  EXPECT_EQ(system_->log(id, "stderr"), "err\n");

  const Json placement = system_->get("/api/v1/jobs/" + id + "/explain").at("placement");
  EXPECT_EQ(placement.at("policy"), "model") << placement.dump();
  EXPECT_EQ(placement.at("gpu_uuids"), job.at("gpu_uuids"));
  ASSERT_EQ(placement.at("candidates").size(), 8u);
  double best = -1, chosen = -2;
  for (const Json& candidate : placement.at("candidates")) {
    for (const Json& term : candidate.at("terms"))
      if (term.at("name") == "model") {
        best = std::max(best, term.at("value").get<double>());
        if (candidate.at("chosen")) chosen = term.at("value");
      }
    EXPECT_FALSE(candidate.at("contributions").empty());
  }
  EXPECT_EQ(chosen, best) << "the model's best GPU is the one that was used";

  std::vector<std::string> states;
  for (const Json& event : system_->items("/api/v1/jobs/" + id + "/events")) states.push_back(event.at("to"));
  EXPECT_EQ(states.front(), "PENDING");
  EXPECT_EQ(states.back(), "FAILED");
  EXPECT_NE(std::find(states.begin(), states.end(), "RUNNING"), states.end());
}

TEST_P(JobsTest, TheCommandLineRunsAJobFollowsItsOutputAndPassesItsExitCodeOn) {
  const Output output = system_->cli({"run", "--time", "5m", "--", "/bin/sh", "-c", "echo one; sleep 0.3; echo two; exit 7"});
  EXPECT_EQ(output.exit_code, 7) << output.text;
  EXPECT_NE(output.text.find("one\ntwo\n"), std::string::npos) << output.text;
  const Output missing = system_->cli({"show", "999999"});
  EXPECT_EQ(missing.exit_code, 3) << missing.text;
}

TEST_P(JobsTest, CancellingLeavesNoProcess) {
  // A child that ignores SIGTERM and a grandchild that left the session.
  const std::string id = system_->submit(
      {{"argv", {"/bin/sh", "-c", "trap '' TERM; setsid sleep 987654 & sleep 987653 & while :; do sleep 0.1; done"}},
       {"time_limit_s", 300}, {"grace_s", 1}});
  system_->wait_running(id);
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  EXPECT_GT(processes_with("987654"), 0);
  EXPECT_EQ(system_->request("POST", "/api/v1/jobs/" + id + "/cancel", Json::object()).status, 202);
  const Json job = system_->wait_ended(id);
  EXPECT_EQ(job.at("state"), "CANCELLED");
  EXPECT_EQ(job.at("exit").at("cause"), "user_cancel");
  EXPECT_EQ(processes_with("987654") + processes_with("987653"), 0);
  for (const Json& gpu : system_->items("/api/v1/gpus")) EXPECT_TRUE(gpu.at("jobs").empty());
}

TEST_P(JobsTest, TheTimeLimitEndsAJob) {
  const std::string id = system_->submit({{"argv", {"/bin/sleep", "600"}}, {"time_limit_s", 1}, {"grace_s", 1}});
  const Json job = system_->wait_ended(id);
  EXPECT_EQ(job.at("state"), "TIMEOUT");
  EXPECT_EQ(job.at("exit").at("cause"), "timeout");
}

TEST_P(JobsTest, AnUnknownCommandIsALaunchFailureThatSaysWhy) {
  const Json job = system_->wait_ended(system_->submit({{"argv", {"/no/such/program"}}, {"time_limit_s", 60}}));
  EXPECT_EQ(job.at("state"), "LAUNCH_FAILED");
  EXPECT_NE(job.at("exit").at("message").get<std::string>().find("No such file"), std::string::npos) << job.dump();
}

TEST_P(JobsTest, AGangGetsItsGpusAndTheRestWaitsWithAReason) {
  const std::string big = system_->submit({{"argv", {"/bin/sleep", "2"}}, {"gpus", 6}, {"time_limit_s", 60}});
  system_->wait_running(big);
  const std::string waiting = system_->submit({{"argv", {"/bin/true"}}, {"gpus", 4}, {"time_limit_s", 60}});
  const Json explain = system_->wait_for(waiting, [&](const Json&) {
    const Json now = system_->get("/api/v1/jobs/" + waiting + "/explain");
    return !now.at("reasons").empty() && now.at("reasons")[0].at("code") == "INSUFFICIENT_GPUS";
  });
  const Json never = system_->get("/api/v1/jobs/" + system_->submit({{"argv", {"/bin/true"}}, {"gpus", 9}, {"time_limit_s", 60}}) + "/explain");
  EXPECT_EQ(system_->wait_ended(waiting).at("state"), "COMPLETED");
  EXPECT_EQ(system_->job(big).at("gpu_uuids").size(), 6u);
}

TEST_P(JobsTest, TwoHundredJobsEndOnEightGpusNoneLostAndNoGpuGivenTwice) {
  const std::string record = system_->folder() + "/record";
  std::ofstream(record).close();
  ASSERT_EQ(chmod(record.c_str(), 0666), 0);
  // Each line is one write with O_APPEND: whole, and in the order in which it happened.
  const std::string script = "echo start $CUDA_VISIBLE_DEVICES $AETHER_JOB_ID >> " + record + "; sleep 0.2; echo end $CUDA_VISIBLE_DEVICES $AETHER_JOB_ID >> " + record;
  std::vector<std::string> ids;
  for (int i = 0; i < 200; ++i) {
    Json spec = shell(script);
    if (i % 10 == 0) spec["gpus"] = 2;
    ids.push_back(system_->submit(spec));
  }
  for (const std::string& id : ids) EXPECT_EQ(system_->wait_ended(id, 300).at("state"), "COMPLETED");

  std::map<std::string, std::string> holder;
  std::map<std::string, int> starts, ends;
  std::ifstream lines(record);
  std::string what, gpus, job;
  while (lines >> what >> gpus >> job) {
    std::istringstream list(gpus);
    for (std::string gpu; std::getline(list, gpu, ',');) {
      if (what == "start") { EXPECT_EQ(holder[gpu], "") << gpu << " given to " << job << " while " << holder[gpu] << " has it"; }
      holder[gpu] = what == "start" ? job : "";
    }
    ++(what == "start" ? starts : ends)[job];
  }
  EXPECT_EQ(holder.size(), 8u);
  for (const std::string& id : ids) {
    EXPECT_EQ(starts[id], 1) << id;
    EXPECT_EQ(ends[id], 1) << id;
  }
}

TEST_P(JobsTest, AFailureIsRetriedAndThoseWhoDependOnTheJobFollow) {
  // Fails the first time, succeeds the second.
  Json flaky = shell("echo restart $AETHER_RESTART_COUNT; [ $AETHER_RESTART_COUNT -gt 0 ] || exit 75");
  flaky["retries"] = 1;
  flaky["retry_on"] = {"75"};
  const std::string first = system_->submit(flaky);
  Json after = shell("true"), never = shell("true");
  after["depends_on"] = {"afterok:" + first};
  never["depends_on"] = {"afternotok:" + first};
  never["kill_on_invalid_dep"] = true;
  const std::string follower = system_->submit(after), doomed = system_->submit(never);
  const Json backing_off = system_->wait_for(first, [](const Json& job) { return job.at("state") == "PENDING" && job.at("attempts") == 1; });
  EXPECT_EQ(backing_off.at("flags"), Json::array({"RETRYING"}));
  EXPECT_EQ(system_->get("/api/v1/jobs/" + follower + "/explain").at("reasons")[0].at("code"), "DEPENDENCY");
  const Json done = system_->wait_ended(first);
  EXPECT_EQ(done.at("state"), "COMPLETED") << done.dump();
  EXPECT_EQ(done.at("attempts"), 2);
  EXPECT_EQ(system_->log(first), "restart 1\n");
  EXPECT_EQ(system_->wait_ended(follower).at("state"), "COMPLETED");
  EXPECT_EQ(system_->wait_ended(doomed).at("state"), "CANCELLED");
}

TEST_P(JobsTest, AnArrayRunsItsTasksUnderALimitAndIsOneSubmission) {
  const Output submitted = system_->cli({"array", "0-5%2", "-q", "--time", "1m", "--", "/bin/sh", "-c", "echo task $AETHER_ARRAY_INDEX; sleep 0.3"});
  ASSERT_EQ(submitted.exit_code, 0) << submitted.text;
  const std::string array = submitted.text.substr(0, 26);
  int most = 0;
  for (const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60); std::chrono::steady_clock::now() < until;) {
    const Json counts = system_->get("/api/v1/arrays/" + array).at("counts");
    if (counts.value("COMPLETED", 0) == 6) break;
    int held = 0;
    for (const auto& [state, count] : counts.items())
      if (state != "PENDING" && state != "COMPLETED") held += count.get<int>();
    most = std::max(most, held);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  const Json shown = system_->get("/api/v1/arrays/" + array);
  EXPECT_EQ(shown.at("counts"), Json({{"COMPLETED", 6}}));
  EXPECT_LE(most, 2);
  EXPECT_GE(most, 1);
  const std::string number = std::to_string(shown.at("number").get<int>());
  EXPECT_EQ(system_->log(system_->job(number + "_4").at("job_id")), "task 4\n");
  EXPECT_EQ(system_->cli({"wait", "--all", number + "_0", number + "_5"}).exit_code, 0);
}

TEST_P(JobsTest, ASuspendedJobStandsStillUntilItIsResumed) {
  Json spec = shell("trap 'echo warned' USR1; i=0; while [ $i -lt 400 ]; do i=$((i+1)); echo $i; sleep 0.1; done");
  const std::string id = system_->submit(spec);
  system_->wait_running(id);
  ASSERT_EQ(system_->cli({"suspend", id}).exit_code, 0);
  system_->wait_for(id, [](const Json& job) { return job.at("state") == "SUSPENDED"; });
  const std::string before = system_->log(id);
  std::this_thread::sleep_for(std::chrono::milliseconds(600));
  EXPECT_EQ(system_->log(id), before);
  EXPECT_FALSE(system_->job(id).at("gpu_uuids").empty());
  ASSERT_EQ(system_->cli({"resume", id}).exit_code, 0);
  system_->wait_for(id, [](const Json& job) { return job.at("state") == "RUNNING"; });
  ASSERT_EQ(system_->cli({"signal", "-s", "USR1", id}).exit_code, 0);
  system_->wait_for(id, [&](const Json&) { return system_->log(id).find("warned") != std::string::npos; });
  EXPECT_GT(system_->log(id).size(), before.size());
  // Queued again: the next attempt starts from the beginning.
  ASSERT_EQ(system_->cli({"requeue", id}).exit_code, 0);
  system_->wait_for(id, [](const Json& job) { return job.at("attempts") == 2 && job.at("state") == "RUNNING"; });
  ASSERT_EQ(system_->cli({"cancel", "--now", id}).exit_code, 0);
  EXPECT_EQ(system_->wait_ended(id).at("state"), "CANCELLED");
}

TEST_P(JobsTest, AScriptWithDirectivesRunsUnchanged) {
  const std::string path = system_->folder() + "/job.sh";
  std::ofstream(path) << "#!/bin/sh\n#SBATCH --job-name=slurm -t 2 --gres=gpu:2\n#SBATCH --export=NONE,GREETING=hello -D /\n"
                         "#AETHER --slurm-env --priority 60\necho $GREETING $SLURM_JOB_NAME\n";
  const Output submitted = system_->cli({"batch", "-q", "--sbatch-word=--comment=x", path});
  ASSERT_EQ(submitted.exit_code, 0) << submitted.text;
  const Json job = system_->wait_ended(submitted.text.substr(0, 26));
  EXPECT_EQ(job.at("state"), "COMPLETED") << job.dump();
  EXPECT_EQ(job.at("gpu_uuids").size(), 2u);
  EXPECT_EQ(job.at("time_limit_s"), 120);
  EXPECT_EQ(system_->log(job.at("job_id")), "hello slurm\n");
  std::ofstream(path) << "#!/bin/sh\n#SBATCH --qos=high\ntrue\n";
  EXPECT_EQ(system_->cli({"batch", path}).exit_code, 2);
}

AETHER_BOTH_MODES(JobsTest);

}  // namespace
}  // namespace aether::e2e
