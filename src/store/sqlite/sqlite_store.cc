#include "store/sqlite/sqlite_store.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include "base/files.h"
#include "store/sql/connection_pool.h"
#include "store/sql/energy_queries.h"
#include "store/sql/history_queries.h"
#include "store/sql/job_tables.h"
#include "store/sql/leadership.h"
#include "store/sql/maintenance.h"
#include "store/sqlite/directory_lock.h"
#include "store/sqlite/closed_hours.h"
#include "store/sqlite/sample_table.h"
#include "store/sqlite/sqlite_files.h"

namespace aether {
namespace {

using store::Access;
using store::Dialect;
using store::SqlConnection;
using store::SqliteConnection;

constexpr std::size_t kReaders = 4;

store::ConnectionPool::Opener reader_of(const std::string& path, store::Durability durability) {
  return [path, durability]() -> Result<std::unique_ptr<SqlConnection>> {
    auto connection = SqliteConnection::open(path, Access::kRead, durability);
    if (!connection) return fail(connection.error());
    return std::unique_ptr<SqlConnection>(std::move(*connection));
  };
}

class OpenSqliteStore final : public SqliteStore {
 public:
  OpenSqliteStore(const Options& options, std::unique_ptr<store::DirectoryLock> lock, store::Leadership leadership,
                  store::OpenedFile jobs, store::OpenedFile telemetry, store::SampleTable samples,
                  std::int64_t rolled_until_us)
      : lock_(std::move(lock)),
        leadership_(leadership),
        retention_(options.retention),
        info_{"sqlite", sqlite3_libversion(), jobs.schema_version, options.directory},
        jobs_(std::move(jobs.connection)),
        telemetry_(std::move(telemetry.connection)),
        job_readers_(kReaders, reader_of(options.directory + "/jobs.db", store::Durability::kEveryCommit)),
        telemetry_readers_(kReaders,
                           reader_of(options.directory + "/telemetry.db", store::Durability::kEventually)),
        samples_(std::move(samples)),
        maintenance_(
            Dialect::kSqlite, options.retention, rolled_until_us,
            [this](const auto& body) {
              return telemetry_.write([&](SqliteConnection& connection) { return body(connection); });
            },
            {.remove = store::remove_raw_samples,
             .close_some = store::close_some_hours,
             .reopen = store::reopen_hour}) {}

  Result<void> commit(const std::vector<Write>& writes) override {
    return write_as_leader([&](SqlConnection& connection) { return store::apply_writes(connection, writes); });
  }

  Result<void> append_samples(const std::vector<GpuSample>& samples) override {
    return telemetry_.use([&](SqliteConnection& connection) -> Result<void> {
      std::lock_guard lock(samples_mutex_);
      auto done = in_transaction(connection, Access::kWrite, [&] {
        return samples_.append(connection, samples, maintenance_.late_before_us());
      });
      AETHER_TRY(samples_.finish(connection, done.has_value()));
      return done;
    });
  }

  Result<StoredState> load() override {
    return store::read_value<StoredState>(
        job_readers_, [](SqlConnection& connection) { return store::load_state(connection); });
  }

  Result<Epoch> reserve_epochs(std::uint64_t count, Epoch above) override {
    Epoch first = 0;
    AETHER_TRY(write_as_leader([&](SqlConnection& connection) -> Result<void> {
      auto reserved = store::reserve_epochs(connection, count, above);
      if (!reserved) return fail(reserved.error());
      first = *reserved;
      return {};
    }));
    return first;
  }

  Result<std::vector<Job>> find_jobs(const JobQuery& query) override {
    return store::read_value<std::vector<Job>>(
        job_readers_, [&](SqlConnection& connection) { return store::find_jobs(connection, Dialect::kSqlite, query); });
  }
  Result<Job> find_job(const JobId& id) override {
    return store::found_or(
        store::read_value<std::optional<Job>>(
            job_readers_, [&](SqlConnection& connection) { return store::find_job(connection, id); }),
        "no job " + id.str());
  }
  Result<Job> find_job_by_number(std::int64_t number) override {
    return store::found_or(
        store::read_value<std::optional<Job>>(
            job_readers_,
            [&](SqlConnection& connection) { return store::find_job_by_number(connection, number); }),
        fmt::format("no job {}", number));
  }
  Result<std::optional<Job>> find_job_by_idempotency_key(const std::string& user,
                                                         const std::string& key) override {
    return store::read_value<std::optional<Job>>(job_readers_, [&](SqlConnection& connection) {
      return store::find_job_by_key(connection, user, key);
    });
  }
  Result<std::vector<JobEvent>> job_events(const JobId& id) override {
    return store::read_value<std::vector<JobEvent>>(
        job_readers_, [&](SqlConnection& connection) { return store::job_events(connection, id); });
  }
  Result<std::vector<StoredEvent>> events(const EventQuery& query) override {
    return store::read_value<std::vector<StoredEvent>>(
        job_readers_, [&](SqlConnection& connection) { return store::find_events(connection, query); });
  }
  Result<std::vector<AuditLine>> audit(const AuditQuery& query) override {
    return store::read_value<std::vector<AuditLine>>(
        job_readers_, [&](SqlConnection& connection) { return store::find_audit_lines(connection, query); });
  }
  Result<AuditLine> last_audit_line() override {
    return store::read_value<AuditLine>(job_readers_, store::last_audit_line);
  }
  Result<PlacementRecord> placement(const JobId& id) override {
    return store::found_or(
        store::read_value<std::optional<PlacementRecord>>(
            job_readers_, [&](SqlConnection& connection) { return store::find_placement(connection, id); }),
        "no placement of job " + id.str());
  }

