#pragma once
// How much an attempt may take of its machine: host memory, processes, processor time. Each by what this machine offers:
// a delegated cgroup v2 controller, one of cgroup v1, or a resource limit; found by trying, and told to whoever asks.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "executor/posix/shim_protocol.h"

namespace aether::executor {

enum class LimitMode {
  kNone,
  kRlimit,   // memory: address space of each process, and only for jobs without GPUs, since CUDA reserves far more than
             // it uses; processes: of the whole account, and only where jobs have an account of their own
  kCgroup1,
  kCgroup2,
};
std::string_view to_string(LimitMode mode);

struct WantedLimits {
  std::optional<std::int64_t> mem_mb;
  std::int64_t pids_max = 0;  // 0 = none
  std::optional<int> cpus;
  bool has_gpus = false;
};

// What the shim has to do so that the limits hold.
struct AppliedLimits {
  std::vector<std::string> cgroups;        // directories of cgroup v1 that the job enters
  std::vector<ResourceLimit> resource_limits;
  std::string oom_events;                  // a file with an "oom_kill <count>" line; empty = nobody tells
};

class Limiter {
 public:
  // `cgroup2_root` as find_job_cgroup_root() gives it, empty for none; `use_cgroups` false: resource limits alone.
  static Limiter probe(const std::string& cgroup2_root, const std::string& instance, bool use_cgroups,
                       bool own_account);

  // For "memory", "pids" and "cpus".
  LimitMode mode_of(std::string_view what) const;
  // "memory=cgroup1,pids=cgroup2,cpus=none".
  std::string describe() const;

  // `cgroup_directory` is the attempt's, of make_attempt_cgroup(). A limit whose mode is kNone is left out. kIo: a
  // controller that was there refuses.
  Result<AppliedLimits> apply(const std::string& attempt, const std::string& cgroup_directory,
                              const WantedLimits& wanted) const;
  // The directories that apply() makes for an attempt.
  std::vector<std::string> cgroups_of(const std::string& attempt) const;
  // Removes what probe() made; refused by the kernel while an attempt lives in it.
  void remove_roots() const;

 private:
  struct Controller {
    const char* what;  // "memory"
    const char* name;  // of the controller
    LimitMode mode = LimitMode::kNone;
    std::string root;  // of cgroup v1
  };
  const Controller& find(std::string_view what) const;

  std::vector<Controller> controllers_;
};

}  // namespace aether::executor
