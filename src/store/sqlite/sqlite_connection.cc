#include "store/sqlite/sqlite_connection.h"

#include <fmt/format.h>
#include <sqlite3.h>

namespace aether::store {
namespace {

constexpr std::size_t kMaxStatements = 256;
constexpr int kBusyTimeoutMs = 5'000;
constexpr int kCheckpointFrames = 1'000;         // of the log, until they are moved into the file
constexpr int kCheckpointFramesEventual = 8'000;

ErrorCode error_code(int extended) {
  if (extended == SQLITE_CONSTRAINT_FOREIGNKEY) return ErrorCode::kInvalidArgument;
  switch (extended & 0xff) {
    case SQLITE_CONSTRAINT:
      return ErrorCode::kConflict;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
      return ErrorCode::kIo;
    case SQLITE_FULL:
      return ErrorCode::kResourceExhausted;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return ErrorCode::kUnavailable;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return ErrorCode::kCorrupt;
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return ErrorCode::kPermissionDenied;
    default:
      return ErrorCode::kInternal;
  }
}

std::string_view remedy(ErrorCode code) {
  switch (code) {
    case ErrorCode::kCorrupt:
      return "; stop Aether and restore the file from a backup, or move it away to start anew";
    case ErrorCode::kResourceExhausted:
      return "; make room on the disk";
    case ErrorCode::kUnavailable:
      return "; another program holds the file";
    default:
      return "";
  }
}

// Resets a statement whichever way its use ends.
struct StatementUse {
  sqlite3_stmt* statement;
  ~StatementUse() {
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
  }
};

int bind(sqlite3_stmt* statement, int index, const SqlValue& value) {
  if (const auto* integer = std::get_if<std::int64_t>(&value))
    return sqlite3_bind_int64(statement, index, *integer);
  if (const auto* real = std::get_if<double>(&value)) return sqlite3_bind_double(statement, index, *real);
  if (const auto* text = std::get_if<std::string>(&value))
    return sqlite3_bind_text64(statement, index, text->data(), text->size(), SQLITE_STATIC, SQLITE_UTF8);
  if (const auto* blob = std::get_if<SqlBlob>(&value))
    return sqlite3_bind_blob64(statement, index, blob->bytes.data(), blob->bytes.size(), SQLITE_STATIC);
  return sqlite3_bind_null(statement, index);
}

SqlRow read_row(sqlite3_stmt* statement) {
  std::vector<SqlValue> values(static_cast<std::size_t>(sqlite3_column_count(statement)));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const int column = static_cast<int>(i);
    switch (sqlite3_column_type(statement, column)) {
      case SQLITE_INTEGER:
        values[i] = static_cast<std::int64_t>(sqlite3_column_int64(statement, column));
        break;
      case SQLITE_FLOAT:
        values[i] = sqlite3_column_double(statement, column);
        break;
      case SQLITE_NULL:
        break;
      default: {
        const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement, column));
        const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement, column));
        values[i] = bytes ? std::string(bytes, size) : std::string();
      }
    }
  }
  return SqlRow(std::move(values));
}

}  // namespace

Result<std::unique_ptr<SqliteConnection>> SqliteConnection::open(const std::string& path, Access access,
                                                                 Durability durability) {
  std::unique_ptr<SqliteConnection> connection(new SqliteConnection(path));
  const int flags =
      SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW |
      (access == Access::kWrite ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READWRITE);
  if (sqlite3_open_v2(path.c_str(), &connection->database_, flags, nullptr) != SQLITE_OK)
    return connection->error("opening");
  sqlite3_extended_result_codes(connection->database_, 1);
  sqlite3_busy_timeout(connection->database_, kBusyTimeoutMs);
  // A new file becomes one with a log by way of a rollback journal. EXTRA syncs the directory once that is removed: come
  // back after a power cut, it would take back everything that was committed since. With a log it is the same as FULL.
  std::string settings =
      "PRAGMA synchronous=EXTRA; PRAGMA journal_mode=WAL; PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY;";
  settings += durability == Durability::kEveryCommit ? ""
                                                     : "PRAGMA synchronous=NORMAL; PRAGMA cache_size=-65536;";
  if (access == Access::kRead) settings += "PRAGMA query_only=ON; PRAGMA cache_size=-8192;";
  if (auto set = connection->run_script(settings); !set) return fail(set.error());
  // In place of SQLite's own checkpoints, which say nothing when they fail.
  connection->checkpoint_frames_ =
      durability == Durability::kEveryCommit ? kCheckpointFrames : kCheckpointFramesEventual;
  sqlite3_wal_hook(
      connection->database_,
      [](void* self, sqlite3*, const char*, int frames) {
        static_cast<SqliteConnection*>(self)->log_frames_ = frames;
        return SQLITE_OK;
      },
      connection.get());
  return connection;
}

