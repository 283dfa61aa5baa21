#include "codec/random_model.h"

#include <array>

#include "codec/sample_limits.h"

namespace aether::codec::testing {

std::string RandomModel::text() {
  static constexpr std::array<std::string_view, 14> kPieces = {
      "a", "Z", "7", " ", "\"", "\\", "\n", "\t", "/", "~", "\x01", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x9a\x80"};
  std::string out;
  for (std::uint64_t count = rng_.below(12); count > 0; --count) out += kPieces[rng_.below(kPieces.size())];
  return out;
}

std::string RandomModel::name() {
  static constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz0123456789";
  std::string out(1, kLetters[rng_.below(kLetters.size())]);
  for (std::uint64_t count = rng_.below(8); count > 0; --count) out += coin() ? '-' : kLetters[rng_.below(36)];
  return out + kLetters[rng_.below(kLetters.size())];
}

std::string RandomModel::bytes(std::size_t most) {
  std::string out;
  for (std::uint64_t count = rng_.below(most + 1); count > 0; --count) out += static_cast<char>(rng_.below(256));
  return out;
}

GpuSample RandomModel::sample() {
  GpuSample sample;
  sample.gpu_uuid = GpuUuid("GPU-" + name());
  sample.node = NodeId(name());
  sample.gpu_index = static_cast<int>(integer(4095));
  sample.gpu_name = text();
  sample.sample_seq = rng_.below(std::uint64_t{1} << 62);
  sample.sample_time = time();
  for (std::size_t i = 0; i < gpu_metrics().size(); ++i) {
    const SampleLimit& limit = sample_limit(i);
    if (coin()) continue;
    const double value = rng_.uniform(limit.low, limit.high);
    if (!is_sentinel(std::trunc(value))) gpu_metrics()[i].set(sample, limit.whole ? std::trunc(value) : value);
  }
  sample.performance_state = maybe([&] { return "P" + std::to_string(integer(15)); });
  sample.throttling_reasons = maybe([&] { return throttling_reasons_text(rng_.below(1024)); });
  sample.xid_last_time = maybe([&] { return time(); });
  sample.processes = maybe([&] {
    return list([&] { return GpuProcess{static_cast<int>(integer(4'194'304)), maybe([&] { return integer(81920); })}; });
  });
  return sample;
}

GpuInfo RandomModel::gpu_info() {
  GpuInfo info;
  info.gpu_uuid = GpuUuid("GPU-" + name());
  info.gpu_index = static_cast<int>(integer(64));
  info.gpu_name = text();
  info.gpu_pci_bus_id = text();
  info.source = static_cast<GpuSource>(rng_.below(3));
  info.memory_total_mb = integer(200000);
  info.power_limit_w = maybe([&] { return number(); });
  info.temperature_slowdown_c = maybe([&] { return static_cast<int>(integer(120)); });
  info.temperature_shutdown_c = maybe([&] { return static_cast<int>(integer(120)); });
  info.clock_gpu_max_mhz = maybe([&] { return static_cast<int>(integer(3000)); });
  info.clock_mem_max_mhz = maybe([&] { return static_cast<int>(integer(3000)); });
  info.gpu_architecture = maybe([&] { return text(); });
  info.gpu_compute_capability = maybe([&] { return text(); });
  return info;
}

NodeInventory RandomModel::inventory() {
  NodeInventory inventory;
  inventory.node = NodeId(name());
  inventory.host_name = text();
  inventory.agent_version = text();
  inventory.agent_incarnation = text();
  inventory.inventory_seq = rng_.next();
  inventory.boot_id = text();
  inventory.driver_version = text();
  inventory.exec_mode = text();
  inventory.run_as = text();
  inventory.limits = text();
  inventory.source = static_cast<GpuSource>(rng_.below(3));
  inventory.gpus = list([&] { return gpu_info(); });
  return inventory;
}

JobSpec RandomModel::spec() {
  JobSpec spec;
  spec.argv = list([&] { return text(); });
  spec.script = maybe([&] { return text(); });
  spec.name = text();
  spec.unique = coin();
  spec.type = coin() ? JobType::kTraining : JobType::kInference;
  spec.gpus = static_cast<int>(integer(8));
  spec.gpu_mem_mb = maybe([&] { return integer(80000); });
  spec.share = coin() ? Share::kExclusive : Share::kMemory;
  spec.gpu_type = text();
  spec.time_limit_s = integer(86400);
  spec.priority = static_cast<int>(integer(100));
  for (std::uint64_t count = rng_.below(4); count > 0; --count) spec.env[text()] = text();
  spec.workdir = text();
  spec.grace_s = integer(600);
  spec.hold = coin();
  for (std::uint64_t count = rng_.below(4); count > 0; --count) spec.labels[text()] = text();
  spec.begin = maybe([&] { return millisecond(); });
  spec.deadline = maybe([&] { return millisecond(); });
  spec.depends_on = list([&] { return dependency(); });
  spec.kill_on_invalid_dep = coin();
  spec.retries = static_cast<int>(integer(9));
  spec.retry_on = list([&] { return retry_rule(); });
  spec.requeue = coin();
  spec.array = coin() ? "" : "0-99%8";
  spec.slurm_env = coin();
  spec.on_partition = coin() ? OnPartition::kContinue : OnPartition::kStopAfter;
  spec.stop_after_s = integer(600);
  spec.early_signal = maybe([&] { return EarlySignal{1 + static_cast<int>(integer(63)), integer(3600)}; });
  spec.checkpoint_argv = list([&] { return text(); });
  spec.checkpoint_timeout_s = integer(600);
  spec.mem_mb = maybe([&] { return integer(1'000'000); });
  spec.cpus = maybe([&] { return static_cast<int>(integer(512)); });
  spec.stdout_path = text();
  spec.stderr_path = text();
  spec.open_mode = coin() ? OpenMode::kAppend : OpenMode::kTruncate;
  spec.log_policy = coin() ? LogPolicy::kTruncate : LogPolicy::kBlock;
  return spec;
}

Dependency RandomModel::dependency() {
  const auto kind = static_cast<DependencyKind>(rng_.below(6));
  return {kind, kind == DependencyKind::kSingleton ? "" : attempt_id().job.str()};
}

RetryRule RandomModel::retry_rule() {
  const auto kind = static_cast<RetryRule::Kind>(rng_.below(5));
  if (kind != RetryRule::Kind::kExitCodes) return {kind, 0, 0};
  const int first = 1 + static_cast<int>(integer(99));
  return {kind, first, first + static_cast<int>(integer(99))};
}

Job RandomModel::job_progress() {
  Job job;
  job.dependencies = list([&] { return static_cast<DependencyState>(rng_.below(3)); });
  job.restart = static_cast<Restart>(rng_.below(3));
  job.retries_used = static_cast<int>(integer(9));
  job.time_limit_given = coin();
  job.requeue_asked = coin();
  job.not_before = maybe([&] { return time(); });
  job.array_number = integer(9999);
  return job;
}

ExitStatus RandomModel::exit() {
  ExitStatus exit;
  exit.exit_code = maybe([&] { return static_cast<int>(integer(255)); });
  exit.signal = maybe([&] { return static_cast<int>(integer(64)); });
  exit.core_dumped = coin();
  exit.cause = static_cast<ExitCause>(rng_.below(15));
  exit.message = text();
  return exit;
}

AttemptId RandomModel::attempt_id() { return {JobId("01J" + std::to_string(integer(1'000'000))), 1 + static_cast<int>(integer(9))}; }

Attempt RandomModel::attempt() {
  Attempt attempt;
  attempt.id = attempt_id();
  attempt.epoch = rng_.next();
  attempt.placement = {NodeId(name()), list([&] { return GpuUuid("GPU-" + name()); }), integer(80000)};
  attempt.state = static_cast<JobState>(rng_.below(kAllJobStates.size()));
  attempt.assigned_at = time();
  attempt.started_at = maybe([&] { return time(); });
  attempt.ended_at = maybe([&] { return time(); });
  attempt.exit = maybe([&] { return exit(); });
  attempt.stop_reason = maybe([&] { return text(); });
  attempt.energy_j = maybe([&] { return number(); });
  attempt.carbon_g = maybe([&] { return number(); });
  return attempt;
}

JobEvent RandomModel::job_event() {
  return {attempt_id().job, time(), text(), text(), text(), text(), rng_.next(), static_cast<int>(integer(9))};
}

PlacementRecord RandomModel::placement_record() {
  PlacementRecord record;
  const AttemptId id = attempt_id();
  record.job = id.job;
  record.attempt = id.n;
  record.decided_at = time();
  record.cycle = rng_.next();
  record.placement = {NodeId(name()), list([&] { return GpuUuid("GPU-" + name()); }), integer(80000)};
  record.gpu_ids = list([&] { return text(); });
  record.policy = text();
  record.fallback_reason = maybe([&] { return "why " + text(); });
  record.model = maybe([&] { return ModelVersion{text(), text()}; });
  record.summary = text();
  record.candidates = list([&] {
    Candidate candidate;
    candidate.gpu_uuid = GpuUuid("GPU-" + name());
    candidate.gpu_id = text();
    candidate.node = NodeId(name());
    candidate.chosen = coin();
    candidate.rejected_by = text();
    candidate.rejected_text = text();
    candidate.score = maybe([&] { return number(); });
    candidate.terms = list([&] { return ScoreTerm{text(), number(), number()}; });
    candidate.contributions = list([&] { return Contribution{text(), maybe([&] { return number(); }), number()}; });
    return candidate;
  });
  return record;
}

WaitRecord RandomModel::wait_record() {
  WaitRecord record;
  record.job = attempt_id().job;
  record.evaluated_at = time();
  record.cycle = rng_.next();
  record.summary = text();
  record.reasons = list([&] {
    return Reason{text(), coin(), text(), maybe([&] { return integer(9); }), maybe([&] { return integer(9); }), text(),
                  list([&] { return NodeFree{NodeId(name()), 1, 8}; }), list([&] { return integer(9999); }), maybe([&] { return millisecond(); })};
  });
  record.checks = list([&] {
    return Check{text(), "pass", maybe([&] { return number(); }), maybe([&] { return number(); }), text(), text()};
  });
  record.counterfactuals = list([&] { return Counterfactual{text(), text()}; });
  record.queue_position = static_cast<int>(integer(99));
  record.start_eta = maybe([&] { return time(); });
  record.nodes_evaluated = static_cast<int>(integer(99));
  return record;
}

Command RandomModel::command(std::size_t kind) {
  Command command;
  command.node = NodeId(name());
  command.agent_incarnation = text();
  command.leader_epoch = rng_.next();
  switch (kind) {
    case 0:
      command.body = StartCommand{attempt_id(), rng_.next(), integer(99), text(), spec(),
                                  list([&] { return GpuUuid("GPU-" + name()); }),
                                  maybe([&] { return BootTime{text(), integer(1'000'000)}; })};
      if (auto& start = std::get<StartCommand>(command.body); coin())
        for (std::size_t i = 0; i < start.gpu_uuids.size(); ++i) start.gpu_slots.push_back(static_cast<int>(integer(9)));
      break;
    case 1: command.body = StopCommand{attempt_id(), rng_.next(), text(), integer(600)}; break;
    case 2: command.body = ResultAckCommand{attempt_id(), rng_.next()}; break;
    case 3: command.body = HeartbeatAckCommand{rng_.next(), coin()}; break;
    case 5: command.body = SuspendCommand{attempt_id(), rng_.next()}; break;
    case 6: command.body = ResumeCommand{attempt_id(), rng_.next()}; break;
    case 7: command.body = SignalCommand{attempt_id(), rng_.next(), 1 + static_cast<int>(integer(63))}; break;
    default:
      command.body = ReadLogCommand{rng_.next(), attempt_id(), coin() ? "stdout" : "stderr",
                                    integer(1'000'000) - 500'000, integer(65536)};
  }
  return command;
}

AttemptReport RandomModel::report() {
  return {attempt_id(), rng_.next(), static_cast<JobState>(rng_.below(kAllJobStates.size())), maybe([&] { return time(); }),
          maybe([&] { return time(); }), maybe([&] { return exit(); })};
}

AgentEvent RandomModel::event(std::size_t kind) {
  AgentEvent event;
  event.node = NodeId(name());
  event.agent_incarnation = text();
  switch (kind) {
    case 0: event.body = HelloEvent{inventory(), coin() ? BootTime{} : BootTime{name(), integer(1'000'000)}}; break;
    case 1:
      event.body = HeartbeatEvent{rng_.next(), rng_.next(), list([&] { return report(); }),
                                  coin() ? BootTime{} : BootTime{name(), integer(1'000'000)}, 1, 1 + static_cast<int>(integer(9)),
                                  coin() ? 0 : rng_.next()};
      break;
    case 2: event.body = report(); break;
    case 3: event.body = RefusedEvent{attempt_id(), rng_.next(), text(), text()}; break;
    case 4: event.body = GpuFaultEvent{GpuUuid("GPU-" + name()), text(), text()}; break;
    case 5: event.body = GpuRecoveredEvent{GpuUuid("GPU-" + name()), text(), text()}; break;
    default:
      event.body = LogEvent{rng_.next(),
                            maybe([&] { return LogChunk{integer(999), bytes(200), integer(999'999), coin()}; }), text()};
  }
  return event;
}

}  // namespace aether::codec::testing
