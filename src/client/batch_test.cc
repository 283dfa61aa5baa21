// Job scripts: #AETHER and #SBATCH lines, sbatch and the other names, instants.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/rng.h"
#include "client/aliases.h"
#include "client/fake_api.h"
#include "client/instant.h"
#include "client/script_directives.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace aether::client {
namespace {

struct Asked {
  Json spec;
  std::vector<std::string> notes;
  std::string error;
};

Asked asked(const std::string& script, const std::vector<std::string>& command_line = {}) {
  Asked out;
  SlurmOptions slurm;
  const auto used = slurm.parse(command_line);
  EXPECT_TRUE(used) << (used ? "" : used.error().message);
  auto flags = flags_of_script(script, slurm, out.notes);
  if (!flags) {
    out.error = flags.error().message;
    EXPECT_EQ(flags.error().exit_code, kUsage);
    return out;
  }
  flags->script = script;
  const auto json = job_spec_json(*flags);
  if (json) out.spec = *json;
  else out.error = json.error().message;
  return out;
}

TEST(Directives, ASlurmScriptOfManyOptionsRunsUnchanged) {
  const Asked job = asked(R"(#!/bin/bash
#SBATCH --job-name=resnet
#SBATCH -p gpu -A vision
#SBATCH --comment "a long one"   # said twice
#SBATCH --gres=gpu:h100:4
#SBATCH -N 1
#SBATCH --ntasks-per-node=2
#SBATCH -c 8
#SBATCH --mem-per-cpu=2G
#SBATCH --time=1-02:30:00
#SBATCH --begin=2030-01-15T09:00
#SBATCH --deadline=2030-01-20
#SBATCH -a 0-9%2
#SBATCH -d afterok:4131:4132,singleton
#SBATCH --kill-on-invalid-dep=yes
#SBATCH -D /srv/resnet
#SBATCH -o logs/%A_%a.out
#SBATCH --error=logs/%A_%a.err
#SBATCH --open-mode=append
#SBATCH --export=NONE,MODE=fast
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --hold
#SBATCH --nice=1000
#SBATCH --exclusive

module load cuda
#SBATCH --qos=late   # behind the first command: nobody reads it
)");
  ASSERT_EQ(job.error, "");
  EXPECT_EQ(job.spec["name"], "resnet");
  EXPECT_EQ(job.spec["labels"], Json::parse(R"({"partition":"gpu","account":"vision","comment":"a long one"})"));
  EXPECT_EQ(job.spec["gpus"], 4);
  EXPECT_EQ(job.spec["gpu_type"], "h100");
  EXPECT_EQ(job.spec["cpus"], 16);
  EXPECT_EQ(job.spec["mem_mb"], 16 * 2048);
  EXPECT_EQ(job.spec["time_limit_s"], 86400 + 9000);
  EXPECT_EQ(job.spec["array"], "0-9%2");
  EXPECT_EQ(job.spec["depends_on"], Json::parse(R"(["afterok:4131","afterok:4132","singleton"])"));
  EXPECT_EQ(job.spec["kill_on_invalid_dep"], true);
  EXPECT_EQ(job.spec["workdir"], "/srv/resnet");
  EXPECT_EQ(job.spec["stdout_path"], "logs/%A_%a.out");
  EXPECT_EQ(job.spec["env"], Json::parse(R"({"AETHER_NTASKS":"2","MODE":"fast"})"));
  EXPECT_EQ(job.spec["early_signal"], Json::parse(R"({"signal":"USR1","before_s":120})"));
  EXPECT_EQ(job.spec["priority"], 40);
  for (const char* flag : {"requeue", "hold"}) EXPECT_EQ(job.spec[flag], true) << flag;
  EXPECT_TRUE(job.spec.contains("begin") && job.spec.contains("deadline"));
}

TEST(Directives, EveryLineThatIsNotUnderstoodIsAnErrorWithItsNumber) {
  const std::pair<const char*, const char*> cases[] = {
      {"#SBATCH --jobname=x", "line 2: Aether does not know --jobname; is --job-name meant?"},
      {"#AETHER --gpuss 2", "line 2: there is no flag --gpuss; is --gpus meant?"},
      {"#SBATCH --qos=high", "line 2: --qos can't be honoured"},
      {"#SBATCH -w node7", "line 2: -w can't be honoured"},
      {"#SBATCH --time", "line 2: --time lacks its value"},
      {"#SBATCH --hold=yes", "line 2: --hold takes no value"},
      {"#SBATCH train.py", "line 2: 'train.py' is no option"},
      {"#AETHER train.py", "line 2: 'train.py' is no flag"},
      {"#AETHER --name 'open", "line 2: a quote is not closed"},
      {"#SBATCH hetjob", "line 2: jobs of several parts"},
      {"#SBATCH --nodes=2", "a job runs on one node here"},
      {"#SBATCH --gres=gpu:1 --gpus-per-node=1", "exclude each other"},
      {"#SBATCH --gres=shard:1", "write gpu:2"},
      {"#SBATCH --time=tomorrow", "write minutes"},
      {"#SBATCH -d afterok:1?afterok:2", "all of them must be met"},
  };
  for (const auto& [line, expected] : cases) {
    const Asked job = asked(std::string("#!/bin/sh\n") + line + "\ntrue\n");
    EXPECT_NE(job.error.find(expected), std::string::npos) << line << " gives: " << job.error;
  }
}

TEST(Directives, TheStrongerSayWins) {
  const std::string script = "#!/bin/sh\n#AETHER --gpus 3\n#SBATCH --gpus=2 --job-name=slurm -t 30\n";
  EXPECT_EQ(asked(script).spec["gpus"], 3) << "#AETHER over #SBATCH";
  EXPECT_EQ(asked(script, {"-J", "mine"}).spec["name"], "mine") << "a command line over both";
  EXPECT_EQ(asked(script).spec["time_limit_s"], 1800) << "a bare number is minutes, as in Slurm";
  const auto environment = flags_of_environment([](const char* name) -> const char* {
    if (std::string_view(name) == "AETHER_GPUS") return "5";
    return std::string_view(name) == "AETHER_REQUEUE" ? "1" : nullptr;
  });
  ASSERT_TRUE(environment) << environment.error().message;
  EXPECT_EQ(environment->gpus, 5);
  EXPECT_TRUE(environment->requeue);
}

TEST(Directives, NotesNameWhatIsReadOtherwiseThanInSlurm) {
  const Asked job = asked("#SBATCH --mem-per-gpu=4G --gpus=2 -p gpu\n");
  EXPECT_EQ(job.spec["mem_mb"], 8192);
  std::string notes;
  for (const std::string& note : job.notes) notes += note + "\n";
  for (const char* expected : {"--gpu-mem", "one queue", "--export"}) EXPECT_NE(notes.find(expected), std::string::npos) << notes;
  EXPECT_TRUE(asked("#AETHER --gpus 1\n").notes.empty());
}

TEST(Directives, SlurmTimesAndSizes) {
  for (const auto& [text, seconds] : {std::pair("30", 1800), std::pair("30:15", 1815), std::pair("1:00:00", 3600), std::pair("2-12", 216000),
                                      std::pair("2-12:30", 217800), std::pair("1-00:00:01", 86401)})
    EXPECT_EQ(parse_slurm_time(text), seconds) << text;
  for (const char* text : {"", "a", "1:2:3:4", "-5", "1-", "1:", "99999999999999999999"}) EXPECT_FALSE(parse_slurm_time(text)) << text;
  EXPECT_EQ(parse_slurm_memory_mb("100"), 100);
  EXPECT_EQ(parse_slurm_memory_mb("4G"), 4096);
  EXPECT_EQ(parse_slurm_memory_mb("1K"), 1);
  for (const char* text : {"", "G", "4GB", "-1"}) EXPECT_FALSE(parse_slurm_memory_mb(text)) << text;
}

// No text makes the parser do anything but answer.
TEST(Directives, AnyTextIsAnswered) {
  static constexpr std::string_view kPieces[] = {"#SBATCH", "#AETHER", " ", "--", "-", "=", "gpus", "time", "\n", "'", "\"", "\\", "1",
                                                 ":", "#", "gres", "gpu", "%", ",", "\xff", "array", "-a", "J", "env"};
  Rng rng(11);
  for (int round = 0; round < 3000; ++round) {
    std::string script;
    for (std::uint64_t i = rng.below(24); i > 0; --i) script += kPieces[rng.below(std::size(kPieces))];
    EXPECT_EQ(LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(script.data()), script.size()), 0);
  }
}

