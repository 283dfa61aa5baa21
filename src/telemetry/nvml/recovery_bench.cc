// How long the readings of the healthy GPUs are away after each kind of fault, with the deadlines of the product.
#include <benchmark/benchmark.h>
#include <signal.h>

#include "telemetry/nvml/fake_control_test.h"
#include "telemetry/nvml/supervised_driver.h"

namespace aether {
namespace {

enum class Fault { kHang, kCrash, kKill, kReload };

// From the fault to a good reading of GPU 0, read as the sampler does it: every GPU in turn.
void BM_Recovery(benchmark::State& state) {
  const auto fault = static_cast<Fault>(state.range(0));
  const SystemClock clock;
  for (auto _ : state) {
    FakeControl control;
    SupervisedNvmlOptions options;
    options.command = {AETHER_FAKE_NVML_WORKER, {"worker", "nvml-worker", AETHER_FAKE_NVML_LIBRARY}};
    auto driver = SupervisedNvmlDriver::open(options, clock).value();
    const std::vector<GpuInfo> gpus = driver->enumerate().value();
    for (const GpuInfo& gpu : gpus) benchmark::DoNotOptimize(driver->read(gpu.gpu_uuid));
    const Mono begin = clock.mono();
    if (fault == Fault::kHang) control.set({"gpu.2.hang on"});
    if (fault == Fault::kCrash) control.set({"gpu.2.crash.nvmlDeviceGetUtilizationRates on"});
    if (fault == Fault::kKill) kill(driver->health().worker_pid, SIGKILL);
    if (fault == Fault::kReload) control.set({"all.error 9"});
    (void)driver->read(gpus[2].gpu_uuid);
    if (fault == Fault::kCrash || fault == Fault::kReload) control.set({});
    while (!driver->read(gpus[0].gpu_uuid)) (void)driver->enumerate();
    state.SetIterationTime(std::chrono::duration<double>(clock.mono() - begin).count());
  }
}
BENCHMARK(BM_Recovery)->ArgName("hang0_crash1_kill2_reload3")->DenseRange(0, 3)->UseManualTime()->Unit(benchmark::kMillisecond)->Iterations(5);

}  // namespace
}  // namespace aether
