#include "executor/posix/job_directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>

namespace aether::executor {
namespace {

tl::unexpected<Error> io_error(std::string_view action, const std::string& path) {
  return fail(ErrorCode::kIo, fmt::format("{} {}: {}", action, path, std::strerror(errno)));
}

// Missing directories are made passable for everyone (0711): the job's user must get through to its own one.
Result<void> make_passable_directories(const std::string& path) {
  std::filesystem::path partial;
  for (const auto& part : std::filesystem::path(path)) {
    partial /= part;
    if (mkdir(partial.c_str(), 0711) == 0) {
      if (chmod(partial.c_str(), 0711) != 0) return io_error("opening", partial.string());
    } else if (errno != EEXIST) {
      return io_error("creating the directory", partial.string());
    }
  }
  return {};
}

// Nobody but the agent may put things beside the attempts.
Result<void> check_ownership(const std::string& path) {
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) return io_error("looking at", path);
  if (S_ISDIR(info.st_mode) && info.st_uid == geteuid() && !(info.st_mode & (S_IWGRP | S_IWOTH))) return {};
  return fail(ErrorCode::kPermissionDenied,
              fmt::format("{} must be a directory that belongs to the user of the agent and that others can't write to",
                          path), "executor.jobs_root");
}

Result<std::string> open_root(const std::string& path, const Account& account) {
  AETHER_TRY(check_reachable(path, account));
  AETHER_TRY(make_passable_directories(path));
  AETHER_TRY(check_ownership(path));
  AETHER_TRY(check_reachable(path, account));
  return path;
}

// FNV-1a: a short stable name for a path, nothing more.
std::string short_name_of(const std::string& path) {
  std::uint64_t hash = 14695981039346656037ULL;
  for (const char c : path) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return fmt::format("{:016x}", hash);
}

Result<void> give_to(const std::string& path, mode_t mode, const Account& account) {
  if (chmod(path.c_str(), mode) != 0) return io_error("changing the mode of", path);
  if (account.change_identity && lchown(path.c_str(), account.uid, account.gid) != 0)
    return io_error("changing the owner of", path);
  return {};
}

Result<void> make_owned_directory(const std::string& path, const Account& account) {
  if (mkdir(path.c_str(), 0700) != 0) return io_error("creating", path);
  return give_to(path, 0700, account);
}

Result<void> write_script(const std::string& path, const std::string& text, const Account& account) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0500);
  if (fd < 0) return io_error("creating", path);
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t written = write(fd, text.data() + done, text.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) break;
    done += static_cast<std::size_t>(written);
  }
  const bool whole = done == text.size();  // not synced: another boot starts nothing of it
  const int error = errno;
  close(fd);
  errno = error;
  if (!whole) return io_error("writing", path);
  return give_to(path, 0500, account);
}

}  // namespace

Result<std::string> open_jobs_root(const std::string& configured, const std::string& state_directory,
                                   const Account& account) {
  if (!configured.empty()) return open_root(configured, account);
  if (!account.change_identity) return open_root(state_directory + "/work", account);
  const std::string beside = state_directory + "-jobs";
  if (check_reachable(beside, account)) return open_root(beside, account);
  return open_root("/var/lib/aether-jobs/" + short_name_of(state_directory), account);
}

Result<JobDirectory> make_job_directory(const std::string& jobs_root, const std::string& attempt,
                                        const std::optional<std::string>& script, const Account& account) {
  JobDirectory made{jobs_root + "/" + attempt, {}, {}, {}};
  made.work = made.path + "/work";
  made.temporary = made.path + "/tmp";
  std::error_code error;
  std::filesystem::remove_all(made.path, error);
  if (mkdir(made.path.c_str(), 0700) != 0) return fail(io_error("creating", made.path).value());
  AETHER_TRY(make_owned_directory(made.work, account));
  AETHER_TRY(make_owned_directory(made.temporary, account));
  if (script) {
    made.script = made.path + "/script";
    AETHER_TRY(write_script(made.script, *script, account));
  }
  AETHER_TRY(give_to(made.path, 0700, account));  // last: until now nobody else could interfere
  return made;
}

}  // namespace aether::executor
