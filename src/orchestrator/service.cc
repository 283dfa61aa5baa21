#include "orchestrator/service.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "base/secret.h"
#include "bus/subjects.h"
#include "codec/codec.h"

namespace aether {
namespace {

constexpr std::chrono::milliseconds kIdleStep{100};        // resends, timeouts and ages move at least this often
constexpr std::chrono::milliseconds kViewInterval{100};    // views without an answer waiting
constexpr std::chrono::milliseconds kHistoryInterval{250};
constexpr std::size_t kHistoryRows = 10000;

}  // namespace

OrchestratorService::OrchestratorService(ServiceOptions options, Bus& bus, Store& store, Predictor* predictor,
                                         CarbonSource* carbon, const Clock& clock)
    : options_(std::move(options)), bus_(bus), store_(store), predictor_(predictor), carbon_(carbon), clock_(clock) {}

Result<std::unique_ptr<OrchestratorService>> OrchestratorService::open(ServiceOptions options, Bus& bus, Store& store,
                                                                       Predictor* predictor, CarbonSource* carbon,
                                                                       const Clock& clock) {
  auto state = store.load();
  if (!state) return fail_with_context("loading the jobs", state.error());
  auto epoch = store.reserve_epochs(kEpochBlock);
  if (!epoch) return fail_with_context("reserving epochs", epoch.error());
  options.core.use_predictor = predictor != nullptr;
  std::unique_ptr<OrchestratorService> service(
      new OrchestratorService(std::move(options), bus, store, predictor, carbon, clock));
  log::info("orchestrator", "recovered", {{"live_jobs", state->live_jobs.size()}, {"outbox", state->outbox.size()}});
  service->core_ = std::make_unique<Orchestrator>(service->options_.core, std::move(*state), *epoch, kEpochBlock,
                                                  random_u64(), clock.now());
  service->view_ = service->core_->view(clock.now());
  return service;
}

OrchestratorService::~OrchestratorService() { stop(); }

Result<void> OrchestratorService::start() {
  auto telemetry = bus_.subscribe(subjects::kAllTelemetry, [this](const BusMessage& message) { on_telemetry(message); });
  if (!telemetry) return fail(telemetry.error());
  telemetry_subscription_ = std::move(*telemetry);
  auto events = bus_.subscribe(subjects::kAllEvents, [this](const BusMessage& message) { on_event(message); });
  if (!events) return fail(events.error());
  event_subscription_ = std::move(*events);
  threads_.emplace_back([this] { run_steps(); });
  threads_.emplace_back([this] { run_history(); });
  threads_.emplace_back([this] { run_maintenance(); });
  if (predictor_ != nullptr) threads_.emplace_back([this] { run_predictions(); });
  if (carbon_ != nullptr) threads_.emplace_back([this] { run_carbon(); });
  return {};
}

void OrchestratorService::stop() {
  if (stopping_.exchange(true)) return;
  telemetry_subscription_.reset();
  event_subscription_.reset();
  {
    std::lock_guard lock(stop_mutex_);
    stop_condition_.notify_all();
  }
  requests_.close();
  events_.close();
  samples_.close();
  asked_.close();
  history_.close();
  wake();
  for (std::thread& thread : threads_) thread.join();
}

std::shared_ptr<const ClusterView> OrchestratorService::view() const {
  std::lock_guard lock(view_mutex_);
  return view_;
}

// ---- requests, from the API's threads ----

template <class T>
void OrchestratorService::enqueue(Input input, const Reply<T>& reply) {
  if (store_away_) return reply(fail(store_is_away()));
  if (!requests_.push(std::move(input)))
    return reply(fail(ErrorCode::kUnavailable, "the orchestrator is busy or stopping; try again"));
  wake();
}

void OrchestratorService::submit(SubmitRequest request, Reply<SubmitReply> reply) {
  if (store_away_) return reply(fail(store_is_away()));
  std::optional<Job> known;
  if (!request.idempotency_key.empty() && !request.dry_run) {
    auto found = store_.find_job_by_idempotency_key(request.user, request.idempotency_key);
    if (!found) return reply(fail_with_context("looking up the idempotency key", found.error()));
    known = std::move(*found);
  }
  std::map<std::string, FoundDependency> dependencies;
  if (!request.dry_run && !known) dependencies = find_dependencies(request.spec);
  enqueue(SubmitInput{std::move(request), reply, std::move(known), std::move(dependencies)}, reply);
}

// What is not found stays out: the step refuses it by name.
std::map<std::string, FoundDependency> OrchestratorService::find_dependencies(const JobSpec& spec) {
  std::map<std::string, FoundDependency> out;
  for (const Dependency& dependency : spec.depends_on) {
    if (dependency.kind == DependencyKind::kSingleton) continue;
    auto job = find_job(dependency.job);
    if (!job) continue;
    FoundDependency& found = out[dependency.job];
    found.job = *job;
    if ((*job)->array_parent.empty()) continue;
    JobQuery query;
    query.array = (*job)->array_parent.str();
    query.limit = 1000;
    if (dependency.kind == DependencyKind::kAfterCorr) {
      for (auto page = store_.find_jobs(query); page && !page->empty(); page = store_.find_jobs(query)) {
        query.before_id = page->back().id.str();
        for (Job& task : *page) found.tasks[task.array_index] = std::make_shared<const Job>(std::move(task));
      }
      continue;
    }
    for (const JobState state : kAllJobStates)
      if (is_terminal(state) && state != JobState::kCompleted) query.states.push_back(state);
    query.limit = 1;
    const auto failed = store_.find_jobs(query);
    found.any_failed = found.any_failed || (failed && !failed->empty());
  }
  return out;
}

void OrchestratorService::act(JobId job, JobAction action, std::optional<std::int64_t> argument, std::string actor,
                              Reply<std::shared_ptr<const Job>> reply) {
  enqueue(ActInput{std::move(job), action, argument, reply, std::move(actor)}, reply);
}
void OrchestratorService::update(JobId job, JobUpdate update, std::shared_ptr<const Job> expected, std::string actor,
                                 Reply<std::shared_ptr<const Job>> reply) {
  enqueue(UpdateInput{std::move(job), std::move(update), std::move(expected), reply, std::move(actor)}, reply);
}
void OrchestratorService::set_quarantine(GpuUuid gpu, std::optional<std::string> reason, std::string actor,
                                         Reply<void> reply) {
  enqueue(QuarantineInput{std::move(gpu), std::move(reason), reply, std::move(actor)}, reply);
}
void OrchestratorService::set_drain(NodeId node, std::optional<std::string> reason, std::string actor,
                                    Reply<void> reply) {
  enqueue(DrainInput{std::move(node), std::move(reason), reply, std::move(actor)}, reply);
}
void OrchestratorService::forget_node(NodeId node, Unresolved unresolved, std::string actor, Reply<void> reply) {
  enqueue(ForgetNodeInput{std::move(node), reply, unresolved, std::move(actor)}, reply);
}
void OrchestratorService::acknowledge(AlertId alert, std::string actor, Reply<void> reply) {
  enqueue(AcknowledgeInput{std::move(alert), reply, std::move(actor)}, reply);
}
void OrchestratorService::snooze(AlertId alert, std::optional<Time> until, std::string actor, Reply<void> reply) {
  enqueue(SnoozeInput{std::move(alert), until, reply, std::move(actor)}, reply);
}

void OrchestratorService::read_log(JobId job, std::string stream, std::int64_t offset, std::int64_t limit,
                                   Reply<LogChunk> reply) {
  std::optional<Job> known;
  if (!view()->jobs.contains(job))
    if (auto found = store_.find_job(job)) known = std::move(*found);
  enqueue(ReadLogInput{std::move(job), std::move(known), std::move(stream), offset, limit, reply}, reply);
}

Result<std::shared_ptr<const Job>> OrchestratorService::find_job(const std::string& key) {
  // A unique name may look like this too.
  if (const std::size_t underscore = key.rfind('_'); underscore != std::string::npos && underscore > 0) {
    const std::string index = key.substr(underscore + 1);
    const bool is_index = !index.empty() && index.size() <= 7 && index.find_first_not_of("0123456789") == std::string::npos;
    if (is_index)
      if (auto task = find_task(key.substr(0, underscore), std::stoi(index))) return task;
  }
  const auto now_shown = view();
  if (const auto it = now_shown->jobs.find(JobId(key)); it != now_shown->jobs.end()) return it->second;
  const bool is_number = !key.empty() && key.size() <= 18 && key.find_first_not_of("0123456789") == std::string::npos;
  const std::int64_t number = is_number ? std::stoll(key) : 0;
  for (const auto& [id, job] : now_shown->jobs) {
    if (is_number && job->number == number) return job;
    if (job->spec.unique && job->spec.name == key && !is_terminal(job->state)) return job;
  }
  // A unique job that has ended is still found by its name while it is in memory; the newest wins.
  for (auto it = now_shown->jobs.rbegin(); it != now_shown->jobs.rend(); ++it)
    if (it->second->spec.unique && it->second->spec.name == key) return it->second;
  auto stored = is_number ? store_.find_job_by_number(number) : store_.find_job(JobId(key));
  if (!stored) return fail(stored.error().code, fmt::format("no job {}", log::sanitise(key)));
  return std::make_shared<const Job>(std::move(*stored));
}

std::shared_ptr<const Job> OrchestratorService::find_task(const std::string& array, int index) {
  const auto first = find_job(array);
  if (!first || (*first)->array_parent.empty()) return nullptr;
  const auto now_shown = view();
  for (const auto& [id, job] : now_shown->jobs)
    if (job->array_parent == (*first)->array_parent && job->array_index == index) return job;
  JobQuery query;
  query.array = (*first)->array_parent.str();
  query.array_index = index;
  query.limit = 1;
  auto stored = store_.find_jobs(query);
  return stored && !stored->empty() ? std::make_shared<const Job>(std::move(stored->front())) : nullptr;
}

// ---- messages, from the bus's threads ----

void OrchestratorService::on_telemetry(const BusMessage& message) {
  const auto source = subjects::parse_telemetry(message.subject);
  auto sample = source ? codec::decode_sample(message.payload, source->node, source->gpu_index, clock_.now())
                       : Result<GpuSample>(fail(ErrorCode::kInvalidArgument, "not a telemetry subject"));
  if (sample) {
    samples_.push(SampleInput{std::make_shared<const GpuSample>(std::move(*sample))});
  } else {
    samples_.push(RejectedInput{true});
    log::warn("orchestrator", "telemetry message refused",
              {{"subject", message.subject}, {"field", sample.error().field}, {"why", sample.error().message}});
  }
  wake();
}

void OrchestratorService::on_event(const BusMessage& message) {
  auto event = codec::decode_event(message.payload);
  const auto node = subjects::parse_events(message.subject);
  if (event && node && event->node == *node) {
    events_.push(AgentInput{std::move(*event)});
  } else {
    events_.push(RejectedInput{false});
    log::warn("orchestrator", "agent event refused",
              {{"subject", message.subject}, {"why", event ? "it names another node" : event.error().message}});
  }
  wake();
}

void OrchestratorService::wake() {
  std::lock_guard lock(wake_mutex_);
  work_waiting_ = true;
  wake_condition_.notify_one();
}

// ---- the step thread ----

std::vector<Input> OrchestratorService::collect(Duration at_most) {
  {
    std::unique_lock lock(wake_mutex_);
    wake_condition_.wait_for(lock, at_most, [&] { return work_waiting_ || stopping_; });
    work_waiting_ = false;
  }
  std::vector<Input> inputs = std::exchange(kept_, {});
  for (Input& input : requests_.drain(Duration(0), 1000)) inputs.push_back(std::move(input));
  for (auto* queue : {&events_, &samples_})
    for (Input& input : queue->drain(Duration(0), 5000)) inputs.push_back(std::move(input));
  if (requests_.size() + events_.size() + samples_.size() > 0) wake();
  return inputs;
}

void OrchestratorService::run_steps() {
  Mono next_view = clock_.mono();
  bool view_waits = false;  // a change that nobody was shown yet
  SteadyWallClock steady(clock_.now(), clock_.mono());  // timeouts must not feel a step of the wall clock
  while (!stopping_) {
    const Duration until_view = std::max<Duration>(next_view - clock_.mono(), Duration(0));
    std::vector<Input> inputs = collect(view_waits ? std::min<Duration>(until_view, kIdleStep) : Duration(kIdleStep));
    const Mono begin = clock_.mono();
    core_->count_stored(stored_.exchange(0), store_dropped_.exchange(0));
    core_->count_bus_dropped(bus_.counters().dropped);
    if (core_->needs_epochs()) top_up_epochs();
    const Time now = steady.advance(clock_.now(), clock_.mono());
    Effects effects = core_->step(now, clock_.mono(), inputs);
    const Committed committed = commit(effects);
    if (committed == Committed::kStopped) return;
    if (committed == Committed::kGivenUp) {
      for (const auto& sample : effects.samples) history_.push(*sample);
      if (!start_over(now)) return;
      continue;
    }
    core_->count_step(std::chrono::duration<double>(clock_.mono() - begin).count(), effects.planned);
    view_waits = view_waits || effects.view_changed;
    if (!effects.replies.empty() || (view_waits && clock_.mono() >= next_view)) {
      auto fresh = core_->view(now);
      {
        std::lock_guard lock(view_mutex_);
        view_ = std::move(fresh);
      }
      next_view = clock_.mono() + kViewInterval;
      view_waits = false;
    }
    carry_out(std::move(effects));
  }
}

// What was published while this end of the bus was away reached nobody. Each node hears of it with its next acknowledgement,
// and sends again what it published last.
void OrchestratorService::tell_of_reconnect(Command& command) {
  auto* ack = std::get_if<HeartbeatAckCommand>(&command.body);
  if (ack == nullptr) return;
  const std::uint64_t reconnects = bus_.counters().reconnects;
  const auto told = told_reconnects_.try_emplace(command.node, reconnects).first;  // a new node has sent nothing before
  if (std::exchange(told->second, reconnects) != reconnects) ack->send_inventory = true;
}

void OrchestratorService::carry_out(Effects effects) {
  for (Command& command : effects.commands) {
    tell_of_reconnect(command);
    const auto sent = bus_.publish(subjects::commands(command.node), codec::encode_command(command));
    if (!sent) log::debug("orchestrator", "command not sent", {{"node", command.node.str()}, {"why", sent.error().message}});
  }
  for (const auto& reply : effects.replies) reply();
  for (const auto& sample : effects.samples) history_.push(*sample);
  if (effects.predictions) asked_.push(std::move(*effects.predictions));
}

// ---- the other threads ----

void OrchestratorService::run_predictions() {
  while (!stopping_) {
    for (PredictionsAsked& asked : asked_.drain(std::chrono::milliseconds(200))) {
      PredictionsInput answer{asked.cycle, {}};
      const Mono deadline = clock_.mono() + options_.predict_deadline * 4;  // of the whole cycle
      for (auto& [job, request] : asked.requests) {
        PredictionOutcome& outcome = answer.outcomes[job];
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - clock_.mono());
        const auto prediction = left.count() > 0
                                    ? predictor_->predict(request, std::min(left, options_.predict_deadline))
                                    : fail(ErrorCode::kTimeout, "the cycle's time for predictions is used up");
        if (!prediction) {
          outcome.fallback_reason = prediction.error().message;
          continue;
        }
        outcome.model = prediction->model;
        for (const CandidateScore& score : prediction->scores) {
          outcome.scores[score.gpu_uuid] = score.score;
          outcome.contributions[score.gpu_uuid] = score.contributions;
        }
      }
      requests_.push(Input(std::move(answer)));
      wake();
    }
  }
}

