#pragma once
// For the tests of codec/: structs with seeded random values in every field, absent ones included.
#include <string>
#include <vector>

#include "base/rng.h"
#include "model/decision.h"
#include "model/message.h"

namespace aether::codec::testing {

class RandomModel {
 public:
  explicit RandomModel(std::uint64_t seed) : rng_(seed) {}

  GpuSample sample();
  GpuInfo gpu_info();
  NodeInventory inventory();
  JobSpec spec();
  Job job_progress();                    // what encode_job_progress() holds, nothing else
  ExitStatus exit();
  Attempt attempt();
  JobEvent job_event();
  PlacementRecord placement_record();
  WaitRecord wait_record();
  Command command(std::size_t kind);     // kind: index of the variant
  AgentEvent event(std::size_t kind);
  std::string bytes(std::size_t most);   // any bytes
  Rng& rng() { return rng_; }

 private:
  std::string text();                    // valid UTF-8 with quotes, controls and other alphabets
  std::string name();                    // a node name
  std::int64_t integer(std::int64_t most) { return static_cast<std::int64_t>(rng_.below(static_cast<std::uint64_t>(most) + 1)); }
  double number() { return rng_.normal(0, 1e3); }
  Time time() { return from_unix_us(integer(253'402'300'799'999'999)); }
  Time millisecond() { return from_unix_us(1000 * integer(253'402'300'799'999)); }
  Dependency dependency();
  RetryRule retry_rule();
  bool coin() { return rng_.chance(0.5); }
  AttemptId attempt_id();
  AttemptReport report();
  template <class Make>
  auto maybe(Make make) -> std::optional<decltype(make())> {
    if (coin()) return make();
    return std::nullopt;
  }
  template <class Make>
  auto list(Make make, std::uint64_t most = 4) -> std::vector<decltype(make())> {
    std::vector<decltype(make())> out;
    for (std::uint64_t count = rng_.below(most + 1); count > 0; --count) out.push_back(make());
    return out;
  }

  Rng rng_;
};

}  // namespace aether::codec::testing
