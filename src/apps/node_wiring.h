#pragma once
// Settings in, adapters out: those of one node. wiring.h has the others; these two alone name adapters.
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "bus/bus.h"
#include "config/settings.h"
#include "executor/process_runner.h"
#include "telemetry/gpu_driver.h"

namespace aether::apps {

struct Gpus {
  std::unique_ptr<GpuDriver> driver;
  LoadSink* loads = nullptr;  // the driver's own, when simulated
  std::string note;           // for people: what was found, or why GPUs are simulated
};
// "auto": NVML where it answers, else four simulated GPUs.
Result<Gpus> open_gpus(const Settings& settings, const Clock& clock);

Result<std::unique_ptr<ProcessRunner>> open_runner(const Settings& settings, const Clock& clock);

// Waits for nobody: a server that is not up yet is joined later.
Result<std::unique_ptr<Bus>> open_cluster_bus(const Settings& settings, const std::string& role);
// The same bus as an agent hears it: nothing but what the key of the state directory has signed. `bus` outlives it.
std::unique_ptr<Bus> verify_commands(const Settings& settings, Bus& bus);

}  // namespace aether::apps
