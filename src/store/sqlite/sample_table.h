#pragma once
// Raw samples in SQLite: appending, and the newest sample of each GPU.
#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "store/sql/telemetry_tables.h"
#include "store/sqlite/sqlite_connection.h"

namespace aether::store {

// Microseconds, first included, last not.
struct TimeRange {
  std::int64_t first = 0, last = 0;
};

// Not thread-safe: used under the lock of the connection that writes telemetry.
class SampleTable {
 public:
  // Reads the known GPUs and their newest samples.
  Result<void> load(SqliteConnection& connection);
  // Inside a write transaction. Samples before `late_before_us` are marked for another rollup.
  Result<void> append(SqliteConnection& connection, const std::vector<GpuSample>& samples,
                      std::int64_t late_before_us);
  // After that transaction: `committed` false forgets what it would have made known.
  Result<void> finish(SqliteConnection& connection, bool committed);
  // By node and index.
  std::vector<GpuSample> latest() const;

 private:
  struct Gpu {
    std::int64_t id = 0;
    NodeId node;
    int gpu_index = 0;
    std::string gpu_name;
    std::optional<GpuSample> latest;
  };
  Result<Gpu*> known_gpu(SqliteConnection& connection, const GpuSample& sample);
  Result<void> insert(SqliteConnection& connection, sqlite3_stmt* statement, std::int64_t gpu_id,
                      const GpuSample& sample);
  Result<void> load_latest(SqliteConnection& connection, const GpuUuid& gpu_uuid, Gpu& gpu, TimeRange fresh);

  std::unordered_map<std::string, Gpu> gpus_;  // by UUID
};

// One row, unless there is one of that GPU and time.
Result<void> insert_sample(SqlConnection& connection, std::int64_t gpu_id, const GpuSample& sample);

// Removes at most a few closed hours, or a few buckets, of samples before a time; returns samples removed, 0 = nothing is
// left.
Result<std::int64_t> remove_raw_samples(SqlConnection& connection, std::int64_t before_us);

}  // namespace aether::store
