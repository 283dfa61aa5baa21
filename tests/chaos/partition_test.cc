// The network between the agent and everybody else goes away, in both directions or in one, and comes back. The agent
// lives in a network namespace of its own behind a veth pair; all of it is the test's and goes with it.
#include <sched.h>

#include <map>

#include "fault_test.h"

namespace aether::chaos {
namespace {

constexpr const char* kHere = "10.77.13.1";

struct Cut {
  const char* name;
  bool to_agent, from_agent;  // what is dropped
};

class PartitionTest : public FaultTest, public testing::WithParamInterface<Cut> {
 protected:
  void SetUp() override {
    const std::string why = why_not(
        "unshare -n /bin/sh -c 'ip link add aether0 type veth peer name aether1 && nft add table inet aether && "
        "nft add chain inet aether in { type filter hook input priority 0 \\; } && nft add rule inet aether in iifname aether0 drop'");
    if (!why.empty()) GTEST_SKIP() << why;
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    there_ = e2e::Process::start({"/usr/bin/unshare", "-n", "/bin/sleep", "86400"}, {}, "/dev/null");
    const std::string pid = std::to_string(there_->pid());
    shell("ip link set lo up");
    shell("until [ \"$(readlink /proc/" + pid + "/ns/net)\" != \"$(readlink /proc/self/ns/net)\" ]; do sleep 0.05; done");
    shell("ip link add aether0 type veth peer name aether1 && ip link set aether1 netns " + pid);
    shell(std::string("ip addr add ") + kHere + "/24 dev aether0 && ip link set aether0 up");
    shell("nsenter -t " + pid + " -n /bin/sh -c 'ip link set lo up; ip addr add 10.77.13.2/24 dev aether1; ip link set aether1 up'");
    e2e::SystemOptions options;
    options.nats_host = kHere;
    options.parts["agent"].prefix = {"/usr/bin/nsenter", "-t", pid, "-n", "--"};
    start(e2e::Mode::kCluster, options);
  }
  void TearDown() override { system_.reset(); }

  static void shell(const std::string& line) { ASSERT_EQ(why_not(line), ""); }
  static void cut(const Cut& what) {
    shell("nft add table inet aether");
    if (what.from_agent) shell("nft add chain inet aether in { type filter hook input priority 0 \\; } && nft add rule inet aether in iifname aether0 drop");
    if (what.to_agent) shell("nft add chain inet aether out { type filter hook output priority 0 \\; } && nft add rule inet aether out oifname aether0 drop");
  }
  static void heal() { shell("nft delete table inet aether"); }

  std::unique_ptr<e2e::Process> there_;  // keeps the agent's namespace
};

TEST_P(PartitionTest, JobsRunOnAndTheirEndsArriveWhenTheNetworkIsBack) {
  if (!system_) return;
  for (const double seconds : numbers_from("AETHER_CHAOS_PARTITION_S", {4})) {
    SCOPED_TRACE(seconds);
    const std::string ends_in_the_dark = try_submit(seconds / 2, 3), ends_after_it = try_submit(seconds + 2, 0);
    system_->wait_running(ends_after_it);
    system_->wait_running(ends_in_the_dark);
    cut(GetParam());
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds / 2));
    const std::string comes_in_the_dark = try_submit(0.2, 5);
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds / 2));
    for (const std::string& id : {ends_in_the_dark, ends_after_it, comes_in_the_dark})
      EXPECT_FALSE(e2e::is_terminal(system_->job(id))) << "nobody can know that";
    heal();
    expect_all_is_well();
  }
}

INSTANTIATE_TEST_SUITE_P(Cuts, PartitionTest,
                         testing::Values(Cut{"Both", true, true}, Cut{"ToAgent", true, false}, Cut{"FromAgent", false, true}),
                         [](const auto& cut) { return std::string(cut.param.name); });

// Minutes, since the lease is what it is for everybody: 30 s, and 120.6 s until somebody else may have the job.
class SecondNodeTest : public PartitionTest {
 protected:
  void SetUp() override {
    if (std::getenv("AETHER_CHAOS_SECOND_NODE") == nullptr) GTEST_SKIP() << "three minutes: set AETHER_CHAOS_SECOND_NODE=1";
    PartitionTest::SetUp();
  }
};

TEST_P(SecondNodeTest, GetsTheJobAfterTheFirstHasGivenItUp) {
  if (!system_) return;
  const std::string stamp = "$AETHER_ATTEMPT $(cut -d' ' -f1 /proc/uptime) >>" + record_;
  const std::string id = system_->submit({{"argv", {"/bin/sh", "-c", "echo start " + stamp + "; [ $AETHER_ATTEMPT = 1 ] || exit 5; "
                                                    "trap 'echo stop " + stamp + "; exit 0' TERM; while :; do sleep 0.1; done"}},
                                          {"time_limit_s", 3600}, {"on_partition", "stop_after"}, {"stop_after_s", 30}});
  ASSERT_EQ(system_->wait_running(id).at("node"), "n1");
  system_->start_part(e2e::kSecondAgent);
  cut(GetParam());
  const Json job = system_->wait_ended(id, 400);
  heal();
  EXPECT_EQ(job.at("node"), "n2") << job.dump();
  EXPECT_EQ(job.at("exit").at("exit_code"), 5);
  std::map<std::string, double> at;
  std::ifstream record(record_);
  for (std::string what, attempt, uptime; record >> what >> attempt >> uptime;) {
    EXPECT_FALSE(at.contains(what + attempt)) << "once";
    at[what + attempt] = std::atof(uptime.c_str());
  }
  ASSERT_TRUE(at.contains("start1") && at.contains("stop1") && at.contains("start2"));
  EXPECT_LT(at["stop1"], at["start2"]) << "never two at once";
  EXPECT_EQ(at.size(), 3U);
}

INSTANTIATE_TEST_SUITE_P(Cuts, SecondNodeTest, testing::Values(Cut{"Both", true, true}), [](const auto& cut) { return std::string(cut.param.name); });

}  // namespace
}  // namespace aether::chaos
