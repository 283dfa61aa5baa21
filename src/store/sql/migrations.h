#pragma once
// Schema steps: numbered, forward only, each in one transaction together with its row in schema_version.
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "store/sql/connection.h"

namespace aether::store {

struct Migration {
  int version = 0;
  std::string name;  // of the file: "0001_initial"
  std::string sql;
};

// The files below schema/sql/, embedded when the program is built.
const std::vector<Migration>& sqlite_jobs_migrations();
const std::vector<Migration>& sqlite_telemetry_migrations();
const std::vector<Migration>& postgres_migrations();
const std::vector<Migration>& postgres_native_migrations();
const std::vector<Migration>& postgres_timescale_migrations();

// Brings a database to the newest schema and returns its version. `backup` runs before the first step on a
// database that already has a schema; its error stops everything. kUnsupported: the schema is newer than this
// program.
Result<int> migrate(SqlConnection& connection, const std::vector<Migration>& migrations,
                    const std::function<Result<void>(int from_version)>& backup,
                    const std::string& version_table = "schema_version");

}  // namespace aether::store
