#pragma once
// SqlConnection over one SQLite database file.
#include <memory>
#include <string>
#include <unordered_map>

#include "store/sql/connection.h"

struct sqlite3;
struct sqlite3_stmt;

namespace aether::store {

enum class Durability {
  kEveryCommit,  // synchronous=EXTRA: a commit is on disk when it returns
  kEventually,   // synchronous=NORMAL: a power cut may take the last commits, never the file
};

class SqliteConnection final : public SqlConnection {
 public:
  // Creates the file when it is missing and `access` is kWrite.
  static Result<std::unique_ptr<SqliteConnection>> open(const std::string& path, Access access,
                                                        Durability durability);
  ~SqliteConnection() override;

  Result<SqlResult> run(std::string_view sql, const SqlParameters& parameters = {}) override;
  Result<void> run_script(const std::string& sql) override;
  Result<void> begin(Access access) override;
  Result<void> commit() override;
  void rollback() noexcept override;

  // For the hot path: lives as long as the connection and is reset by whoever used it.
  Result<sqlite3_stmt*> prepare_for_good(std::string_view sql);
  // The error of the last call, with `action` in front.
  tl::unexpected<Error> error(std::string_view action) const;
  sqlite3* handle() const { return database_; }

 private:
  explicit SqliteConnection(std::string path) : path_(std::move(path)) {}
  Result<sqlite3_stmt*> prepare(std::string_view sql);
  void forget_statements();
  Result<void> checkpoint();

  std::string path_;
  sqlite3* database_ = nullptr;
  std::unordered_map<std::string, sqlite3_stmt*> statements_;
  std::unordered_map<std::string, sqlite3_stmt*> kept_statements_;
  int log_frames_ = 0;         // as of the last commit
  int checkpoint_frames_ = 0;
  bool failed_ = false;  // an I/O error has been seen: nothing more is written through this connection
};

}  // namespace aether::store
