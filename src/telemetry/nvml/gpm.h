#pragma once
// The profiling metrics of Hopper and later, by NVML's GPM: shares of the time between two samples of the counters.
#include <chrono>
#include <memory>
#include <optional>

#include "base/clock.h"
#include "telemetry/gpu_detail.h"
#include "telemetry/nvml/library.h"

namespace aether::nvml {

// Of one GPU, or of one GPU instance under MIG. Must be destroyed before its library.
class GpmReader {
 public:
  // Null when the library or the device has none.
  static std::unique_ptr<GpmReader> open(const Functions& functions, DeviceHandle device);
  static std::unique_ptr<GpmReader> open_instance(const Functions& functions, DeviceHandle parent, std::uint32_t instance);
  ~GpmReader();
  GpmReader(const GpmReader&) = delete;
  GpmReader& operator=(const GpmReader&) = delete;

  // What was active since the sample before; the values of last time when that is less than 100 ms ago, and none at
  // first or after a pause of more than ten minutes. `into` keeps what is not a profiling metric.
  void read(Mono now, GpuDetail& into);

 private:
  GpmReader(const Functions& functions, DeviceHandle device, std::optional<std::uint32_t> instance)
      : functions_(functions), device_(device), instance_(instance) {}
  bool allocate();
  bool take_sample(GpmSample sample) const;
  void compute();

  const Functions& functions_;
  const DeviceHandle device_;
  const std::optional<std::uint32_t> instance_;
  GpmSample previous_ = nullptr, current_ = nullptr;
  std::optional<Mono> sampled_at_;
  GpuDetail values_;
  std::unique_ptr<GpmMetricsGet> request_;
};

}  // namespace aether::nvml
