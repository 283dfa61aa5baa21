#include "store/sql/leadership.h"

#include <fmt/format.h>

namespace aether::store {

Result<void> Leadership::take(SqlConnection& connection) {
  auto raised = connection.run(
      "UPDATE leader SET leader_epoch = leader_epoch + 1, last_commit = 0 RETURNING leader_epoch");
  if (!raised) return fail(raised.error());
  if (raised->rows.size() != 1) return fail(ErrorCode::kCorrupt, "the table leader has lost its row");
  epoch_ = raised->rows.front().integer(0);
  return {};
}

tl::unexpected<Error> Leadership::overtaken() const {
  return fail(ErrorCode::kConflict,
              fmt::format("another orchestrator has taken over this database (this one led with epoch {}); "
                          "this one writes nothing more",
                          epoch_));
}

// PostgreSQL: the row stays locked, so that nobody can take over before this transaction is over. SQLite has one writer.
Result<void> Leadership::confirm(SqlConnection& connection) const {
  auto found = connection.run(dialect_ == Dialect::kPostgres
                                  ? "SELECT 1 FROM leader WHERE leader_epoch = $1 FOR SHARE"
                                  : "SELECT 1 FROM leader WHERE leader_epoch = $1",
                              {epoch_});
  if (!found) return fail(found.error());
  if (found->rows.empty()) return overtaken();
  return {};
}

Result<void> Leadership::record(SqlConnection& connection, std::int64_t number) const {
  auto updated = connection.run("UPDATE leader SET last_commit = $2 WHERE leader_epoch = $1", {epoch_, number});
  if (!updated) return fail(updated.error());
  if (updated->changed != 1) return overtaken();
  return {};
}

Result<std::int64_t> Leadership::last_commit(SqlConnection& connection) const {
  auto found = connection.run("SELECT last_commit FROM leader WHERE leader_epoch = $1", {epoch_});
  if (!found) return fail(found.error());
  if (found->rows.empty()) return overtaken();
  return found->rows.front().integer(0);
}

}  // namespace aether::store
