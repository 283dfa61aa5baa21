#pragma once
// The single writer of a database: an advisory lock that lives as long as its connection, and the leader's epoch, which
// holds also where the lock was lost unnoticed.
#include "store/postgres/postgres_connection.h"
#include "store/sql/leadership.h"

namespace aether::store {

class WriterLock {
 public:
  // For PostgresConnection::Options::on_connect. kConflict: another session has the lock, or another
  // orchestrator had it while this one was cut off.
  Result<void> take(PostgresConnection& connection);
  // Once, after the schema is there: this process is the leader now.
  Result<void> become_leader(PostgresConnection& connection) { return leadership_.take(connection); }
  const Leadership& leadership() const { return leadership_; }

 private:
  Leadership leadership_{Dialect::kPostgres};
};

}  // namespace aether::store
