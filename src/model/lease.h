#pragma once
// How long a node may act on its own, and how long everybody else then waits. Options so that tests and simulations can
// shrink them together; the relations between them are what makes "never two at once" true.
#include <algorithm>
#include <chrono>

#include "base/clock.h"

namespace aether {

struct LeaseOptions {
  Duration lease = std::chrono::seconds(30);              // from the sending of the last heartbeat that was acknowledged
  Duration kill_grace = std::chrono::seconds(30);         // from the node's own order to the kill
  Duration unkillable_margin = std::chrono::seconds(60);  // for a kernel that is slow to end a process
  Duration start_ttl = std::chrono::seconds(45);          // a start older than this is refused by its node
  Duration incumbent = std::chrono::seconds(10);          // a node heard within this is alive: no other may take its name

  // What an attempt that stops by itself may run on for: its own wish, but never less than the lease.
  constexpr Duration stop_after(std::chrono::seconds asked) const { return std::max<Duration>(lease, asked); }
  // From the receipt of a node's last heartbeat until nothing that had `stop_after` can still run there.
  constexpr Duration replacement_bound(Duration stop_after) const {
    return with_drift(stop_after) + kill_grace + unkillable_margin;
  }
  // Two healthy clocks may differ by this much in their rate.
  static constexpr Duration with_drift(Duration duration) { return duration + duration / 50; }
};

inline constexpr Duration kHeartbeatInterval = std::chrono::seconds(2);
inline constexpr LeaseOptions kDefaultLease{};
static_assert(kDefaultLease.replacement_bound(kDefaultLease.lease) == std::chrono::milliseconds(120'600));
static_assert(kHeartbeatInterval * 10 <= kDefaultLease.lease, "some heartbeats may be lost without harm");
static_assert(LeaseOptions::with_drift(kDefaultLease.start_ttl) + kDefaultLease.lease + kDefaultLease.kill_grace <
                  kDefaultLease.replacement_bound(kDefaultLease.lease),
              "also a start that comes at the last moment has ended before a replacement");

}  // namespace aether