SqliteConnection::~SqliteConnection() {
  forget_statements();
  for (auto& [sql, statement] : kept_statements_) sqlite3_finalize(statement);
  sqlite3_close(database_);
}

void SqliteConnection::forget_statements() {
  for (auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  statements_.clear();
}

tl::unexpected<Error> SqliteConnection::error(std::string_view action) const {
  const int code = database_ ? sqlite3_extended_errcode(database_) : SQLITE_NOMEM;
  const char* text = database_ ? sqlite3_errmsg(database_) : "out of memory";
  const ErrorCode kind = error_code(code);
  return fail(kind, fmt::format("{} {}: {}{}", action, path_, text, remedy(kind)));
}

Result<sqlite3_stmt*> SqliteConnection::prepare(std::string_view sql) {
  const auto known = statements_.find(std::string(sql));
  if (known != statements_.end()) return known->second;
  if (statements_.size() >= kMaxStatements) forget_statements();
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v3(database_, sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT,
                         &statement, nullptr) != SQLITE_OK)
    return error("preparing a statement for");
  statements_.emplace(sql, statement);
  return statement;
}

Result<sqlite3_stmt*> SqliteConnection::prepare_for_good(std::string_view sql) {
  const auto kept = kept_statements_.find(std::string(sql));
  if (kept != kept_statements_.end()) return kept->second;
  auto statement = prepare(sql);
  if (!statement) return statement;
  statements_.erase(std::string(sql));
  kept_statements_.emplace(sql, *statement);
  return statement;
}

Result<SqlResult> SqliteConnection::run(std::string_view sql, const SqlParameters& parameters) {
  auto statement = prepare(sql);
  if (!statement) return fail(statement.error());
  const StatementUse use{*statement};
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const int index = sqlite3_bind_parameter_index(*statement, fmt::format("${}", i + 1).c_str());
    if (index > 0 && bind(*statement, index, parameters[i]) != SQLITE_OK) return error("binding a value for");
  }
  SqlResult result;
  for (;;) {
    const int step = sqlite3_step(*statement);
    if (step == SQLITE_DONE) break;
    if (step != SQLITE_ROW) return error("using");
    result.rows.push_back(read_row(*statement));
  }
  if (!sqlite3_stmt_readonly(*statement)) result.changed = sqlite3_changes64(database_);
  return result;
}

Result<void> SqliteConnection::run_script(const std::string& sql) {
  if (sqlite3_exec(database_, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) return error("using");
  return {};
}

Result<void> SqliteConnection::begin(Access access) {
  if (failed_ && access == Access::kWrite)
    return fail(ErrorCode::kIo,
                fmt::format("{} had an I/O error before; nothing more is written to it", path_));
  AETHER_TRY(run(access == Access::kWrite ? "BEGIN IMMEDIATE" : "BEGIN"));
  return {};
}

Result<void> SqliteConnection::commit() {
  auto done = run("COMMIT");
  if (done) return log_frames_ < checkpoint_frames_ ? Result<void>() : checkpoint();
  // After a failed fsync a second one may succeed falsely (RELIABILITY, fsync errors): no retry, ever.
  failed_ = failed_ || done.error().code == ErrorCode::kIo;
  return fail(std::move(done).error());
}

// Readers may keep it from moving everything, and a full disk anything: then the log grows until the next time.
Result<void> SqliteConnection::checkpoint() {
  log_frames_ = 0;
  const int code = sqlite3_wal_checkpoint_v2(database_, nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  if (code == SQLITE_OK || error_code(code) != ErrorCode::kIo) return {};
  failed_ = true;
  return error("moving the log into");
}

void SqliteConnection::rollback() noexcept {
  if (sqlite3_get_autocommit(database_) == 0) sqlite3_exec(database_, "ROLLBACK", nullptr, nullptr, nullptr);
}

}  // namespace aether::store
