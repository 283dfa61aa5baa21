#pragma once
// The kinds of GPU that can be simulated. Board power, memory and clocks are the vendor's published figures; thermal
// constants are chosen so that a board at full load settles about 50 K above the air, within one to two minutes.
#include <span>
#include <string>
#include <string_view>

#include <cstdint>

namespace aether {

struct SimulatedGpuType {
  std::string_view key;   // "h100", in --gpus
  std::string_view name;  // says "simulated": nobody shall take it for hardware
  std::string_view architecture;
  std::string_view compute_capability;
  std::int64_t memory_total_mb;
  std::int64_t memory_reserved_mb;
  double power_limit_w;
  double power_idle_w;
  double clock_max_mhz;
  double clock_idle_mhz;
  double clock_mem_mhz;
  double thermal_resistance_k_per_w;  // chip to air at full fan speed
  double thermal_capacity_j_per_k;
  double temperature_slow_c;      // software lowers the clocks above
  double temperature_slowdown_c;  // hardware halves the clocks above
  double temperature_shutdown_c;
  bool has_fan;                   // false: cooled by the chassis, no reading
  bool has_ecc;
  bool has_memory_temperature;
  bool idles_at_p8;               // false: the driver keeps P0 on an idle board
};

std::span<const SimulatedGpuType> simulated_gpu_types();
// Null when there is none of that key.
const SimulatedGpuType* find_simulated_gpu_type(std::string_view key);

}  // namespace aether
