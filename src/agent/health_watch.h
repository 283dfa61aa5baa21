#pragma once
// What the events and readings of this node's GPUs mean for their service: which one must not be given to a job, and when
// that is over. By the catalogue of XIDs and the rules in docs/telemetry.md; nothing here decides by a model.
//
// Pure: events, readings and time in, words for the orchestrator out. One owner thread.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "model/gpu.h"
#include "model/message.h"
#include "telemetry/gpu_driver.h"

namespace aether {

struct HealthOptions {
  Duration act_once_per = std::chrono::seconds(60);   // for one GPU and XID: a storm is one action
  Duration same_event_within = std::chrono::seconds(2);  // an event and the reading that repeats it
  Duration repeats_within = std::chrono::hours(24);   // a second context-switch timeout is no accident
  Duration clean_for = std::chrono::minutes(10);      // without a new event, before a GPU comes back by itself
};

class HealthWatch {
 public:
  struct News {
    std::vector<GpuFaultEvent> faults;
    std::vector<GpuRecoveredEvent> recovered;
  };
  struct XidCount {
    GpuUuid gpu_uuid;
    std::int64_t xid = 0;
    std::uint64_t events = 0;
    Time last;
  };

  explicit HealthWatch(HealthOptions options = {}) : options_(options) {}

  void observe(const GpuEvent& event, Mono now);
  // Readings tell of XIDs too, for drivers without events and for an event that was missed.
  void observe(const GpuSample& sample, const GpuDetail& detail, Mono now);
  // What is new since the last call.
  News take(Mono now);

  // What a following agent has to know of this GPU. `energy_mj` is its energy counter, from which a reset is seen.
  struct OpenFault {
    GpuUuid gpu_uuid;
    std::string kind;
    bool cured = false;
    std::optional<std::uint64_t> energy_mj;
    friend bool operator==(const OpenFault&, const OpenFault&) = default;
  };
  std::vector<OpenFault> open_faults() const;
  // Before anything is observed. The time without a new event begins now. Says nothing: these faults were told.
  void restore(const std::vector<OpenFault>& faults, Mono now);

  // Every XID since the start, by GPU and number; at most kMaxXidsPerGpu numbers of one GPU, the rest under 0.
  std::vector<XidCount> xids() const;
  static constexpr std::size_t kMaxXidsPerGpu = 32;

 private:
  struct Counted {
    std::uint64_t events = 0;
    Time last;
    std::optional<Mono> acted;
    std::optional<Mono> seen;
  };
  struct Fault {
    Mono since{};
    std::optional<Mono> clean_since;
    bool restored = false;  // an agent before this one found it
    bool cured = false;   // reset since, or answering again: what the rule waits for
  };
  struct Gpu {
    std::map<std::int64_t, Counted> xids;
    std::map<std::string, Fault> faults;       // open ones, by kind
    std::optional<std::uint64_t> energy_mj, double_bit_errors;
    double recovery_action = 0;
    bool remap_failed = false;
    std::optional<Mono> last_bad;              // newest event or value that speaks against the GPU
    bool sound = true;                         // the last reading shows nothing that is still wrong
  };

  void observe_xid(const GpuUuid& uuid, std::int64_t xid, Time time, Mono now);
  void judge_counters(const GpuUuid& uuid, Gpu& gpu, const GpuSample& sample, const GpuDetail& detail, Mono now);
  void open(const GpuUuid& uuid, const char* kind, std::string message, Mono now);
  static bool is_over(const Gpu& gpu, const Fault& fault, Mono now, Duration clean_for);

  const HealthOptions options_;
  std::map<GpuUuid, Gpu> gpus_;
  News news_;
};

}  // namespace aether
