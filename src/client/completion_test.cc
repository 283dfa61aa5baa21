#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <string>

#include "base/files.h"
#include "client/fake_api.h"

namespace aether::client {
namespace {

class Completion : public testing::Test {
 protected:
  std::string script_of(const std::string& shell) {
    const RunResult result = run_aether(dir.path(), {"completion", shell});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.out;
  }
  // Exit status and output of a shell that reads `commands` from a file.
  std::string shell_output(const std::string& command) {
    FILE* pipe = popen((command + " 2>&1").c_str(), "r");
    std::string out;
    char bytes[512];
    while (const std::size_t size = fread(bytes, 1, sizeof bytes, pipe)) out.append(bytes, size);
    const int status = pclose(pipe);
    return out + "status " + std::to_string(WEXITSTATUS(status));
  }
  std::string last;
  void check_syntax(const std::string& shell) {
    if (system(("command -v " + shell + " >/dev/null 2>&1").c_str()) != 0)
      GTEST_SKIP() << shell << " is not installed here";
    ASSERT_TRUE(write_file_durably(dir.path() + "/script", script_of(shell)));
    EXPECT_EQ(shell_output(shell + " -n " + dir.path() + "/script"), "status 0");
  }
  TemporaryDirectory dir;
};

TEST_F(Completion, BashAcceptsItsScript) { check_syntax("bash"); }
TEST_F(Completion, ZshAcceptsItsScript) { check_syntax("zsh"); }
TEST_F(Completion, FishAcceptsItsScript) { check_syntax("fish"); }

TEST_F(Completion, BashOffersVerbsFlagsAndValues) {
  ASSERT_TRUE(write_file_durably(dir.path() + "/script", script_of("bash")));
  const auto complete = [&](const std::string& words, int at) {
    ASSERT_TRUE(write_file_durably(dir.path() + "/ask", "source " + dir.path() + "/script\nCOMP_WORDS=(" +
                                                            words + ")\nCOMP_CWORD=" + std::to_string(at) +
                                                            "\n_aether\necho \"${COMPREPLY[*]}\"\n"));
    last = shell_output("bash " + dir.path() + "/ask");
  };
  complete("aether qua", 1);
  EXPECT_EQ(last, "quarantine\nstatus 0");
  complete("aether submit --gpu-", 2);
  EXPECT_EQ(last, "--gpu-type --gpu-mem\nstatus 0");
  complete("aether queue -o w", 3);
  EXPECT_EQ(last, "wide\nstatus 0");
  complete("aether history --agg p", 3);
  EXPECT_EQ(last, "p95\nstatus 0");
  complete("aether history --metric power_d", 3);
  EXPECT_EQ(last, "power_draw_w\nstatus 0");
  complete("aether --json completion z", 3);
  EXPECT_EQ(last, "zsh\nstatus 0");
  complete("aether submit -- --gp", 3);
  EXPECT_EQ(last, "\nstatus 0") << "the job's own words are not ours";
}

TEST_F(Completion, EveryScriptNamesEveryVerb) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const std::string script = script_of(shell);
    for (const char* verb :
         {"submit", "run",  "queue",   "ls",     "show",   "why",     "logs",       "cancel",
          "wait",   "hold", "release", "gpus",   "nodes",  "drain",   "undrain",    "quarantine",
          "clear",  "top",  "alerts",  "carbon", "events", "version", "completion", "token",
          "history", "usage"})
      EXPECT_THAT(script, testing::ContainsRegex(std::string("[^a-z]") + verb + "[^a-z]")) << shell;
  }
  EXPECT_EQ(run_aether(dir.path(), {"completion", "tcsh"}).exit_code, 2);
}
}  // namespace
}  // namespace aether::client
