#pragma once
// The orchestrator's control port: what the API (and nothing else) may ask. Reads come from an immutable view that the
// orchestrator publishes after each step; requests that change something are answered once they are durable.
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/shared_map.h"
#include "model/alert.h"
#include "model/carbon.h"
#include "model/decision.h"
#include "model/gpu.h"
#include "model/job.h"
#include "model/message.h"
#include "model/node.h"

namespace aether {

struct NodeView {
  NodeInventory inventory;
  NodeState state = NodeState::kUp;
  std::string drain_reason;
  Time last_seen;                           // as of the last full second
  friend bool operator==(const NodeView&, const NodeView&) = default;
};
struct GpuJob {
  JobId job;
  std::int64_t number = 0;
  std::string name;
  friend bool operator==(const GpuJob&, const GpuJob&) = default;
};
struct GpuView {
  GpuInfo info;
  NodeId node;
  std::string gpu_id;                       // "<node>-<index>"
  GpuState state = GpuState::kNoData;
  std::string state_reason;
  Time state_since;
  std::int64_t allocated_mb = 0;
  std::vector<GpuJob> jobs;
  std::shared_ptr<const GpuSample> sample;  // null: no reading yet, or stale
  friend bool operator==(const GpuView&, const GpuView&) = default;
};
struct FleetHistory {                       // one value a minute, oldest first, at most 60
  std::vector<Time> times;
  std::vector<double> busy_pct, memory_used_mb, power_draw_w, jobs_pending;
};
struct OrchestratorCounters {
  std::uint64_t samples_received = 0, samples_rejected = 0, samples_stored = 0, samples_dropped = 0;
  std::uint64_t bus_dropped = 0;             // messages, by full subscriptions
  std::uint64_t events_rejected = 0, reports_stale = 0;
  std::uint64_t starts_resent = 0, starts_expired = 0, starts_refused = 0;
  std::uint64_t agents_refused = 0;          // messages of an agent whose node name is another's
  std::uint64_t attempts_superseded = 0;     // orders to end an attempt that has been given up here
  std::uint64_t attempts_fenced = 0;         // given up because its node must have ended it by itself
  std::uint64_t jobs_submitted = 0, jobs_finished = 0, placements = 0;
  std::uint64_t predictions = 0, prediction_fallbacks = 0;
  std::uint64_t commits = 0, cycles = 0;
  double last_step_s = 0;
  double last_cycle_s = 0, longest_cycle_s = 0;  // of steps that planned
};

// Immutable once published. Containers are shared with the next view where nothing changed.
struct ClusterView {
  Time at;
  std::uint64_t version = 0;                // grows with every published view
  SharedMap<NodeId, NodeView> nodes;
  SharedMap<GpuUuid, GpuView> gpus;
  SharedMap<JobId, std::shared_ptr<const Job>> jobs;            // live, and the 500 newest finished
  SharedMap<JobId, std::shared_ptr<const WaitRecord>> waiting;  // of HELD jobs and of PENDING ones at the queue's front
  std::shared_ptr<const WaitRecord> behind;                     // of every other PENDING job; null: not looked at yet
  SharedMap<JobId, std::shared_ptr<const PlacementRecord>> placements;
  std::vector<Alert> alerts;                // open, and those cleared within the last hour
  std::map<AlertId, Time> snoozed;          // alerts that nobody wants to see before a time; some may be over
  std::optional<CarbonReport> carbon;
  FleetHistory history;
  std::optional<ModelVersion> model;
  OrchestratorCounters counters;

