#include "telemetry/nvml/library.h"

#include <dlfcn.h>

#include <array>
#include <vector>

#include <fmt/format.h>

#include "telemetry/nvml/return_code.h"

namespace aether::nvml {
namespace {

std::vector<std::string> candidates(const std::string& path) {
  if (!path.empty()) return {path};
  return {"libnvidia-ml.so.1", "libnvidia-ml.so", "/usr/lib/wsl/lib/libnvidia-ml.so.1"};
}

template <class Function>
void find(void* library, Function& slot, const char* name) {
  slot = reinterpret_cast<Function>(dlsym(library, name));
}

template <class Function>
void find_first(void* library, Function& slot, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    find(library, slot, name);
    if (slot) return;
  }
}

}  // namespace

Result<std::unique_ptr<Library>> Library::load(const std::string& path) {
  std::string tried;
  for (const std::string& candidate : candidates(path)) {
    void* handle = dlopen(candidate.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
      const char* reason = dlerror();
      tried += fmt::format("{}{}: {}", tried.empty() ? "" : "; ", candidate, reason ? reason : "not loadable");
      continue;
    }
    std::unique_ptr<Library> library(new Library(handle));
    AETHER_TRY(library->resolve());
    AETHER_TRY(library->initialise());
    return library;
  }
  return fail(ErrorCode::kUnavailable,
              fmt::format("no NVIDIA management library; tried {}. Install the NVIDIA driver, or use simulated GPUs",
                          tried));
}

Library::~Library() {
  if (initialised_) functions_.shutdown();
  dlclose(handle_);
}

