#pragma once
// A test that runs embedded and as a cluster alike.
#include <gtest/gtest.h>

#include <cstdlib>

#include "system.h"

namespace aether::e2e {

class ModeTest : public testing::TestWithParam<Mode> {
 protected:
  void start(int gpus) {
    std::string why;
    system_ = System::start(GetParam(), gpus, why);
    if (system_) return;
    if (std::getenv("CI") != nullptr) FAIL() << why;
    GTEST_SKIP() << why;
  }
  std::unique_ptr<System> system_;
};

#define AETHER_BOTH_MODES(suite)                                                                              \
  INSTANTIATE_TEST_SUITE_P(Modes, suite, testing::Values(Mode::kEmbedded, Mode::kCluster),                    \
                           [](const testing::TestParamInfo<Mode>& mode) { return to_string(mode.param); })

}  // namespace aether::e2e
