#pragma once
// Makes rollups and removes what is older than its retention, in small transactions between which samples go
// on.
#include <atomic>
#include <cstdint>
#include <functional>

#include "store/retention.h"
#include "store/sql/telemetry_tables.h"

namespace aether::store {

// Thread-safe: run() from one thread at a time, late_before_us() from any.
class Maintenance {
 public:
  // Runs a body in a write transaction of the connection that also appends samples.
  using Writer = std::function<Result<void>(const std::function<Result<void>(SqlConnection&)>& body)>;
  // Removes raw samples before a time, inside a write transaction; returns rows removed. Called until it
  // returns 0.
  using RemoveRaw = std::function<Result<std::int64_t>(SqlConnection& connection, std::int64_t before_us)>;

  Maintenance(Dialect dialect, Retention retention, std::int64_t rolled_until_us, Writer writer,
              RemoveRaw remove_raw)
      : dialect_(dialect),
        retention_(retention),
        late_before_us_(rolled_until_us),
        writer_(std::move(writer)),
        remove_raw_(std::move(remove_raw)) {}

  // Returns rows removed.
  Result<std::uint64_t> run(Time now);

  // A sample before this time must be marked late (mark_late) in the transaction that appends it.
  std::int64_t late_before_us() const { return late_before_us_.load(); }

 private:
  using RollStep = std::function<Result<void>(SqlConnection& connection, GpuRange gpus)>;
  Result<void> for_gpu_ranges(const RollStep& roll, const std::string& state_name, std::int64_t state_value);
  Result<void> roll_minutes(std::int64_t until_us);
  Result<void> roll_late();
  Result<void> roll_hours();
  Result<std::int64_t> remove_raw(std::int64_t before_us);
  Result<std::int64_t> remove_rollups(const char* table, std::int64_t before_us, const char* state_name);
  Result<TelemetryState> state();

  const Dialect dialect_;
  const Retention retention_;
  std::atomic<std::int64_t> late_before_us_;
  const Writer writer_;
  const RemoveRaw remove_raw_;
};

}  // namespace aether::store