TEST(Batch, AScriptIsSubmittedWithWhatItAsksFor) {
  FakeApi api({{"POST /api/v1/jobs", {job_reply("PENDING")}}});
  const std::string path = api.state_dir() + "/train.sh";
  std::ofstream(path) << "#!/bin/sh\n#AETHER --gpus 2 --time 2h --retries 3 --retry-on 75,signal\necho hi\n";
  const RunResult done = api.run({"batch", "--priority", "60", path});
  ASSERT_EQ(done.exit_code, 0) << done.err;
  const Json body = Json::parse(api.find("POST", "/api/v1/jobs")->body);
  EXPECT_EQ(body["name"], "train.sh");
  EXPECT_EQ(body["gpus"], 2);
  EXPECT_EQ(body["priority"], 60);
  EXPECT_EQ(body["retry_on"], Json::parse(R"(["75","signal"])"));
  EXPECT_NE(body["script"].get<std::string>().find("echo hi"), std::string::npos);
  EXPECT_EQ(api.run({"batch", path + ".missing"}).exit_code, kUsage);
  std::ofstream(path) << "#!/bin/sh\n#AETHER --gpu 2\n";
  const RunResult wrong = api.run({"batch", path});
  EXPECT_EQ(wrong.exit_code, kUsage);
  EXPECT_NE(wrong.err.find("train.sh: line 2: there is no flag --gpu; is --gpus meant?"), std::string::npos) << wrong.err;
}

