#pragma once
// The binary interface of NVIDIA's management library (libnvidia-ml.so.1), declared here so that no vendor header is
// needed. Sizes, offsets and numbers are those of its public header on x86-64 and hold since driver 450; a versioned
// structure carries its version word, sizeof | version << 24.
#include <cstddef>
#include <cstdint>

namespace aether::nvml {

using Return = int;
using DeviceHandle = void*;
using EventSetHandle = void*;

constexpr std::uint32_t version_word(std::size_t size, std::uint32_t version) {
  return static_cast<std::uint32_t>(size) | version << 24;
}

struct Utilization {
  std::uint32_t gpu, memory;  // %
};
static_assert(sizeof(Utilization) == 8 && offsetof(Utilization, memory) == 4);

struct Memory {
  std::uint64_t total, free, used;  // bytes; used includes what the driver reserves
};
static_assert(sizeof(Memory) == 24 && offsetof(Memory, free) == 8 && offsetof(Memory, used) == 16);

struct MemoryV2 {
  std::uint32_t version;
  std::uint64_t total, reserved, free, used;  // bytes; used without reserved
};
static_assert(sizeof(MemoryV2) == 40 && offsetof(MemoryV2, total) == 8 && offsetof(MemoryV2, reserved) == 16 &&
              offsetof(MemoryV2, free) == 24 && offsetof(MemoryV2, used) == 32);
inline constexpr std::uint32_t kMemoryV2Version = version_word(sizeof(MemoryV2), 2);
static_assert(kMemoryV2Version == 0x02000028);

struct PciInfo {
  char bus_id_legacy[16];
  std::uint32_t domain, bus, device, pci_device_id, pci_subsystem_id;
  char bus_id[32];
};
static_assert(sizeof(PciInfo) == 68 && offsetof(PciInfo, domain) == 16 && offsetof(PciInfo, bus_id) == 36);

struct TemperatureV1 {
  std::uint32_t version;
  std::uint32_t sensor;
  std::int32_t temperature_c;
};
static_assert(sizeof(TemperatureV1) == 12 && offsetof(TemperatureV1, temperature_c) == 8);
inline constexpr std::uint32_t kTemperatureV1Version = version_word(sizeof(TemperatureV1), 1);
static_assert(kTemperatureV1Version == 0x0100000C);

struct FieldValue {
  std::uint32_t id;
  std::uint32_t scope;
  std::int64_t timestamp_us;
  std::int64_t latency_us;
  std::uint32_t value_type;
  Return result;
  union {
    double f64;
    std::uint32_t u32;
    std::uint64_t u64;
    std::int64_t i64;
    std::int32_t i32;
    std::uint16_t u16;
  } value;
};
static_assert(sizeof(FieldValue) == 40 && offsetof(FieldValue, scope) == 4 && offsetof(FieldValue, timestamp_us) == 8 &&
              offsetof(FieldValue, latency_us) == 16 && offsetof(FieldValue, value_type) == 24 &&
              offsetof(FieldValue, result) == 28 && offsetof(FieldValue, value) == 32);

enum ValueType : std::uint32_t { kF64 = 0, kU32 = 1, kUnsignedLong = 2, kU64 = 3, kI64 = 4, kI32 = 5, kU16 = 6 };

// What the fields mean and where they go is the table in fields.cc.
enum FieldId : std::uint32_t {
  kFieldEccSingleBitVolatile = 3,
  kFieldEccDoubleBitVolatile = 4,
  kFieldMemoryTemperature = 82,  // °C
  kFieldEnergy = 83,             // mJ
  kFieldPcieReplay = 94,
  kFieldPowerAverage = 185,      // mW
  kFieldPowerLimitEnforced = 190,  // mW
};
inline constexpr std::uint32_t kScopeAllLinks = 0xFFFFFFFF;
enum PowerScope : std::uint32_t { kScopeGpu = 0, kScopeModule = 1, kScopeMemory = 2 };

struct EventData {
  DeviceHandle device;
  std::uint64_t type;
  std::uint64_t data;  // the XID, 999 = unknown
  std::uint32_t gpu_instance, compute_instance;
};
static_assert(sizeof(EventData) == 32 && offsetof(EventData, type) == 8 && offsetof(EventData, data) == 16 &&
              offsetof(EventData, gpu_instance) == 24 && offsetof(EventData, compute_instance) == 28);
inline constexpr std::uint64_t kEventDoubleBitEcc = 0x2;
inline constexpr std::uint64_t kEventXid = 0x8;
inline constexpr std::uint64_t kEventMigChange = 0x100;

// Entries of the _v2 and _v3 process calls. Read by offset, see process_list.h.
inline constexpr std::size_t kProcessInfoSize = 24;
inline constexpr std::size_t kProcessPidOffset = 0, kProcessMemoryOffset = 8, kProcessGpuInstanceOffset = 16,
                             kProcessComputeInstanceOffset = 20;

struct Bar1Memory {
  std::uint64_t total, free, used;  // bytes
};
static_assert(sizeof(Bar1Memory) == 24 && offsetof(Bar1Memory, used) == 16);

struct MarginTemperatureV1 {
  std::uint32_t version;
  std::int32_t margin_c;
};
static_assert(sizeof(MarginTemperatureV1) == 8 && offsetof(MarginTemperatureV1, margin_c) == 4);
inline constexpr std::uint32_t kMarginTemperatureV1Version = version_word(sizeof(MarginTemperatureV1), 1);
static_assert(kMarginTemperatureV1Version == 0x01000008);

// The profiling metrics of Hopper and later (GPM). The version words here are plain numbers.
using GpmSample = void*;
struct GpmSupport {
  std::uint32_t version, supported;
};
static_assert(sizeof(GpmSupport) == 8);
inline constexpr std::uint32_t kGpmVersion = 1;
struct GpmMetric {
  std::uint32_t id;
  Return result;
  double value;
  const char *short_name, *long_name, *unit;  // may be null
};
static_assert(sizeof(GpmMetric) == 40 && offsetof(GpmMetric, result) == 4 && offsetof(GpmMetric, value) == 8);
inline constexpr std::size_t kGpmMetrics = 333;  // the largest number of any header: a library may look at all of them
struct GpmMetricsGet {
  std::uint32_t version, count;
  GpmSample first, second;
  GpmMetric metrics[kGpmMetrics];
};
static_assert(sizeof(GpmMetricsGet) == 13344 && offsetof(GpmMetricsGet, first) == 8 &&
              offsetof(GpmMetricsGet, second) == 16 && offsetof(GpmMetricsGet, metrics) == 24);

struct DeviceAttributes {  // of a MIG handle
  std::uint32_t multiprocessors, copy_engines, decoders, encoders, jpeg_engines, optical_flow_engines;
  std::uint32_t gpu_instance_slices, compute_instance_slices;
  std::uint64_t memory_mb;
};
static_assert(sizeof(DeviceAttributes) == 40 && offsetof(DeviceAttributes, gpu_instance_slices) == 24 &&
              offsetof(DeviceAttributes, memory_mb) == 32);

enum Clock : std::uint32_t { kClockGraphics = 0, kClockSm = 1, kClockMemory = 2, kClockVideo = 3 };
enum TemperatureThreshold : std::uint32_t {
  kThresholdShutdown = 0, kThresholdSlowdown = 1, kThresholdMemoryMax = 2, kThresholdGpuMax = 3
};
enum EccType : std::uint32_t { kEccCorrected = 0, kEccUncorrected = 1 };
inline constexpr std::uint32_t kEccVolatile = 0;
inline constexpr std::uint32_t kTemperatureSensorGpu = 0;

}  // namespace aether::nvml
