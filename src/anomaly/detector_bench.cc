// One second of a fleet: 10,000 GPUs in nodes of eight, each node under one job.
#include <benchmark/benchmark.h>

#include "anomaly/anomaly_detector.h"
#include "base/rng.h"

namespace aether {
namespace {

void BM_DetectorSecondOfGpus(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  std::vector<GpuInfo> infos(count);
  std::vector<GpuSample> samples(count);
  for (std::size_t i = 0; i < count; ++i) {
    infos[i].gpu_uuid = GpuUuid("GPU-" + std::to_string(i));
    infos[i].gpu_index = static_cast<int>(i % 8);
    infos[i].gpu_name = "NVIDIA H100 80GB HBM3";
    infos[i].power_limit_w = 700;
    infos[i].clock_gpu_max_mhz = 1980;
    infos[i].memory_total_mb = 81559;
    samples[i].power_limit_w = 700;
    samples[i].clock_sm_mhz = 1980;
    samples[i].throttling_reasons_mask = 0;
    samples[i].memory_used_mb = 60000;
    samples[i].ecc_sbe_volatile_total = samples[i].pcie_replay_total = 0;
  }
  AnomalyDetector detector;
  Rng rng(1);
  Time now{std::chrono::seconds(1'700'000'000)};
  std::size_t findings = 0;
  const auto second = [&] {
    now += std::chrono::seconds(1);
    for (std::size_t i = 0; i < count; ++i) {
      GpuSample& sample = samples[i];
      sample.sample_time = now;
      sample.power_draw_w = 500 + 20 * rng.uniform();
      sample.temperature_c = 60 + std::round(2 * rng.uniform());
      sample.utilization_gpu = 94 + std::round(4 * rng.uniform());
      sample.utilization_memory_controller = 45;
      sample.energy_total_mj = sample.energy_total_mj.value_or(0) + 500'000;
      const NodeId node("n" + std::to_string(i / 8));
      const GpuReading reading{infos[i], node, "n-0", &sample, true, JobId("J" + std::to_string(i / 8)), now};
      findings += detector.update(reading, now).size();
    }
  };
  for (int i = 0; i < 300; ++i) second();  // until everything is known and judged
  for (auto _ : state) second();
  benchmark::DoNotOptimize(findings);
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(count));
}
BENCHMARK(BM_DetectorSecondOfGpus)->Arg(10000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace aether
