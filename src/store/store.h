#pragma once
// Port: the truth about jobs and the history of telemetry. Adapters: sqlite/, postgres/ (TimescaleDB where present).
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "model/alert.h"
#include "model/audit.h"
#include "model/decision.h"
#include "model/gpu.h"
#include "model/job.h"

namespace aether {

// ---- one durable group commit ----

struct PutJob { Job job; };                     // the row, without its attempts
struct PutAttempt { Attempt attempt; };
// (gpu_uuid, slot) is the primary key: giving a GPU twice is a conflict in the database, whatever the caller believed.
// An exclusive allocation takes slot 0 of a GPU that has no other slot; shared ones take slots from 1.
struct PutAllocation { GpuUuid gpu_uuid; int slot = 0; AttemptId attempt; std::int64_t memory_mb = 0; };
struct DeleteAllocations { AttemptId attempt; };
// A command that is not yet acknowledged. Published again until AckOutbox.
struct PutOutbox { AttemptId attempt; Epoch epoch = 0; std::string kind; std::string subject; std::string payload; };
struct AckOutbox { AttemptId attempt; std::string kind; };
struct PutEvent { JobEvent event; };
struct PutPlacement { PlacementRecord record; };
struct PutAlert { Alert alert; };
// Operator's decisions that must outlive a restart: ("quarantine/<uuid>", "reason"), ("drain/<node>", "reason").
struct PutSetting { std::string key; std::optional<std::string> value; };  // absent deletes
struct PutAudit { AuditRecord record; };  // becomes the next sealed line

using Write = std::variant<PutJob, PutAttempt, PutAllocation, DeleteAllocations, PutOutbox, AckOutbox, PutEvent,
                           PutPlacement, PutAlert, PutSetting, PutAudit>;

struct OutboxRow {
  AttemptId attempt;
  Epoch epoch = 0;
  std::string kind;      // "start", "stop"
  std::string subject;
  std::string payload;
};
struct AllocationRow {
  GpuUuid gpu_uuid;
  int slot = 0;
  AttemptId attempt;
  std::int64_t memory_mb = 0;
};

// Everything an orchestrator needs to go on after kill -9.
struct StoredState {
  std::vector<Job> live_jobs;        // not terminal, with attempts
  std::vector<Job> recent_jobs;      // terminal, newest 500
  std::vector<AllocationRow> allocations;
  std::vector<OutboxRow> outbox;
  std::vector<PlacementRecord> placements;  // newest of each live job
  std::vector<Alert> open_alerts;
  std::map<std::string, std::string> settings;
  std::int64_t last_job_number = 0;
  Epoch last_epoch = 0;
};

// ---- history ----

struct JobQuery {
  std::vector<JobState> states;   // empty = all
  std::string user, name, queue;  // empty = all
  std::string array;              // id of an array's first task: only that array's tasks
  std::optional<int> array_index;
  std::optional<Time> since, until;
  int limit = 100;                // 1..1000
  std::string before_id;          // ULID of the last row of the page before; newest first
};

// One line of the history of all jobs together; `seq` grows with every commit and is never given twice.
struct StoredEvent {
  std::int64_t seq = 0;
  JobEvent event;
  std::int64_t number = 0;  // of the job, with its name and user
  std::string name, user;
};

struct SeriesQuery {
  GpuUuid gpu_uuid;
  std::vector<std::string> metrics;  // names of gpu_metrics()
  Time from, to;                     // [from, to)
  std::chrono::seconds step{0};      // 0 = the smallest step that gives at most 1,000 points
};
struct SeriesColumn {
  std::vector<std::optional<double>> mean, min, max;
};
struct Series {
  std::chrono::seconds step{0};
  std::string level;                 // "raw", "1m", "1h": where the values were read
  std::vector<Time> times;           // start of each step that lies in the range, ascending, no holes left out
  std::map<std::string, SeriesColumn> columns;  // all as long as `times`; absent = no sample in that step
};

struct StoreInfo {
  std::string name;      // "sqlite", "postgresql", "timescaledb"
  std::string version;   // of the server or library
  int schema_version = 0;
  std::string location;  // for people, without a password
};

// Thread-safe: commit() and append_samples() from one writer thread each, queries from any.
class Store {
 public:
  virtual ~Store() = default;

  // All or nothing, on disk when it returns. kConflict: a GPU is already allocated, or an idempotency key or job number
  // is taken, or another orchestrator has taken over (nothing was written). kIo: the disk failed; the process must not
  // go on. kUnavailable: perhaps it is on disk all the same, only the answer was lost; before anything else is committed
  // either the same writes are committed again, which never writes them twice, or load() tells what is there.
  virtual Result<void> commit(const std::vector<Write>& writes) = 0;

  // Idempotent on (gpu_uuid, sample_time). May lose the last second at a power cut, never more.
  virtual Result<void> append_samples(const std::vector<GpuSample>& samples) = 0;

  virtual Result<StoredState> load() = 0;
  // A new epoch block: returns a value above every epoch ever handed out and above `above`; the next `count` values belong
  // to the caller. kConflict: another orchestrator has taken over.
  virtual Result<Epoch> reserve_epochs(std::uint64_t count, Epoch above = 0) = 0;

  virtual Result<std::vector<Job>> find_jobs(const JobQuery& query) = 0;
  virtual Result<Job> find_job(const JobId& id) = 0;
  virtual Result<Job> find_job_by_number(std::int64_t number) = 0;
  virtual Result<std::optional<Job>> find_job_by_idempotency_key(const std::string& user, const std::string& key) = 0;
  virtual Result<std::vector<JobEvent>> job_events(const JobId& id) = 0;
  // Of all jobs, oldest first: behind `after`, or the newest without it. limit: 1..1000.
  virtual Result<std::vector<StoredEvent>> events(std::optional<std::int64_t> after, int limit) = 0;
  // The audit log behind line `after`, oldest first. limit: 1..1000.
  virtual Result<std::vector<AuditLine>> audit(std::int64_t after, int limit) = 0;
  virtual Result<AuditLine> last_audit_line() = 0;  // the empty one when there is none
  virtual Result<PlacementRecord> placement(const JobId& id) = 0;
  virtual Result<Series> series(const SeriesQuery& query) = 0;
  virtual Result<std::vector<GpuSample>> latest_samples() = 0;  // newest sample of each GPU
  virtual Result<std::uint64_t> count_samples() = 0;

  // Rollups and retention; called every minute from a thread of its own. Returns rows removed.
  virtual Result<std::uint64_t> maintain(Time now) = 0;

  virtual StoreInfo info() const = 0;
};

}  // namespace aether
