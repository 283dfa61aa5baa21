#pragma once
// Makes rollups and removes what is older than its retention, in small transactions between which samples go
// on.
#include <atomic>
#include <cstdint>
#include <functional>

#include "store/retention.h"
#include "store/sql/telemetry_tables.h"

namespace aether::store {

// Where closing of hours has got to within one run of the maintenance.
struct CloseCursor {
  std::int64_t hour_us = 0, first_gpu = 0;
};
enum class Reopened {
  kNothing,  // the hour was not closed
  kDone,
  kDamaged,  // what is stored of it can't be read; it stays as it is
};

// What maintenance asks of the table of raw samples. Each function runs inside a write transaction.
struct RawSamples {
  // Removes some samples before a time; returns rows removed. Called until it returns 0.
  std::function<Result<std::int64_t>(SqlConnection& connection, std::int64_t before_us)> remove;
  // Closes some hours that end at `until_us` at the latest, from the cursor on; false when none is left. Empty: hours
  // are never closed.
  std::function<Result<bool>(SqlConnection& connection, CloseCursor& cursor, std::int64_t until_us)> close_some = {};
  // Makes the samples of one GPU's hour rows again, since samples came late.
  std::function<Result<Reopened>(SqlConnection& connection, std::int64_t gpu_id, std::int64_t hour_us)> reopen = {};
};

// Thread-safe: run() from one thread at a time, late_before_us() from any.
class Maintenance {
 public:
  // Runs a body in a write transaction of the connection that also appends samples.
  using Writer = std::function<Result<void>(const std::function<Result<void>(SqlConnection&)>& body)>;

  Maintenance(Dialect dialect, Retention retention, std::int64_t rolled_until_us, Writer writer, RawSamples raw)
      : dialect_(dialect),
        retention_(retention),
        late_before_us_(rolled_until_us),
        writer_(std::move(writer)),
        raw_(std::move(raw)) {}

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
  Result<void> close_hours(std::int64_t until_us);
  Result<std::int64_t> remove_raw(std::int64_t before_us);
  Result<std::int64_t> remove_rollups(const char* table, std::int64_t before_us, const char* state_name);
  Result<TelemetryState> state();

  const Dialect dialect_;
  const Retention retention_;
  std::atomic<std::int64_t> late_before_us_;
  const Writer writer_;
  const RawSamples raw_;
};

}  // namespace aether::store
