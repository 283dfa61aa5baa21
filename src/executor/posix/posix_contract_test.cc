#include <gtest/gtest.h>

#include "executor/contract_orders_test.h"
#include "executor/contract_test.h"
#include "executor/posix/test_support.h"

namespace aether::executor_contract {

INSTANTIATE_TYPED_TEST_SUITE_P(Posix, ProcessRunnerContract, executor_test::PosixHarness);
INSTANTIATE_TYPED_TEST_SUITE_P(Posix, ProcessRunnerOrders, executor_test::PosixHarness);

}  // namespace aether::executor_contract
