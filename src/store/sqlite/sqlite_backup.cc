#include "store/sqlite/sqlite_backup.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <vector>

#include "base/files.h"
#include "store/sql/inspect.h"
#include "store/sqlite/directory_lock.h"
#include "store/sqlite/sqlite_inspect.h"

namespace aether::store {
namespace {

namespace fs = std::filesystem;

constexpr std::array<const char*, 2> kFiles = {"jobs.db", "telemetry.db"};
constexpr const char* kSums = "SHA256SUMS";

// Removed at the end unless it has become something that is kept.
class Staging {
 public:
  explicit Staging(std::string path) : path_(std::move(path)) {}
  ~Staging() {
    std::error_code ignored;
    if (!kept_) fs::remove_all(path_, ignored);
  }
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;
  const std::string& path() const { return path_; }
  void keep() { kept_ = true; }

 private:
  const std::string path_;
  bool kept_ = false;
};

tl::unexpected<Error> io_error(const char* action, const std::string& path) {
  return fail(ErrorCode::kIo, fmt::format("{} {}: {}", action, path, std::strerror(errno)));
}

Result<void> sync_path(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return io_error("opening", path);
  const bool done = fsync(file) == 0;
  close(file);
  return done ? Result<void>() : io_error("syncing", path);
}

std::string parent_of(const std::string& path) { return fs::absolute(path).lexically_normal().parent_path().string(); }

Result<std::string> sha256_of_file(const std::string& path) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr);
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (file < 0) return io_error("opening", path);
  std::vector<char> buffer(1 << 20);
  ssize_t got = 0;
  while ((got = read(file, buffer.data(), buffer.size())) > 0) EVP_DigestUpdate(context.get(), buffer.data(), static_cast<std::size_t>(got));
  close(file);
  if (got < 0) return io_error("reading", path);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  EVP_DigestFinal_ex(context.get(), digest.data(), &size);
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

// Structure, schema, and for jobs.db the audit log.
Result<void> check_file(const std::string& directory, const std::string& file, BackupSummary& summary) {
  const std::string path = directory + "/" + file;
  auto connection = open_existing(path);
  if (!connection) return fail(connection.error());
  AETHER_TRY(check_structure(**connection, path, "integrity_check"));
  auto version = read_schema_version(**connection);
  if (!version) return fail(version.error());
  if (*version == 0) return fail(ErrorCode::kCorrupt, path + " is no database of Aether's");
  if (*version > newest_schema(file))
    return fail(ErrorCode::kUnsupported, fmt::format("{} has schema version {}, this program knows {} at most; restore it with the newer Aether that wrote it",
                                                     path, *version, newest_schema(file)));
  const bool is_jobs = file == "jobs.db";
  (is_jobs ? summary.jobs_schema : summary.telemetry_schema) = *version;
  auto rows = is_jobs ? count_rows(**connection, "jobs") : (*connection)->run("SELECT value FROM telemetry_state WHERE name = 'sample_count'").map([](const SqlResult& found) {
    return found.rows.empty() ? std::int64_t{0} : found.rows.front().integer(0);
  });
  if (!rows) return fail(rows.error());
  (is_jobs ? summary.jobs : summary.samples) = *rows;
  if (is_jobs && *version >= 4) {  // since then there is an audit log
    auto lines = verify_audit_chain(**connection);
    if (!lines) return fail_with_context(path, lines.error());
    summary.audit_lines = *lines;
  }
  return {};
}

Result<BackupSummary> check_files(const std::string& directory) {
  BackupSummary summary;
  summary.path = directory;
  for (const char* file : kFiles) {
    AETHER_TRY(check_file(directory, file, summary));
    std::error_code error;
    const auto bytes = fs::file_size(directory + "/" + file, error);
    if (!error) summary.bytes += static_cast<std::int64_t>(bytes);
  }
  return summary;
}

Result<void> check_sums(const std::string& backup) {
  const auto sums = read_file(backup + "/" + kSums);
  if (!sums)
    return fail(sums.error().code, fmt::format("{} is no backup of Aether's: {}", backup, sums.error().message));
  for (const char* file : kFiles) {
    auto found = sha256_of_file(backup + "/" + file);
    if (!found) return fail(found.error());
    if (sums->find(fmt::format("{}  {}\n", *found, file)) == std::string::npos)
      return fail(ErrorCode::kCorrupt, fmt::format("{}/{} is not what was backed up (its SHA-256 is another); take an older backup", backup, file));
  }
  return {};
}

Result<void> copy_file_durably(const std::string& from, const std::string& to) {
  std::error_code error;
  fs::copy_file(from, to, error);
  if (error) return fail(ErrorCode::kIo, fmt::format("copying {} to {}: {}", from, to, error.message()));
  if (chmod(to.c_str(), 0600) != 0) return io_error("protecting", to);
  return sync_path(to);
}

// Copies the backup and checks the copy: opening a database writes beside it, and the backup may be read-only.
Result<BackupSummary> stage(const std::string& backup, const std::string& staging) {
  AETHER_TRY(check_sums(backup));
  AETHER_TRY(make_private_directory(staging));
  for (const char* file : kFiles) AETHER_TRY(copy_file_durably(backup + "/" + file, staging + "/" + file));
  auto summary = check_files(staging);
  if (!summary) return fail_with_context("the backup " + backup, summary.error());
  for (const char* file : kFiles) AETHER_TRY(sync_path(staging + "/" + file));
  AETHER_TRY(sync_path(staging));
  summary->path = backup;
  return summary;
}

}  // namespace

