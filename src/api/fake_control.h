#pragma once
// For tests: an orchestrator in memory. Submissions wait for ever unless the test starts them; each change publishes a
// new view, as the real one does.
#include <atomic>
#include <fmt/format.h>

#include <map>
#include <mutex>
#include <string>

#include "base/ulid.h"
#include "orchestrator/control.h"

namespace aether::api {

class FakeControl final : public Control {
 public:
  FakeControl() {
    publish([](ClusterView&) {});
  }

  // Changes the view and publishes it as the next version.
  template <class Change>
  void publish(Change change) {
    std::lock_guard lock(mutex_);
    publish_locked(change);
  }

  std::shared_ptr<const ClusterView> view() const override {
    std::lock_guard lock(mutex_);
    return view_;
  }

  void submit(SubmitRequest request, Reply<SubmitReply> reply) override {
    std::unique_lock lock(mutex_);
    submissions.push_back(request);
    if (const auto failure = fail_next()) return unlocked(lock, [&] { reply(fail(*failure)); });
    if (request.dry_run) return unlocked(lock, [&] { reply(SubmitReply{}); });
    const auto key = std::pair(request.user, request.idempotency_key);
    if (const auto known = keys_.find(key); !request.idempotency_key.empty() && known != keys_.end()) {
      const auto job = view_->jobs.at(known->second);
      const bool same = job->body_sha256 == request.body_sha256;
      return unlocked(lock, [&] {
        reply(same ? Result<SubmitReply>(SubmitReply{job, true})
                   : fail(ErrorCode::kConflict, "the key came with another body", "idempotency_key"));
      });
    }
    for (const auto& [id, job] : view_->jobs)
      if (request.spec.unique && job->spec.unique && job->spec.name == request.spec.name && !is_terminal(job->state))
        return unlocked(lock, [&] { reply(fail(ErrorCode::kConflict, "a live job has this name", "/name")); });
    const auto job = make_job_locked(request.spec, request.user);
    auto stored = std::make_shared<Job>(*job);
    stored->idempotency_key = request.idempotency_key;
    stored->body_sha256 = request.body_sha256;
    keys_[key] = stored->id;
    publish_locked([&](ClusterView& view) { view.jobs[stored->id] = stored; });
    unlocked(lock, [&] { reply(SubmitReply{stored, false}); });
  }

  void act(JobId id, JobAction action, std::optional<std::int64_t> argument, std::string,
           Reply<std::shared_ptr<const Job>> reply) override {
    std::unique_lock lock(mutex_);
    last_argument = argument;
    if (const auto failure = fail_next()) return unlocked(lock, [&] { reply(fail(*failure)); });
    const auto found = view_->jobs.find(id);
    if (found == view_->jobs.end()) return unlocked(lock, [&] { reply(fail(ErrorCode::kNotFound, "no such job")); });
    auto job = std::make_shared<Job>(*found->second);
    last_action = action;
    if (action == JobAction::kCancel || action == JobAction::kCancelArray) job->state = JobState::kCancelled;
    if (action == JobAction::kHold) job->state = JobState::kHeld;
    if (action == JobAction::kRelease || action == JobAction::kRequeue) job->state = JobState::kPending;
    if (action == JobAction::kSuspend) job->state = JobState::kSuspended;
    if (action == JobAction::kResume) job->state = JobState::kRunning;
    if (is_terminal(job->state)) job->ended_at = view_->at;
    publish_locked([&](ClusterView& view) { view.jobs[id] = job; });
    unlocked(lock, [&] { reply(std::shared_ptr<const Job>(job)); });
  }

  void update(JobId id, JobUpdate update, std::shared_ptr<const Job> expected, std::string,
              Reply<std::shared_ptr<const Job>> reply) override {
    std::unique_lock lock(mutex_);
    last_update = update;
    const auto found = view_->jobs.find(id);
    if (found == view_->jobs.end()) return unlocked(lock, [&] { reply(fail(ErrorCode::kNotFound, "no such job")); });
    if (expected && *expected != *found->second)
      return unlocked(lock, [&] { reply(fail(ErrorCode::kConflict, "it has changed", "etag")); });
    auto job = std::make_shared<Job>(*found->second);
    if (update.priority) job->spec.priority = *update.priority;
    if (update.labels) job->spec.labels = *update.labels;
    publish_locked([&](ClusterView& view) { view.jobs[id] = job; });
    unlocked(lock, [&] { reply(std::shared_ptr<const Job>(job)); });
  }

