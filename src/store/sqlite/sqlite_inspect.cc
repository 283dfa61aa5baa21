#include "store/sqlite/sqlite_inspect.h"

#include <fmt/format.h>

#include <filesystem>

#include "store/sql/inspect.h"
#include "store/sql/migrations.h"
#include "store/sqlite/directory_lock.h"

namespace aether::store {

namespace fs = std::filesystem;

Result<std::unique_ptr<SqliteConnection>> open_existing(const std::string& path) {
  if (!fs::exists(path)) return fail(ErrorCode::kNotFound, "there is no " + path);
  auto connection = SqliteConnection::open(path, Access::kRead, Durability::kEveryCommit);
  if (!connection) return connection;
  AETHER_TRY((*connection)->run_script("PRAGMA query_only=OFF"));
  return connection;
}

Result<void> check_structure(SqlConnection& connection, const std::string& path, const char* pragma) {
  auto found = connection.run(fmt::format("PRAGMA {}(1)", pragma));
  if (!found) return fail(found.error());
  const std::string verdict = found->rows.empty() ? "no answer" : found->rows.front().text(0);
  return verdict == "ok" ? Result<void>() : fail(ErrorCode::kCorrupt, fmt::format("{} is damaged: {}", path, verdict));
}

int newest_schema(const std::string& file) {
  const auto& steps = file == "jobs.db" ? sqlite_jobs_migrations() : sqlite_telemetry_migrations();
  return steps.empty() ? 0 : steps.back().version;
}

namespace {

constexpr std::uintmax_t kMuchTelemetry = std::uintmax_t{1} << 30;

Finding failed_finding(const std::string& name, const Error& error, const std::string& next) {
  return {name, Finding::Verdict::kFail, error.message, next};
}

const char* const kRestore = "stop Aether and put a backup in its place: aether restore DIR";

Finding inspect_file(const std::string& directory, const std::string& file, Depth depth) {
  const std::string path = directory + "/" + file;
  std::error_code unknown;
  const auto size = fs::file_size(path, unknown);
  if (unknown) return {file, Finding::Verdict::kWarn, "not there yet", "the first start of `aether up` or `aether orchestrator` makes it"};
  auto connection = open_existing(path);
  if (!connection) return failed_finding(file, connection.error(), kRestore);
  auto version = read_schema_version(**connection);
  if (!version) return failed_finding(file, version.error(), kRestore);
  if (*version > newest_schema(file))
    return {file, Finding::Verdict::kFail, fmt::format("schema version {}, this program knows {}", *version, newest_schema(file)),
            "run the newer Aether that wrote it"};
  const bool reads_all = file == "jobs.db" || depth == Depth::kEverything || size < kMuchTelemetry;
  if (reads_all)
    if (auto whole = check_structure(**connection, path, file == "jobs.db" ? "integrity_check" : "quick_check"); !whole)
      return failed_finding(file, whole.error(), kRestore);
  const std::string detail = fmt::format("schema version {}{}, {:.1f} MB, {}", *version,
                                         *version < newest_schema(file) ? fmt::format(" (the next start makes it {})", newest_schema(file)) : "",
                                         static_cast<double>(size) / 1e6, reads_all ? "no damage" : "not read through");
  return {file, Finding::Verdict::kOk, detail, reads_all ? "" : "aether doctor --full  reads all of it"};
}

Finding inspect_audit(const std::string& directory) {
  auto connection = open_existing(directory + "/jobs.db");
  auto lines = connection ? verify_audit_chain(**connection) : Result<std::int64_t>(fail(connection.error()));
  if (!lines && lines.error().code == ErrorCode::kCorrupt)
    return failed_finding("audit log", lines.error(), "compare it with the newest seal in the orchestrator's log from before (audit log sealed)");
  if (!lines) return {"audit log", Finding::Verdict::kWarn, lines.error().message, "start Aether once with this version"};
  return {"audit log", Finding::Verdict::kOk, fmt::format("{} lines, every seal is right", *lines), ""};
}

Finding inspect_leftovers(const std::string& directory) {
  std::string found;
  for (const char* file : {"jobs.db-wal", "telemetry.db-wal"})
    if (std::error_code unknown; fs::file_size(directory + "/" + file, unknown) > 0 && !unknown) found += std::string(found.empty() ? "" : " and ") + file;
  std::error_code ignored;
  if (fs::exists(directory + kRestoringSuffix, ignored))
    return {"store lock", Finding::Verdict::kWarn, directory + ".restoring is left of a restore that was interrupted", "it may be the store from before: move it away"};
  auto lock = DirectoryLock::take(directory);
  if (!lock && lock.error().code == ErrorCode::kConflict) return {"store lock", Finding::Verdict::kOk, "held by a running orchestrator", ""};
  if (!lock) return failed_finding("store lock", lock.error(), "give this account the directory: chown -R");
  if (found.empty()) return {"store lock", Finding::Verdict::kOk, "free; nobody runs on this store", ""};
  return {"store lock", Finding::Verdict::kWarn, fmt::format("free, and {} left by an unclean stop", found), "the next start reads and removes it; nothing is lost"};
}

}  // namespace

std::vector<Finding> inspect_sqlite(const std::string& store_directory, Depth depth) {
  std::error_code ignored;
  if (!fs::exists(store_directory, ignored))
    return {{"store", Finding::Verdict::kWarn, store_directory + " does not exist yet", "the first start of `aether up` or `aether orchestrator` makes it"}};
  std::vector<Finding> findings = {inspect_leftovers(store_directory)};  // first: reading a file also clears up after a crash
  for (const char* file : {"jobs.db", "telemetry.db"}) findings.push_back(inspect_file(store_directory, file, depth));
  if (fs::exists(store_directory + "/jobs.db", ignored)) findings.push_back(inspect_audit(store_directory));
  return findings;
}

}  // namespace aether::store