  Result<Series> series(const SeriesQuery& query) override {
    return store::read_value<Series>(telemetry_readers_, [&](SqlConnection& connection) {
      return store::read_series(connection, Dialect::kSqlite, query);
    });
  }

  Result<GroupSeries> group_series(const GroupSeriesQuery& query) override {
    return store::read_value<GroupSeries>(telemetry_readers_, [&](SqlConnection& connection) {
      return store::read_group_series(connection, Dialect::kSqlite, query);
    });
  }
  Result<std::vector<std::optional<GpuEnergy>>> energy(const std::vector<GpuPart>& parts) override {
    return store::read_value<std::vector<std::optional<GpuEnergy>>>(telemetry_readers_, [&](SqlConnection& connection) {
      return store::read_energy(connection, Dialect::kSqlite, parts);
    });
  }
  Result<std::vector<AttemptRecord>> attempts(Time from, Time to) override {
    return store::read_value<std::vector<AttemptRecord>>(
        job_readers_, [&](SqlConnection& connection) { return store::read_attempts(connection, from, to); });
  }
  Result<std::vector<KnownGpu>> known_gpus() override {
    return store::read_value<std::vector<KnownGpu>>(telemetry_readers_, store::read_known_gpus);
  }

  Result<std::vector<GpuSample>> latest_samples() override {
    std::lock_guard lock(samples_mutex_);
    return samples_.latest();
  }

  Result<std::uint64_t> count_samples() override {
    auto state = store::read_value<store::TelemetryState>(telemetry_readers_, [](SqlConnection& connection) {
      return store::read_telemetry_state(connection);
    });
    if (!state) return fail(state.error());
    return static_cast<std::uint64_t>(state->sample_count);
  }

  Result<std::uint64_t> maintain(Time now) override {
    auto removed = maintenance_.run(now);
    if (!removed) return removed;
    AETHER_TRY(write_as_leader([&](SqlConnection& connection) -> Result<void> {
      auto alerts = store::remove_cleared_alerts(connection, now - retention_.cleared_alerts);
      if (!alerts) return fail(alerts.error());
      *removed += static_cast<std::uint64_t>(*alerts);
      return {};
    }));
    return removed;
  }

  StoreInfo info() const override { return info_; }

 private:
  Result<void> write_as_leader(const std::function<Result<void>(SqlConnection&)>& body) {
    return jobs_.write([&](SqliteConnection& connection) -> Result<void> {
      AETHER_TRY(leadership_.confirm(connection));
      return body(connection);
    });
  }

  const std::unique_ptr<store::DirectoryLock> lock_;  // first in, last out
  const store::Leadership leadership_;
  const store::Retention retention_;
  const StoreInfo info_;
  store::LockedConnection<SqliteConnection> jobs_;
  store::LockedConnection<SqliteConnection> telemetry_;
  store::ConnectionPool job_readers_;
  store::ConnectionPool telemetry_readers_;
  std::mutex samples_mutex_;
  store::SampleTable samples_;
  store::Maintenance maintenance_;
};

}  // namespace

Result<std::unique_ptr<Store>> SqliteStore::open(Options options) {
  AETHER_TRY(make_private_directory(options.directory));
  auto lock = store::DirectoryLock::take(options.directory);
  if (!lock) return fail(lock.error());
  auto jobs = store::open_for_writing(options.directory + "/jobs.db", store::Durability::kEveryCommit,
                                      store::Check::kAfterUncleanStop, store::sqlite_jobs_migrations());
  if (!jobs) return fail(jobs.error());
  store::Leadership leadership(Dialect::kSqlite);
  AETHER_TRY(in_transaction(*jobs->connection, Access::kWrite, [&] { return leadership.take(*jobs->connection); }));
  auto telemetry =
      store::open_for_writing(options.directory + "/telemetry.db", store::Durability::kEventually,
                              store::Check::kNever, store::sqlite_telemetry_migrations());
  if (!telemetry) return fail(telemetry.error());
  auto state = store::read_telemetry_state(*telemetry->connection);
  if (!state) return fail(state.error());
  store::SampleTable samples;
  AETHER_TRY(samples.load(*telemetry->connection));
  store::log_retention(options.retention);
  return std::unique_ptr<Store>(new OpenSqliteStore(options, std::move(*lock), leadership, std::move(*jobs),
                                                    std::move(*telemetry), std::move(samples),
                                                    state->rolled_1m));
}

}  // namespace aether
