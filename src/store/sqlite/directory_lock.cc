#include "store/sqlite/directory_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace aether::store {
namespace {

std::string holder(int file) {
  char text[32] = {};
  const ssize_t got = pread(file, text, sizeof text - 1, 0);
  return got > 0 ? std::string(text, static_cast<std::size_t>(got)) : "unknown";
}

}  // namespace

Result<std::unique_ptr<DirectoryLock>> DirectoryLock::take(const std::string& directory) {
  const std::string path = directory + "/writer.lock";
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file < 0) return fail(ErrorCode::kIo, fmt::format("opening {}: {}", path, std::strerror(errno)));
  if (flock(file, LOCK_EX | LOCK_NB) != 0) {
    const int reason = errno;
    const std::string process = holder(file);
    close(file);
    if (reason != EWOULDBLOCK)
      return fail(ErrorCode::kIo, fmt::format("locking {}: {}", path, std::strerror(reason)));
    return fail(
        ErrorCode::kConflict,
        fmt::format("another orchestrator holds {} (process {}); stop it, or choose another state directory",
                    directory, process));
  }
  const std::string process = std::to_string(getpid());
  if (ftruncate(file, 0) != 0 || pwrite(file, process.data(), process.size(), 0) < 0) {
    const int reason = errno;
    close(file);
    return fail(ErrorCode::kIo, fmt::format("writing {}: {}", path, std::strerror(reason)));
  }
  return std::unique_ptr<DirectoryLock>(new DirectoryLock(file));
}

DirectoryLock::~DirectoryLock() { close(file_); }

}  // namespace aether::store
