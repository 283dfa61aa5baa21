#pragma once
// The orchestrator as a running thing: one thread steps the core; others bring messages, write history, ask the
// predictor and the carbon source. Queues: requests 10,000 (reject), agent events 10,000 (drop oldest: heartbeats repeat
// everything), samples 50,000 (drop oldest, counted), history batches 200,000 rows (drop oldest, counted).
#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/bounded_queue.h"
#include "base/clock.h"
#include "bus/bus.h"
#include "carbon/carbon_source.h"
#include "orchestrator/control.h"
#include "orchestrator/orchestrator.h"
#include "predictor/predictor.h"
#include "store/store.h"

namespace aether {

struct ServiceOptions {
  OrchestratorOptions core;
  std::chrono::milliseconds predict_deadline{50};
  std::chrono::seconds carbon_interval{600};
  // So long a request waits for a database that is away; then it is refused, and nothing of it is kept.
  std::chrono::milliseconds refuse_after{2'000};
  // The disk failed, or the database contradicts us: nothing may go on. Default: log and exit 74.
  std::function<void(const Error&)> on_fatal;
};

class OrchestratorService final : public Control {
 public:
  // `predictor` and `carbon` may be null.
  static Result<std::unique_ptr<OrchestratorService>> open(ServiceOptions options, Bus& bus, Store& store,
                                                           Predictor* predictor, CarbonSource* carbon,
                                                           const Clock& clock);
  ~OrchestratorService() override;

  // Takes messages from here on.
  Result<void> start();
  // Finishes the step at hand; running jobs are not touched.
  void stop();

  std::shared_ptr<const ClusterView> view() const override;
  bool store_answers() const override { return !store_away_; }
  void submit(SubmitRequest request, Reply<SubmitReply> reply) override;
  void act(JobId job, JobAction action, std::optional<std::int64_t> argument, std::string actor,
           Reply<std::shared_ptr<const Job>> reply) override;
  void set_quarantine(GpuUuid gpu, std::optional<std::string> reason, std::string actor, Reply<void> reply) override;
  void set_drain(NodeId node, std::optional<std::string> reason, std::string actor, Reply<void> reply) override;
  void forget_node(NodeId node, Unresolved unresolved, std::string actor, Reply<void> reply) override;
  void acknowledge(AlertId alert, std::string actor, Reply<void> reply) override;
  void snooze(AlertId alert, std::optional<Time> until, std::string actor, Reply<void> reply) override;
  void read_log(JobId job, std::string stream, std::int64_t offset, std::int64_t limit, Reply<LogChunk> reply) override;
  void update(JobId job, JobUpdate update, std::shared_ptr<const Job> expected, std::string actor,
              Reply<std::shared_ptr<const Job>> reply) override;
  Result<std::shared_ptr<const Job>> find_job(const std::string& key) override;

 private:
  OrchestratorService(ServiceOptions options, Bus& bus, Store& store, Predictor* predictor, CarbonSource* carbon,
                      const Clock& clock);

  template <class T>
  void enqueue(Input input, const Reply<T>& reply);
  void on_telemetry(const BusMessage& message);
  void on_event(const BusMessage& message);

  std::map<std::string, FoundDependency> find_dependencies(const JobSpec& spec);
  // Null: the array has no such task, or there is no such array.
  std::shared_ptr<const Job> find_task(const std::string& array, int index);
  void run_steps();
  std::vector<Input> collect(Duration at_most);
  void tell_of_reconnect(Command& command);
  void carry_out(Effects effects);
  static Error store_is_away();
  enum class Committed { kDone, kGivenUp, kStopped };
  Committed commit(const Effects& effects);
  bool start_over(Time now);
  bool wait_for_store(const Error& error);
  void refuse_waiting();
  void end_for_good(const Error& error);
  void top_up_epochs();
  void run_predictions();
  std::uint64_t queue_drops() const;
  void run_history();
  void run_maintenance();
  void log_audit_seal();
  void run_carbon();
  void sleep_until_stop(std::chrono::milliseconds duration);
  void wake();

  const ServiceOptions options_;
  Bus& bus_;
  Store& store_;
  Predictor* const predictor_;
  CarbonSource* const carbon_;
  const Clock& clock_;

  std::unique_ptr<Orchestrator> core_;  // the step thread's
  std::vector<Input> kept_;             // the step thread's: inputs nobody waits for, from before the next step
  std::map<NodeId, std::uint64_t> told_reconnects_;  // the step thread's
  BoundedQueue<Input> requests_{10000, WhenFull::kReject};
  BoundedQueue<Input> events_{10000, WhenFull::kDropOldest};
  BoundedQueue<Input> samples_{50000, WhenFull::kDropOldest};
  BoundedQueue<PredictionsAsked> asked_{16, WhenFull::kBlock};
  BoundedQueue<GpuSample> history_{200000, WhenFull::kDropOldest};
  std::atomic<std::uint64_t> stored_{0}, store_dropped_{0};
  std::atomic<bool> store_away_{false};  // new requests are turned away instead of queued

  mutable std::mutex view_mutex_;
  std::shared_ptr<const ClusterView> view_ = std::make_shared<ClusterView>();

  std::mutex wake_mutex_;
  std::condition_variable wake_condition_;
  bool work_waiting_ = false;

  std::atomic<bool> stopping_{false};
  std::mutex stop_mutex_;
  std::condition_variable stop_condition_;
  std::unique_ptr<Bus::Subscription> telemetry_subscription_, event_subscription_;
  std::vector<std::thread> threads_;
};

}  // namespace aether
