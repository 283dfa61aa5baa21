// Errors that are counted, and memory that only grows.
#include <cmath>

#include <fmt/format.h>

#include "anomaly/judge.h"

namespace aether {
namespace {

constexpr double kRecentS = 600;
constexpr double kDayS = 86400;
constexpr double kGrowthMb = 8;            // within a minute, to count as growing
constexpr int kGrowingMinutes = 8;
constexpr Duration kMinute = std::chrono::minutes(1);
constexpr Duration kAllocatorRests = std::chrono::minutes(10);

// How far a counter went since the last reading; one that fell has begun anew.
double growth(std::optional<std::uint64_t>& last, const std::optional<std::uint64_t>& now) {
  const bool known = last && now && *now >= *last;
  const double grown = known ? static_cast<double>(*now - *last) : 0;
  if (now) last = now;
  return grown;
}

// Events of the last ten minutes against a limit and against what is usual for this GPU (six deviations of a Poisson count).
bool is_many(const RecentCount& recent, const Baseline& usual, double least) {
  const double mean = usual.location() * kRecentS;
  return recent.value() >= std::max(least, mean + 6 * std::sqrt(mean));
}

}  // namespace

void AnomalyDetector::observe_counters(Gpu& gpu, const GpuSample& sample, double dt_s) {
  const double ecc = growth(gpu.ecc, sample.ecc_sbe_volatile_total), replays = growth(gpu.replays, sample.pcie_replay_total);
  gpu.recent_ecc.add(ecc, dt_s, kRecentS);
  gpu.recent_replays.add(replays, dt_s, kRecentS);
  gpu.usual_ecc.add(ecc / dt_s, dt_s, kDayS, 0.001);
  gpu.usual_replays.add(replays / dt_s, dt_s, kDayS, 0.001);
}

void AnomalyDetector::judge_counters(Gpu& gpu, Time now, Out& out) {
  const auto rate = [&](Signal signal, const RecentCount& recent, const Baseline& usual, double least, const char* title,
                        const char* what, const char* advice) {
    const bool bad = is_many(recent, usual, least);
    judge(gpu, {signal, bad, recent.value() < least / 2, Duration(0), Duration(0)}, now, out, [&] {
      return Words{title, fmt::format("About {:.0f} {} in ten minutes; so far it had {:.1f} a day: {}", recent.value(), what,
                                      usual.location() * kDayS, advice),
                   "errors", recent.value(), least};
    });
  };
  rate(Signal::kEccRate, gpu.recent_ecc, gpu.usual_ecc, options_.ecc_errors, "corrects ever more memory errors",
       "corrected memory errors", "plan a reset, and expect uncorrectable ones");
  rate(Signal::kPcieReplays, gpu.recent_replays, gpu.usual_replays, options_.pcie_replays, "repeats packets on PCIe", "PCIe replays",
       "look at slot, riser and cable");
}

// The least of each minute, so that what a step takes and gives back does not count.
void AnomalyDetector::observe_memory(Gpu& gpu, const GpuSample& sample, Time now) {
  if (!sample.memory_used_mb) return;
  gpu.memory_mb = static_cast<double>(*sample.memory_used_mb);
  if (!gpu.job || now - gpu.job_since < kAllocatorRests) return;
  if (gpu.minute_since == Time{}) {
    gpu.minute_since = gpu.growth_since = now;
    gpu.minute_least_mb = gpu.last_least_mb = gpu.growth_from_mb = gpu.memory_mb;
    return;
  }
  gpu.minute_least_mb = std::min(gpu.minute_least_mb, gpu.memory_mb);
  if (now - gpu.minute_since < kMinute) return;
  if (gpu.minute_least_mb >= gpu.last_least_mb + kGrowthMb) {
    ++gpu.growing_minutes;
  } else if (gpu.minute_least_mb < gpu.memory_total_mb * 0.98) {  // a full board grows no more and is no better for it
    gpu.growing_minutes = 0;
    gpu.growth_from_mb = gpu.minute_least_mb;
    gpu.growth_since = now;
  }
  gpu.last_least_mb = gpu.minute_least_mb;
  gpu.minute_least_mb = gpu.memory_mb;
  gpu.minute_since = now;
}

void AnomalyDetector::judge_memory(Gpu& gpu, Time now, Out& out) {
  const double grown_mb = gpu.last_least_mb - gpu.growth_from_mb;
  const bool bad = gpu.job && gpu.growing_minutes >= kGrowingMinutes && grown_mb >= options_.leak_share * gpu.memory_total_mb;
  judge(gpu, {Signal::kMemoryLeak, bad, !gpu.job || gpu.growing_minutes == 0, Duration(0), Duration(0)}, now, out, [&] {
    const double per_minute = grown_mb / std::max(seconds_of(now - gpu.growth_since) / 60, 1.0);
    const double minutes_left = std::max(0.0, gpu.memory_total_mb - gpu.memory_mb) / std::max(per_minute, 1.0);
    return Words{"runs a job whose memory only grows",
                 fmt::format("{:.0f} MiB more in {:.0f} minutes without ever giving any back; at this rate its {:.0f} MiB are full in "
                             "{:.0f} minutes", grown_mb, seconds_of(now - gpu.growth_since) / 60, gpu.memory_total_mb, minutes_left),
                 "MiB", grown_mb, options_.leak_share * gpu.memory_total_mb};
  });
}

}  // namespace aether
