#pragma once
// Where PostgreSQL keeps raw samples: native partitions by day, or a hypertable of TimescaleDB. What the
// server offers is found out feature by feature, since the licence and version of TimescaleDB decide.
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "store/postgres/postgres_connection.h"
#include "store/sql/migrations.h"

namespace aether::store {

inline constexpr std::int64_t kDayUs = 86'400'000'000;

struct TimescaleFeatures {
  bool hypertable = false;   // the extension is there or can be made
  bool compression = false;  // refused under the Apache licence
  std::string version;
};
Result<TimescaleFeatures> detect_timescale(PostgresConnection& connection);

// Not thread-safe: used under the lock of the connection that writes telemetry.
class SampleStorage {
 public:
  virtual ~SampleStorage() = default;
  virtual const std::vector<Migration>& migrations() const = 0;
  // Inside a write transaction: room for samples of these days (since 1970, UTC).
  virtual Result<void> prepare_for(PostgresConnection& connection, const std::set<std::int64_t>& days) = 0;
  // The transaction of prepare_for was rolled back.
  virtual void forget() = 0;
  // Removes what lies wholly before a time; returns rows removed, 0 when nothing is left to remove.
  virtual Result<std::int64_t> remove_before(SqlConnection& connection, std::int64_t before_us) = 0;
  // Called by each maintenance: compression, partitions ahead.
  virtual Result<void> maintain(PostgresConnection& connection, std::int64_t now_us) = 0;
};

std::unique_ptr<SampleStorage> native_partitions();
std::unique_ptr<SampleStorage> timescale_hypertable(const TimescaleFeatures& features);

}  // namespace aether::store
