#pragma once
// Who may write: the one row of the table `leader`. Each orchestrator that opens the database raises its epoch, and every
// write transaction looks at it first, so that one that was overtaken without noticing writes nothing more. The row also
// says which commit of its leader was the last one, which is how a commit whose answer was lost is recognised.
#include <cstdint>

#include "store/sql/connection.h"
#include "store/sql/telemetry_tables.h"

namespace aether::store {

// Thread-safe after take().
class Leadership {
 public:
  explicit Leadership(Dialect dialect) : dialect_(dialect) {}

  // This process leads from here on, with no commit yet. Once, before anything else is written.
  Result<void> take(SqlConnection& connection);
  bool taken() const { return epoch_ != 0; }

  // Inside a write transaction, first. kConflict: another orchestrator leads; nothing may be written.
  Result<void> confirm(SqlConnection& connection) const;
  // confirm(), and this transaction is the leader's commit `number`.
  Result<void> record(SqlConnection& connection, std::int64_t number) const;
  // The number of the last commit that is in the database. kConflict as above.
  Result<std::int64_t> last_commit(SqlConnection& connection) const;

 private:
  tl::unexpected<Error> overtaken() const;
  const Dialect dialect_;
  std::int64_t epoch_ = 0;  // 0 = not yet
};

}  // namespace aether::store
