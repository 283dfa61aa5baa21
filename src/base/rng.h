#pragma once
// Seeded pseudo-random numbers with the same sequence on every machine (the standard distributions differ by library).
// Generator: SplitMix64 (Steele, Lea, Flood 2014). Not for secrets; those come from base/secret.h.
#include <cstdint>

namespace aether {

class Rng {
 public:
  explicit Rng(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next();
  // Uniform in [0, bound); bound > 0.
  std::uint64_t below(std::uint64_t bound);
  // Uniform in [0, 1).
  double uniform();
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  // Normal by Box-Muller.
  double normal(double mean, double deviation);
  // Exponential with the given mean.
  double exponential(double mean);
  bool chance(double probability) { return uniform() < probability; }

 private:
  std::uint64_t state_;
};

}  // namespace aether
