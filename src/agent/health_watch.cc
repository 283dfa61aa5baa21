#include "agent/health_watch.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "model/xid.h"

namespace aether {
namespace {

constexpr std::int64_t kDoubleBitEcc = 48, kContextSwitchTimeout = 109;
constexpr const char* kXid = "xid";
constexpr const char* kMemory = "memory";
constexpr const char* kHung = "hung";
constexpr const char* kRecoveryAction = "recovery_action";

std::string_view text_of_recovery_action(int action) {
  switch (action) {
    case 1: return "reset the GPU";
    case 2: return "restart the machine";
    case 3: return "stop the jobs that use its links";
    case 4: return "stop the jobs that use its links, then reset the GPU";
    case 5: return "recover the memory export domain";
    default: return "an action that this version does not know";
  }
}

}  // namespace

void HealthWatch::observe(const GpuEvent& event, Mono now) {
  switch (event.kind) {
    case GpuEvent::Kind::kXid: return observe_xid(event.gpu_uuid, event.xid, event.time, now);
    case GpuEvent::Kind::kDoubleBitEcc: {
      const Counted& named = gpus_[event.gpu_uuid].xids[kDoubleBitEcc];
      if (named.acted && now - *named.acted < options_.act_once_per) return;  // the same error, told twice
      return open(event.gpu_uuid, kMemory, fmt::format("double-bit ECC error at {}", format_rfc3339(event.time)), now);
    }
    case GpuEvent::Kind::kHung:
      return open(event.gpu_uuid, kHung, fmt::format("a call about this GPU did not return at {}", format_rfc3339(event.time)), now);
    case GpuEvent::Kind::kAnswersAgain: {
      auto& faults = gpus_[event.gpu_uuid].faults;
      if (const auto hung = faults.find(kHung); hung != faults.end()) {
        hung->second.cured = true;
        hung->second.clean_since = now;
      }
      return;
    }
  }
}

void HealthWatch::observe_xid(const GpuUuid& uuid, std::int64_t xid, Time time, Mono now) {
  Gpu& gpu = gpus_[uuid];
  const bool known_number = gpu.xids.contains(xid) || gpu.xids.size() < kMaxXidsPerGpu;
  Counted& counted = gpu.xids[known_number ? xid : 0];
  ++counted.events;
  counted.last = time;
  const std::optional<Mono> seen_before = std::exchange(counted.seen, now);
  XidAction action = xid_info(xid).action;
  // Once it may be the job's timing. A second one, or one that the driver wants a reset for, is the GPU's.
  const bool again = counted.acted && now - *counted.acted >= options_.same_event_within;
  if (xid == kContextSwitchTimeout && (gpu.recovery_action > 0 || (again && seen_before && now - *seen_before < options_.repeats_within)))
    action = XidAction::kQuarantine;
  const bool storm = counted.acted && now - *counted.acted < options_.act_once_per;
  if (!storm) counted.acted = now;
  if (action < XidAction::kQuarantine) return;
  gpu.last_bad = now;
  if (!storm || !gpu.faults.contains(kXid)) open(uuid, kXid, fmt::format("{}, at {}", xid_text(xid), format_rfc3339(time)), now);
}

void HealthWatch::observe(const GpuSample& sample, const GpuDetail& detail, Mono now) {
  Gpu& gpu = gpus_[sample.gpu_uuid];
  // Another agent met the call that hung; this reading is the answer.
  if (const auto hung = gpu.faults.find(kHung); hung != gpu.faults.end() && hung->second.restored && !hung->second.cured) {
    hung->second.cured = true;
    hung->second.clean_since = now;
  }
  if (sample.xid_last && sample.xid_last_time) {
    const auto told = gpu.xids.find(*sample.xid_last);
    if (told == gpu.xids.end() || *sample.xid_last_time > told->second.last + options_.same_event_within)
      observe_xid(sample.gpu_uuid, *sample.xid_last, *sample.xid_last_time, now);
  }
  judge_counters(sample.gpu_uuid, gpu, sample, detail, now);
}

void HealthWatch::judge_counters(const GpuUuid& uuid, Gpu& gpu, const GpuSample& sample, const GpuDetail& detail, Mono now) {
  // Energy counts from the load of the driver or the reset of the GPU: a value that fell is how either shows.
  const auto energy = sample.energy_total_mj;
  if (energy && gpu.energy_mj && *energy < *gpu.energy_mj)
    for (auto& [kind, fault] : gpu.faults)
      if (kind != kHung) {
        fault.cured = true;
        fault.clean_since = now;
      }
  if (energy) gpu.energy_mj = energy;

  const auto double_bit = sample.ecc_dbe_volatile_total;
  const bool grew = double_bit && gpu.double_bit_errors && *double_bit > *gpu.double_bit_errors;
  const auto named = gpu.xids.find(kDoubleBitEcc);
  const bool was_named = named != gpu.xids.end() && named->second.acted && now - *named->second.acted < options_.act_once_per;
  if (grew && !was_named && !gpu.faults.contains(kMemory))
    open(uuid, kMemory, fmt::format("{} double-bit ECC errors at {}", *double_bit, format_rfc3339(sample.sample_time)), now);
  if (grew) gpu.last_bad = now;
  if (double_bit) gpu.double_bit_errors = double_bit;

  const bool remap_failed = detail.get(GpuDetailField::kRemappedRowsFailure).value_or(0) > 0;
  if (remap_failed && !gpu.remap_failed) open(uuid, kMemory, "remapping a faulty memory row failed; have the hardware inspected", now);
  gpu.remap_failed = remap_failed;

  const double action = detail.get(GpuDetailField::kRecoveryAction).value_or(0);
  if (action > 0 && gpu.recovery_action != action)
    open(uuid, kRecoveryAction, fmt::format("the driver asks to {}", text_of_recovery_action(static_cast<int>(action))), now);
  if (action == 0 && gpu.recovery_action > 0)
    if (const auto fault = gpu.faults.find(kRecoveryAction); fault != gpu.faults.end()) {
      fault->second.cured = true;
      fault->second.clean_since = now;
    }
  gpu.recovery_action = action;
  gpu.sound = action == 0 && !remap_failed && double_bit.value_or(0) == 0 &&
              detail.get(GpuDetailField::kRemappedRowsPending).value_or(0) == 0;
}

void HealthWatch::open(const GpuUuid& uuid, const char* kind, std::string message, Mono now) {
  Gpu& gpu = gpus_[uuid];
  gpu.last_bad = now;
  gpu.faults[kind] = Fault{now, std::nullopt};
  news_.faults.push_back({uuid, kind, std::move(message)});
}

bool HealthWatch::is_over(const Gpu& gpu, const Fault& fault, Mono now, Duration clean_for) {
  if (!fault.cured || !gpu.sound) return false;
  const Mono from = gpu.last_bad ? std::max(*fault.clean_since, *gpu.last_bad) : *fault.clean_since;
  return now - from >= clean_for;
}

HealthWatch::News HealthWatch::take(Mono now) {
  // All at once: the orchestrator keeps one reason, and a GPU with two faults must not come back for the first of them.
  for (auto& entry : gpus_) {
    Gpu& gpu = entry.second;
    const auto over = [&](const auto& fault) { return is_over(gpu, fault.second, now, options_.clean_for); };
    if (!std::all_of(gpu.faults.begin(), gpu.faults.end(), over)) continue;
    for (const auto& fault : gpu.faults)
      news_.recovered.push_back({entry.first, fault.first, "answers, was reset where that was needed, and was clean since"});
    gpu.faults.clear();
  }
  return std::exchange(news_, {});
}

std::vector<HealthWatch::OpenFault> HealthWatch::open_faults() const {
  std::vector<OpenFault> out;
  for (const auto& [uuid, gpu] : gpus_)
    for (const auto& [kind, fault] : gpu.faults) out.push_back({uuid, kind, fault.cured, gpu.energy_mj});
  return out;
}

void HealthWatch::restore(const std::vector<OpenFault>& faults, Mono now) {
  for (const OpenFault& open : faults) {
    Gpu& gpu = gpus_[open.gpu_uuid];
    gpu.last_bad = now;
    gpu.energy_mj = open.energy_mj;
    if (open.kind == kRecoveryAction && !open.cured) gpu.recovery_action = 1;  // until a reading says that it was withdrawn
    Fault& fault = gpu.faults[open.kind];
    fault.since = now;
    fault.restored = true;
    fault.cured = open.cured;
    if (open.cured) fault.clean_since = now;
  }
}

std::vector<HealthWatch::XidCount> HealthWatch::xids() const {
  std::vector<XidCount> out;
  for (const auto& [uuid, gpu] : gpus_)
    for (const auto& [xid, counted] : gpu.xids)
      if (counted.events > 0) out.push_back({uuid, xid, counted.events, counted.last});
  return out;
}

}  // namespace aether
