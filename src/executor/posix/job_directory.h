#pragma once
// The directories that the job's user sees: <jobs_root>/<attempt>/{work,tmp,script}.
#include <optional>
#include <string>

#include "base/result.h"
#include "executor/posix/identity.h"

namespace aether::executor {

struct JobDirectory {
  std::string path;
  std::string work;
  std::string temporary;
  std::string script;  // empty when the job has none
};

// Finds and makes the root. `configured` empty: <state>/work for a single user; as root <state>-jobs, or a directory
// below /var/lib/aether-jobs when <state> lies where the account may not go (such as /root).
Result<std::string> open_jobs_root(const std::string& configured, const std::string& state_directory,
                                   const Account& account);

// Fresh (what an earlier, never acknowledged try left is removed), owned by the account, mode 0700.
Result<JobDirectory> make_job_directory(const std::string& jobs_root, const std::string& attempt,
                                        const std::optional<std::string>& script, const Account& account);

}  // namespace aether::executor