// Readings that a full queue pushed out, before the step or before the store.
std::uint64_t OrchestratorService::queue_drops() const { return samples_.dropped() + history_.dropped(); }

void OrchestratorService::run_history() {
  std::uint64_t dropped_before = 0;
  bool said = false;
  while (!stopping_ || history_.size() > 0) {
    std::vector<GpuSample> batch = history_.drain(kHistoryInterval, kHistoryRows);
    if (!batch.empty()) {
      const auto done = store_.append_samples(batch);
      if (done)
        stored_ += batch.size(), said = false;
      else
        store_dropped_ += batch.size();
      if (!done && done.error().code == ErrorCode::kIo) return end_for_good(done.error());
      if (!done && !said) log::warn("orchestrator", "history not written", {{"why", done.error().message}});
      said = said || !done;
      if (!done && stopping_) return;
    }
    const std::uint64_t dropped = queue_drops();
    store_dropped_ += dropped - dropped_before;
    dropped_before = dropped;
    if (!stopping_ && batch.size() < kHistoryRows) sleep_until_stop(kHistoryInterval);
  }
}

void OrchestratorService::run_maintenance() {
  for (int minute = 0; !stopping_; ++minute) {
    if (minute % 60 == 0) log_audit_seal();
    sleep_until_stop(std::chrono::seconds(60));
    if (stopping_) return;
    const auto removed = store_.maintain(clock_.now());
    if (!removed && removed.error().code == ErrorCode::kIo) return end_for_good(removed.error());
    if (!removed)
      log::warn("orchestrator", "rollups or retention failed", {{"why", removed.error().message}});
  }
}

// Kept outside the database: who cuts off the newest lines there would have to change the log here too.
void OrchestratorService::log_audit_seal() {
  if (const auto last = store_.last_audit_line(); last && last->seq > 0)
    log::info("orchestrator", "audit log sealed", {{"line", last->seq}, {"seal", last->hash}});
}

void OrchestratorService::run_carbon() {
  while (!stopping_) {
    auto report = carbon_->fetch(clock_.now());
    if (report) {
      requests_.push(Input(CarbonInput{std::move(*report)}));
      wake();
    } else {
      log::warn("orchestrator", "no carbon intensity", {{"why", report.error().message}});
    }
    sleep_until_stop(report ? options_.carbon_interval : std::chrono::seconds(60));
  }
}

void OrchestratorService::sleep_until_stop(std::chrono::milliseconds duration) {
  std::unique_lock lock(stop_mutex_);
  stop_condition_.wait_for(lock, duration, [&] { return stopping_.load(); });
}

}  // namespace aether
