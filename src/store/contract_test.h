#pragma once
// What every Store must do. An adapter's test includes this file once and instantiates StoreContract with its
// harness:
//   INSTANTIATE_TEST_SUITE_P(Sqlite, StoreContract, ::testing::Values(HarnessFactory{...}));
#include "store/contract_history.h"
#include "store/contract_jobs.h"
#include "store/contract_samples.h"
