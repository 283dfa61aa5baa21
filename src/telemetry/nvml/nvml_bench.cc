// What our side of a reading costs: eight GPUs through the fake library, which answers from constants.
#include <benchmark/benchmark.h>

#include "telemetry/nvml/nvml_driver.h"

namespace aether {
namespace {

void BM_NvmlReadEightGpus(benchmark::State& state) {
  const ManualClock clock;
  auto driver = NvmlDriver::open({.library_path = AETHER_FAKE_NVML_LIBRARY}, clock).value();
  const std::vector<GpuInfo> gpus = driver->enumerate().value();
  for (auto _ : state)
    for (std::size_t i = 0; i < 8; ++i) benchmark::DoNotOptimize(driver->read(gpus[i % gpus.size()].gpu_uuid));
  state.SetItemsProcessed(state.iterations() * 8);
}
BENCHMARK(BM_NvmlReadEightGpus);

void BM_NvmlEnumerate(benchmark::State& state) {
  const ManualClock clock;
  auto driver = NvmlDriver::open({.library_path = AETHER_FAKE_NVML_LIBRARY}, clock).value();
  for (auto _ : state) benchmark::DoNotOptimize(driver->enumerate());
}
BENCHMARK(BM_NvmlEnumerate);

}  // namespace
}  // namespace aether
