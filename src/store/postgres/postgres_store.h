#pragma once
// Store on a PostgreSQL server, 13 or newer: plain, or with TimescaleDB where the extension is offered.
// One process at a time writes to a database: the connection that commits holds an advisory lock, and the row
// `leader` tells after a broken connection whether somebody else has written meanwhile.
//   jobs       synchronous_commit=on: a commit is on disk when it returns.
//   telemetry  synchronous_commit=off, on a connection of its own: a crash of the server may take the last
//   samples.
// While the server is away, or says nothing any more, every call returns kUnavailable; connections come back by
// themselves. A commit whose answer was lost is recognised when it is committed again, by its number in the leader's row.
#include <chrono>
#include <memory>
#include <string>

#include "store/retention.h"
#include "store/store.h"

namespace aether {

class PostgresStore : public Store {
 public:
  struct Options {
    std::string url;  // DATABASE_URL: postgres://user:password@host:port/database?...
    store::Retention retention = {};
    std::size_t readers = 4;
    std::chrono::milliseconds answer_within{4'000};  // of one statement about jobs; longer: the server is away
  };
  // kInvalidArgument: the URL can't be read (the error never repeats it). kUnavailable: the server does not
  // answer. kConflict: another orchestrator writes there. kUnsupported: a newer Aether made the schema.
  // Taking a backup before an upgrade is the operator's part: pg_dump.
  static Result<std::unique_ptr<Store>> open(Options options);
};

}  // namespace aether
