#pragma once
// Between the agent and its GPUs: no start on a GPU that is not free, and no end before its GPUs are measured free or
// found faulty. Until then an attempt that has ended is shown as COMPLETING. One owner thread.
#include <map>
#include <optional>
#include <vector>

#include "agent/gpu_check.h"
#include "executor/process_runner.h"
#include "model/message.h"

namespace aether {

class GpuGuard {
 public:
  // `runner` has recovered before the first call.
  GpuGuard(GpuCheckOptions options, ProcessRunner& runner);

  void observe(const GpuSample& sample, Mono now);
  std::optional<GpuCheck::Refusal> refuse_start(const StartCommand& command, Mono now);
  void started(const StartCommand& command);

  // What may be told of an attempt now: itself, or COMPLETING while its GPUs are looked at.
  AttemptReport shown(const AttemptReport& report, Mono now);
  struct News {
    std::vector<AttemptReport> ends;     // that may be told now
    std::vector<GpuFinding> findings;
  };
  News poll(Mono now);
  std::map<GpuUuid, std::size_t> foreign() const { return check_.foreign(); }
  // When poll() wants to be called although nothing happened; nothing while no GPU is looked at.
  std::optional<Mono> next_poll(Mono now) const;

 private:
  void refresh_processes(Mono now);

  ProcessRunner& runner_;
  GpuCheck check_;
  bool adopted_ = false;
  Mono processes_at_{};
  std::map<AttemptId, AttemptReport> held_back_;
};

}  // namespace aether
