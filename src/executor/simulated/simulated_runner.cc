#include "executor/simulated/simulated_runner.h"

#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include <fmt/format.h>

#include "base/mutant.h"

namespace aether {
namespace {

std::string variable(const LaunchSpec& launch, const std::string& name) {
  const auto found = launch.spec.env.find("AETHER_SIM_" + name);
  return found == launch.spec.env.end() ? std::string() : found->second;
}

std::int64_t number(const LaunchSpec& launch, const std::string& name, std::int64_t otherwise) {
  const std::string text = variable(launch, name);
  return text.empty() ? otherwise : std::strtoll(text.c_str(), nullptr, 10);
}

ExitStatus own_exit(const LaunchSpec& launch) {
  ExitStatus exit;
  if (const auto signal = number(launch, "SIGNAL", 0); signal > 0) exit.signal = static_cast<int>(signal);
  else exit.exit_code = static_cast<int>(number(launch, "EXIT_CODE", 0));
  return exit;
}

constexpr Duration kMaxLeaseGrace = std::chrono::seconds(30);

std::string program_of(const JobSpec& spec) { return spec.argv.empty() ? "the script" : spec.argv.front(); }

}  // namespace

void SimulatedJournal::reboot(Mono at) {
  std::lock_guard lock(mutex_);
  for (SimulatedExecution& execution : executions_)
    if (!execution.ended) execution.ended = at;
  ++boot_;
}

std::vector<SimulatedExecution> SimulatedJournal::executions() const {
  std::lock_guard lock(mutex_);
  return executions_;
}

SimulatedRunner::SimulatedRunner(SimulatedRunnerOptions options, const Clock& clock,
                                 std::shared_ptr<SimulatedJournal> journal)
    : options_(std::move(options)), clock_(clock), journal_(std::move(journal)) {}

SimulatedRunner::~SimulatedRunner() {
  {
    std::lock_guard lock(journal_->mutex_);
    stopping_ = true;
  }
  stopped_.notify_all();
  if (thread_.joinable()) thread_.join();
}

Time SimulatedRunner::wall_time_of(Mono at) const { return clock_.now() - (clock_.mono() - at); }

Result<void> SimulatedRunner::recover(OnReport on_report) {
  std::lock_guard lock(journal_->mutex_);
  if (recovered_) return fail(ErrorCode::kConflict, "the executor has recovered already");
  on_report_ = std::move(on_report);
  recovered_ = true;
  const Mono now = clock_.mono();
  for (auto& [id, attempt] : journal_->attempts_) {
    if (attempt.forgotten) continue;
    if (!is_terminal(attempt.report.state) && attempt.boot != journal_->boot_) {
      ExitStatus exit;
      exit.cause = attempt.gate_open ? ExitCause::kNodeReboot : ExitCause::kNotStarted;
      end(attempt, now, exit);
      continue;
    }
    if (!is_terminal(attempt.report.state) && !attempt.gate_open) {
      ExitStatus exit;
      exit.cause = ExitCause::kNotStarted;
      exit.message = "the agent ended before the start gate opened";
      if (AETHER_MUTANT("go_before_started")) journal_->executions_.push_back({attempt.launch, attempt.boot, now, {}});
      end(attempt, now, exit);
      continue;
    }
    pending_.push_back(attempt.report);
  }
  for (const auto& [id, report] : journal_->tombstones_)
    if (!journal_->forgotten_tombstones_[id]) pending_.push_back(report);
  if (options_.poll_interval.count() > 0)
    thread_ = std::thread([this] {
      for (;;) {
        poll();
        std::unique_lock wait(journal_->mutex_);
        if (stopped_.wait_for(wait, options_.poll_interval, [this] { return stopping_; })) return;
      }
    });
  return {};
}

void SimulatedRunner::poll() {
  std::lock_guard delivery(delivery_mutex_);
  std::vector<AttemptReport> reports;
  {
    std::lock_guard lock(journal_->mutex_);
    if (!recovered_) return;
    const Mono now = clock_.mono();
    for (auto& [id, attempt] : journal_->attempts_)
      if (!is_terminal(attempt.report.state)) bring_up_to(attempt, now);
    reports.swap(pending_);
  }
  for (const auto& report : reports) on_report_(report);
}

void SimulatedRunner::bring_up_to(Virtual& attempt, Mono now) {
  const LaunchSpec& launch = attempt.launch;
  if (attempt.report.state == JobState::kStarting) {
    if (!attempt.gate_open) {
      // After a long stop of its agent somebody else may have its place by now.
      if (attempt.lease_until && *attempt.lease_until <= now && !AETHER_MUTANT("gate_after_lease")) {
        ExitStatus exit;
        exit.cause = ExitCause::kNotStarted;
        exit.message = "its lease was over before the start gate opened";
        return end(attempt, now, std::move(exit));
      }
      attempt.gate_open = true;
      attempt.launched_at = now;
    }
    if (now < attempt.launched_at + options_.start_delay) return;
    begin(attempt, attempt.launched_at + options_.start_delay);
    if (is_terminal(attempt.report.state)) return;
  }
  // What a suspended process does later than it would have.
  const Duration stood_still = attempt.stood_still + (attempt.suspended_at ? now - *attempt.suspended_at : Duration(0));
  const Mono own_end = attempt.started_at + stood_still + std::chrono::milliseconds(number(
      launch, "DURATION_MS", std::chrono::duration_cast<std::chrono::milliseconds>(options_.default_duration).count()));
  const bool never_ends = attempt.suspended_at.has_value();
  const Mono limit = attempt.started_at + std::chrono::seconds(launch.spec.time_limit_s);
  const Duration grace = std::chrono::seconds(launch.spec.grace_s);
  if (!attempt.stop_ordered && attempt.lease_until && !AETHER_MUTANT("lease_not_kept") && *attempt.lease_until <= now && (never_ends || *attempt.lease_until < own_end))
    order_stop(attempt, ExitCause::kNodeLost, *attempt.lease_until, std::min(grace, kMaxLeaseGrace));
  if (!attempt.stop_ordered && launch.spec.time_limit_s > 0 && limit <= now && (never_ends || limit < own_end))
    order_stop(attempt, ExitCause::kTimeout, limit, grace);
  if (attempt.stop_ordered) {
    if (variable(launch, "UNKILLABLE") == "1") return;
    const bool ignores = variable(launch, "IGNORE_TERM") == "1";
    const Mono obeyed = attempt.term_at + options_.stop_reaction;
    const Mono signalled = ignores ? attempt.kill_at : std::min(obeyed, attempt.kill_at);
    if (own_end > signalled && signalled <= now) {
      ExitStatus exit;
      exit.signal = signalled == attempt.kill_at ? SIGKILL : SIGTERM;
      exit.cause = attempt.stop_cause;
      return end(attempt, signalled, exit);
    }
  }
  if (own_end > now || attempt.suspended_at) return;
  ExitStatus exit = own_exit(launch);
  if (attempt.stop_ordered) exit.cause = attempt.stop_cause;
  end(attempt, own_end, exit);
}

void SimulatedRunner::begin(Virtual& attempt, Mono at) {
  if (const std::string error = variable(attempt.launch, "EXEC_ERROR"); !error.empty()) {
    ExitStatus exit;
    exit.cause = ExitCause::kLaunch;
    exit.message = fmt::format("exec of {}: {}", program_of(attempt.launch.spec), error);
    return end(attempt, at, exit);
  }
  attempt.started_at = at;
  attempt.gate_open = true;
  attempt.execution = journal_->executions_.size();
  journal_->executions_.push_back({attempt.launch, attempt.boot, at, std::nullopt});
  attempt.output["stdout"] = variable(attempt.launch, "STDOUT");
  attempt.output["stderr"] = variable(attempt.launch, "STDERR");
  attempt.report.started_at = wall_time_of(at);
  attempt.report.state = JobState::kRunning;
  pending_.push_back(attempt.report);
}

void SimulatedRunner::order_stop(Virtual& attempt, ExitCause cause, Mono at, Duration grace) {
  if (attempt.stop_ordered) {
    attempt.kill_at = std::min(attempt.kill_at, at + grace);  // a repetition can only shorten the grace
    return;
  }
  go_on(attempt, at);
  attempt.stop_ordered = true;
  attempt.stop_cause = cause;
  attempt.term_at = at;
  attempt.kill_at = at + grace;
  attempt.report.state = JobState::kStopping;
  pending_.push_back(attempt.report);
}

void SimulatedRunner::end(Virtual& attempt, Mono at, ExitStatus exit) {
  if (attempt.report.started_at) {
    auto& ended = journal_->executions_[attempt.execution].ended;
    if (!ended) ended = at;
  }
  attempt.report.exit = std::move(exit);
  attempt.report.state = terminal_state(*attempt.report.exit);
  attempt.report.ended_at = wall_time_of(at);
  pending_.push_back(attempt.report);
}

Result<void> SimulatedRunner::check_fences(const LaunchSpec& spec) const {
  if (AETHER_MUTANT("no_fence")) return {};
  for (std::size_t i = 0; i < spec.gpu_uuids.size(); ++i) {
    const auto fence = journal_->fences_.find(spec.gpu_uuids[i]);
    if (fence == journal_->fences_.end()) continue;
    if (const auto obstacle = fence->second.find_obstacle(spec.slot_of(i), spec.epoch, spec.attempt))
      return fail(ErrorCode::kConflict, fmt::format("STALE_EPOCH: GPU {} has seen epoch {}, and {} comes with {}",
                                                    spec.gpu_uuids[i].str(), obstacle->epoch, to_string(spec.attempt),
                                                    spec.epoch));
  }
  for (const auto& [id, attempt] : journal_->attempts_)
    if (id.job == spec.attempt.job && attempt.launch.epoch > spec.epoch)
      return fail(ErrorCode::kConflict, fmt::format("STALE_EPOCH: job {} has seen epoch {}, and {} comes with {}",
                                                    id.job.str(), attempt.launch.epoch, to_string(spec.attempt),
                                                    spec.epoch));
  return {};
}

Result<void> SimulatedRunner::launch(const LaunchSpec& spec) {
  std::lock_guard lock(journal_->mutex_);
  if (!recovered_) return fail(ErrorCode::kUnavailable, "the executor has not recovered yet");
  if (const auto known = journal_->attempts_.find(spec.attempt); known != journal_->attempts_.end() && !AETHER_MUTANT("launched_again")) {
    if (spec.epoch < known->second.launch.epoch)
      return fail(ErrorCode::kConflict, fmt::format("STALE_EPOCH: {} has epoch {}, the command {}",
                                                    to_string(spec.attempt), known->second.launch.epoch, spec.epoch));
    pending_.push_back(known->second.report);
    return {};
  }
  if (journal_->tombstones_.contains(spec.attempt))
    return fail(ErrorCode::kPermissionDenied,
                fmt::format("CANCELLED: an order to stop {} came before its start", to_string(spec.attempt)));
  AETHER_TRY(check_fences(spec));
  for (std::size_t i = 0; i < spec.gpu_uuids.size(); ++i)
    journal_->fences_[spec.gpu_uuids[i]].raise(spec.slot_of(i), spec.epoch, spec.attempt);
  Virtual attempt;
  attempt.launch = spec;
  attempt.report = {spec.attempt, spec.epoch, JobState::kStarting, {}, {}, {}};
  attempt.boot = journal_->boot_;
  attempt.launched_at = clock_.mono();
  attempt.pid = ++journal_->last_pid_;
  if (spec.spec.on_partition == OnPartition::kStopAfter)
    attempt.lease_until =
        attempt.launched_at + spec.lease_remaining.value_or(std::chrono::seconds(spec.spec.stop_after_s));
  pending_.push_back(attempt.report);
  journal_->attempts_.insert_or_assign(spec.attempt, std::move(attempt));
  return {};
}

Result<void> SimulatedRunner::stop(const AttemptId& id, Epoch epoch, const std::string& reason, std::int64_t grace_s) {
  const auto cause = parse_exit_cause(reason);
  if (!cause) return fail(ErrorCode::kInvalidArgument, fmt::format("'{}' is no reason to stop an attempt", reason));
  if (grace_s < 0) return fail(ErrorCode::kInvalidArgument, "a grace period can't be negative");
  std::lock_guard lock(journal_->mutex_);
  if (!recovered_) return fail(ErrorCode::kUnavailable, "the executor has not recovered yet");
  const auto found = journal_->attempts_.find(id);
  if (found == journal_->attempts_.end()) {
    if (AETHER_MUTANT("no_tombstone")) return {};
    if (!journal_->tombstones_.contains(id)) {
      ExitStatus exit;
      exit.cause = *cause;
      exit.message = "stopped before it was started";
      journal_->tombstones_[id] = {id, epoch, terminal_state(exit), {}, clock_.now(), exit};
    }
    if (!journal_->forgotten_tombstones_[id]) pending_.push_back(journal_->tombstones_[id]);
    return {};
  }
  Virtual& attempt = found->second;
  if (epoch < attempt.launch.epoch)
    return fail(ErrorCode::kConflict, fmt::format("STALE_EPOCH: {} has epoch {}, the order {}", to_string(id),
                                                  attempt.launch.epoch, epoch));
  const Mono now = clock_.mono();
  if (!is_terminal(attempt.report.state)) bring_up_to(attempt, now);
  if (is_terminal(attempt.report.state)) {
    if (!attempt.forgotten) pending_.push_back(attempt.report);
    return {};
  }
  if (attempt.report.state == JobState::kStarting) begin(attempt, now);
  if (!is_terminal(attempt.report.state)) order_stop(attempt, *cause, now, std::chrono::seconds(grace_s));
  return {};
}

Result<SimulatedJournal::VirtualAttempt*> SimulatedRunner::find_for_order(const AttemptId& id, Epoch epoch) {
  if (!recovered_) return fail(ErrorCode::kUnavailable, "the executor has not recovered yet");
  const auto found = journal_->attempts_.find(id);
  if (found != journal_->attempts_.end() && epoch < found->second.launch.epoch)
    return fail(ErrorCode::kConflict, fmt::format("STALE_EPOCH: {} has epoch {}, the order {}", to_string(id),
                                                  found->second.launch.epoch, epoch));
  if (found != journal_->attempts_.end() && !is_terminal(found->second.report.state)) {
    bring_up_to(found->second, clock_.mono());
    if (found->second.report.state == JobState::kStarting) begin(found->second, clock_.mono());
  }
  if (found == journal_->attempts_.end() || is_terminal(found->second.report.state))
    return fail(ErrorCode::kNotFound, fmt::format("{} does not run on this node", to_string(id)));
  return &found->second;
}

void SimulatedRunner::go_on(Virtual& attempt, Mono at) {
  if (!attempt.suspended_at) return;
  attempt.stood_still += at - *attempt.suspended_at;
  attempt.suspended_at.reset();
}

Result<void> SimulatedRunner::suspend(const AttemptId& id, Epoch epoch) {
  std::lock_guard lock(journal_->mutex_);
  const auto found = find_for_order(id, epoch);
  if (!found) return fail(found.error());
  Virtual& attempt = **found;
  if (attempt.report.state != JobState::kRunning) return {};
  attempt.suspended_at = clock_.mono();
  attempt.report.state = JobState::kSuspended;
  pending_.push_back(attempt.report);
  return {};
}

Result<void> SimulatedRunner::resume(const AttemptId& id, Epoch epoch) {
  std::lock_guard lock(journal_->mutex_);
  const auto found = find_for_order(id, epoch);
  if (!found) return fail(found.error());
  Virtual& attempt = **found;
  if (attempt.report.state != JobState::kSuspended) return {};
  go_on(attempt, clock_.mono());
  attempt.report.state = JobState::kRunning;
  pending_.push_back(attempt.report);
  return {};
}

Result<void> SimulatedRunner::signal(const AttemptId& id, Epoch epoch, int signal) {
  if (signal <= 0 || signal >= NSIG || signal == SIGKILL || signal == SIGSTOP)
    return fail(ErrorCode::kInvalidArgument, fmt::format("{} is no signal for a job", signal));
  std::lock_guard lock(journal_->mutex_);
  const auto found = find_for_order(id, epoch);
  if (!found) return fail(found.error());
  if (number((*found)->launch, "ENDS_ON", 0) != signal || (*found)->suspended_at) return {};
  ExitStatus exit;
  exit.signal = signal;
  if ((*found)->stop_ordered) exit.cause = (*found)->stop_cause;
  end(**found, clock_.mono(), exit);
  return {};
}

void SimulatedRunner::renew_lease(const AttemptId& id, Duration remaining) {
  std::lock_guard lock(journal_->mutex_);
  const auto found = journal_->attempts_.find(id);
  if (found == journal_->attempts_.end() || !found->second.lease_until) return;
  const Mono now = clock_.mono();
  if (!is_terminal(found->second.report.state)) bring_up_to(found->second, now);
  found->second.lease_until = std::max(*found->second.lease_until, now + remaining);
}

std::vector<int> SimulatedRunner::processes(const AttemptId& id) const {
  std::lock_guard lock(journal_->mutex_);
  const auto found = journal_->attempts_.find(id);
  if (found == journal_->attempts_.end() || !found->second.report.started_at ||
      is_terminal(found->second.report.state))
    return {};
  return {found->second.pid};
}

std::vector<Unkillable> SimulatedRunner::unkillable() const {
  std::lock_guard lock(journal_->mutex_);
  std::vector<Unkillable> found;
  for (const auto& [id, attempt] : journal_->attempts_)
    if (attempt.stop_ordered && !is_terminal(attempt.report.state) &&
        clock_.mono() >= attempt.kill_at + options_.unkillable_after)
      found.push_back({id, attempt.launch.gpu_uuids, {attempt.pid}});
  return found;
}

Result<LogChunk> SimulatedRunner::read_log(const AttemptId& id, const std::string& stream, std::int64_t offset,
                                           std::int64_t limit) {
  if (stream != "stdout" && stream != "stderr")
    return fail(ErrorCode::kInvalidArgument, fmt::format("'{}' is no stream; ask for stdout or stderr", stream));
  std::lock_guard lock(journal_->mutex_);
  const auto found = journal_->attempts_.find(id);
  if (found == journal_->attempts_.end())
    return fail(ErrorCode::kNotFound, fmt::format("no attempt {} on this node", to_string(id)));
  const std::string& output = found->second.output[stream];
  LogChunk chunk;
  chunk.size = static_cast<std::int64_t>(output.size());
  chunk.offset = offset >= 0 ? std::min(offset, chunk.size) : std::max<std::int64_t>(0, chunk.size + offset);
  chunk.data = output.substr(static_cast<std::size_t>(chunk.offset),
                             static_cast<std::size_t>(std::max<std::int64_t>(0, limit)));
  chunk.complete = is_terminal(found->second.report.state) &&
                   chunk.offset + static_cast<std::int64_t>(chunk.data.size()) >= chunk.size;
  return chunk;
}

void SimulatedRunner::forget(const AttemptId& id) {
  std::lock_guard lock(journal_->mutex_);
  if (journal_->tombstones_.contains(id)) journal_->forgotten_tombstones_[id] = true;
  const auto found = journal_->attempts_.find(id);
  if (found != journal_->attempts_.end() && is_terminal(found->second.report.state)) found->second.forgotten = true;
}

std::vector<AttemptReport> SimulatedRunner::attempts() const {
  std::lock_guard lock(journal_->mutex_);
  std::vector<AttemptReport> reports;
  for (const auto& [id, attempt] : journal_->attempts_)
    if (!attempt.forgotten) reports.push_back(attempt.report);
  for (const auto& [id, report] : journal_->tombstones_)
    if (const auto forgotten = journal_->forgotten_tombstones_.find(id);
        forgotten == journal_->forgotten_tombstones_.end() || !forgotten->second)
      reports.push_back(report);
  return reports;
}

std::vector<LaunchSpec> SimulatedRunner::running() const {
  std::lock_guard lock(journal_->mutex_);
  std::vector<LaunchSpec> specs;
  for (const auto& [id, attempt] : journal_->attempts_)
    if (attempt.report.started_at && !is_terminal(attempt.report.state)) specs.push_back(attempt.launch);
  return specs;
}

}  // namespace aether
