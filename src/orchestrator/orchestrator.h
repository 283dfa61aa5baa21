#pragma once
// The orchestrator's core: step(now, inputs) -> effects. One owner thread; no I/O, no clock, no lock. What must be
// durable is in `writes`; commands and replies leave only once those are on disk, so a crash at any point repeats or
// forgets work that nobody was promised.
#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "anomaly/anomaly_detector.h"
#include "anomaly/threshold_alerts.h"
#include "base/rng.h"
#include "cluster/cluster.h"
#include "cluster/node_leases.h"
#include "orchestrator/control.h"
#include "orchestrator/io.h"
#include "scheduler/scheduler.h"

namespace aether {

struct OrchestratorOptions {
  ClusterOptions cluster;
  SchedulerOptions scheduler;
  AlertOptions alerts;
  AnomalyOptions anomalies;
  std::int64_t default_time_limit_s = 86400;
  std::size_t max_pending = 100000;
  std::size_t max_recent = 500;            // finished jobs kept in memory
  int max_launch_tries = 5;                // attempts that never ran, per job
  bool use_predictor = true;
  // Of a cycle (Plan::work); each unit beyond it keeps the next cycle waiting for 1 us, all together at most 1 s.
  std::size_t unpaused_work = 20'000;
  LeaseOptions lease;
  int max_start_sends = 20;                // of one start
  int max_unanswered_starts = 64;          // of one node; the next jobs wait until half of them are answered
  std::chrono::seconds resend_first{1}, resend_last{20};
  std::chrono::seconds retry_first{2}, retry_last{300};  // pause before a retry, doubled each time
  std::chrono::seconds log_timeout{2};
  std::chrono::seconds lost_after{20};     // an attempt its node no longer lists
};

// The most that is reserved at once, so that every fence a leader gives lies less than this above its leader epoch.
inline constexpr std::uint64_t kEpochBlock = std::uint64_t{1} << 20;

class Orchestrator {
 public:
  // `first_epoch`..`first_epoch + epochs - 1` belong to this instance; the first of the newest block is also what its
  // commands carry as leader epoch. `seed`: for job ids only.
  Orchestrator(OrchestratorOptions options, StoredState state, Epoch first_epoch, std::uint64_t epochs,
               std::uint64_t seed, Time now);

  // `mono` is the boot clock, which leases are counted on; without it the wall clock has to do.
  Effects step(Time now, Mono mono, std::span<Input> inputs);
  Effects step(Time now, std::span<Input> inputs) { return step(now, Mono(now.time_since_epoch()), inputs); }

  // The state as the API shows it. Cheap for what has not changed.
  std::shared_ptr<const ClusterView> view(Time now);

  // True when fewer epochs are left than a step can use, or nodes obey a higher one than this orchestrator's: give it more
  // with add_epochs(), above epochs_above().
  bool needs_epochs() const { return epochs_left_ < 4096 || epochs_above_ >= leader_epoch_; }
  Epoch epochs_above() const { return epochs_above_; }
  void add_epochs(Epoch first, std::uint64_t count);

  // What `before` knew that no store holds: who is there, their readings, who waits for output, counters. For the one that takes its place in the
  // same process after a commit was given up.
  void inherit(Orchestrator& before, Time now);

  void count_stored(std::uint64_t stored, std::uint64_t dropped) {
    counters_.samples_stored += stored;
    counters_.samples_dropped += dropped;
  }
  void count_bus_dropped(std::uint64_t messages) { counters_.bus_dropped = messages; }
  // `planned`: Effects::planned of that step.
  void count_step(double seconds, bool planned) {
    counters_.last_step_s = seconds;
    if (!planned) return;
    counters_.last_cycle_s = seconds;
    counters_.longest_cycle_s = std::max(counters_.longest_cycle_s, seconds);
  }

 private:
  struct Outstanding {                      // a command until its acknowledgement
    Command command;
    Time next_at;
    std::chrono::seconds delay{1};
    int sends = 1;
  };
  struct PendingLog {
    Control::Reply<LogChunk> reply;
    Time deadline;
  };

  // inputs (jobs.cc, dispatch.cc, telemetry.cc)
  void apply(SampleInput& input, Time now, Effects& effects);
  void apply(AgentInput& input, Time now, Effects& effects);
  void apply(SubmitInput& input, Time now, Effects& effects);
  void apply(ActInput& input, Time now, Effects& effects);
  void apply(UpdateInput& input, Time now, Effects& effects);
  void apply(QuarantineInput& input, Time now, Effects& effects);
  void apply(DrainInput& input, Time now, Effects& effects);
  void apply(ForgetNodeInput& input, Time now, Effects& effects);
  void apply(AcknowledgeInput& input, Time now, Effects& effects);
  void apply(SnoozeInput& input, Time now, Effects& effects);
  void apply(ReadLogInput& input, Time now, Effects& effects);
  void apply(PredictionsInput& input, Time now, Effects& effects);
  void apply(CarbonInput& input, Time now, Effects& effects);
  void apply(RejectedInput& input, Time now, Effects& effects);

