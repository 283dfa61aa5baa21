#pragma once
// The lines at the top of a job script that say what it needs: #AETHER with the flags of `submit`, #SBATCH with Slurm's.
// Pure, for any input. Internal to the module.
#include <string>
#include <string_view>
#include <vector>

#include "client/job_spec_flags.h"
#include "client/slurm_options.h"

namespace aether::client {

struct DirectiveLine {
  int line = 0;                    // from 1
  bool slurm = false;              // #SBATCH
  std::vector<std::string> words;  // without a comment behind them
};

// Up to the first line that is neither blank nor a comment. kUsage names the line of a quote that is not closed.
Outcome<std::vector<DirectiveLine>> read_directives(std::string_view script);

// The same flags as `submit`, from the words of one #AETHER line or from "NAME=VALUE" pairs of the environment.
Outcome<JobSpecFlags> parse_aether_words(const std::vector<std::string>& words);
// AETHER_GPUS=2 for --gpus 2, and so on; `value_of` gives null for what is not set.
Outcome<JobSpecFlags> flags_of_environment(const char* (*value_of)(const char*));

// What a script asks for: #AETHER over #SBATCH, later lines over earlier ones. `slurm` holds what came on a command line of
// sbatch, which wins over the script's #SBATCH lines, and gets those. `notes` are for the user.
Outcome<JobSpecFlags> flags_of_script(std::string_view script, SlurmOptions& slurm, std::vector<std::string>& notes);

}  // namespace aether::client
