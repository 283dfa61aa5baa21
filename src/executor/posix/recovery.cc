// What PosixRunner finds at its start. The order of the questions is the order of certainty: a complete exit record is
// the truth whatever happened since; a start record says that the gate may have opened; nothing else may have.
#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "base/log.h"
#include "executor/posix/cgroup.h"
#include "executor/posix/posix_runner_impl.h"

namespace aether {
namespace {

using namespace executor;

constexpr const char* kLog = "executor";
constexpr int kFirstWordTimeoutMs = 1000;

std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error))
    if (entry.is_directory(error)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

Result<void> PosixRunner::Impl::recover(OnReport on_report) {
  std::lock_guard lifecycle(lifecycle_mutex_);
  if (recovered_) return fail(ErrorCode::kConflict, "the executor has recovered already");
  on_report_ = std::move(on_report);
  {
    std::lock_guard lock(mutex_);
    apply_retention();
    for (const auto& name : names_in(jobs_directory_)) {
      attempt_names_.insert(name);
      recover_attempt(name);
    }
    recover_tombstones();
    report_stray_cgroups();
    recovered_ = true;
  }
  thread_ = std::thread([this] { watch(); });
  return {};
}

void PosixRunner::Impl::recover_attempt(const std::string& name) {
  const auto id = parse_attempt_name(name);
  if (!id) return;
  const AttemptFiles files = files_of(*id);
  if (files.is_forgotten()) return;
  if (!files.has_manifest()) {
    // The intent was never durable, so it was never acknowledged: the command will come again.
    std::error_code error;
    std::filesystem::remove_all(files.directory(), error);
    if (!cgroup_root_.empty()) remove_attempt_cgroup(cgroup_root_ + "/" + name);
    for (const auto& directory : limiter_.cgroups_of(name)) remove_attempt_cgroup(directory);
    return;
  }
  const auto manifest = files.read_manifest();
  if (!manifest) return recover_unreadable(*id, manifest.error());
  const AttemptReport report{*id, manifest->epoch, JobState::kStarting, {}, {}, {}};
  auto& attempt = attempts_.emplace(*id, WatchedAttempt{files, *manifest, files.read_launch(*manifest), report}).first->second;
  attempt.shim_version = manifest->shim_version;
  attempt.lease_until_boot_ms = std::max(manifest->lease_until_boot_ms, files.read_lease());
  adopt(attempt);
}

void PosixRunner::Impl::adopt(WatchedAttempt& attempt) {
  if (const auto record = attempt.files.read_exit(); record && record->complete) return report_end(attempt, *record);
  if (attempt.manifest.boot_id != boot_id_) return conclude_other_boot(attempt);
  if (!attempt.files.read_started()) {
    // The gate opens only after the start record is durable: this attempt has executed nothing and never will.
    ExitRecord record;
    record.cause = "launch";
    record.step = LaunchStep::kGate;
    return conclude(attempt, record);
  }
  connect(attempt);
  if (attempt.socket >= 0) {
    pollfd first_word{attempt.socket, POLLIN, 0};
    if (poll(&first_word, 1, kFirstWordTimeoutMs) > 0) read_shim(attempt);
  }
  if (!is_terminal(attempt.report.state)) queue_report(attempt.report);
}

void PosixRunner::Impl::conclude_other_boot(WatchedAttempt& attempt) {
  auto record = attempt.files.read_exit().value_or(ExitRecord{});
  if (record.ended_us == 0) {
    const bool never_started = !attempt.files.read_started();
    record.cause = never_started ? "launch" : "node_reboot";
    record.step = never_started ? LaunchStep::kGate : LaunchStep::kNone;
  } else if (record.step != LaunchStep::kNone) {
    record.cause = "launch";
  }
  conclude(attempt, record);
}

// Its processes, if any, are watched to their end; what it was can't be said.
void PosixRunner::Impl::recover_unreadable(const AttemptId& id, const Error& error) {
  log::error(kLog, "the manifest of an attempt can't be read; it will be reported lost",
             {{"attempt", to_string(id)}, {"error", error.message}});
  Manifest manifest;
  manifest.attempt = id;
  manifest.epoch = journal_.find_epoch(id);
  const std::string cgroup = cgroup_root_ + "/" + to_string(id);
  if (std::error_code none; !cgroup_root_.empty() && std::filesystem::exists(cgroup, none)) manifest.cgroup = cgroup;
  manifest.limit_cgroups = limiter_.cgroups_of(to_string(id));
  const AttemptReport report{id, manifest.epoch, JobState::kStarting, {}, {}, {}};
  auto& attempt = attempts_.emplace(id, WatchedAttempt{files_of(id), manifest, std::nullopt, report}).first->second;
  if (const auto record = attempt.files.read_exit(); record && record->complete) return report_end(attempt, *record);
  connect(attempt);
}

void PosixRunner::Impl::recover_tombstones() {
  for (const auto& tombstone : journal_.tombstones()) {
    if (tombstone.forgotten) continue;
    const AttemptReport report = report_of(tombstone);
    buried_[tombstone.attempt] = report;
    queue_report(report);
  }
}

void PosixRunner::Impl::report_stray_cgroups() const {
  if (cgroup_root_.empty()) return;
  for (const auto& name : names_in(cgroup_root_)) {
    const std::string directory = cgroup_root_ + "/" + name;
    const auto id = parse_attempt_name(name);
    if ((id && attempts_.contains(*id)) || remove_attempt_cgroup(directory)) continue;
    log::error(kLog, "processes run in a cgroup of Aether that belongs to no attempt; they are left alone",
               {{"cgroup", directory}});
  }
}

// A removed attempt leaves a tombstone, so that not even a command from long ago starts it again.
void PosixRunner::Impl::apply_retention() {
  const std::int64_t now_us = to_unix_us(clock_.now());
  const std::int64_t keep_us = std::chrono::duration_cast<Duration>(options_.retention).count();
  for (const auto& name : names_in(jobs_directory_)) {
    const auto id = parse_attempt_name(name);
    if (!id || !files_of(*id).is_forgotten()) continue;
    struct stat info {};
    const std::string directory = files_of(*id).directory();
    if (stat((directory + "/forgotten").c_str(), &info) != 0) continue;
    if (now_us - static_cast<std::int64_t>(info.st_mtime) * 1'000'000 < keep_us) continue;
    const auto manifest = files_of(*id).read_manifest();
    if (!journal_.write_tombstone({*id, manifest ? manifest->epoch : 0, "user_cancel", now_us, true})) continue;
    std::error_code error;
    if (manifest) std::filesystem::remove_all(jobs_root_ + "/" + name, error);
    std::filesystem::remove_all(directory, error);
  }
  journal_.remove_tombstones_before(now_us - std::max<std::int64_t>(keep_us, 0) - 30LL * 86400 * 1'000'000);
}

}  // namespace aether
