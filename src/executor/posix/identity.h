#pragma once
// Whom jobs run as. Resolved once by the agent; the static shim gets numbers.
#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"

namespace aether::executor {

struct Account {
  std::string name;
  std::string home;
  std::string shell;
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;  // exactly the account's, the primary one included
  bool change_identity = false;
};

// `run_as` is an account name. As root it is required and must not be uid 0; as an ordinary user it may be empty or the
// user's own name (single-user mode). kPermissionDenied says what to set.
Result<Account> resolve_account(const std::string& run_as);

// May the account pass through every directory of `path`? kPermissionDenied names the first one that is closed.
Result<void> check_reachable(const std::string& path, const Account& account);

}  // namespace aether::executor
