#pragma once
// Looking at the files of a SQLite store without being its writer. The orchestrator may run meanwhile.
#include <memory>
#include <string>
#include <vector>

#include "store/inspection.h"
#include "store/sqlite/sqlite_connection.h"

namespace aether::store {

// A restore works in the directory of this name beside the store.
inline constexpr const char* kRestoringSuffix = ".restoring";

// kNotFound when there is no such file.
Result<std::unique_ptr<SqliteConnection>> open_existing(const std::string& path);
// kCorrupt unless `pragma`, integrity_check or quick_check, finds nothing.
Result<void> check_structure(SqlConnection& connection, const std::string& path, const char* pragma);
// Newest schema version that this program knows of "jobs.db" or "telemetry.db".
int newest_schema(const std::string& file);

// Structure, schema version, audit log and lock of a store. kEverything also reads telemetry.db through when it is above 1 GiB.
enum class Depth { kQuick, kEverything };
std::vector<Finding> inspect_sqlite(const std::string& store_directory, Depth depth);

}  // namespace aether::store
