#include "api/usage_sums.h"

#include <algorithm>
#include <map>
#include <set>

namespace aether::api {
namespace {

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

// Where attempts begin and end to use a GPU.
struct Change {
  std::set<std::size_t> begin, end;
};

bool is_whole(const Attempt& attempt, Time from, Time to) {
  return attempt.started_at && *attempt.started_at >= from && attempt.ended_at && *attempt.ended_at <= to;
}

void take_record(const Attempt& attempt, AttemptUsage& usage) {
  usage.energy_j = *attempt.energy_j;
  usage.measured_gpu_s = usage.recorded_gpu_s = usage.gpu_s;
}

void add_carbon(const Attempt& attempt, AttemptUsage& usage) {
  if (!attempt.carbon_g || !attempt.energy_j || *attempt.energy_j <= 0) return;
  usage.carbon_g = usage.energy_j * *attempt.carbon_g / *attempt.energy_j;
  usage.carbon_energy_j = usage.energy_j;
}

}  // namespace

AttemptUsage& AttemptUsage::operator+=(const AttemptUsage& other) {
  gpu_s += other.gpu_s;
  energy_j += other.energy_j;
  measured_gpu_s += other.measured_gpu_s;
  recorded_gpu_s += other.recorded_gpu_s;
  carbon_g += other.carbon_g;
  carbon_energy_j += other.carbon_energy_j;
  return *this;
}

std::vector<UsagePart> split_usage(const std::vector<AttemptRecord>& attempts, Time from, Time to) {
  std::map<GpuUuid, std::map<Time, Change>> gpus;
  for (std::size_t i = 0; i < attempts.size(); ++i) {
    const Attempt& attempt = attempts[i].attempt;
    if (!attempt.started_at) continue;
    const Time begin = std::max(*attempt.started_at, from), end = std::min(attempt.ended_at.value_or(to), to);
    if (begin >= end) continue;
    for (const GpuUuid& gpu : attempt.placement.gpu_uuids) {
      gpus[gpu][begin].begin.insert(i);
      gpus[gpu][end].end.insert(i);
    }
  }
  std::vector<UsagePart> parts;
  for (const auto& [gpu, changes] : gpus) {
    std::set<std::size_t> users;
    Time since = from;
    for (const auto& [time, change] : changes) {
      if (!users.empty()) parts.push_back({{gpu, since, time}, {users.begin(), users.end()}});
      for (const std::size_t i : change.end) users.erase(i);
      users.insert(change.begin.begin(), change.begin.end());
      since = time;
    }
  }
  return parts;
}

std::vector<AttemptUsage> sum_usage(const std::vector<AttemptRecord>& attempts, const std::vector<UsagePart>& parts,
                                    const std::vector<std::optional<GpuEnergy>>& energy, Time from, Time to) {
  std::vector<AttemptUsage> usage(attempts.size());
  for (std::size_t p = 0; p < parts.size(); ++p) {
    const double share = 1.0 / static_cast<double>(parts[p].attempts.size());
    for (const std::size_t i : parts[p].attempts) {
      usage[i].gpu_s += seconds(parts[p].part.to - parts[p].part.from) * share;
      if (p >= energy.size() || !energy[p]) continue;
      usage[i].energy_j += energy[p]->energy_j * share;
      usage[i].measured_gpu_s += seconds(energy[p]->covered) * share;
    }
  }
  for (std::size_t i = 0; i < attempts.size(); ++i) {
    const Attempt& attempt = attempts[i].attempt;
    if (attempt.energy_j && is_whole(attempt, from, to) && usage[i].measured_gpu_s * 2 < usage[i].gpu_s)
      take_record(attempt, usage[i]);
    add_carbon(attempt, usage[i]);
  }
  return usage;
}

}  // namespace aether::api
