// A stand-in for libnvidia-ml.so.1, built as a library of that name. Written from the published tables of the
// interface, not from our driver: it shares no declaration with it and writes every structure byte by byte at its
// published offset, so that a wrong offset on either side shows as a wrong value. Not thread-safe.
//
// FAKE_NVML_BRANCH names the header whose functions it has: 130 all; 110 those of 2020; 0 one without a function that
// every driver has.
#include <array>
#include <cstring>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "telemetry/nvml/fake/control.h"

#ifndef FAKE_NVML_BRANCH
#define FAKE_NVML_BRANCH 130
#endif

namespace {

constexpr int kMaxGpus = 64;
constexpr std::int64_t kMiB = 1 << 20;

fake_nvml::Control control;
int init_count = 0;
int generation = 0;  // handles of an earlier one are invalid
std::array<std::array<char, kMaxGpus>, 2> handles;  // their addresses are the device handles

struct EventSet {
  std::set<int> gpus;
  std::array<std::string, kMaxGpus> seen;
};

int gpu_of(void* device) {
  const char* begin = handles[static_cast<std::size_t>(generation % 2)].data();
  const auto offset = static_cast<char*>(device) - begin;
  return device && offset >= 0 && offset < kMaxGpus ? static_cast<int>(offset) : -1;
}

std::string key_of(int gpu, const std::string& name) { return "gpu." + std::to_string(gpu) + "." + name; }

std::int64_t value(int gpu, const char* name, std::int64_t otherwise) {
  return control.empty() ? otherwise : control.number(key_of(gpu, name), otherwise);
}

bool blank(int gpu, const std::string& what) {
  if (control.empty()) return false;
  return ("," + control.text(key_of(gpu, "sentinel"), "") + ",").find("," + what + ",") != std::string::npos;
}

// 0 when the call goes on.
int enter(const char* function) {
  control.refresh();
  if (init_count == 0) return 1;
  if (control.empty()) return 0;
  if (control.off(std::string("symbol.") + function)) return 13;
  return static_cast<int>(control.number(std::string("all.error.") + function, control.number("all.error", 0)));
}

int enter(const char* function, void* device, int& gpu) {
  if (const int code = enter(function)) return code;
  gpu = gpu_of(device);
  if (gpu < 0) return 2;
  if (control.empty()) return 0;
  const std::int64_t all = control.number(key_of(gpu, "error"), 0);
  return static_cast<int>(control.number(key_of(gpu, std::string("error.") + function), all));
}

template <class T>
void put(void* structure, std::size_t offset, T number) {
  std::memcpy(static_cast<char*>(structure) + offset, &number, sizeof number);
}
template <class T>
T get(const void* structure, std::size_t offset) {
  T number;
  std::memcpy(&number, static_cast<const char*>(structure) + offset, sizeof number);
  return number;
}

int put_text(const std::string& from, char* text, unsigned length) {
  if (length <= from.size()) return 7;
  std::memcpy(text, from.c_str(), from.size() + 1);
  return 0;
}

std::int64_t milliwatts(int gpu) {
  return blank(gpu, "power") ? 0xFFFFFFFF : value(gpu, "power_mw", 100000 + 1000 * gpu);
}

// Rises by itself: a counter of the calls stands for the time.
std::int64_t millijoules(int gpu) {
  static std::int64_t calls = 0;
  return blank(gpu, "energy") ? -1 : value(gpu, "energy_mj", 1000000 * (gpu + 1) + 100 * ++calls);
}

struct Field {
  unsigned type;  // 0 f64, 1 u32, 2 unsigned long, 3 u64
  std::uint64_t number;
};

// False for a field that this device lacks.
bool field_of(int gpu, unsigned id, Field& field) {
  if (!control.empty() && control.off("field." + std::to_string(id))) return false;
  switch (id) {
    case 3: field = {3, static_cast<std::uint64_t>(value(gpu, "ecc_sbe", 0))}; break;
    case 4: field = {3, static_cast<std::uint64_t>(value(gpu, "ecc_dbe", 0))}; break;
    case 82: field = {1, static_cast<std::uint64_t>(value(gpu, "temperature_mem_c", 50 + gpu))}; break;
    case 83: field = {2, static_cast<std::uint64_t>(millijoules(gpu))}; break;
    case 94: field = {1, static_cast<std::uint64_t>(value(gpu, "replays", 0))}; break;
    case 185: field = {1, static_cast<std::uint64_t>(milliwatts(gpu))}; break;
    case 190: field = {1, static_cast<std::uint64_t>(value(gpu, "power_limit_mw", 700000))}; break;
    default: return false;
  }
  field.type = static_cast<unsigned>(value(gpu, ("field_type." + std::to_string(id)).c_str(), field.type));
  return true;
}

int give_u32(const char* function, void* device, unsigned* out, const char* name, std::int64_t otherwise,
             const char* sentinel, std::int64_t sentinel_value) {
  int gpu = 0;
  if (const int code = enter(function, device, gpu)) return code;
  *out = static_cast<unsigned>(blank(gpu, sentinel) ? sentinel_value : value(gpu, name, otherwise));
  return 0;
}

int list_processes(const char* function, void* device, unsigned* count, void* entries, const char* name) {
  int gpu = 0;
  if (const int code = enter(function, device, gpu)) return code;
  std::vector<std::pair<unsigned, std::int64_t>> processes;
  std::istringstream text(control.text(key_of(gpu, name), ""));
  for (std::string item; std::getline(text, item, ',');) {
    const std::size_t colon = item.find(':');
    const std::string memory = colon == std::string::npos ? "" : item.substr(colon + 1);
    processes.emplace_back(std::stoul(item), memory.empty() ? -1 : std::stoll(memory) * kMiB);
  }
  const unsigned room = *count;
  *count = static_cast<unsigned>(processes.size());
  if (room < processes.size()) return 7;
  const auto stride = static_cast<std::size_t>(control.number("process_stride", 24));
  for (std::size_t i = 0; i < processes.size(); ++i) {
    char* entry = static_cast<char*>(entries) + i * stride;
    std::memset(entry, 0, stride);
    put<std::uint32_t>(entry, 0, processes[i].first);
    put<std::int64_t>(entry, 8, processes[i].second);
    put<std::uint32_t>(entry, 16, 0xFFFFFFFF);
    put<std::uint32_t>(entry, 20, 0xFFFFFFFF);
  }
  return 0;
}

}  // namespace

