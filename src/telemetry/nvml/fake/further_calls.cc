// The rest of the fake library: what newer headers brought, profiling metrics, MIG.
#include <cmath>
#include <cstdlib>
#include <string>

#include "telemetry/nvml/fake/world.h"

using namespace fake_nvml;

extern "C" {

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device);

int nvmlDeviceGetHandleByPciBusId_v2(const char* bus_id, void** device) {
  const unsigned bus = std::strlen(bus_id) > 9 ? static_cast<unsigned>(std::stoul(std::string(bus_id).substr(9, 2))) : 0;
  if (bus < 10 || bus - 10 >= static_cast<unsigned>(control.number("gpus", 4))) return 6;
  return nvmlDeviceGetHandleByIndex_v2(bus - 10, device);
}
int nvmlDeviceGetIndex(void* device, unsigned* out) {
  return give_u32("nvmlDeviceGetIndex", device, out, "index", gpu_of(device), "index", 0xFFFFFFFF);
}
int nvmlDeviceGetSerial(void* device, char* text, unsigned length) {
  int gpu = 0;
  if (const int code = enter("nvmlDeviceGetSerial", device, gpu)) return code;
  return put_text(control.text(key_of(gpu, "serial"), "165000000000" + std::to_string(gpu)), text, length);
}
int nvmlDeviceGetVbiosVersion(void* device, char* text, unsigned length) {
  int gpu = 0;
  if (const int code = enter("nvmlDeviceGetVbiosVersion", device, gpu)) return code;
  return put_text("96.00.89.00.01", text, length);
}
int nvmlDeviceGetBAR1MemoryInfo(void* device, void* out) {
  int gpu = 0;
  if (const int code = enter("nvmlDeviceGetBAR1MemoryInfo", device, gpu)) return code;
  const std::int64_t total = 131072, used = value(gpu, "bar1_used_mb", 4);
  put<std::int64_t>(out, 0, total * kMiB);
  put<std::int64_t>(out, 8, (total - used) * kMiB);
  put<std::int64_t>(out, 16, used * kMiB);
  return 0;
}
int nvmlDeviceGetCurrPcieLinkGeneration(void* device, unsigned* out) {
  return give_u32("nvmlDeviceGetCurrPcieLinkGeneration", device, out, "pcie_gen", 5, "pcie", 0xFFFFFFFF);
}
int nvmlDeviceGetCurrPcieLinkWidth(void* device, unsigned* out) {
  return give_u32("nvmlDeviceGetCurrPcieLinkWidth", device, out, "pcie_width", 16, "pcie", 0xFFFFFFFF);
}
int nvmlDeviceGetMaxPcieLinkGeneration(void* device, unsigned* out) {
  return give_u32("nvmlDeviceGetMaxPcieLinkGeneration", device, out, "pcie_gen_max", 5, "pcie", 0xFFFFFFFF);
}
int nvmlDeviceGetMaxPcieLinkWidth(void* device, unsigned* out) {
  return give_u32("nvmlDeviceGetMaxPcieLinkWidth", device, out, "pcie_width_max", 16, "pcie", 0xFFFFFFFF);
}
#if FAKE_NVML_BRANCH >= 122
int nvmlDeviceGetJpgUtilization(void* device, unsigned* out, unsigned* period_us) {
  *period_us = 167000;
  return give_u32("nvmlDeviceGetJpgUtilization", device, out, "jpg", 0, "utilization", 0xFFFFFFFF);
}
int nvmlDeviceGetOfaUtilization(void* device, unsigned* out, unsigned* period_us) {
  *period_us = 167000;
  return give_u32("nvmlDeviceGetOfaUtilization", device, out, "ofa", 0, "utilization", 0xFFFFFFFF);
}
#endif
#if FAKE_NVML_BRANCH >= 128
int nvmlDeviceGetMarginTemperature(void* device, void* out) {
  int gpu = 0;
  if (const int code = enter("nvmlDeviceGetMarginTemperature", device, gpu)) return code;
  if (get<std::uint32_t>(out, 0) != 0x01000008) return 25;
  put<std::int32_t>(out, 4, static_cast<std::int32_t>(value(gpu, "margin_c", 50 - gpu)));
  return 0;
}
#endif

