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
  std::map<std::string, std::string> labels;  // all of them
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

// Empty and absent fields ask for everything.
struct EventQuery {
  std::optional<std::int64_t> after = {};  // oldest first from behind this one; without it the newest
  std::string job = {}, user = {};         // the job's id
  std::vector<JobState> states = {};       // that were entered
  std::optional<Time> since = {}, until = {};  // [since, until)
  int limit = 100;                         // 1..1000
};
struct AuditQuery {
  std::optional<std::int64_t> after = {};  // as in EventQuery
  std::string actor = {}, action = {}, target = {};
  std::optional<Time> since = {}, until = {};
  int limit = 100;                         // 1..1000
};

// An attempt that ran, and whose it was.
struct AttemptRecord {
  Attempt attempt;
  std::int64_t number = 0;  // of the job
  std::string user, queue, name;
  friend bool operator==(const AttemptRecord&, const AttemptRecord&) = default;
};
inline constexpr std::size_t kMaxAttemptsRead = 200'000;

struct GpuPart {
  GpuUuid gpu_uuid;
  Time from, to;
};
// What its readings say; the rest of the part was not measured.
struct GpuEnergy {
  double energy_j = 0;
  Duration covered{0};
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

// A GPU as the history knows it, also when it has left the fleet.
struct KnownGpu {
  GpuUuid gpu_uuid;
  NodeId node;
  int gpu_index = 0;
  std::string gpu_name;
  friend bool operator==(const KnownGpu&, const KnownGpu&) = default;
};

// What a group of GPUs is asked for in each step. With m the mean of one GPU's readings in the step:
enum class Statistic {
  kMean,  // the mean of m over the GPUs that were read
  kMin,   // the lowest reading of any GPU
  kMax,
  kSum,   // the sum of m over the GPUs that were read
  kLast,  // the mean over the GPUs of each one's last reading; raw readings only
  kP95,   // of all readings of the group, by nearest rank; raw readings only
};
std::string_view to_string(Statistic statistic);  // "mean", "p95"
std::optional<Statistic> parse_statistic(std::string_view text);

// One GPU's readings in [from, to) count for group number `group`.
struct SeriesMember {
  GpuUuid gpu_uuid;
  std::size_t group = 0;
  Time from, to;
};
struct GroupSeriesQuery {
  std::vector<SeriesMember> members;
  std::size_t groups = 1;
  std::vector<std::string> metrics;  // names of gpu_metrics()
  std::vector<Statistic> statistics;
  Time from, to;                     // [from, to)
  std::chrono::seconds step{0};      // 0 = the store chooses
};
struct GroupColumn {
  std::vector<std::vector<std::optional<double>>> values;  // [statistic as asked][step]; absent = nobody was read
  std::vector<std::uint32_t> gpus;                         // how many GPUs were read in each step
};
struct GroupSeries {
  std::chrono::seconds step{0};
  std::string level;        // as in Series
  std::vector<Time> times;  // start of each step, ascending, no holes left out
  std::vector<std::map<std::string, GroupColumn>> groups;
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
  virtual Result<std::vector<StoredEvent>> events(const EventQuery& query) = 0;    // of all jobs, oldest first
  virtual Result<std::vector<AuditLine>> audit(const AuditQuery& query) = 0;       // oldest first
  // Of all jobs, those that had a process in [from, to), by start. kInvalidArgument above kMaxAttemptsRead.
  virtual Result<std::vector<AttemptRecord>> attempts(Time from, Time to) = 0;
  virtual Result<AuditLine> last_audit_line() = 0;  // the empty one when there is none
  virtual Result<PlacementRecord> placement(const JobId& id) = 0;
  virtual Result<Series> series(const SeriesQuery& query) = 0;
  // Of many GPUs in one look. kInvalidArgument also when it would read too much: the message says what to ask instead.
  virtual Result<GroupSeries> group_series(const GroupSeriesQuery& query) = 0;
  virtual Result<std::vector<KnownGpu>> known_gpus() = 0;  // by node and index
  // One answer for each part: the energy counter's differences, power over time where there is no counter, absent where
  // neither was read. Arithmetic: carbon/reading_energy.h.
  virtual Result<std::vector<std::optional<GpuEnergy>>> energy(const std::vector<GpuPart>& parts) = 0;
  virtual Result<std::vector<GpuSample>> latest_samples() = 0;  // newest sample of each GPU
  virtual Result<std::uint64_t> count_samples() = 0;

  // Rollups and retention; called every minute from a thread of its own. Returns rows removed.
  virtual Result<std::uint64_t> maintain(Time now) = 0;

  virtual StoreInfo info() const = 0;
};

}  // namespace aether
