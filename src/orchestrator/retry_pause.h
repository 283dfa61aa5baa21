#pragma once
// How long a job waits before it is tried again.
#include <algorithm>
#include <chrono>
#include <cstdint>

#include "orchestrator/orchestrator.h"

namespace aether {

// Doubled with every earlier retry, up to a bound.
inline std::chrono::seconds retry_pause(const OrchestratorOptions& options, int earlier_retries) {
  const auto doubled = options.retry_first * (std::int64_t{1} << std::clamp(earlier_retries, 0, 20));
  return std::min<std::chrono::seconds>(doubled, options.retry_last);
}

}  // namespace aether