// ---- profiling metrics ----

#if FAKE_NVML_BRANCH >= 118
int nvmlGpmQueryDeviceSupport(void* device, void* support) {
  int gpu = 0;
  if (const int code = enter("nvmlGpmQueryDeviceSupport", device, gpu)) return code;
  if (get<std::uint32_t>(support, 0) != 1) return 25;
  put<std::uint32_t>(support, 4, control.off(key_of(gpu, "gpm")) ? 0 : 1);
  return 0;
}
int nvmlGpmSampleAlloc(void** sample) {
  *sample = new GpmSample;
  return 0;
}
int nvmlGpmSampleFree(void* sample) {
  delete static_cast<GpmSample*>(sample);
  return 0;
}
int nvmlGpmSampleGet(void* device, void* sample) {
  int gpu = 0;
  if (const int code = enter("nvmlGpmSampleGet", device, gpu)) return code;
  *static_cast<GpmSample*>(sample) = {gpu, -1};
  return 0;
}
int nvmlGpmMigSampleGet(void* device, unsigned instance, void* sample) {
  int gpu = 0;
  if (const int code = enter("nvmlGpmMigSampleGet", device, gpu)) return code;
  *static_cast<GpmSample*>(sample) = {gpu, static_cast<int>(instance)};
  return 0;
}
int nvmlGpmMetricsGet(void* request) {
  if (const int code = enter("nvmlGpmMetricsGet")) return code;
  if (get<std::uint32_t>(request, 0) != 1) return 25;
  const auto* first = static_cast<const GpmSample*>(get<void*>(request, 8));
  const auto* second = static_cast<const GpmSample*>(get<void*>(request, 16));
  if (first->gpu < 0 || first->gpu != second->gpu || first->instance != second->instance) return 2;
  for (std::uint32_t i = 0; i < get<std::uint32_t>(request, 4); ++i) {
    char* metric = static_cast<char*>(request) + 24 + 40 * i;
    const unsigned id = get<std::uint32_t>(metric, 0);
    const std::string text = control.text(key_of(first->gpu, "gpm." + std::to_string(id)), "");
    put<std::int32_t>(metric, 4, text == "off" ? 3 : 0);
    put<double>(metric, 8, blank(first->gpu, "gpm") ? std::nan("") : text.empty() ? 20.0 + id : std::strtod(text.c_str(), nullptr));
  }
  return 0;
}
#endif

// ---- MIG ----

int nvmlDeviceGetMigMode(void* device, unsigned* current, unsigned* pending) {
  int gpu = 0;
  if (const int code = enter("nvmlDeviceGetMigMode", device, gpu)) return code;
  *current = *pending = value(gpu, "mig", 0) > 0 ? 1 : 0;
  return 0;
}
int nvmlDeviceGetMaxMigDeviceCount(void* device, unsigned* count) {
  int gpu = 0;
  if (const int code = enter("nvmlDeviceGetMaxMigDeviceCount", device, gpu)) return code;
  *count = kMigSlots;
  return 0;
}
int nvmlDeviceGetMigDeviceHandleByIndex(void* device, unsigned index, void** mig) {
  int gpu = 0;
  if (const int code = enter("nvmlDeviceGetMigDeviceHandleByIndex", device, gpu)) return code;
  if (static_cast<std::int64_t>(index) >= value(gpu, "mig", 0)) return 6;
  *mig = &mig_handles[static_cast<std::size_t>(gpu * kMigSlots) + index];
  return 0;
}
int nvmlDeviceGetGpuInstanceId(void* device, unsigned* out) {
  const int mig = mig_of(device);
  if (mig < 0) return 2;
  *out = static_cast<unsigned>(mig % kMigSlots + 7);
  return 0;
}
int nvmlDeviceGetComputeInstanceId(void* device, unsigned* out) {
  if (mig_of(device) < 0) return 2;
  *out = 0;
  return 0;
}
int nvmlDeviceGetAttributes_v2(void* device, void* out) {
  if (mig_of(device) < 0) return 3;
  std::memset(out, 0, 40);
  put<std::uint32_t>(out, 24, 1);
  put<std::uint32_t>(out, 28, 1);
  put<std::uint64_t>(out, 32, 9984);
  return 0;
}

}  // extern "C"
