#include "store/postgres/postgres_store.h"

#include <fmt/format.h>

#include "base/log.h"
#include "store/postgres/sample_copy.h"
#include "store/postgres/sample_tables.h"
#include "store/postgres/writer_lock.h"
#include "store/sql/connection_pool.h"
#include "store/sql/energy_queries.h"
#include "store/sql/history_queries.h"
#include "store/sql/job_tables.h"
#include "store/sql/maintenance.h"

namespace aether {
namespace {

using store::Access;
using store::Dialect;
using store::PostgresConnection;
using store::SqlConnection;

constexpr std::chrono::seconds kReadWithin{30};

store::ConnectionPool::Opener reader_of(const std::string& url) {
  return [url]() -> Result<std::unique_ptr<SqlConnection>> {
    auto connection =
        PostgresConnection::open({.url = url, .session_settings = fmt::format("SET statement_timeout = '{}s'", kReadWithin.count())});
    if (!connection) return fail(connection.error());
    (*connection)->answer_within(kReadWithin + std::chrono::seconds(1));
    return std::unique_ptr<SqlConnection>(std::move(*connection));
  };
}

// Everything that open() has made.
struct Parts {
  std::unique_ptr<store::WriterLock> lock;
  std::unique_ptr<PostgresConnection> jobs, telemetry;
  std::unique_ptr<store::SampleStorage> storage;
  std::unique_ptr<store::SampleCopy> copy;
  StoreInfo info;
  std::int64_t rolled_until_us = 0;
};

class OpenPostgresStore final : public PostgresStore {
 public:
  OpenPostgresStore(const Options& options, Parts parts)
      : retention_(options.retention),
        info_(std::move(parts.info)),
        lock_(std::move(parts.lock)),
        storage_(std::move(parts.storage)),
        copy_(std::move(parts.copy)),
        jobs_(std::move(parts.jobs)),
        telemetry_(std::move(parts.telemetry)),
        readers_(options.readers, reader_of(options.url)),
        maintenance_(
            Dialect::kPostgres, options.retention, parts.rolled_until_us,
            [this](const auto& body) {
              return telemetry_.write([&](PostgresConnection& connection) { return body(connection); });
            },
            {.remove = [this](SqlConnection& connection, std::int64_t before_us) {
              return storage_->remove_before(connection, before_us);
            }}) {}

  Result<void> commit(const std::vector<Write>& writes) override {
    bool landed = false;
    auto done = jobs_.write([&](PostgresConnection& connection) -> Result<void> {
      if (unanswered_) AETHER_TRY(look_up_commit(connection, landed));
      if (landed) return {};
      AETHER_TRY(lock_->leadership().record(connection, last_commit_ + 1));
      return store::apply_writes(connection, writes);
    });
    unanswered_ = !done && done.error().code == ErrorCode::kUnavailable;
    if (done) ++last_commit_;
    return done;
  }

  Result<void> append_samples(const std::vector<GpuSample>& samples) override {
    if (samples.empty()) return {};
    auto done = append(samples, store::SampleCopy::Mode::kStraight);
    if (!done && done.error().code == ErrorCode::kConflict)
      return append(samples, store::SampleCopy::Mode::kMerge);
    return done;
  }