extern "C" {

int nvmlInit_v2() {
  control.refresh();
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
  return give_u32("nvmlDeviceGetTemperatureThreshold", device, out, threshold == 0 ? "shutdown_c" : "slowdown_c",
                  threshold == 0 ? 95 : 90, "temperature", 0xFFFFFFFF);
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
  const char* const names[] = {"clock_graphics", "clock_sm", "clock_mem"};
  if (clock > 2) return 2;
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
    const bool there = field_of(gpu, get<std::uint32_t>(entry, 0), field);
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

int nvmlDeviceRegisterEvents(void* device, unsigned long long mask, void* set) {
  int gpu = 0;
  if (const int code = enter("nvmlDeviceRegisterEvents", device, gpu)) return code;
  if ((mask & 0x8) == 0) return 2;
  auto& events = *static_cast<EventSet*>(set);
  events.gpus.insert(gpu);
  events.seen[static_cast<std::size_t>(gpu)] = control.text("xid." + std::to_string(gpu), "");
  return 0;
}

int nvmlEventSetWait_v2(void* set, void* data, unsigned) {
  if (const int code = enter("nvmlEventSetWait_v2")) return code;
  if (control.empty()) return 10;
  if (const std::int64_t code = control.number("wait.error", 0)) return static_cast<int>(code);
  auto& events = *static_cast<EventSet*>(set);
  for (const int gpu : events.gpus) {
    const std::string key = "xid." + std::to_string(gpu), present = control.text(key, "");
    std::string& seen = events.seen[static_cast<std::size_t>(gpu)];
    if (present == seen) continue;
    seen = present;
    if (present.empty()) continue;
    put<void*>(data, 0, &handles[static_cast<std::size_t>(generation % 2)][static_cast<std::size_t>(gpu)]);
    put<std::uint64_t>(data, 8, 0x8);
    put<std::int64_t>(data, 16, control.number(key, 0));
    put<std::uint32_t>(data, 24, 0xFFFFFFFF);
    put<std::uint32_t>(data, 28, 0xFFFFFFFF);
    return 0;
  }
  return 10;
}

}  // extern "C"
