// The checks of the chaos program find what they are there for.
#include "checks.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

namespace aether::chaos {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Json job(const std::string& id, const std::string& state, const Json& exit) { return {{"job_id", id}, {"state", state}, {"exit", exit}}; }
Json code(int value) { return {{"exit_code", value}, {"signal", nullptr}, {"cause", "self"}}; }

class ChecksTest : public testing::Test {
 protected:
  Violations check(const std::string& record, const std::set<std::string>& shim_killed = {}) {
    const std::string path = testing::TempDir() + "aether-record-" + std::to_string(getpid());
    std::ofstream(path) << record;
    const Violations out = check_record(path, {{"a", {0, 0}}, {"b", {7, 0}}}, shim_killed);
    unlink(path.c_str());
    return out;
  }
};

TEST_F(ChecksTest, AGoodEndIsNoViolation) {
  const Accepted accepted = {{"a", {0, 0}}, {"b", {7, 0}}, {"c", {0, 9}}};
  EXPECT_THAT(check_jobs(accepted, {job("a", "COMPLETED", code(0)), job("b", "FAILED", code(7)),
                                    job("c", "FAILED", {{"exit_code", nullptr}, {"signal", 9}, {"cause", "self"}})}, {}),
              IsEmpty());
  EXPECT_THAT(check("start a 1 g0\nend a 1 g0\nstart b 1 g0\nend b 1 g0\n"), IsEmpty());
}

TEST_F(ChecksTest, AWrongExitALostJobAndAStrangeOneAreFound) {
  const Accepted accepted = {{"a", {7, 0}}};
  EXPECT_THAT(check_jobs(accepted, {job("a", "COMPLETED", code(0))}, {}), ElementsAre(HasSubstr("exit code 7")));
  EXPECT_THAT(check_jobs(accepted, {job("a", "FAILED", code(8))}, {}), ElementsAre(HasSubstr("exit code 7")));
  EXPECT_THAT(check_jobs(accepted, {job("a", "RUNNING", nullptr)}, {}), ElementsAre(HasSubstr("still RUNNING")));
  EXPECT_THAT(check_jobs(accepted, {}, {}), ElementsAre(HasSubstr("listed 0 times")));
  EXPECT_THAT(check_jobs({}, {job("z", "COMPLETED", code(0))}, {}), ElementsAre(HasSubstr("never accepted")));
}

TEST_F(ChecksTest, LostIsRightOnlyForAKilledShimAndOnlyWithoutACode) {
  const Accepted accepted = {{"a", {7, 0}}};
  const Json lost = job("a", "LOST", {{"exit_code", nullptr}, {"signal", nullptr}, {"cause", "lost_exit"}});
  EXPECT_THAT(check_jobs(accepted, {lost}, {"a"}), IsEmpty());
  EXPECT_EQ(check_jobs(accepted, {lost}, {}).size(), 1U);
  EXPECT_EQ(check_jobs(accepted, {job("a", "COMPLETED", code(0))}, {"a"}).size(), 1U) << "never 0 by default";
}

TEST_F(ChecksTest, AJobThatRanTwiceOrNeverIsFound) {
  EXPECT_THAT(check("start a 1 g0\nend a 1 g0\nstart a 2 g0\nend a 2 g0\nstart b 1 g0\nend b 1 g0\n"),
              ElementsAre(HasSubstr("two lines of 'start'"), HasSubstr("two lines of 'end'")));
  EXPECT_THAT(check("start a 1 g0\nend a 1 g0\n"), ElementsAre("job b never ran", "job b never came to its end"));
  EXPECT_THAT(check("start a 1 g0\nend a 1 g0\n", {"b"}), IsEmpty());
}

TEST_F(ChecksTest, AGpuWithTwoJobsAtATimeIsFound) {
  EXPECT_THAT(check("start a 1 g0,g1\nstart b 1 g1\nend a 1 g0,g1\nend b 1 g1\n"), ElementsAre(HasSubstr("g1 was given to b while a had it")));
}

TEST_F(ChecksTest, AProcessThatIsLeftIsFound) {
  const pid_t child = fork();
  if (child == 0) {
    setenv("AETHER_JOB_ID", "01CHAOSCHECK", 1);
    execl("/bin/sleep", "sleep", "60", static_cast<char*>(nullptr));
    _exit(127);
  }
  Violations found;
  for (int i = 0; i < 500 && found.empty(); ++i, usleep(10000)) found = check_processes("/nonexistent", {{"01CHAOSCHECK", {}}}, 0);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_THAT(found, ElementsAre(HasSubstr("of job 01CHAOSCHECK is left")));
  EXPECT_THAT(check_processes("/nonexistent", {{"01CHAOSCHECK", {}}}, 0), IsEmpty());
}

}  // namespace
}  // namespace aether::chaos
