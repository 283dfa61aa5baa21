#include "executor/posix/identity.h"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include <fmt/format.h>

namespace aether::executor {
namespace {

constexpr std::string_view kSetting = "executor.run_as";

template <class Lookup>
std::optional<Account> look_up(Lookup lookup) {
  passwd entry{};
  passwd* found = nullptr;
  std::vector<char> buffer(1 << 16);
  if (lookup(&entry, buffer.data(), buffer.size(), &found) != 0 || !found) return std::nullopt;
  Account account;
  account.name = entry.pw_name;
  account.home = entry.pw_dir;
  account.shell = entry.pw_shell;
  account.uid = entry.pw_uid;
  account.gid = entry.pw_gid;
  return account;
}

std::optional<Account> find_by_name(const std::string& name) {
  return look_up([&](passwd* entry, char* buffer, std::size_t size, passwd** found) {
    return getpwnam_r(name.c_str(), entry, buffer, size, found);
  });
}

std::optional<Account> find_by_uid(uid_t uid) {
  return look_up([&](passwd* entry, char* buffer, std::size_t size, passwd** found) {
    return getpwuid_r(uid, entry, buffer, size, found);
  });
}

std::vector<gid_t> groups_of(const Account& account) {
  int count = 64;
  std::vector<gid_t> groups(static_cast<std::size_t>(count));
  if (getgrouplist(account.name.c_str(), account.gid, groups.data(), &count) < 0) {
    groups.resize(static_cast<std::size_t>(count));
    if (getgrouplist(account.name.c_str(), account.gid, groups.data(), &count) < 0) return {account.gid};
  }
  groups.resize(static_cast<std::size_t>(count));
  return groups;
}

bool may_pass(const struct stat& info, const Account& account) {
  if (info.st_uid == account.uid) return info.st_mode & S_IXUSR;
  const bool member = std::find(account.groups.begin(), account.groups.end(), info.st_gid) != account.groups.end();
  return info.st_mode & (member ? S_IXGRP : S_IXOTH);
}

}  // namespace

Result<Account> resolve_account(const std::string& run_as) {
  const uid_t own_uid = geteuid();
  if (own_uid != 0) {
    auto account = find_by_uid(own_uid);
    if (!account) account = Account{fmt::format("uid-{}", own_uid), "/", "/bin/sh", own_uid, getegid(), {}, false};
    if (!run_as.empty() && run_as != account->name)
      return fail(ErrorCode::kPermissionDenied,
                  fmt::format("executor.run_as is '{}', but Aether runs as the ordinary user '{}' and can't change to "
                              "another one; leave it empty, or start Aether as root", run_as, account->name),
                  std::string(kSetting));
    account->gid = getegid();
    return *account;
  }
  if (run_as.empty())
    return fail(ErrorCode::kPermissionDenied,
                "Aether runs as root, and jobs never do: set executor.run_as to the account for jobs (setup.sh creates "
                "'aether-job'), or start Aether as an ordinary user", std::string(kSetting));
  auto account = find_by_name(run_as);
  if (!account)
    return fail(ErrorCode::kNotFound,
                fmt::format("executor.run_as: there is no account '{}' on this machine; setup.sh creates 'aether-job'",
                            run_as), std::string(kSetting));
  if (account->uid == 0)
    return fail(ErrorCode::kPermissionDenied,
                fmt::format("executor.run_as: '{}' is uid 0, and jobs never run as root; name an ordinary account "
                            "(setup.sh creates 'aether-job')", run_as), std::string(kSetting));
  account->groups = groups_of(*account);
  account->change_identity = true;
  return *account;
}

Result<void> check_reachable(const std::string& path, const Account& account) {
  if (!account.change_identity) return {};
  std::filesystem::path partial;
  for (const auto& part : std::filesystem::path(path)) {
    partial /= part;
    struct stat info {};
    if (stat(partial.c_str(), &info) != 0) return {};  // not made yet; what Aether makes is open to the account
    if (!may_pass(info, account))
      return fail(ErrorCode::kPermissionDenied,
                  fmt::format("the account '{}' may not enter {}, which lies above the jobs' directory {}; set "
                              "executor.jobs_root to a place open to it, such as /var/lib/aether-jobs",
                              account.name, partial.string(), path), "executor.jobs_root");
  }
  return {};
}

}  // namespace aether::executor