TEST(Batch, ArgumentsReachTheScriptThroughItsShell) {
  FakeApi api({{"POST /api/v1/jobs", {job_reply("PENDING")}}});
  const std::string path = api.state_dir() + "/run.sh";
  std::ofstream(path) << "#!/bin/bash -e\necho $1\n";
  const RunResult done = api.run({"batch", "--sbatch", "--sbatch-word=-J", "--sbatch-word=x", "--", path, "--epochs", "3"});
  ASSERT_EQ(done.out, "Submitted batch job 7\n") << done.err;
  const Json argv = Json::parse(api.find("POST", "/api/v1/jobs")->body)["argv"];
  EXPECT_EQ(argv, (Json{"/bin/bash", "-e", "-c", "#!/bin/bash -e\necho $1\n", path, "--epochs", "3"}));
}

TEST(Aliases, EachSlurmCommandIsOneVerb) {
  const auto words = [](const std::string& program, std::vector<std::string> given) {
    const auto out = expand_alias("/opt/bin/" + program, given);
    std::string line;
    if (!out) return std::string("none");
    if (!*out) return "error " + std::to_string(out->error().exit_code);
    for (const std::string& word : **out) line += (line.empty() ? "" : " ") + word;
    return line;
  };
  EXPECT_EQ(words("sbatch", {"-J", "x", "--gpus=2", "run.sh", "-v"}),
            "batch --sbatch --sbatch-word=-J --sbatch-word=x --sbatch-word=--gpus=2 -- run.sh -v");
  EXPECT_EQ(words("sbatch", {"--qos=high", "run.sh"}), "error 2");
  EXPECT_EQ(words("squeue", {"-u", "ada", "-t", "PD,R", "-h"}), "queue --user ada --state PENDING,RUNNING --no-headers");
  EXPECT_EQ(words("squeue", {"-j", "7,8"}), "show 7 8");
  EXPECT_EQ(words("squeue", {"--start"}), "error 2");
  EXPECT_EQ(words("scancel", {"7", "8_[0-3]"}), "cancel 7 8_[0-3]");
  EXPECT_EQ(words("scancel", {"-s", "USR1", "7"}), "signal -s USR1 7");
  EXPECT_EQ(words("sinfo", {}), "nodes");
  EXPECT_EQ(words("sacct", {"-X"}), "queue --all");
  EXPECT_EQ(words("scontrol", {"show", "job", "7"}), "show 7");
  EXPECT_EQ(words("scontrol", {"requeue", "7"}), "requeue 7");
  EXPECT_EQ(words("scontrol", {"update", "JobId=7", "TimeLimit=30"}), "update 7 --time 1800s");
  EXPECT_EQ(words("scontrol", {"reboot"}), "error 2");
  EXPECT_EQ(words("aether", {"queue"}), "none");
}

TEST(Aliases, LinksAreMadeAndNothingElseIsReplaced) {
  TemporaryDirectory directory;
  EXPECT_TRUE(install_aliases(directory.path(), "/usr/bin/aether"));
  EXPECT_TRUE(install_aliases(directory.path(), "/usr/bin/aether")) << "again is no error";
  EXPECT_EQ(std::filesystem::read_symlink(directory.path() + "/sbatch"), "/usr/bin/aether");
  std::filesystem::remove(directory.path() + "/squeue");
  std::ofstream(directory.path() + "/squeue") << "mine";
  EXPECT_EQ(install_aliases(directory.path(), "/usr/bin/aether").error().exit_code, kConflict);
}

TEST(Instant, WhatPeopleWriteIsATime) {
  const Time now = parse_rfc3339("2026-01-15T09:42:17Z").value();
  EXPECT_EQ(parse_instant("2026-01-15T10:00:00Z", now), now + std::chrono::seconds(1063));
  EXPECT_EQ(parse_instant("now+2h", now), now + std::chrono::hours(2));
  EXPECT_EQ(parse_instant("now+60", now), now + std::chrono::seconds(60));
  EXPECT_EQ(parse_instant("now+30minutes", now), now + std::chrono::minutes(30));
  for (const char* text : {"00:00", "23:59:59", "noon", "midnight", "tomorrow"}) {
    const auto time = parse_instant(text, now);
    ASSERT_TRUE(time) << text;
    EXPECT_GT(*time, now) << text;
    EXPECT_LE(*time, now + std::chrono::hours(25)) << text;
  }
  EXPECT_LE(parse_instant("today", now).value(), now);
  EXPECT_EQ(parse_instant("2026-01-16", now).value(), parse_instant("2026-01-16T00:00", now).value());
  for (const char* text : {"", "soon", "25:00", "2026-13-01", "2026-01-15T9:00", "now+", "now+2x", "1:00"})
    EXPECT_FALSE(parse_instant(text, now)) << text;
}

}  // namespace
}  // namespace aether::client
