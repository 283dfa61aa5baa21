#pragma once
// What the calls of the fake library share: the behaviour asked for, the handles, and how a call begins. One thread.
#include <array>
#include <cstdint>
#include <cstring>
#include <set>
#include <string>

#include "telemetry/nvml/fake/control.h"

namespace fake_nvml {

constexpr int kMaxGpus = 64;
constexpr std::int64_t kMiB = 1 << 20;
constexpr int kMigSlots = 7;

extern Control control;
extern int init_count;
extern int generation;  // handles of an earlier one are invalid
extern std::array<std::array<char, kMaxGpus>, 2> handles;  // their addresses are the device handles
extern std::array<char, static_cast<std::size_t>(kMaxGpus * kMigSlots)> mig_handles;  // one per GPU and slot

struct EventSet {
  std::set<int> gpus;
  std::array<std::string, kMaxGpus> seen;
};
struct Field {
  unsigned type;  // 0 f64, 1 u32, 2 unsigned long, 3 u64
  std::uint64_t number;
};
struct GpmSample {
  int gpu = -1, instance = -1;
};

int gpu_of(void* device);
int mig_of(void* device);
std::string key_of(int gpu, const std::string& name);
std::int64_t value(int gpu, const char* name, std::int64_t otherwise);
bool blank(int gpu, const std::string& what);
void hang_or_crash(const std::string& prefix, const std::string& function);
// 0 when the call goes on.
int enter(const char* function);
int enter(const char* function, void* device, int& gpu);

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

int put_text(const std::string& from, char* text, unsigned length);
std::int64_t milliwatts(int gpu);
std::int64_t millijoules(int gpu);
bool field_of(int gpu, unsigned id, unsigned scope, Field& field);
int give_u32(const char* function, void* device, unsigned* out, const char* name, std::int64_t otherwise,
             const char* sentinel, std::int64_t sentinel_value);
int list_processes(const char* function, void* device, unsigned* count, void* entries, const char* name);
int mig_memory(int mig, void* out);

}  // namespace fake_nvml
