#include "store/postgres/writer_lock.h"

#include <fmt/format.h>

namespace aether::store {
namespace {

constexpr std::int64_t kLockKey = 0x6165746865720001;  // "aether", 1

}  // namespace

Result<void> WriterLock::take(PostgresConnection& connection) {
  auto locked = connection.run("SELECT pg_try_advisory_lock($1)", {kLockKey});
  if (!locked) return fail(locked.error());
  if (locked->rows.front().integer(0) == 0) {
    // After a cut connection the server may still keep this process's own old session for a while.
    if (leadership_.taken())
      return fail(ErrorCode::kUnavailable, "the database still keeps the writer lock of an earlier session");
    return fail(ErrorCode::kConflict,
                fmt::format("another orchestrator holds {}; stop it, or use another database",
                            connection.location()));
  }
  if (!leadership_.taken()) return {};
  return leadership_.confirm(connection);
}

}  // namespace aether::store
