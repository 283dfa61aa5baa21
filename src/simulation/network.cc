#include "simulation/network.h"

#include <algorithm>

namespace aether::simulation {

void Network::send(const std::string& link_name, std::function<void()> deliver) {
  Rng& rng = world_.rng();
  const Link& link = links_[link_name];
  if (!healed_) {
    if (link.is_cut) return tally_.count("message cut off");
    if (rng.chance(swarm_.loss)) return tally_.count("message lost");
    if (link.under_way >= swarm_.capacity) return tally_.count("message over capacity");
  }
  const auto mean = static_cast<double>((swarm_.delay_mean - swarm_.delay_min).count());
  const Duration delay = swarm_.delay_min + Duration(static_cast<std::int64_t>(rng.exponential(mean)));
  carry(link_name, delay, deliver);
  if (!healed_ && rng.chance(swarm_.replay)) {
    tally_.count("message replayed");
    // Most copies follow at once; a few come back from a buffer much later.
    const double late = rng.chance(0.1) ? 20e6 : 100e3;
    carry(link_name, delay + Duration(static_cast<std::int64_t>(rng.exponential(late))), deliver);
  }
}

void Network::carry(const std::string& link_name, Duration delay, const std::function<void()>& deliver) {
  Link& link = links_[link_name];
  ++link.under_way;
  const Duration unclogged = std::max(link.clogged_until - world_.now(), Duration(0));
  world_.after(std::max(delay, unclogged), [this, link_name, deliver] {
    --links_[link_name].under_way;
    deliver();
  });
}

void Network::clog(const std::string& link, Duration length) {
  tally_.count("link clogged");
  links_[link].clogged_until = std::max(links_[link].clogged_until, world_.now() + length);
}

void Network::heal() {
  healed_ = true;
  for (auto& [name, link] : links_) link.is_cut = false;
}

}  // namespace aether::simulation