  // A commit whose answer was lost may not land behind the reader's back: the writer's new session settles it first.
  Result<StoredState> load() override {
    if (unanswered_) {
      bool landed = false;
      AETHER_TRY(jobs_.write([&](PostgresConnection& connection) { return look_up_commit(connection, landed); }));
      unanswered_ = false;
      if (landed) ++last_commit_;
    }
    return store::read_value<StoredState>(readers_, store::load_state);
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
        readers_, [&](SqlConnection& connection) { return store::find_jobs(connection, Dialect::kPostgres, query); });
  }
  Result<Job> find_job(const JobId& id) override {
    return store::found_or(
        store::read_value<std::optional<Job>>(
            readers_, [&](SqlConnection& connection) { return store::find_job(connection, id); }),
        "no job " + id.str());
  }
  Result<Job> find_job_by_number(std::int64_t number) override {
    return store::found_or(
        store::read_value<std::optional<Job>>(
            readers_,
            [&](SqlConnection& connection) { return store::find_job_by_number(connection, number); }),
        fmt::format("no job {}", number));
  }
  Result<std::optional<Job>> find_job_by_idempotency_key(const std::string& user,
                                                         const std::string& key) override {
    return store::read_value<std::optional<Job>>(
        readers_, [&](SqlConnection& connection) { return store::find_job_by_key(connection, user, key); });
  }
  Result<std::vector<JobEvent>> job_events(const JobId& id) override {
    return store::read_value<std::vector<JobEvent>>(
        readers_, [&](SqlConnection& connection) { return store::job_events(connection, id); });
  }
  Result<std::vector<StoredEvent>> events(const EventQuery& query) override {
    return store::read_value<std::vector<StoredEvent>>(
        readers_, [&](SqlConnection& connection) { return store::find_events(connection, query); });
  }
  Result<std::vector<AuditLine>> audit(const AuditQuery& query) override {
    return store::read_value<std::vector<AuditLine>>(
        readers_, [&](SqlConnection& connection) { return store::find_audit_lines(connection, query); });
  }
  Result<AuditLine> last_audit_line() override {
    return store::read_value<AuditLine>(readers_, store::last_audit_line);
  }
  Result<PlacementRecord> placement(const JobId& id) override {
    return store::found_or(
        store::read_value<std::optional<PlacementRecord>>(
            readers_, [&](SqlConnection& connection) { return store::find_placement(connection, id); }),
        "no placement of job " + id.str());
  }

  Result<Series> series(const SeriesQuery& query) override {
    return store::read_value<Series>(readers_, [&](SqlConnection& connection) {
      return store::read_series(connection, Dialect::kPostgres, query);
    });
  }
  Result<GroupSeries> group_series(const GroupSeriesQuery& query) override {
    return store::read_value<GroupSeries>(readers_, [&](SqlConnection& connection) {
      return store::read_group_series(connection, Dialect::kPostgres, query);
    });
  }
  Result<std::vector<std::optional<GpuEnergy>>> energy(const std::vector<GpuPart>& parts) override {
    return store::read_value<std::vector<std::optional<GpuEnergy>>>(readers_, [&](SqlConnection& connection) {
      return store::read_energy(connection, Dialect::kPostgres, parts);
    });
  }
  Result<std::vector<AttemptRecord>> attempts(Time from, Time to) override {
    return store::read_value<std::vector<AttemptRecord>>(
        readers_, [&](SqlConnection& connection) { return store::read_attempts(connection, from, to); });
  }
  Result<std::vector<KnownGpu>> known_gpus() override {
    return store::read_value<std::vector<KnownGpu>>(readers_, store::read_known_gpus);
  }

  Result<std::vector<GpuSample>> latest_samples() override {
    return store::read_value<std::vector<GpuSample>>(readers_, store::newest_samples);
  }
  Result<std::uint64_t> count_samples() override {
    auto state = store::read_value<store::TelemetryState>(readers_, store::read_telemetry_state);
    if (!state) return fail(state.error());
    return static_cast<std::uint64_t>(state->sample_count);
  }

  Result<std::uint64_t> maintain(Time now) override {
    auto removed = maintenance_.run(now);
    if (!removed) return removed;
    const auto kept = telemetry_.write([&](PostgresConnection& connection) {
      auto done = storage_->maintain(connection, to_unix_us(now));
      if (!done) storage_->forget();
      return done;
    });
    if (!kept) log::warn("store", "partitions or compression are behind", {{"reason", kept.error().message}});
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
    return jobs_.write([&](PostgresConnection& connection) -> Result<void> {
      AETHER_TRY(lock_->leadership().confirm(connection));
      return body(connection);
    });
  }

  Result<void> append(const std::vector<GpuSample>& samples, store::SampleCopy::Mode mode) {
    return telemetry_.use([&](PostgresConnection& connection) {
      auto done = in_transaction(connection, Access::kWrite, [&] {
        return copy_->append(connection, samples, maintenance_.late_before_us(), mode);
      });
      if (!done) copy_->forget();
      return done;
    });
  }

