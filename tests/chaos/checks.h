#pragma once
// What has to be true when everything has ended. Each check returns one sentence per violation.
#include <map>
#include <set>
#include <string>
#include <vector>

#include "workload.h"

namespace aether::chaos {

using Violations = std::vector<std::string>;
using Accepted = std::map<std::string, Expected>;

// Every accepted job is listed once, has ended, and its exit code or signal is the one it had. Jobs of `shim_killed`
// may be LOST without an exit code instead. No job is listed that nobody submitted.
Violations check_jobs(const Accepted& accepted, const std::vector<Json>& listed, const std::set<std::string>& shim_killed);

// The jobs' own record: each ran once, to its end, and no GPU was with two of them at a time. A job whose shim was killed
// may have been killed with it.
Violations check_record(const std::string& record, const Accepted& accepted, const std::set<std::string>& shim_killed);

// No process of any attempt, and no shim of this state directory; gives them `timeout_s` to go.
Violations check_processes(const std::string& state_directory, const Accepted& accepted, double timeout_s);
// No control group of any attempt; the same.
Violations check_cgroups(const Accepted& accepted, double timeout_s);

}  // namespace aether::chaos
