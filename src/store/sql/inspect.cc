#include "store/sql/inspect.h"

#include "model/audit.h"
#include "store/sql/job_tables.h"

namespace aether::store {

Result<int> read_schema_version(SqlConnection& connection) {
  auto found = connection.run("SELECT max(version) FROM schema_version");
  if (!found) return 0;
  return static_cast<int>(found->rows.front().integer(0));
}

Result<std::int64_t> verify_audit_chain(SqlConnection& connection) {
  AuditLine last;
  for (;;) {
    auto lines = find_audit_lines(connection, {.after = last.seq, .limit = 1000});
    if (!lines) return fail(lines.error());
    if (lines->empty()) return last.seq;
    if (auto whole = check_audit_chain(last, *lines); !whole) return fail(whole.error());
    last = lines->back();
  }
}

Result<std::int64_t> count_rows(SqlConnection& connection, const std::string& table) {
  auto found = connection.run("SELECT count(*) FROM " + table);
  if (!found) return fail(found.error());
  return found->rows.front().integer(0);
}

}  // namespace aether::store
