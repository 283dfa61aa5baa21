#pragma once
// Appending raw samples to PostgreSQL by binary COPY.
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "store/postgres/postgres_connection.h"
#include "store/postgres/sample_tables.h"
#include "store/sql/telemetry_tables.h"

namespace aether::store {

// Not thread-safe: used under the lock of the connection that writes telemetry.
class SampleCopy {
 public:
  enum class Mode {
    kStraight,  // into the table itself; kConflict when a sample is already there
    kMerge,     // by way of a temporary table; what is there stays
  };
  explicit SampleCopy(SampleStorage& storage) : storage_(storage) {}

  // Reads the known GPUs and the types of the columns.
  Result<void> load(PostgresConnection& connection);
  // Inside a write transaction. Samples before `late_before_us` are marked for another rollup.
  Result<void> append(PostgresConnection& connection, const std::vector<GpuSample>& samples,
                      std::int64_t late_before_us, Mode mode);
  // The transaction of append was rolled back.
  void forget();

 private:
  struct Gpu {
    std::int64_t id = 0;
    NodeId node;
    int gpu_index = 0;
    std::string gpu_name;
  };
  Result<std::int64_t> gpu_id(PostgresConnection& connection, const GpuSample& sample);
  Result<std::int64_t> copy(PostgresConnection& connection, Mode mode);

  SampleStorage& storage_;
  std::unordered_map<std::string, Gpu> gpus_;  // by UUID
  std::vector<bool> is_integer_;               // per metric
  std::string buffer_;                         // of the batch; kept for its memory
};

Result<std::vector<GpuSample>> newest_samples(SqlConnection& connection);

}  // namespace aether::store
