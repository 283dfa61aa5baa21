#pragma once
// Slurm's commands by the name under which the program is called: thin, each becomes one verb. Internal to the module.
#include <optional>
#include <string>
#include <vector>

#include "client/outcome.h"

namespace aether::client {

// The words of `aether` for a call of sbatch, squeue, scancel, sinfo, sacct or scontrol; absent for another program.
std::optional<Outcome<std::vector<std::string>>> expand_alias(const std::string& program,
                                                              const std::vector<std::string>& words);
const std::vector<std::string>& alias_names();

// Links in `directory` that point to this program. Replaces nothing but such links.
Outcome<void> install_aliases(const std::string& directory, const std::string& program);

}  // namespace aether::client
