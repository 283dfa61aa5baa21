// The starting half of PosixRunner: from the command to the open gate. The order of the steps is the promise.
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "base/log.h"
#include "executor/posix/cgroup.h"
#include "executor/posix/environment.h"
#include "executor/posix/launcher.h"
#include "executor/posix/posix_runner_impl.h"

namespace aether {
namespace {

using namespace executor;

constexpr const char* kLog = "executor";

std::vector<std::string> argv_of(const JobSpec& spec, const std::string& script_path) {
  if (!spec.script) return spec.argv;
  if (spec.script->starts_with("#!")) return {script_path};
  return {"/bin/sh", script_path};
}

}  // namespace

Result<void> PosixRunner::Impl::launch(const LaunchSpec& spec) { return launch_all({&spec, 1}).front(); }

// In batches in which no job comes twice: what one attempt leaves on disk decides about the next one of its job.
std::vector<Result<void>> PosixRunner::Impl::launch_all(std::span<const LaunchSpec> specs) {
  std::lock_guard lifecycle(lifecycle_mutex_);
  std::vector<Result<void>> results;
  while (!specs.empty()) {
    std::set<JobId> jobs;
    std::size_t count = 0;
    while (count < specs.size() && jobs.insert(specs[count].attempt.job).second) ++count;
    launch_batch(specs.first(count), results);
    specs = specs.subspan(count);
  }
  return results;
}

// The order of the steps is kept for each attempt; between attempts the disk and the shims overlap.
void PosixRunner::Impl::launch_batch(std::span<const LaunchSpec> specs, std::vector<Result<void>>& results) {
  std::vector<std::pair<const LaunchSpec*, Intent>> intents;
  std::vector<std::size_t> places;
  for (const LaunchSpec& spec : specs) {
    auto intent = prepare(spec);
    results.push_back(intent ? Result<void>() : fail(intent.error()));
    if (!intent || !*intent) continue;
    intents.emplace_back(&spec, std::move(**intent));
    places.push_back(results.size() - 1);
  }
  side_by_side_.run(intents.size(), [&](std::size_t i) {
    Intent& intent = intents[i].second;
    intent.durable = intent.files.write_manifest(intent.manifest);
  });
  std::vector<AttemptId> accepted;
  for (std::size_t i = 0; i < intents.size(); ++i) {
    const auto& [spec, intent] = intents[i];
    if (!intent.durable) {
      discard(intent);
      results[places[i]] = fail_with_context(fmt::format("journalling {}", to_string(spec->attempt)), intent.durable.error());
      continue;
    }
    accept(*spec, intent);
    accepted.push_back(spec->attempt);
  }
  side_by_side_.run(accepted.size(), [&](std::size_t i) { start(accepted[i]); });
}

// Nothing when the attempt is known: it has been reported again.
Result<std::optional<PosixRunner::Impl::Intent>> PosixRunner::Impl::prepare(const LaunchSpec& spec) {
  if (!recovered_) return fail(ErrorCode::kUnavailable, "the executor has not recovered yet");
  if (!is_attempt_name(spec.attempt))
    return fail(ErrorCode::kInvalidArgument, fmt::format("'{}' can't name an attempt", to_string(spec.attempt)));
  const auto known = repeat_known(spec);
  if (!known) return fail(known.error());
  if (*known) return std::optional<Intent>();
  AETHER_TRY(check_epochs(spec));
  auto intent = lay_out(spec);
  if (!intent) return fail(intent.error());
  return std::optional<Intent>(std::move(*intent));
}

// True when the attempt is an old acquaintance: its stored state is reported again.
Result<bool> PosixRunner::Impl::repeat_known(const LaunchSpec& spec) {
  {
    std::lock_guard lock(mutex_);
    if (const auto found = attempts_.find(spec.attempt); found != attempts_.end()) {
      if (spec.epoch < found->second.manifest.epoch)
        return fail(ErrorCode::kConflict, fmt::format("STALE_EPOCH: {} has epoch {}, the command {}",
                                                      to_string(spec.attempt), found->second.manifest.epoch, spec.epoch));
      queue_report(found->second.report);
      return true;
    }
  }
  if (journal_.find_tombstone(spec.attempt))
    return fail(ErrorCode::kPermissionDenied,
                fmt::format("CANCELLED: an order to stop {} came before its start", to_string(spec.attempt)));
  const AttemptFiles files = files_of(spec.attempt);
  if (!files.has_manifest()) return false;
  const auto manifest = files.read_manifest();
  const auto record = files.read_exit();
  if (!manifest || !record)
    return fail(ErrorCode::kConflict, fmt::format("STALE_EPOCH: {} was here before and is over", to_string(spec.attempt)));
  AttemptReport report{spec.attempt, manifest->epoch, JobState::kLost, {}, from_unix_us(record->ended_us),
                       exit_status_of(*record, *manifest)};
  report.state = terminal_state(*report.exit);
  if (record->started_us > 0) report.started_at = from_unix_us(record->started_us);
  std::lock_guard lock(mutex_);
  queue_report(report);
  return true;
}

Result<void> PosixRunner::Impl::check_epochs(const LaunchSpec& spec) const {
  for (std::size_t i = 0; i < spec.gpu_uuids.size(); ++i)
    AETHER_TRY(journal_.check_fence(spec.gpu_uuids[i], spec.slot_of(i), spec.epoch, spec.attempt));
  const std::string prefix = spec.attempt.job.str() + ".";
  for (auto name = attempt_names_.lower_bound(prefix); name != attempt_names_.end() && name->starts_with(prefix); ++name) {
    const auto manifest = AttemptFiles(jobs_directory_ + "/" + *name).read_manifest();
    if (manifest && manifest->epoch > spec.epoch)
      return fail(ErrorCode::kConflict, fmt::format("STALE_EPOCH: job {} has seen epoch {}, and {} comes with {}",
                                                    spec.attempt.job.str(), manifest->epoch, to_string(spec.attempt),
                                                    spec.epoch));
  }
  return {};
}

// Fences first: after a crash in between, the same command passes them again and nothing older does.
Result<PosixRunner::Impl::Intent> PosixRunner::Impl::lay_out(const LaunchSpec& spec) {
  for (std::size_t i = 0; i < spec.gpu_uuids.size(); ++i)
    AETHER_TRY(journal_.raise_fence(spec.gpu_uuids[i], spec.slot_of(i), spec.epoch, spec.attempt));
  step("fence");
  const std::string name = to_string(spec.attempt);
  auto directory = make_job_directory(jobs_root_, name, spec.spec.script, account_);
  if (!directory) return fail(directory.error());
  Manifest manifest = make_manifest(spec, *directory);
  manifest.limit_cgroups = limiter_.cgroups_of(name);
  Intent intent{files_of(spec.attempt), std::move(manifest), std::move(*directory)};
  const auto limits = limiter_.apply(
      name, intent.manifest.cgroup, {spec.spec.mem_mb, options_.pids_max, spec.spec.cpus, !spec.gpu_uuids.empty()});
  if (limits) intent.manifest.limit_cgroups = limits->cgroups;
  const auto laid_out = limits ? intent.files.lay_out(make_shim_args(spec, intent.manifest, intent.directory, *limits), spec)
                               : Result<void>(fail(limits.error()));
  if (laid_out) return intent;
  discard(intent);
  return fail_with_context(fmt::format("journalling {}", name), laid_out.error());
}

void PosixRunner::Impl::discard(const Intent& intent) const {
  std::error_code error;
  std::filesystem::remove_all(intent.files.directory(), error);
  std::filesystem::remove_all(intent.directory.path, error);
  // At once, not by the watch thread: the command comes again, and makes them again under the same names.
  remove_attempt_cgroup(intent.manifest.cgroup);
  for (const auto& limited : intent.manifest.limit_cgroups) remove_attempt_cgroup(limited);
}

// The intent is durable; its report is the acknowledgement.
void PosixRunner::Impl::accept(const LaunchSpec& spec, const Intent& intent) {
  attempt_names_.insert(to_string(spec.attempt));
  step("manifest");
  std::lock_guard lock(mutex_);
  AttemptReport report{spec.attempt, spec.epoch, JobState::kStarting, {}, {}, {}};
  const auto [place, inserted] = attempts_.emplace(spec.attempt, WatchedAttempt{intent.files, intent.manifest, spec, report});
  place->second.shim_version = intent.manifest.shim_version;
  place->second.lease_until_boot_ms = intent.manifest.lease_until_boot_ms;
  queue_report(place->second.report);
}

Manifest PosixRunner::Impl::make_manifest(const LaunchSpec& spec, const JobDirectory& directory) const {
  Manifest manifest;
  manifest.attempt = spec.attempt;
  manifest.epoch = spec.epoch;
  manifest.job_number = spec.job_number;
  manifest.user = spec.user;
  manifest.boot_id = boot_id_;
  manifest.created_us = to_unix_us(clock_.now());
  manifest.argv = argv_of(spec.spec, directory.script);
  manifest.cwd = spec.spec.workdir.empty() ? directory.work : spec.spec.workdir;
  for (const auto& gpu : spec.gpu_uuids) manifest.gpu_uuids.push_back(gpu.str());
  manifest.gpu_slots = spec.gpu_slots;
  manifest.time_limit_s = spec.spec.time_limit_s;
  manifest.grace_s = spec.spec.grace_s;
  manifest.log_segment_bytes = options_.log_segment_bytes;
  manifest.cgroup = make_attempt_cgroup(cgroup_root_, to_string(spec.attempt));
  manifest.job_directory = directory.path;
  manifest.shim_version = options_.shim_version > 0 ? options_.shim_version : kShimProtocolVersion;
  if (spec.spec.on_partition == OnPartition::kStopAfter) {
    const Duration left = spec.lease_remaining.value_or(std::chrono::seconds(spec.spec.stop_after_s));
    manifest.lease_until_boot_ms =
        std::chrono::duration_cast<std::chrono::milliseconds>((clock_.mono() + left).time_since_epoch()).count();
  }
  manifest.stdout_path = expand_output_path(spec.spec.stdout_path, spec);
  manifest.stderr_path = expand_output_path(spec.spec.stderr_path, spec);
  return manifest;
}

ShimArgs PosixRunner::Impl::make_shim_args(const LaunchSpec& spec, const Manifest& manifest,
                                           const JobDirectory& directory, const AppliedLimits& limits) const {
  ShimArgs args;
  args.attempt = to_string(spec.attempt);
  args.change_identity = account_.change_identity;
  args.uid = account_.uid;
  args.gid = account_.gid;
  args.groups = account_.groups;
  args.cwd = manifest.cwd;
  args.argv = manifest.argv;
  args.env = build_environment({spec, account_, directory.temporary, read_agent_environment()});
  args.time_limit_ms = spec.spec.time_limit_s * 1000;
  args.grace_ms = spec.spec.grace_s * 1000;
  args.leftover_grace_ms = std::min<std::int64_t>(options_.leftover_grace.count(), args.grace_ms);
  args.log_segment_bytes = options_.log_segment_bytes;
  args.log_segments = options_.log_segments;
  args.version = manifest.shim_version;
  args.log_block = spec.spec.log_policy == LogPolicy::kBlock;
  args.lease_until_boot_ms = manifest.lease_until_boot_ms;
  if (spec.spec.early_signal) {
    args.early_signal = spec.spec.early_signal->signal;
    args.early_before_ms = spec.spec.early_signal->before_s * 1000;
  }
  args.checkpoint_argv = spec.spec.checkpoint_argv;
  args.checkpoint_timeout_ms = spec.spec.checkpoint_timeout_s * 1000;
  args.unkillable_after_ms = options_.unkillable_after.count();
  args.stdout_path = manifest.stdout_path;
  args.stderr_path = manifest.stderr_path;
  args.resource_limits = limits.resource_limits;
  args.limit_cgroups = limits.cgroups;
  args.oom_events = limits.oom_events;
  args.append_output = spec.spec.open_mode == OpenMode::kAppend;
  args.failpoint = options_.shim_failpoint;
  if (!manifest.cgroup.empty()) {
    args.shim_cgroup = manifest.cgroup + "/shim";
    args.job_cgroup = manifest.cgroup + "/job";
  }
  return args;
}

// From here on the attempt is decided: whatever goes wrong ends it, and it is never started again.
void PosixRunner::Impl::start(const AttemptId& id) {
  WatchedAttempt* attempt = nullptr;
  {
    std::lock_guard lock(mutex_);
    attempt = &attempts_.at(id);  // stays where it is: only forget() removes, and that waits for us
  }
  const auto fail_start = [&](LaunchStep launch_step, const Error& error) {
    log::warn(kLog, "an attempt could not be started", {{"attempt", to_string(id)}, {"error", error.message}});
    ExitRecord record;
    record.cause = "launch";
    record.step = launch_step;
    std::lock_guard lock(mutex_);
    conclude(*attempt, record);
  };
  auto shim = GatedShim::spawn(*zygote_, attempt->files.directory());
  if (!shim) return fail_start(LaunchStep::kShim, shim.error());
  step("spawned");
  if (const auto written = attempt->files.write_started(shim->started()); !written)
    return fail_start(LaunchStep::kGate, written.error());  // the gate closes with `shim`
  step("started");
  const int socket = connect_to_shim(attempt->files.directory());
  shim->open();  // a shim that died meanwhile shows as end-of-file on its socket
  step("opened");
  std::lock_guard lock(mutex_);
  attempt->socket = socket;
  if (socket < 0) settle(*attempt);
  wake();
}

}  // namespace aether