Result<BackupSummary> back_up_sqlite(const std::string& store_directory, const std::string& target) {
  if (fs::exists(target)) return fail(ErrorCode::kConflict, target + " is there already; name a new directory");
  Staging staging(fmt::format("{}.tmp-{}", target, getpid()));
  AETHER_TRY(make_private_directory(staging.path()));
  for (const char* file : kFiles) {
    auto connection = open_existing(store_directory + "/" + file);
    if (!connection) return fail(connection.error());
    const std::string copy = staging.path() + "/" + file;
    AETHER_TRY((*connection)->run("VACUUM INTO $1", {copy}));
    if (chmod(copy.c_str(), 0600) != 0) return io_error("protecting", copy);
  }
  auto summary = check_files(staging.path());
  if (!summary) return summary;
  std::string sums;
  for (const char* file : kFiles) {
    AETHER_TRY(sync_path(staging.path() + "/" + file));
    auto sum = sha256_of_file(staging.path() + "/" + file);
    if (!sum) return fail(sum.error());
    sums += fmt::format("{}  {}\n", *sum, file);
  }
  AETHER_TRY(write_file_durably(staging.path() + "/" + kSums, sums));
  if (rename(staging.path().c_str(), target.c_str()) != 0) return io_error("naming", target);
  staging.keep();
  AETHER_TRY(sync_path(parent_of(target)));
  summary->path = target;
  return summary;
}

Result<BackupSummary> verify_sqlite_backup(const std::string& backup) {
  const Staging staging(fmt::format("{}/aether-verify-{}", fs::temp_directory_path().string(), getpid()));
  return stage(backup, staging.path());
}

// Whole directories change places: at every moment the name stands for the old store or for the new one.
Result<BackupSummary> restore_sqlite(const std::string& backup, const std::string& store_directory, Time now) {
  AETHER_TRY(make_private_directory(store_directory));
  auto lock = DirectoryLock::take(store_directory);
  if (!lock) return fail(lock.error());
  const std::string beside = store_directory + kRestoringSuffix;
  if (fs::exists(beside))
    return fail(ErrorCode::kConflict, fmt::format("{} is left of a restore that was interrupted, and may be the store from before; move it away", beside));
  Staging staging(beside);
  auto summary = stage(backup, beside);
  if (!summary) return summary;
  // Whoever starts meanwhile meets the lock in either directory.
  auto new_lock = DirectoryLock::take(beside);
  if (!new_lock) return fail(new_lock.error());
  if (renameat2(AT_FDCWD, beside.c_str(), AT_FDCWD, store_directory.c_str(), RENAME_EXCHANGE) != 0)
    return io_error("changing places with", store_directory);
  if (fs::exists(beside + "/jobs.db") || fs::exists(beside + "/telemetry.db")) {
    staging.keep();  // it is the store from before now
    summary->moved_aside = fmt::format("{}.before-{:%Y%m%dT%H%M%SZ}", store_directory, std::chrono::floor<std::chrono::seconds>(now));
    if (rename(beside.c_str(), summary->moved_aside.c_str()) != 0) return io_error("the restore is done; moving aside the store from before,", beside);
  }
  AETHER_TRY(sync_path(parent_of(store_directory)));
  return summary;
}

}  // namespace aether::store
