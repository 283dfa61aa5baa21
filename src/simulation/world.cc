#include "simulation/world.h"

#include <algorithm>

#include <fmt/format.h>

namespace aether::simulation {
namespace {
constexpr Time kWallStart{std::chrono::hours(24 * 365 * 56)};
constexpr Mono kMonoAtBoot{std::chrono::seconds(10)};
}  // namespace

void World::after(Duration delay, std::function<void()> action) {
  heap_.push_back({now_ + std::max(delay, Duration(0)), next_order_++, std::move(action)});
  std::push_heap(heap_.begin(), heap_.end(), std::greater<>{});
}

void World::run_until(Duration end) {
  while (!heap_.empty() && heap_.front().at <= end) {
    std::pop_heap(heap_.begin(), heap_.end(), std::greater<>{});
    Entry entry = std::move(heap_.back());
    heap_.pop_back();
    now_ = entry.at;
    entry.action();
  }
  now_ = std::max(now_, end);
}

void World::trace(std::string_view who, std::string_view what) {
  const auto mix = [this](std::string_view text) {
    for (const char c : text) digest_ = (digest_ ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  };
  const auto at = static_cast<std::uint64_t>(now_.count());
  for (int shift = 0; shift < 64; shift += 8) digest_ = (digest_ ^ ((at >> shift) & 0xff)) * 0x100000001b3;
  mix(who);
  mix(" ");
  mix(what);
  if (keep_trace_) lines_.push_back(fmt::format("{:12.6f} {:<12} {}", static_cast<double>(at) / 1e6, who, what));
}

Time MachineClock::now() const { return kWallStart + world_.now() + wall_offset_; }

Mono MachineClock::mono() const {
  const Duration up = world_.now() - booted_at_.back();
  return kMonoAtBoot + up + Duration(static_cast<std::int64_t>(static_cast<double>(up.count()) * drift_));
}

Duration MachineClock::to_world(int boot, Mono mono) const {
  const auto up = static_cast<double>((mono - kMonoAtBoot).count());
  return booted_at_.at(static_cast<std::size_t>(boot)) + Duration(static_cast<std::int64_t>(up / (1.0 + drift_)));
}

}  // namespace aether::simulation
