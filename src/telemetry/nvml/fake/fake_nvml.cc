// A stand-in for libnvidia-ml.so.1, built as a library of that name. Written from the published tables of the
// interface, not from our driver: it shares no declaration with it and writes every structure byte by byte at its
// published offset, so that a wrong offset on either side shows as a wrong value. Not thread-safe.
//
// FAKE_NVML_BRANCH names the header whose functions it has: 130 all; 110 those of 2020; 0 one without a function that
// every driver has.
#include <cstdlib>
#include <string>

#include "telemetry/nvml/fake/test_scenario.h"
#include "telemetry/nvml/fake/world.h"

using namespace fake_nvml;

extern "C" {

int nvmlInit_v2() {
  control.refresh();
  if (!control.empty()) hang_or_crash("", "nvmlInit_v2");
  if (const std::int64_t code = control.number("init.error", 0)) return static_cast<int>(code);
  if (init_count++ == 0) ++generation;
  return 0;
}

int nvmlShutdown() {
  if (init_count == 0) return 1;
  --init_count;
  return 0;
}

int nvmlSystemGetDriverVersion(char* text, unsigned length) {
  if (const int code = enter("nvmlSystemGetDriverVersion")) return code;
  return put_text(control.text("driver_version", "570.00.fake"), text, length);
}

int nvmlDeviceGetCount_v2(unsigned* count) {
  if (const int code = enter("nvmlDeviceGetCount_v2")) return code;
  if (const std::int64_t code = control.number("count.error", 0)) return static_cast<int>(code);
  *count = static_cast<unsigned>(control.number("gpus", 4));
  return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device) {
  if (index >= static_cast<unsigned>(control.number("gpus", 4))) return 2;
  int gpu = 0;
  *device = &handles[static_cast<std::size_t>(generation % 2)][index];
  return enter("nvmlDeviceGetHandleByIndex_v2", *device, gpu);
}

int nvmlDeviceGetName(void* device, char* text, unsigned length) {
  int gpu = 0;
  if (const int code = enter("nvmlDeviceGetName", device, gpu)) return code;
  return put_text(control.text(key_of(gpu, "name"), "Fake H100 of the test library"), text, length);
}

#if FAKE_NVML_BRANCH > 0
int nvmlDeviceGetUUID(void* device, char* text, unsigned length) {
  if (const int mig = mig_of(device); mig >= 0) return put_text("MIG-fake-" + std::to_string(mig), text, length);
  int gpu = 0;
  if (const int code = enter("nvmlDeviceGetUUID", device, gpu)) return code;
  return put_text(control.text(key_of(gpu, "uuid"), "GPU-fake0000-0000-0000-0000-00000000000" + std::to_string(gpu)),
                  text, length);
}
#endif

int nvmlDeviceGetPciInfo_v3(void* device, void* info) {
  int gpu = 0;
  if (const int code = enter("nvmlDeviceGetPciInfo_v3", device, gpu)) return code;
  std::memset(info, 0, 68);
  const std::string bus_id = "00000000:" + std::to_string(10 + gpu) + ":00.0";
  std::memcpy(static_cast<char*>(info) + 36, bus_id.c_str(), bus_id.size() + 1);
  return 0;
}

int nvmlDeviceGetArchitecture(void* device, unsigned* out) {
  return give_u32("nvmlDeviceGetArchitecture", device, out, "architecture", 9, "architecture", 0xFFFFFFFF);
}

int nvmlDeviceGetCudaComputeCapability(void* device, int* major, int* minor) {
  int gpu = 0;
  if (const int code = enter("nvmlDeviceGetCudaComputeCapability", device, gpu)) return code;
  *major = 9;
  *minor = 0;
  return 0;
}

int nvmlDeviceGetMaxClockInfo(void* device, unsigned clock, unsigned* out) {
  return give_u32("nvmlDeviceGetMaxClockInfo", device, out, clock == 2 ? "clock_mem_max" : "clock_max",
                  clock == 2 ? 2619 : 1980, "clocks", 0xFFFFFFFF);
}

int nvmlDeviceGetTemperatureThreshold(void* device, unsigned threshold, unsigned* out) {
  const char* const names[] = {"shutdown_c", "slowdown_c", "memory_max_c", "gpu_max_c"};
  const std::int64_t celsius[] = {95, 90, 105, 87};
  if (threshold > 3) return 2;
  return give_u32("nvmlDeviceGetTemperatureThreshold", device, out, names[threshold], celsius[threshold], "temperature",
                  0xFFFFFFFF);
}

int nvmlDeviceGetUtilizationRates(void* device, void* out) {
  int gpu = 0;
  if (const int code = enter("nvmlDeviceGetUtilizationRates", device, gpu)) return code;
  const bool none = blank(gpu, "utilization");
  put<std::uint32_t>(out, 0, static_cast<std::uint32_t>(none ? -1 : value(gpu, "utilization_gpu", 10 + gpu)));
  put<std::uint32_t>(out, 4, static_cast<std::uint32_t>(none ? -1 : value(gpu, "utilization_memory", 5 + gpu)));
  return 0;
}

#if FAKE_NVML_BRANCH >= 116
int nvmlDeviceGetMemoryInfo_v2(void* device, void* out) {
  if (const int mig = mig_of(device); mig >= 0) return mig_memory(mig, out);
  int gpu = 0;
  if (const int code = enter("nvmlDeviceGetMemoryInfo_v2", device, gpu)) return code;
  if (get<std::uint32_t>(out, 0) != 0x02000028) return 25;
  const bool none = blank(gpu, "memory");
  const std::int64_t total = value(gpu, "memory_total_mb", 81559), used = value(gpu, "memory_used_mb", 100 * gpu),
                     reserved = value(gpu, "memory_reserved_mb", 551);
  put<std::int64_t>(out, 8, none ? -1 : total * kMiB);
  put<std::int64_t>(out, 16, none ? -1 : reserved * kMiB);
  put<std::int64_t>(out, 24, none ? -1 : (total - used - reserved) * kMiB);
  put<std::int64_t>(out, 32, none ? -1 : used * kMiB);
  return 0;
}
#endif

int nvmlDeviceGetMemoryInfo(void* device, void* out) {
  int gpu = 0;
  if (const int code = enter("nvmlDeviceGetMemoryInfo", device, gpu)) return code;
  const bool none = blank(gpu, "memory");
  const std::int64_t total = value(gpu, "memory_total_mb", 81559);
  const std::int64_t used = value(gpu, "memory_used_mb", 100 * gpu) + value(gpu, "memory_reserved_mb", 551);
  put<std::int64_t>(out, 0, none ? -1 : total * kMiB);
  put<std::int64_t>(out, 8, none ? -1 : (total - used) * kMiB);
  put<std::int64_t>(out, 16, none ? -1 : used * kMiB);
  return 0;
}

#if FAKE_NVML_BRANCH >= 128
int nvmlDeviceGetTemperatureV(void* device, void* out) {
  int gpu = 0;
  if (const int code = enter("nvmlDeviceGetTemperatureV", device, gpu)) return code;
  if (get<std::uint32_t>(out, 0) != 0x0100000C) return 25;
  if (get<std::uint32_t>(out, 4) != 0) return 2;
  const std::int64_t celsius = blank(gpu, "temperature") ? 255 : value(gpu, "temperature_c", 40 + gpu);
  put<std::int32_t>(out, 8, static_cast<std::int32_t>(celsius));
  return 0;
}
#endif

int nvmlDeviceGetTemperature(void* device, unsigned sensor, unsigned* out) {
  if (sensor != 0) return 2;
  return give_u32("nvmlDeviceGetTemperature", device, out, "temperature_c", 40 + gpu_of(device), "temperature", 255);
}

int nvmlDeviceGetPowerUsage(void* device, unsigned* out) {
  return give_u32("nvmlDeviceGetPowerUsage", device, out, "power_mw", 100000, "power", 2147483632);
}

int nvmlDeviceGetEnforcedPowerLimit(void* device, unsigned* out) {
  return give_u32("nvmlDeviceGetEnforcedPowerLimit", device, out, "power_limit_mw", 700000, "power", 0xFFFFFFFF);
}

int nvmlDeviceGetTotalEnergyConsumption(void* device, unsigned long long* out) {
  int gpu = 0;
  if (const int code = enter("nvmlDeviceGetTotalEnergyConsumption", device, gpu)) return code;
  *out = static_cast<unsigned long long>(millijoules(gpu));
  return 0;
}

int nvmlDeviceGetClockInfo(void* device, unsigned clock, unsigned* out) {
  const char* const names[] = {"clock_graphics", "clock_sm", "clock_mem", "clock_video"};
  if (clock > 3) return 2;
  return give_u32("nvmlDeviceGetClockInfo", device, out, names[clock], clock == 2 ? 2619 : 1980, "clocks", 0xFFFFFFFF);
}

int nvmlDeviceGetPerformanceState(void* device, int* out) {
  unsigned state = 0;
  const int code = give_u32("nvmlDeviceGetPerformanceState", device, &state, "pstate", 0, "pstate", 32);
  if (code == 0) *out = static_cast<int>(state);
  return code;
}

static int give_reasons(const char* function, void* device, unsigned long long* out) {
  int gpu = 0;
  if (const int code = enter(function, device, gpu)) return code;
  *out = static_cast<unsigned long long>(blank(gpu, "reasons") ? -1 : value(gpu, "reasons", 0));
  return 0;
}

#if FAKE_NVML_BRANCH >= 122
int nvmlDeviceGetCurrentClocksEventReasons(void* device, unsigned long long* out) {
  return give_reasons("nvmlDeviceGetCurrentClocksEventReasons", device, out);
}
#endif
int nvmlDeviceGetCurrentClocksThrottleReasons(void* device, unsigned long long* out) {
  return give_reasons("nvmlDeviceGetCurrentClocksThrottleReasons", device, out);
}

int nvmlDeviceGetFanSpeed(void* device, unsigned* out) {
  return give_u32("nvmlDeviceGetFanSpeed", device, out, "fan", 30, "fan", 2147483632);
}

int nvmlDeviceGetEncoderUtilization(void* device, unsigned* out, unsigned* period_us) {
  *period_us = 167000;
  return give_u32("nvmlDeviceGetEncoderUtilization", device, out, "encoder", 0, "utilization", 0xFFFFFFFF);
}
int nvmlDeviceGetDecoderUtilization(void* device, unsigned* out, unsigned* period_us) {
  *period_us = 167000;
  return give_u32("nvmlDeviceGetDecoderUtilization", device, out, "decoder", 0, "utilization", 0xFFFFFFFF);
}

int nvmlDeviceGetTotalEccErrors(void* device, unsigned type, unsigned counter, unsigned long long* out) {
  int gpu = 0;
  if (const int code = enter("nvmlDeviceGetTotalEccErrors", device, gpu)) return code;
  if (type > 1 || counter != 0) return 2;
  *out = static_cast<unsigned long long>(value(gpu, type == 0 ? "ecc_sbe" : "ecc_dbe", 0));
  return 0;
}

int nvmlDeviceGetPcieReplayCounter(void* device, unsigned* out) {
  return give_u32("nvmlDeviceGetPcieReplayCounter", device, out, "replays", 0, "replays", 0xFFFFFFFF);
}

int nvmlDeviceGetFieldValues(void* device, int count, void* values) {
  int gpu = 0;
  if (const int code = enter("nvmlDeviceGetFieldValues", device, gpu)) return code;
  for (int i = 0; i < count; ++i) {
    char* entry = static_cast<char*>(values) + 40 * i;
    Field field{};
    const bool there = field_of(gpu, get<std::uint32_t>(entry, 0), get<std::uint32_t>(entry, 4), field);
    put<std::int32_t>(entry, 28, there ? 0 : 3);
    if (!there) continue;
    put<std::uint32_t>(entry, 24, field.type);
    put<std::uint64_t>(entry, 32, field.number);
  }
  return 0;
}

#if FAKE_NVML_BRANCH >= 116
int nvmlDeviceGetComputeRunningProcesses_v3(void* device, unsigned* count, void* entries) {
  return list_processes("nvmlDeviceGetComputeRunningProcesses_v3", device, count, entries, "processes");
}
int nvmlDeviceGetGraphicsRunningProcesses_v3(void* device, unsigned* count, void* entries) {
  return list_processes("nvmlDeviceGetGraphicsRunningProcesses_v3", device, count, entries, "graphics_processes");
}
int nvmlDeviceGetMPSComputeRunningProcesses_v3(void* device, unsigned* count, void* entries) {
  return list_processes("nvmlDeviceGetMPSComputeRunningProcesses_v3", device, count, entries, "mps_processes");
}
#endif
int nvmlDeviceGetComputeRunningProcesses_v2(void* device, unsigned* count, void* entries) {
  return list_processes("nvmlDeviceGetComputeRunningProcesses_v2", device, count, entries, "processes");
}

int nvmlEventSetCreate(void** set) {
  if (const int code = enter("nvmlEventSetCreate")) return code;
  *set = new EventSet;
  return 0;
}
int nvmlEventSetFree(void* set) {
  delete static_cast<EventSet*>(set);
  return 0;
}

int nvmlDeviceGetSupportedEventTypes(void* device, unsigned long long* out) {
  int gpu = 0;
  if (const int code = enter("nvmlDeviceGetSupportedEventTypes", device, gpu)) return code;
  *out = static_cast<unsigned long long>(value(gpu, "events", 0x1F));
  return 0;
}

// The newest event of a GPU as text that begins with its number; another text is another event.
static std::string event_of(int gpu) {
  const std::string told = control.text("xid." + std::to_string(gpu), "");
  return told.empty() && !control.empty() ? played_xid(gpu) : told;
}

int nvmlDeviceRegisterEvents(void* device, unsigned long long mask, void* set) {
  int gpu = 0;
  if (const int code = enter("nvmlDeviceRegisterEvents", device, gpu)) return code;
  if ((mask & 0x8) == 0) return 2;
  auto& events = *static_cast<EventSet*>(set);
  events.gpus.insert(gpu);
  events.seen[static_cast<std::size_t>(gpu)] = event_of(gpu);
  return 0;
}

int nvmlEventSetWait_v2(void* set, void* data, unsigned) {
  if (const int code = enter("nvmlEventSetWait_v2")) return code;
  if (control.empty()) return 10;
  if (const std::int64_t code = control.number("wait.error", 0)) return static_cast<int>(code);
  auto& events = *static_cast<EventSet*>(set);
  for (const int gpu : events.gpus) {
    const std::string present = event_of(gpu);
    std::string& seen = events.seen[static_cast<std::size_t>(gpu)];
    if (present == seen) continue;
    seen = present;
    if (present.empty()) continue;
    put<void*>(data, 0, &handles[static_cast<std::size_t>(generation % 2)][static_cast<std::size_t>(gpu)]);
    const bool double_bit = present.starts_with("dbe");
    put<std::uint64_t>(data, 8, double_bit ? 0x2 : 0x8);
    put<std::int64_t>(data, 16, double_bit ? 0 : std::strtoll(present.c_str(), nullptr, 10));
    put<std::uint32_t>(data, 24, 0xFFFFFFFF);
    put<std::uint32_t>(data, 28, 0xFFFFFFFF);
    return 0;
  }
  return 10;
}

}  // extern "C"
