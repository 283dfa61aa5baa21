#include "telemetry/simulated/gpu_type.h"

#include <array>

namespace aether {
namespace {

constexpr SimulatedGpuType kH100{.key = "h100",
                                 .name = "NVIDIA H100 80GB HBM3 (simulated)",
                                 .architecture = "hopper",
                                 .compute_capability = "9.0",
                                 .memory_total_mb = 81559,
                                 .memory_reserved_mb = 551,
                                 .power_limit_w = 700,
                                 .power_idle_w = 70,
                                 .clock_max_mhz = 1980,
                                 .clock_idle_mhz = 345,
                                 .clock_mem_mhz = 2619,
                                 .thermal_resistance_k_per_w = 0.062,
                                 .thermal_capacity_j_per_k = 420,
                                 .temperature_slow_c = 85,
                                 .temperature_slowdown_c = 90,
                                 .temperature_shutdown_c = 95,
                                 .has_fan = false,
                                 .has_ecc = true,
                                 .has_memory_temperature = true,
                                 .idles_at_p8 = false};

constexpr SimulatedGpuType kA100{.key = "a100",
                                 .name = "NVIDIA A100-SXM4-80GB (simulated)",
                                 .architecture = "ampere",
                                 .compute_capability = "8.0",
                                 .memory_total_mb = 81920,
                                 .memory_reserved_mb = 617,
                                 .power_limit_w = 400,
                                 .power_idle_w = 55,
                                 .clock_max_mhz = 1410,
                                 .clock_idle_mhz = 210,
                                 .clock_mem_mhz = 1593,
                                 .thermal_resistance_k_per_w = 0.098,
                                 .thermal_capacity_j_per_k = 330,
                                 .temperature_slow_c = 85,
                                 .temperature_slowdown_c = 89,
                                 .temperature_shutdown_c = 92,
                                 .has_fan = false,
                                 .has_ecc = true,
                                 .has_memory_temperature = true,
                                 .idles_at_p8 = false};

constexpr SimulatedGpuType kL40S{.key = "l40s",
                                 .name = "NVIDIA L40S (simulated)",
                                 .architecture = "ada",
                                 .compute_capability = "8.9",
                                 .memory_total_mb = 46068,
                                 .memory_reserved_mb = 580,
                                 .power_limit_w = 350,
                                 .power_idle_w = 33,
                                 .clock_max_mhz = 2520,
                                 .clock_idle_mhz = 210,
                                 .clock_mem_mhz = 9001,
                                 .thermal_resistance_k_per_w = 0.118,
                                 .thermal_capacity_j_per_k = 300,
                                 .temperature_slow_c = 88,
                                 .temperature_slowdown_c = 92,
                                 .temperature_shutdown_c = 96,
                                 .has_fan = false,
                                 .has_ecc = true,
                                 .has_memory_temperature = false,
                                 .idles_at_p8 = true};

constexpr SimulatedGpuType kT4{.key = "t4",
                               .name = "Tesla T4 (simulated)",
                               .architecture = "turing",
                               .compute_capability = "7.5",
                               .memory_total_mb = 15360,
                               .memory_reserved_mb = 266,
                               .power_limit_w = 70,
                               .power_idle_w = 9,
                               .clock_max_mhz = 1590,
                               .clock_idle_mhz = 300,
                               .clock_mem_mhz = 5001,
                               .thermal_resistance_k_per_w = 0.6,
                               .thermal_capacity_j_per_k = 90,
                               .temperature_slow_c = 85,
                               .temperature_slowdown_c = 93,
                               .temperature_shutdown_c = 96,
                               .has_fan = false,
                               .has_ecc = true,
                               .has_memory_temperature = false,
                               .idles_at_p8 = true};

constexpr SimulatedGpuType kRtx4090{.key = "rtx4090",
                                    .name = "NVIDIA GeForce RTX 4090 (simulated)",
                                    .architecture = "ada",
                                    .compute_capability = "8.9",
                                    .memory_total_mb = 24564,
                                    .memory_reserved_mb = 347,
                                    .power_limit_w = 450,
                                    .power_idle_w = 18,
                                    .clock_max_mhz = 2745,
                                    .clock_idle_mhz = 210,
                                    .clock_mem_mhz = 10501,
                                    .thermal_resistance_k_per_w = 0.09,
                                    .thermal_capacity_j_per_k = 350,
                                    .temperature_slow_c = 84,
                                    .temperature_slowdown_c = 90,
                                    .temperature_shutdown_c = 95,
                                    .has_fan = true,
                                    .has_ecc = false,
                                    .has_memory_temperature = false,
                                    .idles_at_p8 = true};

constexpr std::array kTypes = {kH100, kA100, kL40S, kT4, kRtx4090};

}  // namespace

std::span<const SimulatedGpuType> simulated_gpu_types() { return kTypes; }

const SimulatedGpuType* find_simulated_gpu_type(std::string_view key) {
  for (const SimulatedGpuType& type : kTypes)
    if (type.key == key) return &type;
  return nullptr;
}

}  // namespace aether
