#include "base/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>

namespace aether {
namespace {

tl::unexpected<Error> io_error(std::string_view action, const std::string& path) {
  const int code = errno;
  return fail(code == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo,
              fmt::format("{} {}: {}", action, path, std::strerror(code)));
}

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

Result<void> write_all(int fd, std::string_view content, const std::string& path) {
  while (!content.empty()) {
    const ssize_t written = write(fd, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return io_error("writing", path);
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

}  // namespace

Result<std::string> read_file(const std::string& path) {
  Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) return io_error("opening", path);
  std::string content;
  char buffer[65536];
  for (;;) {
    const ssize_t got = read(file.fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return io_error("reading", path);
    if (got == 0) return content;
    content.append(buffer, static_cast<std::size_t>(got));
  }
}

Result<void> write_file_durably(const std::string& path, std::string_view content, unsigned mode) {
  const std::string temporary = fmt::format("{}.{}.tmp", path, getpid());
  {
    Descriptor file{open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, static_cast<mode_t>(mode))};
    if (file.fd < 0) return io_error("creating", temporary);
    AETHER_TRY(write_all(file.fd, content, temporary));
    if (fsync(file.fd) != 0) return io_error("syncing", temporary);
  }
  if (rename(temporary.c_str(), path.c_str()) != 0) return io_error("renaming to", path);
  const std::string directory = std::filesystem::path(path).parent_path().string();
  Descriptor parent{open(directory.empty() ? "." : directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (parent.fd < 0 || fsync(parent.fd) != 0) return io_error("syncing the directory of", path);
  return {};
}

Result<void> make_private_directory(const std::string& path) {
  std::string partial;
  for (const auto& part : std::filesystem::path(path)) {
    partial = (std::filesystem::path(partial) / part).string();
    if (mkdir(partial.c_str(), 0700) != 0 && errno != EEXIST && errno != EROFS && errno != EACCES)
      return io_error("creating the directory", partial);
  }
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return io_error("creating the directory", path);
  if (!S_ISDIR(info.st_mode)) return fail(ErrorCode::kIo, fmt::format("{} is not a directory", path));
  return {};
}

}  // namespace aether
