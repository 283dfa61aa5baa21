#pragma once
// How often each fault really happened and how far the run came: a run in which nothing happened proves nothing.
#include <cstdint>
#include <map>
#include <string>

namespace aether::simulation {

struct Tally {
  std::map<std::string, std::uint64_t> faults;
  std::uint64_t accepted = 0, executions = 0, completed = 0, commits = 0, steps = 0;

  void count(const char* fault) { ++faults[fault]; }
  void add(const Tally& other) {
    for (const auto& [name, times] : other.faults) faults[name] += times;
    accepted += other.accepted, executions += other.executions, completed += other.completed;
    commits += other.commits, steps += other.steps;
  }
};

}  // namespace aether::simulation
