#pragma once
// Planted faults. AETHER_MUTANT("name") is the constant false, except in aether-sim-mutants: there it is true while that
// fault is switched on, and the simulator has to find it (docs/simulation.md).
#ifdef AETHER_MUTANTS
#include <string_view>

namespace aether {
bool mutant_is_on(std::string_view name);
}

#define AETHER_MUTANT(name) (::aether::mutant_is_on(name))
#else
#define AETHER_MUTANT(name) false
#endif
