#include "telemetry/nvml/fake/test_scenario.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "telemetry/nvml/fake/world.h"
#include "telemetry/simulated/scenario.h"
#include "telemetry/simulated/simulated_gpu.h"

namespace fake_nvml {
namespace {

using aether::GpuSample;

constexpr aether::Duration kSameReading = std::chrono::milliseconds(20);

struct Played {
  std::string name;
  aether::SystemClock clock;
  aether::Mono start{};
  std::vector<aether::SimulatedGpu> gpus;
  std::vector<std::optional<GpuSample>> samples;
  std::vector<aether::Mono> read_at;
};

void begin(Played& played, const std::string& name) {
  const auto scenario = aether::load_scenario(name);
  if (!scenario) {
    std::fprintf(stderr, "fake NVML: %s\n", scenario.error().message.c_str());
    std::abort();  // a test that asks for a scenario and gets none would say nothing
  }
  const auto& type = *aether::find_simulated_gpu_type("h100");
  played.name = name;
  played.start = played.clock.mono();
  played.gpus.clear();
  const int count = static_cast<int>(control.number("gpus", 4));
  for (int i = 0; i < count; ++i) {
    played.gpus.emplace_back(type, i, aether::simulated_gpu_seed(aether::NodeId("fake"), 1, i), *scenario, played.clock.now());
    aether::GpuLoad load;
    load.gpu_uuid = played.gpus.back().info().gpu_uuid;
    load.attempt = {aether::JobId("fake"), 1};
    played.gpus.back().physics().set_loads({load});
  }
  played.samples.assign(played.gpus.size(), std::nullopt);
  played.read_at.assign(played.gpus.size(), aether::Mono{});
}

// Null when no scenario is played, or none of this GPU.
Played* played_of(int gpu) {
  static Played played;
  const std::string& name = control.scenario();
  if (name.empty()) {
    played.name.clear();
    return nullptr;
  }
  if (name != played.name) begin(played, name);
  return gpu < static_cast<int>(played.gpus.size()) ? &played : nullptr;
}

// The GPU as it is now; read anew when its last reading is older than one call after the other takes.
aether::SimulatedGpu* gpu_now(int gpu) {
  Played* played = played_of(gpu);
  if (played == nullptr || gpu < 0) return nullptr;
  const auto i = static_cast<std::size_t>(gpu);
  const aether::Mono now = played->clock.mono();
  if (now - played->read_at[i] >= kSameReading) {
    played->read_at[i] = now;
    played->gpus[i].physics().advance(now - played->start);
    auto sample = played->gpus[i].read();
    if (sample) played->samples[i] = *std::move(sample);
    else played->samples[i].reset();
  }
  return &played->gpus[i];
}

const GpuSample* sample_now(int gpu) {
  if (gpu_now(gpu) == nullptr) return nullptr;
  const auto& sample = played_of(gpu)->samples[static_cast<std::size_t>(gpu)];
  return sample ? &*sample : nullptr;
}

struct Source {
  const char* name;          // of the control file
  const char* metric;        // of a sample
  double factor;
};
constexpr Source kSources[] = {
    {"temperature_c", "temperature_c", 1},     {"temperature_mem_c", "temperature_mem_c", 1},
    {"utilization_gpu", "utilization_gpu", 1}, {"utilization_memory", "utilization_memory_controller", 1},
    {"memory_used_mb", "memory_used_mb", 1},   {"memory_total_mb", "memory_total_mb", 1},
    {"power_mw", "power_draw_w", 1000},        {"power_limit_mw", "power_limit_w", 1000},
    {"energy_mj", "energy_total_mj", 1},       {"clock_graphics", "clock_gpu_mhz", 1},
    {"clock_sm", "clock_sm_mhz", 1},           {"clock_mem", "clock_mem_mhz", 1},
    {"reasons", "throttling_reasons_mask", 1}, {"ecc_sbe", "ecc_sbe_volatile_total", 1},
    {"ecc_dbe", "ecc_dbe_volatile_total", 1},  {"replays", "pcie_replay_total", 1},
};
struct DetailSource {
  const char* name;
  aether::GpuDetailField field;
};
constexpr DetailSource kDetailSources[] = {
    {"pcie_width", aether::GpuDetailField::kPcieLinkWidth},
    {"field.144", aether::GpuDetailField::kRemappedRowsPending},
    {"field.145", aether::GpuDetailField::kRemappedRowsFailure},
    {"field.38", aether::GpuDetailField::kNvlinkCrcFlitErrors},
};
// What `sentinel` of the control file calls the values of one call.
constexpr std::pair<const char*, const char*> kBlanks[] = {
    {"temperature", "temperature_c"}, {"power", "power_draw_w"},   {"energy", "energy_total_mj"},
    {"memory", "memory_used_mb"},     {"clocks", "clock_sm_mhz"},  {"utilization", "utilization_gpu"},
    {"replays", "pcie_replay_total"}, {"reasons", "throttling_reasons_mask"},
};

}  // namespace

std::optional<std::int64_t> played_value(int gpu, const std::string& name) {
  if (control.scenario().empty()) return std::nullopt;
  for (const DetailSource& source : kDetailSources)
    if (name == source.name) {
      const aether::SimulatedGpu* now = gpu_now(gpu);
      const auto value = now == nullptr ? std::nullopt : now->detail().get(source.field);
      return value ? std::optional(std::llround(*value)) : std::nullopt;
    }
  for (const Source& source : kSources)
    if (name == source.name) {
      const GpuSample* sample = sample_now(gpu);
      const auto value = sample == nullptr ? std::nullopt : aether::find_gpu_metric(source.metric)->get(*sample);
      return value ? std::optional(std::llround(*value * source.factor)) : std::nullopt;
    }
  return std::nullopt;
}

bool played_blank(int gpu, const std::string& what) {
  if (control.scenario().empty()) return false;
  const GpuSample* sample = sample_now(gpu);
  if (sample == nullptr) return false;
  for (const auto& [name, metric] : kBlanks)
    if (what == name) return !aether::find_gpu_metric(metric)->get(*sample);
  return false;
}

int played_code(int gpu, std::string_view function) {
  if (control.scenario().empty()) return 0;
  const aether::SimulatedGpu* now = gpu_now(std::max(gpu, 0));
  if (now == nullptr) return 0;
  const aether::FaultState& faults = now->physics().faults();
  if (faults.driver_gone) return 9;
  if (gpu < 0) return 0;
  if (now->physics().lost()) return 15;
  if (function == "nvmlDeviceGetUtilizationRates" && faults.read_takes.count() > 0)
    usleep(static_cast<useconds_t>(faults.read_takes.count()));
  return !faults.hangs && sample_now(gpu) == nullptr ? 999 : 0;  // this reading stays unanswered
}

bool played_hang(int gpu) {
  if (control.scenario().empty()) return false;
  const aether::SimulatedGpu* now = gpu_now(gpu);
  return now != nullptr && now->physics().faults().hangs;
}

std::string played_xid(int gpu) {
  if (control.scenario().empty()) return "";
  const aether::SimulatedGpu* now = gpu_now(gpu);
  if (now == nullptr || !now->physics().xid()) return "";
  return std::to_string(*now->physics().xid()) + " at " + std::to_string(now->physics().xid_age().count());
}

}  // namespace fake_nvml
