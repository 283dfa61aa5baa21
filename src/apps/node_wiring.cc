#include "apps/node_wiring.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstring>

#include <fmt/format.h>

#include "apps/service.h"
#include "bus/nats/nats_bus.h"
#include "bus/signed/signed_bus.h"
#include "executor/posix/posix_runner.h"
#include "telemetry/nvml/supervised_driver.h"
#include "telemetry/nvml/worker.h"
#include "telemetry/simulated/scenario.h"
#include "telemetry/simulated/simulated_gpu_driver.h"

namespace aether::apps {
namespace {

Result<Gpus> open_simulated(const Settings& settings, std::string_view text, std::string note, const Clock& clock) {
  auto options = parse_simulated(text);
  if (!options) return fail(options.error());
  auto driver = std::make_unique<SimulatedGpuDriver>(*options, NodeId(settings.node), clock);
  LoadSink* loads = driver.get();
  return Gpus{std::move(driver), loads, std::move(note)};
}

// No GPU at all: a node that runs jobs which need none.
class NoGpus final : public GpuDriver {
 public:
  Result<std::vector<GpuInfo>> enumerate() override { return std::vector<GpuInfo>{}; }
  Result<GpuSample> read(const GpuUuid& gpu) override { return fail(ErrorCode::kNotFound, "no GPU " + gpu.str()); }
  GpuSource source() const override { return GpuSource::kNvml; }
  std::string driver_version() const override { return ""; }
};

// Run through its descriptor, so that the worker is of this version also after the files were replaced.
Result<Gpus> open_nvml(const Settings& settings, const Clock& clock) {
  const std::string path = program_directory() + "/aether-nvml";
  const int opened = open(path.c_str(), O_PATH | O_CLOEXEC);
  const int program = opened < 0 ? -1 : fcntl(opened, F_DUPFD_CLOEXEC, nvml::kWorkerSocket + 1);  // out of the socket's way
  if (program < 0)
    return fail(ErrorCode::kUnavailable,
                fmt::format("{} can't be opened ({}); it belongs beside the 'aether' program", path, std::strerror(errno)));
  close(opened);
  SupervisedNvmlOptions options;
  options.command = {fmt::format("/proc/self/fd/{}", program), {"aether-nvml", settings.nvml_library}};
  auto driver = SupervisedNvmlDriver::open(std::move(options), clock);
  if (!driver) return fail(driver.error());
  return Gpus{std::move(*driver), nullptr, "NVIDIA GPUs by NVML"};
}

}  // namespace

Result<Gpus> open_gpus(const Settings& settings, const Clock& clock) {
  if (settings.gpus == "none") return Gpus{std::make_unique<NoGpus>(), nullptr, "no GPUs, as configured"};
  if (settings.gpus == "nvml" || settings.gpus == "auto") {
    SupervisedNvmlOptions options;
    auto nvml = open_nvml(settings, clock);
    if (nvml || settings.gpus == "nvml") return nvml;
    return open_simulated(settings, "simulated:4", "simulated GPUs, since " + nvml.error().message, clock);
  }
  if (settings.gpus.starts_with("simulated")) return open_simulated(settings, settings.gpus, "simulated GPUs, as configured", clock);
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("agent.gpus = '{}'; give auto, nvml, simulated:N[,seed=S,scenario=NAME|FILE] or none", settings.gpus),
              "agent.gpus");
}

Result<std::unique_ptr<ProcessRunner>> open_runner(const Settings& settings, const Clock& clock) {
  PosixRunnerOptions options;
  options.state_directory = settings.state_dir;
  options.run_as = settings.run_as;
  options.shim_path = settings.shim;
  auto runner = PosixRunner::open(std::move(options), clock);
  if (!runner) return fail(runner.error());
  return std::unique_ptr<ProcessRunner>(std::move(*runner));
}

Result<std::unique_ptr<Bus>> open_cluster_bus(const Settings& settings, const std::string& role) {
  NatsBus::Options options;
  options.url = settings.nats_url;
  options.name = fmt::format("aether-{}-{}", role, settings.node);
  auto bus = NatsBus::open(std::move(options));
  if (!bus) return fail(bus.error());
  return std::unique_ptr<Bus>(std::move(*bus));
}

std::unique_ptr<Bus> verify_commands(const Settings& settings, Bus& bus) {
  return std::make_unique<VerifyingBus>(bus, command_public_key_path(settings.state_dir));
}

}  // namespace aether::apps
