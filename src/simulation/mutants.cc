#include "simulation/mutants.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/mutant.h"

namespace aether {
namespace {

std::vector<std::string>& switched_on() {
  static std::vector<std::string> names;
  return names;
}

}  // namespace

bool mutant_is_on(std::string_view name) {
  const auto& on = switched_on();
  return std::find(on.begin(), on.end(), name) != on.end();
}

namespace simulation {
namespace {

constexpr Mutant kMutants[] = {
    // commands and their answers
    {"outbox_not_loaded", "a new orchestrator sends no command of the one before it"},
    {"commands_before_commit", "commands leave before what they rest on is durable"},
    {"launched_again", "a node starts an attempt again when its start is repeated"},
    {"no_tombstone", "a stop that comes before its start is forgotten"},
    {"not_after_ignored", "a node takes a start that is too old"},
    {"no_fence+not_after_ignored", "the same, and it forgets which epochs its GPUs have seen"},
    {"go_before_started", "a process begins before its start is durable"},
    {"forgotten_early", "a node forgets a result before it is acknowledged"},
    // submissions
    {"replies_before_commit", "a user is answered before the job is durable"},
    {"key_ignored", "a repeated submission is taken for a new one"},
    {"cancel_not_stored", "the end of a waiting job is not written"},
    // allocations and epochs
    {"released_at_stop", "a GPU is free when its job is ordered to stop"},
    {"allocations_forgotten", "a new orchestrator takes every GPU for free"},
    {"memory_overbooked", "a shared GPU's memory is not counted"},
    {"epochs_reused", "each orchestrator counts epochs from 1"},
    // leases
    {"replaced_too_soon", "an attempt is given up after one lease of silence"},
    {"lease_renewed_by_sending", "a heartbeat renews the lease before anybody has answered"},
    {"lease_not_kept", "an attempt runs on when its lease is over"},
    {"gate_after_lease", "a start gate opens although the lease is over"},
    {"leases_on_wall_clock", "silence is counted on the wall clock"},
    {"lost_at_once", "one heartbeat that does not list an attempt makes it lost"},
    // faults that the simulator really found
    {"moved_job_id+store_not_asked", "finished jobs lose their ids at a restart"},
    {"core_on_wall_clock", "resends, plans and timeouts follow the wall clock"},
    {"old_looking_sample", "a reading is old when its wall clock says so"},
    {"slots_renumbered", "shared allocations get new slots at a restart"},
    {"pause_on_wall_clock", "a retry's pause lasts as long as the wall clock was set back"},
};

}  // namespace

std::span<const Mutant> all_mutants() { return kMutants; }

void switch_on(std::string_view names) {
  switched_on().clear();
  while (!names.empty()) {
    const std::size_t plus = std::min(names.find('+'), names.size());
    switched_on().emplace_back(names.substr(0, plus));
    names.remove_prefix(std::min(plus + 1, names.size()));
  }
}

}  // namespace simulation
}  // namespace aether
