#pragma once
// Port: where GPU readings come from. Adapters: nvml/ (NVIDIA's library by dlopen), simulated/.
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/gpu.h"
#include "model/job.h"
#include "telemetry/gpu_detail.h"

namespace aether {

// How the driver itself fares. Counters since it was opened.
struct GpuDriverHealth {
  bool supervised = false;                      // the library runs in a process of its own
  bool up = true;                               // that process answers
  int worker_pid = 0;                           // 0 = none at the moment
  std::map<std::string, std::uint64_t> restarts;  // by reason: "hang", "crash"
  std::uint64_t abandoned = 0;                  // processes that outlived SIGKILL
  std::vector<GpuUuid> hung;                    // GPUs that are tried apart from the others until they answer
};

// Which values one reading asks for. Wider includes narrower.
enum class ReadTier {
  kFast,   // counters, power, utilisation, memory: a few calls, up to ten times a second
  kState,  // everything else that changes with the load
};

// All methods from one thread (the sampler's), except health(). A GPU that fails alone never fails the others.
class GpuDriver {
 public:
  virtual ~GpuDriver() = default;

  // The GPUs at hand, by index. Called at start and again after a driver loss.
  virtual Result<std::vector<GpuInfo>> enumerate() = 0;

  // One reading of one GPU. Fields that the device can't give stay absent. sample_seq, node and sample_time are the
  // sampler's to set. kUnavailable: no reading this time, ask again; kNotFound: the GPU is lost, enumerate() again.
  virtual Result<GpuSample> read(const GpuUuid& gpu_uuid) = 0;
  // Of tier kFast: the other fields hold what the last whole reading gave. Adapters without a cheaper way read all.
  virtual Result<GpuSample> read_fast(const GpuUuid& gpu_uuid) { return read(gpu_uuid); }
  // What the last successful reading of this GPU gave beyond its sample; nothing when the adapter has no such values.
  virtual std::optional<GpuDetail> detail(const GpuUuid&) const { return std::nullopt; }

  virtual GpuSource source() const = 0;
  // Empty when unknown.
  virtual std::string driver_version() const = 0;
  // Thread-safe.
  virtual GpuDriverHealth health() const { return {}; }
};

// Something that happened to a GPU, told at once and not at the next reading.
struct GpuEvent {
  enum class Kind : std::uint8_t {
    kXid = 1,           // `xid`
    kDoubleBitEcc,
    kHung,              // a call about this GPU did not return; it is left alone and tried apart
    kAnswersAgain,      // after kHung
  };
  GpuUuid gpu_uuid;
  Kind kind = Kind::kXid;
  std::int64_t xid = 0;
  Time time;            // of receipt, by the node's clock: the library gives none
  friend bool operator==(const GpuEvent&, const GpuEvent&) = default;
};

// A driver that tells of events. The callback comes from a thread of the driver and must only hand over.
class GpuEventSource {
 public:
  virtual ~GpuEventSource() = default;
  // Replaces the former callback; returns when that is not running any more. Thread-safe. Empty = nobody listens.
  virtual void set_on_event(std::function<void(const GpuEvent&)> on_event) = 0;
};

// What a simulated GPU has to know about the jobs on it. The agent tells it; NVML needs no telling.
struct GpuLoad {
  GpuUuid gpu_uuid;
  AttemptId attempt;
  JobType type = JobType::kTraining;
  std::int64_t memory_mb = 0;   // what the job reserves; 0 = most of the GPU
};
class LoadSink {
 public:
  virtual ~LoadSink() = default;
  // Replaces all loads. Thread-safe.
  virtual void set_loads(std::vector<GpuLoad> loads) = 0;
};

}  // namespace aether
