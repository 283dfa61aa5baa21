#pragma once
// One GPU of one library generation: what does not change about it, and its readings. Remembers which metrics the
// device or the library can't give, and does not ask for them again.
#include <bitset>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "model/gpu.h"
#include "telemetry/gpu_driver.h"
#include "telemetry/nvml/fields.h"
#include "telemetry/nvml/gpm.h"
#include "telemetry/nvml/library.h"
#include "telemetry/nvml/mig.h"
#include "telemetry/nvml/process_list.h"
#include "telemetry/nvml/return_code.h"

namespace aether::nvml {

// What the calls of one reading met.
struct CallOutcome {
  int values = 0;                        // calls that gave a value
  std::optional<Return> lost;            // the GPU is gone
  std::optional<Return> reinitialise;    // the library's state is void
  bool unknown = false;                  // some call answered 999
  Return last_failure = kSuccess;

  bool ended() const { return lost || reinitialise; }  // no further call makes sense
};

class Device {
 public:
  Device(const Library& library, DeviceHandle handle, GpuUuid uuid, int gpu_index);

  DeviceHandle handle() const { return handle_; }
  const GpuInfo& info() const { return info_; }
  void set_index(int gpu_index) { info_.gpu_index = gpu_index; }
  // The static values. Call once before read().
  CallOutcome attach();

  // One reading into sample() and detail(); what the device does not give is absent there. Beyond kState, what changes
  // rarely and the process lists are read anew when `with_slow`; otherwise they keep their last values.
  CallOutcome read(ReadTier tier, bool with_slow, Mono now);
  const GpuSample& sample() const { return sample_; }
  const GpuDetail& detail() const { return detail_; }

  void set_xid(std::int64_t xid, Time time);
  std::optional<std::int64_t> xid() const { return xid_; }
  // Readings in a row that gave nothing but 999.
  int unknown_in_a_row = 0;

 private:
  enum class Feature {
    kName, kPciInfo, kArchitecture, kComputeCapability, kMaxClock, kThreshold,
    kUtilization, kMemoryV2, kMemoryV1, kTemperatureV, kTemperature, kPowerUsage, kPowerLimit, kEnergy,
    kClockGraphics, kClockSm, kClockMemory, kPerformanceState, kClocksEventReasons, kFanSpeed, kEncoder, kDecoder,
    kEcc, kPcieReplay, kFields, kComputeProcesses, kGraphicsProcesses, kMpsProcesses,
    kSerial, kVbios, kBar1, kMargin, kPcieGeneration, kPcieWidth, kJpg, kOfa, kClockVideo,
    kCount
  };

  template <class Function, class... Arguments>
  bool ask(Feature feature, Function function, Arguments... arguments);
  bool accept(Feature feature, Return code);
  bool is_off(Feature feature) const { return off_.test(static_cast<std::size_t>(feature)); }

  void read_static();
  void clear(ReadTier tier);
  void read_state(Mono now);
  void read_slow(Mono now);
  void read_fields(FieldTier tier, GpuSample& sample);
  void read_memory(GpuSample& sample);
  void read_temperature(GpuSample& sample);
  void read_utilization(GpuSample& sample);
  void read_codecs(GpuSample& sample);
  void read_power(GpuSample& sample);
  void read_power_limit(GpuSample& sample);
  void read_clocks(GpuSample& sample);
  void read_errors(GpuSample& sample);
  void read_processes();
  bool add_processes(Feature feature, ProcessLister::ListCall call, std::vector<GpuProcess>& all);

  const Functions& functions_;
  DeviceHandle handle_;
  GpuInfo info_;
  std::bitset<static_cast<std::size_t>(Feature::kCount)> off_;
  std::bitset<32> complained_;            // return codes already logged
  Fields fields_;
  GpuSample sample_;
  GpuDetail detail_;
  std::unique_ptr<GpmReader> gpm_;        // null without profiling metrics
  MigReader mig_;
  CallOutcome outcome_;
  ProcessLister lister_;
  std::optional<std::vector<GpuProcess>> processes_;
  std::optional<std::int64_t> xid_;
  std::optional<Time> xid_time_;
};

}  // namespace aether::nvml
