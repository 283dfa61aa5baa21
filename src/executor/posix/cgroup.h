#pragma once
// Delegated cgroup v2 subtrees: found by trying, never by version.
#include <string>

namespace aether::executor {

// A directory below which a cgroup can be made, entered and killed as a whole; "" when this machine or these rights have
// none. `instance` keeps two state directories on one machine apart. Forks one short-lived process to try it out.
std::string find_job_cgroup_root(const std::string& instance);

// Makes <root>/<attempt>/{shim,job}, two leaves, so that killing the job spares its keeper. The directory <root>/<attempt>,
// or "" when that fails or `root` is empty.
std::string make_attempt_cgroup(const std::string& root, const std::string& attempt);
// Writes a control file of a cgroup. False with errno set.
bool write_cgroup(const std::string& path, const std::string& text);
// False while something is still inside.
bool remove_attempt_cgroup(const std::string& directory);

}  // namespace aether::executor