  // jobs.cc
  Result<Job*> accept(SubmitInput& input, Time now, Effects& effects);
  Result<void> check_admission(const JobSpec& spec, std::size_t tasks, Time now) const;
  Result<std::vector<Job>> make_jobs(SubmitInput& input, Time now);
  void cancel(Job& job, std::optional<std::int64_t> grace_s, Time now, Effects& effects);
  void order_stop(Job& job, ExitCause cause, const std::string& actor, std::int64_t grace_s, Time now, Effects& effects);
  JobId cancel_array(const ActInput& input, Time now, Effects& effects);
  Result<void> act_on(Job& job, const ActInput& input, Time now, Effects& effects);
  void put_row(const Job& job, Effects& effects);
  void set_job_state(Job& job, JobState to, const std::string& actor, const std::string& reason, Time now,
                     Effects& effects);
  void finish(Job& job, Time now);
  void touch(const Job& job) { changed_jobs_.insert(job.id); }
  Job* find_live(const JobId& id);

  // dependencies.cc
  DependencyState judge_array(DependencyKind kind, const JobId& parent, bool any_failed) const;
  Result<JobState> state_now(const std::shared_ptr<const Job>& job) const;
  Result<void> resolve(Dependency& dependency, std::size_t entry, int array_index, const SubmitInput& input,
                       DependencyState& state) const;
  Result<void> resolve_dependencies(Job& job, const SubmitInput& input) const;
  std::optional<JobId> watched(const Dependency& dependency, bool& whole) const;
  void index_job(const Job& job);
  void unindex_job(const Job& job);
  void watch_dependencies(const Job& job);
  void tell_dependents(const Job& job, Effects& effects);
  void update_dependencies(const JobId& id, const std::string& name,
                           const std::function<DependencyState(DependencyKind)>& judged, Effects& effects);
  void cancel_doomed(Time now, Effects& effects);

  // gates.cc
  std::map<JobId, std::vector<Reason>> gates(Time now) const;
  void add_dependency_gates(const Job& job, std::vector<Reason>& gates) const;
  void add_singleton_gate(const Job& job, std::vector<Reason>& gates) const;
  void add_time_gates(const Job& job, Time now, std::vector<Reason>& gates) const;
  void add_array_gates(std::map<JobId, std::vector<Reason>>& gates) const;

  // restarts.cc
  static Time latest_start(const Job& job);
  bool plan_restart(Job& job, const Attempt& attempt, Time now);
  void expire_deadlines(Time now, Effects& effects);
  static JobSpec spec_of_attempt(const Job& job, const Attempt& attempt);

  // suspension.cc
  Result<void> suspend(Job& job, Time now, Effects& effects);
  Result<void> resume(Job& job, Time now, Effects& effects);
  Result<void> send_signal(const Job& job, std::int64_t signal, Effects& effects) const;

  // dispatch.cc
  void start(Job& job, PlacementRecord record, Time now, Effects& effects);
  // Of an attempt that holds this GPU.
  const Allocation& allocation_of(const AttemptId& attempt, const GpuUuid& gpu) const;
  std::vector<int> slots_of(const Attempt& attempt) const;
  void send_start(const Job& job, const Attempt& attempt, Time now, Effects& effects);
  void send_stop(const Job& job, const Attempt& attempt, std::int64_t grace_s, Time now, Effects& effects);
  void put_outstanding(const AttemptId& id, Epoch epoch, const std::string& kind, Command command, Time now,
                       Effects& effects);
  void count_unanswered_start(const Command& command, int by);
  void acknowledge_outstanding(const AttemptId& id, const std::string& kind, Effects& effects);
  void resend(Time now, Effects& effects);
  void on_hello(const HelloEvent& hello, Time now, Effects& effects);
  void stop_superseded(const NodeId& node, const AttemptReport& report, const Job& job, Effects& effects);
  void rise_above(const NodeId& node, std::uint64_t obeyed_epoch);
  void on_heartbeat(const AgentEvent& event, const HeartbeatEvent& heartbeat, Time now, Effects& effects);
  void on_report(const NodeId& node, const AttemptReport& report, Time now, Effects& effects);
  void on_gpu_fault(const NodeId& node, const GpuFaultEvent& fault, Time now, Effects& effects);
  void on_gpu_recovered(const NodeId& node, const GpuRecoveredEvent& recovered, Time now, Effects& effects);
  void on_refused(const NodeId& node, const RefusedEvent& refused, Time now, Effects& effects);
  void on_log(const LogEvent& log, Effects& effects);
  void end_attempt(Job& job, Attempt& attempt, const ExitStatus& exit, Time ended_at, Time now, Effects& effects);
  void expire_logs(Time now, Effects& effects);

  // leases.cc
  void watch_placed();
  void find_lost(const NodeId& node, const BootTime& sent_at, const std::set<AttemptId>& listed, Time now,
                 Effects& effects);
  std::optional<ExitStatus> judge_missing(const Job& job, const Attempt& attempt, Time now) const;
  bool start_is_over(const StartCommand& start, const std::optional<BootTime>& clock) const;
  void check_leases(Time now, Effects& effects);
  void show_silence(Effects& effects);
  void set_alert(Alert alert, bool bad, Time now, Effects& effects);

