#pragma once
// One loaded and initialised generation of the library: its functions, until it is destroyed. After a driver loss the
// generation is dropped and a new one loaded.
#include <memory>
#include <string>

#include "base/result.h"
#include "telemetry/nvml/abi.h"

namespace aether::nvml {

// Null where the installed library lacks the function.
struct Functions {
  Return (*init)();
  Return (*shutdown)();
  Return (*system_driver_version)(char* text, std::uint32_t length);
  Return (*device_count)(std::uint32_t* count);
  Return (*device_by_index)(std::uint32_t index, DeviceHandle* device);
  Return (*name)(DeviceHandle, char* text, std::uint32_t length);
  Return (*uuid)(DeviceHandle, char* text, std::uint32_t length);
  Return (*pci_info)(DeviceHandle, PciInfo*);
  Return (*architecture)(DeviceHandle, std::uint32_t*);
  Return (*compute_capability)(DeviceHandle, std::int32_t* major, std::int32_t* minor);
  Return (*max_clock)(DeviceHandle, std::uint32_t clock, std::uint32_t* mhz);
  Return (*temperature_threshold)(DeviceHandle, std::uint32_t threshold, std::uint32_t* celsius);
  Return (*utilization)(DeviceHandle, Utilization*);
  Return (*memory_v2)(DeviceHandle, MemoryV2*);
  Return (*memory_v1)(DeviceHandle, Memory*);
  Return (*temperature_v)(DeviceHandle, TemperatureV1*);
  Return (*temperature)(DeviceHandle, std::uint32_t sensor, std::uint32_t* celsius);
  Return (*power_usage)(DeviceHandle, std::uint32_t* milliwatt);
  Return (*power_limit)(DeviceHandle, std::uint32_t* milliwatt);
  Return (*energy)(DeviceHandle, std::uint64_t* millijoule);
  Return (*clock)(DeviceHandle, std::uint32_t clock, std::uint32_t* mhz);
  Return (*performance_state)(DeviceHandle, std::int32_t*);
  Return (*clocks_event_reasons)(DeviceHandle, std::uint64_t* mask);
  Return (*fan_speed)(DeviceHandle, std::uint32_t* percent);
  Return (*encoder_utilization)(DeviceHandle, std::uint32_t* percent, std::uint32_t* period_us);
  Return (*decoder_utilization)(DeviceHandle, std::uint32_t* percent, std::uint32_t* period_us);
  Return (*ecc_errors)(DeviceHandle, std::uint32_t type, std::uint32_t counter, std::uint64_t* count);
  Return (*pcie_replay)(DeviceHandle, std::uint32_t* count);
  Return (*field_values)(DeviceHandle, std::int32_t count, FieldValue* values);
  // _v3, or _v2 under the same layout. The unsuffixed function has another entry and is never used.
  Return (*compute_processes)(DeviceHandle, std::uint32_t* count, void* entries);
  Return (*graphics_processes)(DeviceHandle, std::uint32_t* count, void* entries);
  Return (*mps_processes)(DeviceHandle, std::uint32_t* count, void* entries);
  Return (*event_set_create)(EventSetHandle*);
  Return (*event_set_free)(EventSetHandle);
  Return (*event_set_wait)(EventSetHandle, EventData*, std::uint32_t timeout_ms);
  Return (*supported_events)(DeviceHandle, std::uint64_t* mask);
  Return (*register_events)(DeviceHandle, std::uint64_t mask, EventSetHandle);
  Return (*device_by_bus_id)(const char* bus_id, DeviceHandle* device);
  Return (*index)(DeviceHandle, std::uint32_t*);
  Return (*serial)(DeviceHandle, char* text, std::uint32_t length);
  Return (*vbios_version)(DeviceHandle, char* text, std::uint32_t length);
  Return (*bar1_memory)(DeviceHandle, Bar1Memory*);
  Return (*margin_temperature)(DeviceHandle, MarginTemperatureV1*);
  Return (*pcie_generation)(DeviceHandle, std::uint32_t*);
  Return (*pcie_width)(DeviceHandle, std::uint32_t*);
  Return (*pcie_generation_max)(DeviceHandle, std::uint32_t*);
  Return (*pcie_width_max)(DeviceHandle, std::uint32_t*);
  Return (*jpg_utilization)(DeviceHandle, std::uint32_t* percent, std::uint32_t* period_us);
  Return (*ofa_utilization)(DeviceHandle, std::uint32_t* percent, std::uint32_t* period_us);
  Return (*gpm_query_support)(DeviceHandle, GpmSupport*);
  Return (*gpm_sample_alloc)(GpmSample*);
  Return (*gpm_sample_free)(GpmSample);
  Return (*gpm_sample_get)(DeviceHandle, GpmSample);
  Return (*gpm_mig_sample_get)(DeviceHandle, std::uint32_t gpu_instance, GpmSample);
  Return (*gpm_metrics_get)(GpmMetricsGet*);
  Return (*mig_mode)(DeviceHandle, std::uint32_t* current, std::uint32_t* pending);
  Return (*mig_max_count)(DeviceHandle, std::uint32_t*);
  Return (*mig_device_by_index)(DeviceHandle, std::uint32_t index, DeviceHandle* mig);
  Return (*gpu_instance_id)(DeviceHandle, std::uint32_t*);
  Return (*compute_instance_id)(DeviceHandle, std::uint32_t*);
  Return (*attributes)(DeviceHandle, DeviceAttributes*);
};

class Library {
 public:
  // Loads `path`, or the usual names when it is empty, and initialises it. kUnavailable: no library, or no driver under
  // it; kUnsupported: a library without the functions we can't do without.
  static Result<std::unique_ptr<Library>> load(const std::string& path);
  ~Library();
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  const Functions& functions() const { return functions_; }
  // Empty when the library does not say.
  const std::string& driver_version() const { return driver_version_; }

 private:
  explicit Library(void* handle) : handle_(handle) {}
  Result<void> resolve();
  Result<void> initialise();

  void* handle_;
  bool initialised_ = false;
  Functions functions_{};
  std::string driver_version_;
};

}  // namespace aether::nvml