  void set_quarantine(GpuUuid gpu, std::optional<std::string> reason, std::string, Reply<void> reply) override {
    publish([&](ClusterView& view) {
      view.gpus[gpu].state = reason ? GpuState::kQuarantined : GpuState::kFree;
      view.gpus[gpu].state_reason = reason.value_or("");
    });
    reply({});
  }
  void set_drain(NodeId node, std::optional<std::string> reason, std::string, Reply<void> reply) override {
    publish([&](ClusterView& view) {
      view.nodes[node].state = reason ? NodeState::kDrained : NodeState::kUp;
      view.nodes[node].drain_reason = reason.value_or("");
    });
    reply({});
  }
  bool store_answers() const override { return !store_away; }
  std::atomic<bool> store_away{false};
  void forget_node(NodeId node, Unresolved unresolved, std::string, Reply<void> reply) override {
    forgotten_as = unresolved;
    bool known = false, up = false;
    publish([&](ClusterView& view) {
      const auto it = view.nodes.find(node);
      known = it != view.nodes.end();
      up = known && it->second.state == NodeState::kUp;
      if (known && !up) view.nodes.erase(it);
    });
    if (!known) return reply(fail(ErrorCode::kNotFound, "no node " + node.str()));
    reply(up ? fail(ErrorCode::kConflict, "it answers") : Result<void>());
  }
  void acknowledge(AlertId id, std::string, Reply<void> reply) override {
    bool known = false;
    publish([&](ClusterView& view) {
      for (Alert& alert : view.alerts)
        if (alert.id == id) alert.acknowledged = known = true;
    });
    reply(known ? Result<void>() : fail(ErrorCode::kNotFound, "no such alert"));
  }

  void snooze(AlertId id, std::optional<Time> until, std::string, Reply<void> reply) override {
    bool known = false;
    publish([&](ClusterView& view) {
      for (const Alert& alert : view.alerts) known = known || (alert.id == id && !alert.cleared_at);
      if (known && until) view.snoozed[id] = *until;
      if (known && !until) view.snoozed.erase(id);
    });
    reply(known ? Result<void>() : fail(ErrorCode::kNotFound, "no open alert " + id.str()));
  }

  // Answers with at most 10 bytes at once, as a bus with small messages does.
  void read_log(JobId job, std::string stream, std::int64_t offset, std::int64_t limit,
                Reply<LogChunk> reply) override {
    std::unique_lock lock(mutex_);
    const auto found = view_->jobs.find(job);
    if (found == view_->jobs.end()) return unlocked(lock, [&] { reply(fail(ErrorCode::kNotFound, "no such job")); });
    if (found->second->attempts.empty())
      return unlocked(lock, [&] { reply(fail(ErrorCode::kConflict, "it has not started")); });
    const std::string& text = logs_[{job, stream}];
    LogChunk chunk;
    chunk.size = static_cast<std::int64_t>(text.size());
    chunk.offset = offset < 0 ? std::max<std::int64_t>(0, chunk.size + offset) : std::min(offset, chunk.size);
    chunk.data = text.substr(static_cast<std::size_t>(chunk.offset),
                             static_cast<std::size_t>(std::min<std::int64_t>(limit, 10)));
    chunk.complete =
        is_terminal(found->second->state) && chunk.offset + static_cast<std::int64_t>(chunk.data.size()) == chunk.size;
    unlocked(lock, [&] { reply(chunk); });
  }

  Result<std::shared_ptr<const Job>> find_job(const std::string& key) override {
    const auto shown = view();
    for (const auto& [id, job] : shown->jobs)
      if (id.str() == key || std::to_string(job->number) == key || (job->spec.unique && job->spec.name == key))
        return job;
    return fail(ErrorCode::kNotFound, "no job " + key);
  }

  // ---- for the tests ----

  std::atomic<Unresolved> forgotten_as{Unresolved::kRefuse};

