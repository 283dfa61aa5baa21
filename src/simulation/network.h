#pragma once
// A bus that keeps the port's contract and no more: at most once becomes any number of times, late, in any order.
#include <functional>
#include <map>
#include <string>

#include "simulation/swarm.h"
#include "simulation/tally.h"
#include "simulation/world.h"

namespace aether::simulation {

class Network {
 public:
  Network(World& world, const Swarm& swarm, Tally& tally) : world_(world), swarm_(swarm), tally_(tally) {}

  // `link` names one direction, e.g. "n1>" or ">n1". The action runs once per delivery.
  void send(const std::string& link, std::function<void()> deliver);

  void cut(const std::string& link, bool is_cut) { links_[link].is_cut = is_cut; }
  void clog(const std::string& link, Duration length);
  // From now on nothing is lost, doubled or held back.
  void heal();

 private:
  struct Link {
    bool is_cut = false;
    Duration clogged_until{0};
    int under_way = 0;
  };
  void carry(const std::string& link, Duration delay, const std::function<void()>& deliver);

  World& world_;
  const Swarm& swarm_;
  Tally& tally_;
  bool healed_ = false;
  std::map<std::string, Link> links_;
};

}  // namespace aether::simulation
