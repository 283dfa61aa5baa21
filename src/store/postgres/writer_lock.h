#pragma once
// The single writer of a database: an advisory lock that lives as long as its connection, and a count of
// leaders.
#include <cstdint>

#include "store/postgres/postgres_connection.h"

namespace aether::store {

class WriterLock {
 public:
  // For PostgresConnection::Options::on_connect. kConflict: another session has the lock, or another
  // orchestrator had it while this one was cut off.
  Result<void> take(PostgresConnection& connection);
  // Once, after the schema is there: this process is the leader now.
  Result<void> become_leader(PostgresConnection& connection);

 private:
  std::int64_t leader_epoch_ = 0;  // 0 = not yet
};

}  // namespace aether::store
