#pragma once
// Port: where GPU readings come from. Adapters: nvml/ (NVIDIA's library by dlopen), simulated/.
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/gpu.h"
#include "model/job.h"

namespace aether {

// All methods from one thread (the sampler's). A GPU that fails alone never fails the others.
class GpuDriver {
 public:
  virtual ~GpuDriver() = default;

  // The GPUs at hand, by index. Called at start and again after a driver loss.
  virtual Result<std::vector<GpuInfo>> enumerate() = 0;

  // One reading of one GPU. Fields that the device can't give stay absent. sample_seq, node and sample_time are the
  // sampler's to set. kUnavailable: no reading this time, ask again; kNotFound: the GPU is lost, enumerate() again.
  virtual Result<GpuSample> read(const GpuUuid& gpu_uuid) = 0;

  virtual GpuSource source() const = 0;
  // Empty when unknown.
  virtual std::string driver_version() const = 0;
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
