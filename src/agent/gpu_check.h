#pragma once
// Is a GPU really free? Judged by what its driver measures, never by what Aether believes: after the last process of an
// attempt is reaped, and before the next one starts. A GPU that gives no reading is not free.
//
// Pure: readings, beginnings and ends in, findings out. One owner thread.
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "executor/process_runner.h"
#include "model/gpu.h"
#include "model/job.h"

namespace aether {

struct GpuCheckOptions {
  Duration limit = std::chrono::seconds(5);  // from the end of an attempt; a GPU that is not free by then is quarantined
  Duration stale = std::chrono::seconds(10); // nothing starts on a GPU whose newest reading is older
  std::int64_t tolerance_mb = 256;           // above what was in use before the attempt
  // What a display server or a monitor holds; a process with less keeps nobody from starting.
  std::int64_t resident_memory_mb = 400;
};

// One GPU that must not be given to a job, and why.
struct GpuFinding {
  enum class Kind { kLeak, kUnkillable };
  GpuUuid gpu_uuid;
  Kind kind = Kind::kLeak;
  AttemptId attempt;
  std::vector<int> pids;      // that are still there, as far as they are known
  std::string message;        // the evidence, for people
};
std::string_view to_string(GpuFinding::Kind kind);  // "leak", "unkillable"

class GpuCheck {
 public:
  explicit GpuCheck(GpuCheckOptions options) : options_(options) {}

  // A reading of a GPU, taken at `at`.
  void observe(const GpuSample& sample, Mono at);

  // The processes of the attempts that run now. Everything else on a GPU is foreign.
  void set_processes(const std::map<AttemptId, std::vector<int>>& processes);

  struct Refusal {
    std::string code;  // "FOREIGN_PROCESS", "INSUFFICIENT_VRAM", "GPU_UNAVAILABLE"
    std::string message;
  };
  // Why this job can't start on these GPUs now; nothing when it can.
  std::optional<Refusal> refuse_start(const std::vector<GpuUuid>& gpus, const JobSpec& spec, Mono now) const;
  // The foreign processes on each GPU whose processes are known, by the newest list.
  std::map<GpuUuid, std::size_t> foreign() const;

  // The attempt has the GPUs from now on; what is in use on them now is what they must fall back to. Of a GPU that was
  // never read (it was the attempt's before this agent came) that is unknown: then most of its memory must be free.
  void begin(const AttemptId& attempt, const std::vector<GpuUuid>& gpus, Share share);
  // Its last process is reaped. Without a begin() nothing is checked.
  void end(const AttemptId& attempt, Mono now);
  // From end() until each of its GPUs was found free or not.
  bool is_checking(const AttemptId& attempt) const;

  // Attempts that even SIGKILL does not end: their GPUs are found so once.
  void set_unkillable(const std::vector<Unkillable>& unkillable);
  // What was found since the last call.
  std::vector<GpuFinding> take_findings(Mono now);

 private:
  struct Reading {
    GpuSample sample;
    Mono at;
    std::optional<std::vector<GpuProcess>> processes;  // the newest list, which may be older than the sample
    Mono processes_at;
  };
  struct Held {
    AttemptId attempt;
    Share share = Share::kExclusive;
    std::optional<std::int64_t> baseline_mb;  // of an exclusive GPU
    std::set<int> pids;                       // of the attempt, all it ever had
    std::optional<Mono> ended_at;
  };

  bool is_foreign(const GpuProcess& process) const;
  std::optional<std::string> why_not_free(const GpuUuid& gpu, const Held& held) const;
  std::vector<int> pids_left(const GpuUuid& gpu, const Held& held) const;

  const GpuCheckOptions options_;
  std::map<GpuUuid, Reading> readings_;
  std::map<GpuUuid, std::vector<Held>> held_;  // more than one when shared
  std::set<int> own_pids_;                     // of attempts that run or whose end is being checked
  std::set<AttemptId> known_unkillable_;
  std::vector<GpuFinding> findings_;
};

}  // namespace aether
