#include "codec/sample_limits.h"

#include <array>
#include <cmath>

namespace aether::codec {
namespace {

// Integers stay exact in a double below 2^53; the largest counter, energy in mJ, reaches it after 285 years at 1 kW.
constexpr double kMaxTotal = 9'007'199'254'740'991.0;
constexpr double kMaxMemoryMb = 1e9;
constexpr double kMaxPowerW = 1e5;
constexpr double kMaxClockMhz = 1e5;
constexpr double kMaxXid = 1e6;
// A fan may turn faster than its nominal 100 % (nvml.h, nvmlDeviceGetFanSpeed).
constexpr double kMaxFanPct = 200;

constexpr std::array kLimits = {
    SampleLimit{"temperature_c", -50, 200, false},
    SampleLimit{"temperature_mem_c", -50, 200, false},
    SampleLimit{"utilization_gpu", 0, 100, false},
    SampleLimit{"utilization_memory_controller", 0, 100, false},
    SampleLimit{"utilization_encoder_pct", 0, 100, false},
    SampleLimit{"utilization_decoder_pct", 0, 100, false},
    SampleLimit{"memory_used_mb", 0, kMaxMemoryMb, true},
    SampleLimit{"memory_total_mb", 0, kMaxMemoryMb, true},
    SampleLimit{"memory_reserved_mb", 0, kMaxMemoryMb, true},
    SampleLimit{"power_draw_w", 0, kMaxPowerW, false},
    SampleLimit{"power_limit_w", 0, kMaxPowerW, false},
    SampleLimit{"energy_total_mj", 0, kMaxTotal, true},
    SampleLimit{"clock_gpu_mhz", 0, kMaxClockMhz, false},
    SampleLimit{"clock_sm_mhz", 0, kMaxClockMhz, false},
    SampleLimit{"clock_mem_mhz", 0, kMaxClockMhz, false},
    SampleLimit{"fan_speed_pct", 0, kMaxFanPct, false},
    SampleLimit{"throttling_reasons_mask", 0, kMaxTotal, true},
    SampleLimit{"ecc_sbe_volatile_total", 0, kMaxTotal, true},
    SampleLimit{"ecc_dbe_volatile_total", 0, kMaxTotal, true},
    SampleLimit{"pcie_replay_total", 0, kMaxTotal, true},
    SampleLimit{"xid_last", 0, kMaxXid, true},
};

}  // namespace

const SampleLimit& sample_limit(std::size_t index) { return kLimits[index]; }
std::size_t sample_limit_count() { return kLimits.size(); }

bool is_sentinel(double value) {
  constexpr double kTwoTo62 = 4'611'686'018'427'387'904.0;
  constexpr double kInt32Blank = 2'147'483'632.0;
  constexpr double kFloatBlank = 140'737'488'355'328.0;
  constexpr double kAllOnes32 = 4'294'967'295.0;
  const auto is_blank = [value](double blank) { return value >= blank && value <= blank + 3; };
  return value >= kTwoTo62 || value == kAllOnes32 || is_blank(kInt32Blank) || is_blank(kFloatBlank);
}

}  // namespace aether::codec
