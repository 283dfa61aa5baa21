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
    if (leader_epoch_ != 0)
      return fail(ErrorCode::kUnavailable, "the database still keeps the writer lock of an earlier session");
    return fail(ErrorCode::kConflict,
                fmt::format("another orchestrator holds {}; stop it, or use another database",
                            connection.location()));
  }
  if (leader_epoch_ == 0) return {};
  auto leader = connection.run("SELECT leader_epoch FROM leader");
  if (!leader) return fail(leader.error());
  if (!leader->rows.empty() && leader->rows.front().integer(0) == leader_epoch_) return {};
  return fail(ErrorCode::kConflict,
              "another orchestrator has written to the database while this one was cut off");
}

Result<void> WriterLock::become_leader(PostgresConnection& connection) {
  auto raised = connection.run("UPDATE leader SET leader_epoch = leader_epoch + 1 RETURNING leader_epoch");
  if (!raised) return fail(raised.error());
  if (raised->rows.size() != 1) return fail(ErrorCode::kCorrupt, "the table leader has lost its row");
  leader_epoch_ = raised->rows.front().integer(0);
  return {};
}

}  // namespace aether::store
