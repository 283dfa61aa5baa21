#pragma once
// The planted faults of aether-sim-mutants. Each stands at the AETHER_MUTANT points of the same name.
#include <span>
#include <string_view>

namespace aether::simulation {

struct Mutant {
  std::string_view name;  // several joined by '+': one of them alone is masked by another layer
  std::string_view what;  // what the mutated system does
};

std::span<const Mutant> all_mutants();

// From now on these are on, and no other; "" switches all off. Not while a run is going on.
void switch_on(std::string_view names);

}  // namespace aether::simulation
