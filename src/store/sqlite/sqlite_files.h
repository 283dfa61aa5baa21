#pragma once
// Opening the two files of a SQLite store: checked, migrated, backed up before a migration.
#include <memory>
#include <string>

#include "store/sql/migrations.h"
#include "store/sqlite/sqlite_connection.h"

namespace aether::store {

struct OpenedFile {
  std::unique_ptr<SqliteConnection> connection;
  int schema_version = 0;
};

enum class Check {
  kAfterUncleanStop,  // PRAGMA quick_check when the last writer did not close the file
  kNever,             // for files too long to read at each start; damage shows when it is met
};

Result<OpenedFile> open_for_writing(const std::string& path, Durability durability, Check check,
                                    const std::vector<Migration>& migrations);

}  // namespace aether::store