Result<void> Library::resolve() {
  Functions& f = functions_;
  find(handle_, f.init, "nvmlInit_v2");
  find(handle_, f.shutdown, "nvmlShutdown");
  find(handle_, f.system_driver_version, "nvmlSystemGetDriverVersion");
  find(handle_, f.device_count, "nvmlDeviceGetCount_v2");
  find(handle_, f.device_by_index, "nvmlDeviceGetHandleByIndex_v2");
  find(handle_, f.name, "nvmlDeviceGetName");
  find(handle_, f.uuid, "nvmlDeviceGetUUID");
  find(handle_, f.pci_info, "nvmlDeviceGetPciInfo_v3");
  find(handle_, f.architecture, "nvmlDeviceGetArchitecture");
  find(handle_, f.compute_capability, "nvmlDeviceGetCudaComputeCapability");
  find(handle_, f.max_clock, "nvmlDeviceGetMaxClockInfo");
  find(handle_, f.temperature_threshold, "nvmlDeviceGetTemperatureThreshold");
  find(handle_, f.utilization, "nvmlDeviceGetUtilizationRates");
  find(handle_, f.memory_v2, "nvmlDeviceGetMemoryInfo_v2");
  find(handle_, f.memory_v1, "nvmlDeviceGetMemoryInfo");
  find(handle_, f.temperature_v, "nvmlDeviceGetTemperatureV");
  find(handle_, f.temperature, "nvmlDeviceGetTemperature");
  find(handle_, f.power_usage, "nvmlDeviceGetPowerUsage");
  find(handle_, f.power_limit, "nvmlDeviceGetEnforcedPowerLimit");
  find(handle_, f.energy, "nvmlDeviceGetTotalEnergyConsumption");
  find(handle_, f.clock, "nvmlDeviceGetClockInfo");
  find(handle_, f.performance_state, "nvmlDeviceGetPerformanceState");
  find_first(handle_, f.clocks_event_reasons,
             {"nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"});
  find(handle_, f.fan_speed, "nvmlDeviceGetFanSpeed");
  find(handle_, f.encoder_utilization, "nvmlDeviceGetEncoderUtilization");
  find(handle_, f.decoder_utilization, "nvmlDeviceGetDecoderUtilization");
  find(handle_, f.ecc_errors, "nvmlDeviceGetTotalEccErrors");
  find(handle_, f.pcie_replay, "nvmlDeviceGetPcieReplayCounter");
  find(handle_, f.field_values, "nvmlDeviceGetFieldValues");
  find_first(handle_, f.compute_processes,
             {"nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetComputeRunningProcesses_v2"});
  find_first(handle_, f.graphics_processes,
             {"nvmlDeviceGetGraphicsRunningProcesses_v3", "nvmlDeviceGetGraphicsRunningProcesses_v2"});
  find_first(handle_, f.mps_processes,
             {"nvmlDeviceGetMPSComputeRunningProcesses_v3", "nvmlDeviceGetMPSComputeRunningProcesses_v2"});
  find(handle_, f.event_set_create, "nvmlEventSetCreate");
  find(handle_, f.event_set_free, "nvmlEventSetFree");
  find(handle_, f.event_set_wait, "nvmlEventSetWait_v2");
  find(handle_, f.supported_events, "nvmlDeviceGetSupportedEventTypes");
  find(handle_, f.register_events, "nvmlDeviceRegisterEvents");
  find_first(handle_, f.device_by_bus_id, {"nvmlDeviceGetHandleByPciBusId_v2", "nvmlDeviceGetHandleByPciBusId"});
  find(handle_, f.index, "nvmlDeviceGetIndex");
  find(handle_, f.serial, "nvmlDeviceGetSerial");
  find(handle_, f.vbios_version, "nvmlDeviceGetVbiosVersion");
  find(handle_, f.bar1_memory, "nvmlDeviceGetBAR1MemoryInfo");
  find(handle_, f.margin_temperature, "nvmlDeviceGetMarginTemperature");
  find(handle_, f.pcie_generation, "nvmlDeviceGetCurrPcieLinkGeneration");
  find(handle_, f.pcie_width, "nvmlDeviceGetCurrPcieLinkWidth");
  find(handle_, f.pcie_generation_max, "nvmlDeviceGetMaxPcieLinkGeneration");
  find(handle_, f.pcie_width_max, "nvmlDeviceGetMaxPcieLinkWidth");
  find(handle_, f.jpg_utilization, "nvmlDeviceGetJpgUtilization");
  find(handle_, f.ofa_utilization, "nvmlDeviceGetOfaUtilization");
  find(handle_, f.gpm_query_support, "nvmlGpmQueryDeviceSupport");
  find(handle_, f.gpm_sample_alloc, "nvmlGpmSampleAlloc");
  find(handle_, f.gpm_sample_free, "nvmlGpmSampleFree");
  find(handle_, f.gpm_sample_get, "nvmlGpmSampleGet");
  find(handle_, f.gpm_mig_sample_get, "nvmlGpmMigSampleGet");
  find(handle_, f.gpm_metrics_get, "nvmlGpmMetricsGet");
  find(handle_, f.mig_mode, "nvmlDeviceGetMigMode");
  find(handle_, f.mig_max_count, "nvmlDeviceGetMaxMigDeviceCount");
  find(handle_, f.mig_device_by_index, "nvmlDeviceGetMigDeviceHandleByIndex");
  find(handle_, f.gpu_instance_id, "nvmlDeviceGetGpuInstanceId");
  find(handle_, f.compute_instance_id, "nvmlDeviceGetComputeInstanceId");
  find(handle_, f.attributes, "nvmlDeviceGetAttributes_v2");

  if (f.init && f.shutdown && f.device_count && f.device_by_index && f.name && f.uuid && (f.memory_v2 || f.memory_v1))
    return {};
  return fail(ErrorCode::kUnsupported,
              "the NVIDIA management library lacks a function that Aether needs (init, shutdown, device count, handle "
              "by index, name, UUID, memory); the driver is older than any supported one");
}

Result<void> Library::initialise() {
  if (const Return code = functions_.init(); code != kSuccess)
    return fail(ErrorCode::kUnavailable,
                fmt::format("the NVIDIA management library does not start: nvmlInit_v2 answers {}{}", describe(code),
                            code == 9 ? "; the kernel module is not loaded or has no GPU" : ""));
  initialised_ = true;
  std::array<char, 80> text{};
  if (functions_.system_driver_version &&
      functions_.system_driver_version(text.data(), static_cast<std::uint32_t>(text.size() - 1)) == kSuccess)
    driver_version_ = text.data();
  return {};
}

}  // namespace aether::nvml
