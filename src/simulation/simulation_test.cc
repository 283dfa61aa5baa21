#include "simulation/simulation.h"

#include <gtest/gtest.h>

#include "base/log.h"

namespace aether::simulation {
namespace {

class Simulation : public testing::Test {
 protected:
  static void SetUpTestSuite() { log::init(log::Level::kError, log::Format::kText); }
};

TEST_F(Simulation, TheSameSeedGivesTheSameTraceByteForByte) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const Outcome first = run(seed, true), second = run(seed, true);
    EXPECT_EQ(first.digest, second.digest) << "seed " << seed;
    EXPECT_EQ(first.trace, second.trace) << "seed " << seed;
  }
}

TEST_F(Simulation, KeepsEveryPromiseUnderTheFirstSeeds) {
  Tally total;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    const Outcome outcome = run(seed);
    for (const std::string& failure : outcome.failures) ADD_FAILURE() << "seed " << seed << ": " << failure;
    total.add(outcome.tally);
  }
  // A run in which nothing happened proves nothing.
  EXPECT_GT(total.accepted, 1000U);
  EXPECT_GT(total.executions, 1000U);
  for (const char* fault :
       {"message lost", "message replayed", "message cut off", "message over capacity", "link clogged", "node cut off",
        "orchestrator killed", "orchestrator stopped", "commit failed", "commit ambiguous", "crash before commit",
        "crash after commit", "agent killed", "agent stopped", "node rebooted", "GPU lost", "crash before the start gate",
        "wall clock jumped", "reply lost", "node drained", "job suspended", "job queued again", "job placed again", "attempt given up",
        "dependency never met", "predictor silent", "predictor nonsense"})
    EXPECT_GT(total.faults[fault], 0U) << fault;
}

}  // namespace
}  // namespace aether::simulation
