#pragma once
// Adapter of GpuDriver on NVIDIA's management library, which is loaded at run time: Aether builds and starts without
// it.
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "telemetry/gpu_driver.h"
#include "telemetry/nvml/device.h"
#include "telemetry/nvml/event_watch.h"
#include "telemetry/nvml/library.h"

namespace aether {

struct NvmlOptions {
  std::string library_path = {};  // empty: libnvidia-ml.so.1 and the other usual names
  std::chrono::milliseconds process_interval{1000};  // of the process lists and what else is costly and changes rarely
};

// Which GPUs to attach, and who wants to know before one is touched.
struct NvmlAttachPlan {
  std::vector<std::string> bus_ids;         // exactly these; empty: all that the library counts
  std::vector<std::uint32_t> skip_indexes;  // when counting
  std::function<void(std::uint32_t index, const std::string& bus_id)> before_each;
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
  Result<std::vector<GpuInfo>> enumerate(const NvmlAttachPlan& plan);
  Result<GpuSample> read(const GpuUuid& gpu_uuid) override { return read(gpu_uuid, ReadTier::kState); }
  Result<GpuSample> read_fast(const GpuUuid& gpu_uuid) override { return read(gpu_uuid, ReadTier::kFast); }
  std::optional<GpuDetail> detail(const GpuUuid& gpu_uuid) const override;
  // Takes what the library has told since the last time; also part of every reading.
  void poll_events();
  // On the caller's thread, from within the calls above.
  void set_on_event(std::function<void(const GpuEvent&)> on_event) { on_event_ = std::move(on_event); }
  GpuSource source() const override { return GpuSource::kNvml; }
  std::string driver_version() const override { return driver_version_; }

 private:
  struct Generation;

  NvmlDriver(NvmlOptions options, const Clock& clock);
  Result<void> load();
  tl::unexpected<Error> drop_generation(nvml::Return code, const std::string& call);
  Result<GpuSample> read(const GpuUuid& gpu_uuid, ReadTier tier);
  Result<std::vector<GpuInfo>> list_and_watch(const NvmlAttachPlan& plan);
  Result<GpuSample> read_device(const GpuUuid& gpu_uuid, ReadTier tier);
  Result<void> list_devices(const NvmlAttachPlan& plan);
  Result<void> list_counted(const NvmlAttachPlan& plan, std::map<GpuUuid, nvml::Device>& listed);
  Result<void> list_device(nvml::Return found, nvml::DeviceHandle handle, int index,
                           std::map<GpuUuid, nvml::Device>& listed);
  bool slow_due(const GpuUuid& gpu_uuid);
  void take_event(nvml::DeviceHandle handle, std::uint64_t type, std::int64_t xid);
  void rewatch();
  tl::unexpected<Error> lose(const GpuUuid& gpu_uuid, nvml::Return code);
  Result<void> judge(nvml::Device& device, const nvml::CallOutcome& outcome);

  const NvmlOptions options_;
  const Clock& clock_;
  std::string driver_version_;
  std::function<void(const GpuEvent&)> on_event_;
  std::unique_ptr<Generation> generation_;  // null after its state became void
  std::unique_ptr<Generation> dropped_;     // until the call that dropped it has let go of its devices
};

}  // namespace aether
