#pragma once
// GPU time and energy of attempts within a time: a GPU that several attempts use is divided among them in equal parts while
// they do. Pure. Internal to api/.
#include <vector>

#include "store/store.h"

namespace aether::api {

// A stretch of one GPU's time during which the same attempts used it.
struct UsagePart {
  GpuPart part;
  std::vector<std::size_t> attempts;  // indices
};
// `to` is at most now: what still runs has run until then.
std::vector<UsagePart> split_usage(const std::vector<AttemptRecord>& attempts, Time from, Time to);

struct AttemptUsage {
  double gpu_s = 0;
  double energy_j = 0;
  double measured_gpu_s = 0;  // of gpu_s, the time the energy speaks for
  // Of measured_gpu_s, what the attempt's own record speaks for: the history no longer knows a time that long ago.
  double recorded_gpu_s = 0;
  // The energy at the carbon intensity that the attempt's own record saw on average; the energy that this speaks for.
  double carbon_g = 0, carbon_energy_j = 0;

  AttemptUsage& operator+=(const AttemptUsage& other);
};
// One for each attempt. `energy` has one entry for each part, or none at all: then records alone count. A record counts for
// an attempt that lies inside [from, to) as a whole and of which the history knows less than half.
std::vector<AttemptUsage> sum_usage(const std::vector<AttemptRecord>& attempts, const std::vector<UsagePart>& parts,
                                    const std::vector<std::optional<GpuEnergy>>& energy, Time from, Time to);

}  // namespace aether::api