  Result<void> look_up_commit(PostgresConnection& connection, bool& landed) const {
    auto last = lock_->leadership().last_commit(connection);
    if (!last) return fail(last.error());
    landed = *last == last_commit_ + 1;
    return {};
  }

  const store::Retention retention_;
  const StoreInfo info_;
  std::int64_t last_commit_ = 0;  // the last one that was answered; this and the next are the committing thread's
  bool unanswered_ = false;       // the one behind it was sent, and nobody knows what became of it
  const std::unique_ptr<store::WriterLock> lock_;  // used by jobs_ whenever it connects
  const std::unique_ptr<store::SampleStorage> storage_;
  const std::unique_ptr<store::SampleCopy> copy_;
  store::LockedConnection<PostgresConnection> jobs_;
  store::LockedConnection<PostgresConnection> telemetry_;
  store::ConnectionPool readers_;
  store::Maintenance maintenance_;
};

Result<void> connect(const std::string& url, Parts& parts) {
  parts.lock = std::make_unique<store::WriterLock>();
  auto jobs =
      PostgresConnection::open({.url = url,
                                .session_settings = "SET synchronous_commit = on",
                                .on_connect = [lock = parts.lock.get()](PostgresConnection& connection) {
                                  return lock->take(connection);
                                },
                                .resolve_commit_for = std::chrono::milliseconds(0)});  // commit() knows better
  if (!jobs) return fail(jobs.error());
  parts.jobs = std::move(*jobs);
  auto telemetry = PostgresConnection::open({.url = url, .session_settings = "SET synchronous_commit = off"});
  if (!telemetry) return fail(telemetry.error());
  parts.telemetry = std::move(*telemetry);
  return {};
}

// The table of samples stays of the kind it was made as, also when TimescaleDB is installed later.
Result<bool> has_native_samples(PostgresConnection& connection) {
  auto found = connection.run("SELECT 1 FROM pg_class WHERE oid = to_regclass('samples') AND relkind = 'p'");
  if (!found) return fail(found.error());
  return !found->rows.empty();
}

Result<void> prepare_schema(Parts& parts) {
  const auto no_backup = [](int) { return Result<void>(); };
  auto version = store::migrate(*parts.jobs, store::postgres_migrations(), no_backup);
  if (!version) return fail(version.error());
  auto native = has_native_samples(*parts.jobs);
  if (!native) return fail(native.error());
  store::TimescaleFeatures features;
  if (!*native) {
    auto detected = store::detect_timescale(*parts.jobs);
    if (!detected) return fail(detected.error());
    features = *detected;
  }
  parts.storage = features.hypertable ? store::timescale_hypertable(features) : store::native_partitions();
  AETHER_TRY(store::migrate(*parts.jobs, parts.storage->migrations(), no_backup, "samples_schema_version"));
  parts.info = {features.hypertable ? "timescaledb" : "postgresql",
                features.hypertable
                    ? fmt::format("{} on PostgreSQL {}", features.version, parts.jobs->server_version())
                    : parts.jobs->server_version(),
                *version, parts.jobs->location()};
  return {};
}

}  // namespace

Result<std::unique_ptr<Store>> PostgresStore::open(Options options) {
  AETHER_TRY(store::check_database_url(options.url));
  Parts parts;
  AETHER_TRY(connect(options.url, parts));
  AETHER_TRY(prepare_schema(parts));
  AETHER_TRY(parts.lock->become_leader(*parts.jobs));
  parts.jobs->answer_within(options.answer_within);
  parts.copy = std::make_unique<store::SampleCopy>(*parts.storage);
  AETHER_TRY(parts.copy->load(*parts.telemetry));
  auto state = store::read_telemetry_state(*parts.telemetry);
  if (!state) return fail(state.error());
  parts.rolled_until_us = state->rolled_1m;
  store::log_retention(options.retention);
  return std::unique_ptr<Store>(new OpenPostgresStore(options, std::move(parts)));
}

}  // namespace aether
