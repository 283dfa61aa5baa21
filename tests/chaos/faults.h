#pragma once
// One round of trouble: some parts are killed with SIGKILL, some are stopped for a moment, then all run again.
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "system.h"

namespace aether::chaos {

struct FaultOptions {
  std::uint64_t seed = 1;
  bool kill_shims = false;  // also a job's own shim: then LOST is a right answer
};

class Faults {
 public:
  Faults(e2e::System& system, FaultOptions options);

  // Strikes and heals. Every part runs when it returns.
  void round();
  // After the last round: whatever ended by itself is noted and started again.
  void heal();

  const std::map<std::string, std::size_t>& counts() const { return counts_; }  // "kill agent" -> how often
  const std::vector<std::string>& violations() const { return violations_; }
  const std::vector<std::string>& killed_shims() const { return killed_shims_; }  // their attempts' ids

 private:
  void note_parts_that_ended();
  void kill_one(const std::string& victim);
  void stop_one(const std::string& victim);
  void kill_a_shim();
  void start(const std::string& part);
  void pause(double least_s, double most_s);
  std::vector<std::string> parts() const;
  std::vector<std::string> choose_victims();

  e2e::System& system_;
  const FaultOptions options_;
  std::mt19937_64 random_;
  std::map<std::string, std::size_t> counts_;
  std::vector<std::string> violations_, killed_shims_, down_;
};

// Keepers of jobs below this state directory: pid and attempt ("<job>.<n>").
std::vector<std::pair<int, std::string>> find_shims(const std::string& state_directory);

}  // namespace aether::chaos
