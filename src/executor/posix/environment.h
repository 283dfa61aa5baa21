#pragma once
// The job's environment, built from nothing: a short allow-list, then the user's own variables, then what Aether sets
// and nobody overrides. The agent's variables never enter, so its secrets can't.
#include <map>
#include <string>
#include <vector>

#include "executor/posix/identity.h"
#include "executor/process_runner.h"

namespace aether::executor {

struct EnvironmentInput {
  const LaunchSpec& launch;
  const Account& account;
  std::string temporary_directory;
  std::map<std::string, std::string> agent;  // PATH, LANG and TZ are looked up here
};

// "NAME=value", each name once. Names beginning with AETHER_ (Aether's own) or BASH_FUNC_ (exported shell functions),
// and names that no environment can carry, are taken out of the user's variables. AETHER_DEADLINE is the shim's.
std::vector<std::string> build_environment(const EnvironmentInput& input);

// An output path with its patterns replaced: %j job number, %x job name (without '/'), %u user, %r earlier attempts, %%.
// Other patterns stay as they are.
std::string expand_output_path(const std::string& path, const LaunchSpec& launch);

// The variables of the calling process that build_environment looks at.
std::map<std::string, std::string> read_agent_environment();

}  // namespace aether::executor
