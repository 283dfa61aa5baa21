#include "telemetry/nvml/fake/world.h"

#include "telemetry/nvml/fake/test_scenario.h"

#include <unistd.h>

#include <cstdlib>
#include <sstream>
#include <vector>

namespace fake_nvml {

Control control;
int init_count = 0;
int generation = 0;  // handles of an earlier one are invalid
std::array<std::array<char, kMaxGpus>, 2> handles;  // their addresses are the device handles

int gpu_of(void* device) {
  const char* begin = handles[static_cast<std::size_t>(generation % 2)].data();
  const auto offset = static_cast<char*>(device) - begin;
  return device && offset >= 0 && offset < kMaxGpus ? static_cast<int>(offset) : -1;
}

std::string key_of(int gpu, const std::string& name) { return "gpu." + std::to_string(gpu) + "." + name; }

std::int64_t value(int gpu, const char* name, std::int64_t otherwise) {
  if (control.empty()) return otherwise;
  if (control.text(key_of(gpu, name), "").empty())
    if (const auto played = played_value(gpu, name)) return *played;
  return control.number(key_of(gpu, name), otherwise);
}

bool blank(int gpu, const std::string& what) {
  if (control.empty()) return false;
  if (played_blank(gpu, what)) return true;
  return ("," + control.text(key_of(gpu, "sentinel"), "") + ",").find("," + what + ",") != std::string::npos;
}

// A sick driver: the call comes back when the control file no longer says so, or never.
void hang_or_crash(const std::string& prefix, const std::string& function) {
  const auto says = [&](const char* what) {
    return control.text(prefix + what, "") == "on" || control.text(prefix + what + "." + function, "") == "on";
  };
  if (says("crash")) std::abort();
  while (says("hang")) {
    usleep(2000);
    control.refresh();
  }
}

// 0 when the call goes on.
int enter(const char* function) {
  control.refresh();
  if (!control.empty()) hang_or_crash("", function);
  if (init_count == 0) return 1;
  if (control.empty()) return 0;
  if (control.off(std::string("symbol.") + function)) return 13;
  if (const int code = played_code(-1, function)) return code;
  return static_cast<int>(control.number(std::string("all.error.") + function, control.number("all.error", 0)));
}

int enter(const char* function, void* device, int& gpu) {
  if (const int code = enter(function)) return code;
  gpu = gpu_of(device);
  if (gpu < 0) return 2;
  if (control.empty()) return 0;
  hang_or_crash(key_of(gpu, ""), function);
  for (; played_hang(gpu); control.refresh()) usleep(2000);
  if (const int code = played_code(gpu, function)) return code;
  const std::int64_t all = control.number(key_of(gpu, "error"), 0);
  return static_cast<int>(control.number(key_of(gpu, std::string("error.") + function), all));
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

// The fields whose value is one number of the table or of the control file: "gpu.0.field.145 1", with the scope where it
// matters: "gpu.0.field.186.2 30000".
static bool constant_field(int gpu, unsigned id, unsigned scope, Field& field) {
  struct Constant {
    unsigned id, scope, type;
    std::int64_t number;
  };
  constexpr unsigned kAll = 0xFFFFFFFF;
  static const Constant constants[] = {
      {186, 0, 1, 101500}, {186, 1, 1, 131000},  {186, 2, 1, 30250},    {192, 0, 1, 700000},  {187, 0, 1, 200000},
      {188, 0, 1, 700000}, {189, 0, 1, 700000},  {197, 0, 1, 4000000},  {198, 0, 1, 5000000}, {138, kAll, 3, 7000},
      {139, kAll, 3, 8000}, {74, 0, 3, 11000000}, {75, 0, 3, 12000000}, {76, 0, 3, 13000000}, {77, 0, 3, 14000000},
      {78, 0, 3, 15000000}, {79, 0, 3, 16000000}, {269, 0, 3, 17000000}, {270, 0, 3, 18000000}, {271, 0, 3, 19000000},
      {5, 0, 3, 21},       {6, 0, 3, 0},         {142, 0, 1, 2},        {143, 0, 1, 0},       {144, 0, 1, 0},
      {145, 0, 1, 0},      {173, 0, 1, 3},       {38, kAll, 3, 31},     {45, kAll, 3, 32},    {52, kAll, 3, 33},
      {59, kAll, 3, 34},   {230, 0, 1, 0},
  };
  for (const Constant& constant : constants) {
    if (constant.id != id || constant.scope != scope) continue;
    const std::string key = "field." + std::to_string(id) + (id == 186 ? "." + std::to_string(scope) : "");
    field = {constant.type, static_cast<std::uint64_t>(value(gpu, key.c_str(), constant.number))};
    return true;
  }
  return false;
}

// False for a field that this device lacks.
bool field_of(int gpu, unsigned id, unsigned scope, Field& field) {
  if (!control.empty() && control.off("field." + std::to_string(id))) return false;
  switch (id) {
    case 3: field = {3, static_cast<std::uint64_t>(value(gpu, "ecc_sbe", 0))}; break;
    case 4: field = {3, static_cast<std::uint64_t>(value(gpu, "ecc_dbe", 0))}; break;
    case 82: field = {1, static_cast<std::uint64_t>(value(gpu, "temperature_mem_c", 50 + gpu))}; break;
    case 83: field = {2, static_cast<std::uint64_t>(millijoules(gpu))}; break;
    case 94: field = {1, static_cast<std::uint64_t>(value(gpu, "replays", 0))}; break;
    case 185: field = {1, static_cast<std::uint64_t>(milliwatts(gpu))}; break;
    case 190: field = {1, static_cast<std::uint64_t>(value(gpu, "power_limit_mw", 700000))}; break;
    default:
      if (!constant_field(gpu, id, scope, field)) return false;
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

// MIG handles: one address per GPU and slot.
std::array<char, static_cast<std::size_t>(kMaxGpus * kMigSlots)> mig_handles;
int mig_of(void* device) {
  const auto offset = static_cast<char*>(device) - mig_handles.data();
  return device && offset >= 0 && offset < kMaxGpus * kMigSlots ? static_cast<int>(offset) : -1;
}
int mig_memory(int mig, void* out) {
  control.refresh();
  if (get<std::uint32_t>(out, 0) != 0x02000028) return 25;
  const std::string key = "mig." + std::to_string(mig % kMigSlots) + ".used_mb";
  const std::int64_t total = 10240, used = value(mig / kMigSlots, key.c_str(), 128);
  put<std::int64_t>(out, 8, total * kMiB);
  put<std::int64_t>(out, 16, 0);
  put<std::int64_t>(out, 24, (total - used) * kMiB);
  put<std::int64_t>(out, 32, used * kMiB);
  return 0;
}

}  // namespace fake_nvml
