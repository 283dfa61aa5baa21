#pragma once
// Virtual time and everything that happens in it: one heap of actions, one thread, one seed. Two worlds with the same
// seed and the same calls do the same things in the same order; the digest of the trace proves it.
#include <cstdint>
#include <functional>
#include <queue>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/rng.h"

namespace aether::simulation {

class World {
 public:
  explicit World(std::uint64_t seed, bool keep_trace = false) : rng_(seed), keep_trace_(keep_trace) {}

  // Since the begin of the simulation.
  Duration now() const { return now_; }
  Rng& rng() { return rng_; }

  // Actions of the same instant run in the order in which they were asked for.
  void after(Duration delay, std::function<void()> action);
  void run_until(Duration end);

  // One line of the trace. Only its digest is kept unless the world was made to keep it whole.
  void trace(std::string_view who, std::string_view what);
  std::uint64_t digest() const { return digest_; }
  const std::vector<std::string>& lines() const { return lines_; }

 private:
  struct Entry {
    Duration at;
    std::uint64_t order;
    std::function<void()> action;
    bool operator>(const Entry& other) const { return std::pair(at, order) > std::pair(other.at, other.order); }
  };

  Rng rng_;
  const bool keep_trace_;
  Duration now_{0};
  std::uint64_t next_order_ = 0;
  std::vector<Entry> heap_;
  std::uint64_t digest_ = 0xcbf29ce484222325;  // FNV-1a, 64 bits
  std::vector<std::string> lines_;
};

// A machine's clocks. Boot time runs `drift` faster than the world's and starts anew with each boot; wall time may jump.
class MachineClock final : public Clock {
 public:
  MachineClock(const World& world, double drift) : world_(world), drift_(drift), booted_at_{world.now()} {}

  Time now() const override;
  Mono mono() const override;

  void jump_wall(Duration by) { wall_offset_ += by; }
  void reboot() { booted_at_.push_back(world_.now()); }
  int boot() const { return static_cast<int>(booted_at_.size()) - 1; }
  // The world's time at which boot number `boot` read `mono`.
  Duration to_world(int boot, Mono mono) const;

 private:
  const World& world_;
  const double drift_;
  Duration wall_offset_{0};
  std::vector<Duration> booted_at_;
};

}  // namespace aether::simulation
