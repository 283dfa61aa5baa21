#pragma once
// Adapter of GpuDriver on NVIDIA's library in a process of its own. Every call has a deadline: a worker that does not
// answer in time is killed by its pid and started anew, the GPU it was asked about is left alone and tried by a worker of
// its own until it answers again, and the others are read on meanwhile. No answer ever stands for another question, so a
// reading is never older than the call that returned it.
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "telemetry/gpu_driver.h"
#include "telemetry/nvml/worker_process.h"

namespace aether {

struct SupervisedNvmlOptions {
  nvml::WorkerCommand command;
  std::chrono::milliseconds start_deadline{10000};      // loading the library and attaching every GPU
  std::chrono::milliseconds call_deadline{1000};
  std::chrono::milliseconds first_delay{1000};          // before the second restart in a row; the first is immediate
  std::chrono::milliseconds longest_delay{30000};       // the delay doubles up to this
  std::chrono::milliseconds settled_after{60000};       // a worker that lived so long ends the row
  std::chrono::milliseconds probation_interval{30000};  // between two tries of a hung GPU
  std::chrono::milliseconds probation_deadline{5000};
  std::chrono::milliseconds abandoned_after{5000};      // a killed process that still lives is given up
};

class SupervisedNvmlDriver final : public GpuDriver, public GpuEventSource {
 public:
  // Starts a worker and lists the GPUs once. kUnavailable as NvmlDriver::open().
  static Result<std::unique_ptr<SupervisedNvmlDriver>> open(SupervisedNvmlOptions options, const Clock& clock);
  ~SupervisedNvmlDriver() override;

  // GPUs that hang stay listed; their readings are kUnavailable until they answer again.
  Result<std::vector<GpuInfo>> enumerate() override;
  Result<GpuSample> read(const GpuUuid& gpu_uuid) override { return read(gpu_uuid, ReadTier::kState); }
  Result<GpuSample> read_fast(const GpuUuid& gpu_uuid) override { return read(gpu_uuid, ReadTier::kFast); }
  std::optional<GpuDetail> detail(const GpuUuid& gpu_uuid) const override;
  GpuSource source() const override { return GpuSource::kNvml; }
  std::string driver_version() const override { return driver_version_; }
  GpuDriverHealth health() const override;
  void set_on_event(std::function<void(const GpuEvent&)> on_event) override;

 private:
  // A GPU that is left alone, and the worker that tries it.
  struct Hung {
    GpuInfo info;
    Mono next_try{};
    Mono give_up_at{};
    std::unique_ptr<nvml::WorkerProcess> worker;
  };
  struct Dying {
    pid_t pid = 0;
    Mono since{};
    bool abandoned = false;
  };

  SupervisedNvmlDriver(SupervisedNvmlOptions options, const Clock& clock);
  Result<GpuSample> read(const GpuUuid& gpu_uuid, ReadTier tier);
  Result<void> ensure_worker();
  Result<nvml::wire::Body> ask(nvml::wire::Body request, std::chrono::milliseconds deadline);
  Result<void> list_gpus();
  void drop_worker(const char* reason);
  void release(std::unique_ptr<nvml::WorkerProcess> worker);
  void reap();
  void set_hung(const GpuInfo& info);
  void blame_attaching(const std::optional<nvml::wire::AttachingNote>& note);
  void try_hung(const GpuUuid& gpu_uuid);
  void start_trial(Hung& hung);
  bool trial_succeeds(Hung& hung);
  void say(const GpuEvent& event);
  template <class Update>
  void update_health(Update update);

  const SupervisedNvmlOptions options_;
  const Clock& clock_;

  // Of the caller's thread.
  std::unique_ptr<nvml::WorkerProcess> worker_;  // null while none runs
  Mono worker_since_{};
  Mono next_start_{};
  std::chrono::milliseconds delay_{0};
  std::string driver_version_;
  std::vector<GpuInfo> gpus_;                    // that the worker has attached
  std::map<GpuUuid, GpuDetail> details_;
  std::map<GpuUuid, Hung> hung_;
  std::set<std::uint32_t> hung_indexes_;         // of GPUs that hung before they had a name
  std::vector<Dying> dying_;

  mutable std::mutex health_mutex_;
  GpuDriverHealth health_;
  std::mutex event_mutex_;
  std::function<void(const GpuEvent&)> on_event_;
};

}  // namespace aether
