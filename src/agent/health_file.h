#pragma once
// The open faults of a node's GPUs as text, so that the rule which releases a GPU goes on in the agent that follows. A line each:
//   GPU-uuid kind open|cured energy_mj|-
#include <string>
#include <string_view>
#include <vector>

#include "agent/health_watch.h"

namespace aether {

std::string encode_faults(const std::vector<HealthWatch::OpenFault>& faults);
// Lines that are none of ours are left out, and everything behind the first kMaxFaults.
std::vector<HealthWatch::OpenFault> decode_faults(std::string_view text);
inline constexpr std::size_t kMaxFaults = 1024;

}  // namespace aether
