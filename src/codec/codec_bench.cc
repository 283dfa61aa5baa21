#include <benchmark/benchmark.h>
#include <nlohmann/json.hpp>

#include "codec/codec.h"

namespace aether::codec {
namespace {

// All that one NVML GPU gives.
GpuSample full_sample() {
  GpuSample sample;
  sample.gpu_uuid = GpuUuid("GPU-5f0c1f3a-2b7e-4d55-9c1e-7a3a5d0b9e11");
  sample.node = NodeId("node-03");
  sample.gpu_index = 2;
  sample.gpu_name = "NVIDIA H100 80GB HBM3";
  sample.sample_seq = 88123;
  sample.sample_time = from_unix_us(1'768'470'137'250'000);
  for (const GpuMetric& metric : gpu_metrics()) metric.set(sample, 31);
  sample.power_draw_w = 612.437;
  sample.energy_total_mj = 3'801'234'567;
  sample.performance_state = "P0";
  sample.throttling_reasons = "power_cap";
  return sample;
}

void encode_sample_bench(benchmark::State& state) {
  const GpuSample sample = full_sample();
  for (auto _ : state) benchmark::DoNotOptimize(encode_sample(sample));
}
BENCHMARK(encode_sample_bench);

void decode_sample_bench(benchmark::State& state) {
  const GpuSample sample = full_sample();
  const std::string text = encode_sample(sample);
  for (auto _ : state) benchmark::DoNotOptimize(decode_sample(text, sample.node, sample.gpu_index, Time{}));
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * text.size()));
}
BENCHMARK(decode_sample_bench);

void decode_command_bench(benchmark::State& state) {
  StartCommand start;
  start.attempt = {JobId("01JHM2V8Q0ZX4T6RWE1YB3KD5N"), 1};
  start.spec.argv = {"python3", "train.py", "--epochs", "10"};
  Command command;
  command.node = NodeId("node-03");
  command.body = start;
  const std::string text = encode_command(command);
  for (auto _ : state) benchmark::DoNotOptimize(decode_command(text));
}
BENCHMARK(decode_command_bench);

}  // namespace
}  // namespace aether::codec