  // Why the job waits; null when it does not, or before the first cycle that saw it.
  std::shared_ptr<const WaitRecord> wait_of(const Job& job) const {
    if (const auto found = waiting.find(job.id); found != waiting.end()) return found->second;
    const bool was_seen = behind != nullptr && job.submitted_at <= behind->evaluated_at;
    return job.state == JobState::kPending && was_seen ? behind : nullptr;
  }
};

struct SubmitRequest {
  JobSpec spec;
  std::string user;
  std::string idempotency_key;              // empty = none
  std::string body_sha256;                  // of the canonical body
  bool dry_run = false;                     // validate only, store nothing
};
struct SubmitReply {
  std::shared_ptr<const Job> job;
  bool replayed = false;                    // the key was known with the same body
  // Of a dry run: what a cycle would decide now, without asking the predictor. One of the two is set.
  std::shared_ptr<const PlacementRecord> would_start{};
  std::shared_ptr<const WaitRecord> would_wait{};
};

enum class JobAction {
  kCancel,       // argument: grace in seconds
  kCancelArray,  // every task of the array whose first task the job is; argument: grace in seconds
  kHold,
  kRelease,
  kRequeue,      // stops a running attempt and queues the job again
  kSuspend,
  kResume,
  kSignal,       // argument: the signal's number; sent once, without a promise that it arrives
};
// What becomes of attempts on a node that is forgotten, whose end nobody knows.
enum class Unresolved {
  kRefuse,  // the node is not forgotten while it has any
  kLost,    // the operator's word that nothing runs there any more: they end as NODE_FAIL
};
// What may change of a job after its submission; absent = stays.
struct JobUpdate {
  std::optional<int> priority;
  std::optional<std::int64_t> time_limit_s;                      // of a job that waits
  std::optional<std::map<std::string, std::string>> labels;      // the whole set
};

// `actor` is the identity that asks; it goes into the audit log with what was done.
// Thread-safe. Callbacks run on the orchestrator's thread and must only hand over.
class Control {
 public:
  template <class T>
  using Reply = std::function<void(Result<T>)>;

  virtual ~Control() = default;

  virtual std::shared_ptr<const ClusterView> view() const = 0;
  // False while requests are refused because the database is away or its disk is full.
  virtual bool store_answers() const { return true; }

  // Answered after the commit. kConflict: a live job has this unique name, or the key came with another body
  // (field "idempotency_key"). kResourceExhausted: the queue is full. kUnavailable: the store does not answer.
  virtual void submit(SubmitRequest request, Reply<SubmitReply> reply) = 0;
  virtual void act(JobId job, JobAction action, std::optional<std::int64_t> argument, std::string actor,
                   Reply<std::shared_ptr<const Job>> reply) = 0;
  // kConflict with the field "etag": the job is no longer `expected` (null = whatever it is).
  virtual void update(JobId job, JobUpdate update, std::shared_ptr<const Job> expected, std::string actor,
                      Reply<std::shared_ptr<const Job>> reply) = 0;
  virtual void set_quarantine(GpuUuid gpu, std::optional<std::string> reason, std::string actor,
                              Reply<void> reply) = 0;
  virtual void set_drain(NodeId node, std::optional<std::string> reason, std::string actor, Reply<void> reply) = 0;
  // The operator's word that the node is gone for good. kConflict while it answers, or has unresolved attempts.
  virtual void forget_node(NodeId node, Unresolved unresolved, std::string actor, Reply<void> reply) = 0;
  virtual void acknowledge(AlertId alert, std::string actor, Reply<void> reply) = 0;
  // Out of everybody's inbox until a time, also over restarts; nothing = wake it. kNotFound: no such alert is open.
  virtual void snooze(AlertId alert, std::optional<Time> until, std::string actor, Reply<void> reply) = 0;
  // Asks the agent that ran the job's last attempt; kTimeout after 2 s without an answer.
  virtual void read_log(JobId job, std::string stream, std::int64_t offset, std::int64_t limit,
                        Reply<LogChunk> reply) = 0;
  // Finds a job in the view or, when it is no longer there, in the store. `key` is a ULID, a number, the name of a live
  // unique job, or one of the first two with an index behind it: "4131_7" is task 7 of array 4131.
  virtual Result<std::shared_ptr<const Job>> find_job(const std::string& key) = 0;
};

}  // namespace aether
