#include "store/sqlite/sqlite_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/log.h"

namespace aether::store {
namespace {

// SQLite removes the write-ahead log when the last connection closes in order.
bool was_left_open(const std::string& path) {
  struct stat info {};
  return stat((path + "-wal").c_str(), &info) == 0 && info.st_size > 0;
}

Result<void> quick_check(SqliteConnection& connection, const std::string& path) {
  auto found = connection.run("PRAGMA quick_check(1)");
  if (!found) return fail(found.error());
  const std::string verdict = found->rows.empty() ? "no answer" : found->rows.front().text(0);
  if (verdict == "ok") return {};
  return fail(ErrorCode::kCorrupt,
              fmt::format("{} is damaged: {}; restore it from a backup, or move it away to start "
                          "anew",
                          path, verdict));
}

Result<void> sync_path(const std::string& path, int flags) {
  const int file = ::open(path.c_str(), flags | O_CLOEXEC);
  const bool done = file >= 0 && fsync(file) == 0;
  const int reason = errno;
  if (file >= 0) close(file);
  if (!done) return fail(ErrorCode::kIo, fmt::format("syncing {}: {}", path, std::strerror(reason)));
  return {};
}

// The copy gets its name only when it is whole and on disk.
Result<void> back_up(SqliteConnection& connection, const std::string& path, int version) {
  const std::string target = fmt::format("{}.backup-v{}", path, version);
  const std::string temporary = target + ".tmp";
  std::error_code ignored;
  std::filesystem::remove(temporary, ignored);
  AETHER_TRY(connection.run("VACUUM INTO $1", {temporary}));
  AETHER_TRY(sync_path(temporary, O_RDONLY));
  if (rename(temporary.c_str(), target.c_str()) != 0)
    return fail(ErrorCode::kIo, fmt::format("renaming to {}: {}", target, std::strerror(errno)));
  log::info("store", "backup taken before the schema changes", {{"file", target}});
  return sync_path(std::filesystem::path(path).parent_path().string(), O_RDONLY | O_DIRECTORY);
}

}  // namespace

Result<OpenedFile> open_for_writing(const std::string& path, Durability durability, Check check,
                                    const std::vector<Migration>& migrations) {
  const bool unclean = was_left_open(path);
  auto connection = SqliteConnection::open(path, Access::kWrite, durability);
  if (!connection) return fail(connection.error());
  if (unclean && check == Check::kAfterUncleanStop) AETHER_TRY(quick_check(**connection, path));
  auto version =
      migrate(**connection, migrations, [&](int from) { return back_up(**connection, path, from); });
  if (!version) return fail_with_context("opening " + path, version.error());
  AETHER_TRY(sync_path(std::filesystem::path(path).parent_path().string(), O_RDONLY | O_DIRECTORY));
  return OpenedFile{std::move(*connection), *version};
}

}  // namespace aether::store
