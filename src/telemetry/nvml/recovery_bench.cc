// How long the readings of the healthy GPUs are away after each kind of fault, with the deadlines of the product, and
// whether one of them was older than the fault.
#include <benchmark/benchmark.h>
#include <signal.h>

#include <algorithm>

#include "telemetry/nvml/fake_control_test.h"
#include "telemetry/nvml/supervised_driver.h"

namespace aether {
namespace {

enum class Fault { kWedge, kLoss, kReload, kCrash, kKill };

std::vector<std::string> lines_of(Fault fault) {
  switch (fault) {
    case Fault::kWedge: return {"gpu.2.hang on"};
    case Fault::kLoss: return {"gpu.2.error 15"};
    case Fault::kReload: return {"all.error 9"};
    case Fault::kCrash: return {"gpu.2.crash.nvmlDeviceGetUtilizationRates on"};
    case Fault::kKill: return {};
  }
  return {};
}

// Every GPU reads so many degrees from now on: a reading with another value is an old one.
std::vector<std::string> with_temperature(std::vector<std::string> lines, int degrees) {
  for (int gpu = 0; gpu < 4; ++gpu) lines.push_back("gpu." + std::to_string(gpu) + ".temperature_c " + std::to_string(degrees));
  return lines;
}

// From the fault to the moment when each healthy GPU has given a reading, in rounds as the sampler makes them. A reload
// takes the driver away for one round.
void BM_Recovery(benchmark::State& state) {
  const auto fault = static_cast<Fault>(state.range(0));
  const SystemClock clock;
  double longest_ms = 0, stale = 0;
  int degrees = 30;
  for (auto _ : state) {
    FakeControl control;
    SupervisedNvmlOptions options;
    options.command = {AETHER_NVML_WORKER, {"aether-nvml", AETHER_FAKE_NVML_LIBRARY}};
    auto driver = SupervisedNvmlDriver::open(options, clock).value();
    const std::vector<GpuInfo> gpus = driver->enumerate().value();
    for (const GpuInfo& gpu : gpus) benchmark::DoNotOptimize(driver->read(gpu.gpu_uuid));

    degrees = degrees < 90 ? degrees + 1 : 31;
    const Mono begin = clock.mono();
    control.set(with_temperature(lines_of(fault), degrees));
    if (fault == Fault::kKill) kill(driver->health().worker_pid, SIGKILL);
    std::vector<bool> has_read(gpus.size(), false);
    const auto is_done = [&] {
      for (std::size_t i = 0; i < gpus.size(); ++i)
        if (i != 2 && !has_read[i]) return false;
      return true;
    };
    for (int round = 0; !is_done(); ++round) {
      bool answered = false;
      for (std::size_t i = 0; i < gpus.size(); ++i) {
        const auto sample = driver->read(gpus[i].gpu_uuid);
        if (!sample) continue;
        answered = has_read[i] = true;
        if (sample->temperature_c != degrees) ++stale;
      }
      if (round == 0 && (fault == Fault::kReload || fault == Fault::kCrash)) control.set(with_temperature({}, degrees));
      if (!answered) (void)driver->enumerate();
    }
    const double seconds = std::chrono::duration<double>(clock.mono() - begin).count();
    state.SetIterationTime(seconds);
    longest_ms = std::max(longest_ms, 1000 * seconds);
  }
  state.counters["longest_ms"] = longest_ms;
  state.counters["stale"] = stale;
}
BENCHMARK(BM_Recovery)->ArgName("wedge0_loss1_reload2_crash3_kill4")->DenseRange(0, 4)->UseManualTime()->Unit(benchmark::kMillisecond)->Iterations(50);

}  // namespace
}  // namespace aether
