#pragma once
// Percentiles of a series of durations.
#include <chrono>
#include <string>
#include <vector>

namespace aether::bench {

using SteadyClock = std::chrono::steady_clock;

inline double seconds_since(SteadyClock::time_point begin) {
  return std::chrono::duration<double>(SteadyClock::now() - begin).count();
}

struct Percentiles {
  double p50 = 0, p90 = 0, p99 = 0, max = 0;
};
// Sorts the values. Nearest rank.
Percentiles percentiles(std::vector<double>& values);

// "p50 1.2 ms  p99 3.4 ms"
std::string in_milliseconds(const Percentiles& p);

}  // namespace aether::bench