  // planning.cc
  void plan(Time now, Effects& effects);
  SchedulerInput scheduler_input(Time now) const;
  SubmitReply what_if(const SubmitRequest& request, Time now) const;
  std::map<NodeId, double> busy_by_node(Time now) const;
  PredictRequest predict_request(const Job& job, const std::vector<GpuUuid>& candidates,
                                 const std::map<NodeId, double>& busy) const;
  void adopt(Plan plan, const std::map<JobId, PredictionOutcome>& outcomes, Time now, Effects& effects);

  // orchestrator.cc
  void show_fleet(Time now);
  void show_gpu(const GpuRecord& gpu, Time now);
  void touch_gpus(const Attempt& attempt) {
    touched_gpus_.insert(attempt.placement.gpu_uuids.begin(), attempt.placement.gpu_uuids.end());
  }

  // telemetry.cc
  void judge_alerts(Time now, Effects& effects);
  void judge_gpu(const GpuRecord& gpu, Time now, Effects& effects);
  void charge_energy(const GpuRecord& gpu);
  void record_history(Time now);

  const OrchestratorOptions options_;
  Rng rng_;
  Epoch next_epoch_ = 0;
  std::uint64_t epochs_left_ = 0;
  Cluster cluster_;
  ThresholdAlerts alerts_;
  AnomalyDetector anomalies_;
  std::map<JobId, Job> live_;                              // not terminal
  SharedMap<JobId, std::shared_ptr<const Job>> shown_;     // live and recent, as published
  std::deque<JobId> recent_;                               // finished, oldest first
  std::set<JobId> changed_jobs_;                           // since the last view
  std::map<JobId, std::set<JobId>> dependents_;            // live job -> live jobs that wait for it
  std::map<JobId, std::set<JobId>> array_dependents_;      // array with live tasks -> live jobs that wait for all of it
  std::map<JobId, std::map<int, JobId>> array_tasks_;      // live ones, by the array and their index
  std::set<JobId> failed_arrays_;                          // a task has ended otherwise than COMPLETED, since the start
  std::map<std::pair<std::string, std::string>, std::set<std::pair<std::int64_t, JobId>>> same_name_;  // live, by user and name
  std::set<std::pair<Time, JobId>> deadlines_;             // when a deadline has to be looked at
  std::set<JobId> doomed_;                                 // to be cancelled in this step
  std::map<std::pair<std::string, std::string>, JobId> by_key_;  // (user, idempotency key), while shown
  SharedMap<JobId, std::shared_ptr<const WaitRecord>> waiting_;
  std::shared_ptr<const WaitRecord> behind_;               // of the pending jobs that are not in waiting_
  SharedMap<JobId, std::shared_ptr<const PlacementRecord>> placements_;
  std::map<GpuUuid, std::map<std::string, Time>> gpu_faults_;  // what a node said of each GPU lately, acted upon, and when
  std::map<std::pair<AttemptId, std::string>, Outstanding> outstanding_;
  std::map<NodeId, int> unanswered_starts_;  // of outstanding_
  std::set<NodeId> starting_fully_;          // where a job had to wait for them
  std::map<AttemptId, Time> missing_since_;
  bool watches_placed_ = false;
  std::map<NodeId, std::set<JobId>> placed_;               // live jobs whose last attempt holds something there
  std::set<NodeId> silent_;                                // as last shown
  struct Home { std::string incarnation, boot_id; };
  std::map<AttemptId, Home> homes_;                        // the agent that last named the attempt
  std::map<std::uint64_t, PendingLog> pending_logs_;
  std::map<GpuUuid, std::shared_ptr<const GpuSample>> last_charged_;
  std::map<GpuUuid, std::pair<GpuState, Time>> state_since_;  // as last shown
  SharedMap<NodeId, NodeView> shown_nodes_;                   // as published
  SharedMap<GpuUuid, GpuView> shown_gpus_;
  std::set<GpuUuid> touched_gpus_;                            // since the last view
  bool refresh_fleet_ = true;                                 // the next view looks at every node and GPU again
  std::size_t holding_ = 0;                                   // live jobs that hold GPUs
  std::map<AlertId, Time> snoozed_;                           // durable as settings; those that are over go with the next
  std::optional<CarbonReport> carbon_;
  std::optional<ModelVersion> model_;
  FleetHistory history_;
  OrchestratorCounters counters_;
  std::int64_t last_number_ = 0;
  std::uint64_t last_request_id_ = 0;
  NodeLeases leases_;
  Mono mono_{};                                            // of the step that runs
  std::uint64_t leader_epoch_;
  Epoch epochs_above_ = 0;                                 // the next block must be
  std::uint64_t view_version_ = 0;
  bool needs_plan_ = true;
  std::optional<std::pair<std::uint64_t, Time>> awaiting_;  // cycle and when its predictions were asked for
  Time last_plan_, next_plan_, last_second_, last_minute_;
};

}  // namespace aether
