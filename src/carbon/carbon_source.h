#pragma once
// Port: how clean the grid's power is, now and over the next 24 h. Adapters: recorded/ (a typical daily
// profile or a recorded series), uk_carbon_intensity/ (NESO's public API).
#include "base/clock.h"
#include "base/result.h"
#include "model/carbon.h"

namespace aether {

// From one thread. May take seconds; never called on the orchestrator's thread.
class CarbonSource {
 public:
  virtual ~CarbonSource() = default;
  // kUnavailable or kTimeout: ask again later. kCorrupt: the answer made no sense.
  virtual Result<CarbonReport> fetch(Time now) = 0;
};

}  // namespace aether