  JobId add_job(JobState state, const std::string& name = "train", const std::string& user = "ada") {
    std::lock_guard lock(mutex_);
    JobSpec spec;
    spec.name = name;
    spec.argv = {"python", "train.py"};
    spec.env = {{"API_KEY", "hunter2"}};
    auto job = std::make_shared<Job>(*make_job_locked(spec, user));
    job->state = state;
    if (holds_gpus(state) || is_terminal(state)) {
      Attempt attempt;
      attempt.id = {job->id, 1};
      attempt.state = state;
      attempt.placement.node = NodeId("n1");
      attempt.placement.gpu_uuids = {GpuUuid("GPU-0")};
      attempt.started_at = view_->at;
      job->attempts = {attempt};
    }
    if (is_terminal(state)) job->ended_at = view_->at;
    publish_locked([&](ClusterView& view) { view.jobs[job->id] = job; });
    return job->id;
  }
  void set_state(const JobId& id, JobState state) {
    publish([&](ClusterView& view) {
      auto job = std::make_shared<Job>(*view.jobs.at(id));
      job->state = state;
      view.jobs[id] = job;
    });
  }
  void add_gpu(int index, const std::string& node = "n1") {
    publish([&](ClusterView& view) {
      GpuView gpu;
      gpu.info.gpu_uuid = GpuUuid(fmt::format("GPU-{}", view.gpus.size()));
      gpu.info.gpu_index = index;
      gpu.info.gpu_name = "NVIDIA H100";
      gpu.info.source = GpuSource::kSimulated;
      gpu.info.memory_total_mb = 81559;
      gpu.info.power_limit_w = 700;
      gpu.node = NodeId(node);
      gpu.gpu_id = gpu_display_id(gpu.node, index);
      gpu.state = GpuState::kFree;
      gpu.state_since = view.at;
      NodeView& shown = view.nodes[gpu.node];
      shown.inventory.node = gpu.node;
      shown.inventory.source = GpuSource::kSimulated;
      shown.inventory.exec_mode = "simulated";
      shown.inventory.gpus.push_back(gpu.info);
      shown.last_seen = view.at;
      view.gpus[gpu.info.gpu_uuid] = gpu;
    });
  }
  void set_reading(const std::string& uuid, double temperature_c) {
    publish([&](ClusterView& view) {
      GpuSample sample;
      sample.gpu_uuid = GpuUuid(uuid);
      sample.temperature_c = temperature_c;
      sample.utilization_gpu = 50;
      sample.memory_used_mb = 1024;
      sample.power_draw_w = 300;
      sample.sample_time = view.at;
      view.gpus[GpuUuid(uuid)].sample = std::make_shared<const GpuSample>(sample);
    });
  }
  void print(const JobId& job, const std::string& stream, const std::string& text) {
    std::lock_guard lock(mutex_);
    logs_[{job, stream}] += text;
  }
  void fail_with(Error error) {
    std::lock_guard lock(mutex_);
    next_failure_ = std::move(error);
  }

  std::vector<SubmitRequest> submissions;
  std::optional<std::int64_t> last_argument;
  std::optional<JobAction> last_action;
  std::optional<JobUpdate> last_update;

 private:
  template <class Work>
  void unlocked(std::unique_lock<std::mutex>& lock, Work work) {
    lock.unlock();
    work();
  }
  template <class Change>
  void publish_locked(Change change) {
    auto next = view_ ? std::make_shared<ClusterView>(*view_) : std::make_shared<ClusterView>();
    next->at = Time(std::chrono::hours(24 * 365 * 56)) + std::chrono::seconds(next->version);
    ++next->version;
    change(*next);
    view_ = std::move(next);
  }
  std::optional<Error> fail_next() { return std::exchange(next_failure_, std::nullopt); }
  std::shared_ptr<const Job> make_job_locked(const JobSpec& spec, const std::string& user) {
    auto job = std::make_shared<Job>();
    job->number = ++last_number_;
    job->id = JobId(
        make_ulid(view_->at + std::chrono::milliseconds(job->number), 0, static_cast<std::uint64_t>(job->number)));
    job->spec = spec;
    job->user = user;
    job->submitted_at = view_->at;
    job->state = spec.hold ? JobState::kHeld : JobState::kPending;
    return job;
  }

  mutable std::mutex mutex_;
  std::shared_ptr<const ClusterView> view_;
  std::map<std::pair<std::string, std::string>, JobId> keys_;
  std::map<std::pair<JobId, std::string>, std::string> logs_;
  std::optional<Error> next_failure_;
  std::int64_t last_number_ = 0;
};

}  // namespace aether::api
