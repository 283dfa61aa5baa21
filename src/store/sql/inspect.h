#pragma once
// Questions about a database that is opened for nothing else. Each works on an open connection, in a transaction or not.
#include "store/sql/connection.h"

namespace aether::store {

// 0 when the database has no schema of Aether's.
Result<int> read_schema_version(SqlConnection& connection);
// Lines of the audit log when every seal is right; kCorrupt names the first line that is not.
Result<std::int64_t> verify_audit_chain(SqlConnection& connection);
Result<std::int64_t> count_rows(SqlConnection& connection, const std::string& table);

}  // namespace aether::store
