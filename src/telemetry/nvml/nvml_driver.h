#pragma once
// Adapter of GpuDriver on NVIDIA's management library, which is loaded at run time: Aether builds and starts without
// it.
#include <chrono>
#include <map>
#include <memory>
#include <string>

#include "base/clock.h"
#include "telemetry/gpu_driver.h"
#include "telemetry/nvml/device.h"
#include "telemetry/nvml/library.h"
#include "telemetry/nvml/xid_watch.h"

namespace aether {

struct NvmlOptions {
  std::string library_path = {};  // empty: libnvidia-ml.so.1 and the other usual names
  std::chrono::milliseconds process_interval{1000};  // of the process lists, which are the costliest part
};

// One thread. A call of the library may hang with a sick driver; callers that can't stand that run this in a process of
// its own.
class NvmlDriver final : public GpuDriver {
 public:
  // kUnavailable: no library, or no driver under it; the message says what was tried.
  static Result<std::unique_ptr<NvmlDriver>> open(NvmlOptions options, const Clock& clock);
  ~NvmlDriver() override;

  // Loads the library anew after its state became void. GPUs that are lost or that this account may not see are left
  // out; they keep nobody from seeing the others.
  Result<std::vector<GpuInfo>> enumerate() override;
  Result<GpuSample> read(const GpuUuid& gpu_uuid) override;
  GpuSource source() const override { return GpuSource::kNvml; }
  std::string driver_version() const override { return driver_version_; }

 private:
  struct Generation;

  NvmlDriver(NvmlOptions options, const Clock& clock);
  Result<void> load();
  tl::unexpected<Error> drop_generation(nvml::Return code, const std::string& call);
  Result<void> list_devices();
  Result<void> list_device(std::uint32_t index, std::map<GpuUuid, nvml::Device>& listed);
  bool processes_due(const GpuUuid& gpu_uuid);
  void poll_xids();
  void rewatch();
  tl::unexpected<Error> lose(const GpuUuid& gpu_uuid, nvml::Return code);
  Result<void> judge(nvml::Device& device, const nvml::CallOutcome& outcome);

  const NvmlOptions options_;
  const Clock& clock_;
  std::string driver_version_;
  std::unique_ptr<Generation> generation_;  // null after its state became void
};

}  // namespace aether
