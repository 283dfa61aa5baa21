#pragma once
// Keeps a dead service from costing every caller its deadline: after some failures in a row nobody calls for a while,
// then one call tries.
#include <mutex>

#include "base/clock.h"

namespace aether {

// Thread-safe.
class CircuitBreaker {
 public:
  struct Options {
    int failures = 3;  // in a row
    std::chrono::milliseconds pause = std::chrono::milliseconds(1000);
  };
  CircuitBreaker(Options options, const Clock& clock);

  // False = don't call. True after a pause lets one caller through; the others wait for its result or another pause.
  bool allow();
  void succeeded();
  void failed();

 private:
  const Options options_;
  const Clock& clock_;
  std::mutex mutex_;
  int failures_ = 0;
  Mono closed_until_{};
};

}  // namespace aether
