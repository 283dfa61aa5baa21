// A second of eight simulated GPUs under load, and the catching up after a long sleep.
#include <benchmark/benchmark.h>

#include "telemetry/simulated/simulated_gpu_driver.h"

namespace aether {
namespace {

void load_all(SimulatedGpuDriver& driver, const std::vector<GpuInfo>& gpus) {
  std::vector<GpuLoad> loads;
  for (const GpuInfo& gpu : gpus)
    loads.push_back({gpu.gpu_uuid, {JobId("j" + std::to_string(gpu.gpu_index)), 1}, JobType::kTraining, 0});
  driver.set_loads(std::move(loads));
}

void BM_SimulatedReadEightGpusEachSecond(benchmark::State& state) {
  ManualClock clock;
  SimulatedGpuDriver driver(parse_simulated("simulated:8").value(), NodeId("n"), clock);
  const std::vector<GpuInfo> gpus = driver.enumerate().value();
  load_all(driver, gpus);
  for (auto _ : state) {
    clock.advance(std::chrono::seconds(1));
    for (const GpuInfo& gpu : gpus) benchmark::DoNotOptimize(driver.read(gpu.gpu_uuid));
  }
  state.SetItemsProcessed(state.iterations() * 8);
}
BENCHMARK(BM_SimulatedReadEightGpusEachSecond);

void BM_SimulatedCatchUpOneDay(benchmark::State& state) {
  ManualClock clock;
  SimulatedGpuDriver driver(parse_simulated("simulated:1").value(), NodeId("n"), clock);
  const std::vector<GpuInfo> gpus = driver.enumerate().value();
  load_all(driver, gpus);
  for (auto _ : state) {
    clock.advance(std::chrono::hours(24));
    benchmark::DoNotOptimize(driver.read(gpus[0].gpu_uuid));
  }
}
BENCHMARK(BM_SimulatedCatchUpOneDay)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace aether
