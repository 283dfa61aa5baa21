#include "executor/posix/posix_runner.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>

#include "base/files.h"
#include "base/log.h"
#include "executor/posix/cgroup.h"
#include "executor/posix/log_reader.h"
#include "executor/posix/posix_runner_impl.h"

namespace aether {
namespace {

using namespace executor;

constexpr const char* kLog = "executor";
constexpr int kLockTries = 30;  // 1.5 s

std::string find_shim_beside_program() {
  std::error_code error;
  return (std::filesystem::read_symlink("/proc/self/exe", error).parent_path() / "aether-shim").string();
}

std::string without_trailing_slash(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

// "/var/lib/aether" -> "var-lib-aether": tells two state directories apart below one cgroup.
std::string instance_name(std::string path) {
  std::replace_if(path.begin(), path.end(), [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '-');
  return path.substr(path.size() > 120 ? path.size() - 120 : 0);
}

}  // namespace

Result<std::unique_ptr<PosixRunner>> PosixRunner::open(PosixRunnerOptions options, const Clock& clock) {
  if (options.state_directory.empty())
    return fail(ErrorCode::kInvalidArgument, "the executor needs a state directory");
  for (std::string* path : {&options.state_directory, &options.jobs_root})
    if (!path->empty()) *path = without_trailing_slash(std::filesystem::absolute(*path).lexically_normal().string());
  auto account = resolve_account(options.run_as);
  if (!account) return fail(account.error());
  AETHER_TRY(make_private_directory(options.state_directory));
  auto journal = Journal::open(options.state_directory);
  if (!journal) return fail(journal.error());
  auto impl = std::make_unique<Impl>(std::move(options), clock, *std::move(account), *std::move(journal));
  AETHER_TRY(impl->set_up());
  return std::unique_ptr<PosixRunner>(new PosixRunner(std::move(impl)));
}

PosixRunner::PosixRunner(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PosixRunner::~PosixRunner() = default;
Result<void> PosixRunner::recover(OnReport on_report) { return impl_->recover(std::move(on_report)); }
Result<void> PosixRunner::launch(const LaunchSpec& spec) { return impl_->launch(spec); }
std::vector<Result<void>> PosixRunner::launch_all(std::span<const LaunchSpec> specs) { return impl_->launch_all(specs); }
Result<void> PosixRunner::stop(const AttemptId& attempt, Epoch epoch, const std::string& reason,
                               std::int64_t grace_s) {
  return impl_->stop(attempt, epoch, reason, grace_s);
}
Result<void> PosixRunner::suspend(const AttemptId& attempt, Epoch epoch) { return impl_->suspend(attempt, epoch); }
Result<void> PosixRunner::resume(const AttemptId& attempt, Epoch epoch) { return impl_->resume(attempt, epoch); }
Result<void> PosixRunner::signal(const AttemptId& attempt, Epoch epoch, int signal) {
  return impl_->signal(attempt, epoch, signal);
}
void PosixRunner::renew_lease(const AttemptId& attempt, Duration remaining) { impl_->renew_lease(attempt, remaining); }
std::vector<int> PosixRunner::processes(const AttemptId& attempt) const { return impl_->processes(attempt); }
std::vector<Unkillable> PosixRunner::unkillable() const { return impl_->unkillable(); }
Result<LogChunk> PosixRunner::read_log(const AttemptId& attempt, const std::string& stream, std::int64_t offset,
                                       std::int64_t limit) {
  return impl_->read_log(attempt, stream, offset, limit);
}
void PosixRunner::forget(const AttemptId& attempt) { impl_->forget(attempt); }
std::vector<AttemptReport> PosixRunner::attempts() const { return impl_->attempts(); }
std::vector<LaunchSpec> PosixRunner::running() const { return impl_->running(); }
std::string PosixRunner::exec_mode() const { return impl_->exec_mode(); }
std::string PosixRunner::limits() const { return impl_->limits(); }
std::string PosixRunner::run_as() const { return impl_->run_as(); }

// An agent that was just killed can leave the lock for a moment to a process it was about to become a parent of.
Result<void> PosixRunner::Impl::take_lock() {
  const std::string path = options_.state_directory + "/executor.lock";
  lock_fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock_fd_ < 0) return fail(ErrorCode::kIo, fmt::format("opening {}: {}", path, std::strerror(errno)));
  for (int tries = 0; flock(lock_fd_, LOCK_EX | LOCK_NB) != 0; ++tries) {
    if (errno != EWOULDBLOCK) return fail(ErrorCode::kIo, fmt::format("locking {}: {}", path, std::strerror(errno)));
    if (tries == kLockTries)
      return fail(ErrorCode::kConflict, fmt::format("another agent uses {}; stop it first", options_.state_directory));
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return {};
}

Result<void> PosixRunner::Impl::set_up() {
  AETHER_TRY(take_lock());
  boot_id_ = read_boot_id();
  jobs_directory_ = options_.state_directory + "/jobs";
  AETHER_TRY(make_private_directory(jobs_directory_));
  auto root = open_jobs_root(options_.jobs_root, options_.state_directory, account_);
  if (!root) return fail(root.error());
  jobs_root_ = *root;
  const std::string shim_path = options_.shim_path.empty() ? find_shim_beside_program() : options_.shim_path;
  if (access(shim_path.c_str(), X_OK) != 0)
    return fail(ErrorCode::kNotFound,
                fmt::format("{} can't be executed ({}); it belongs beside the 'aether' program", shim_path,
                            std::strerror(errno)));
  zygote_ = std::make_unique<ShimZygote>(shim_path);
  if (options_.use_cgroups) cgroup_root_ = find_job_cgroup_root(instance_name(options_.state_directory));
  limiter_ = Limiter::probe(cgroup_root_, instance_name(options_.state_directory), options_.use_cgroups,
                            account_.change_identity);
  wake_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_fd_ < 0) return fail(ErrorCode::kResourceExhausted, fmt::format("eventfd: {}", std::strerror(errno)));
  return {};
}

PosixRunner::Impl::~Impl() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake();
  if (thread_.joinable()) thread_.join();
  for (auto& [id, attempt] : attempts_) attempt.close_descriptors();
  for (int tries = 0; tries < 20 && !ended_cgroups_.empty(); ++tries) {
    remove_ended_cgroups();
    if (!ended_cgroups_.empty()) std::this_thread::sleep_for(std::chrono::milliseconds(10));  // a shim on its way out
  }
  limiter_.remove_roots();
  if (!cgroup_root_.empty()) rmdir(cgroup_root_.c_str());  // refused while an attempt lives in it
  if (wake_fd_ >= 0) close(wake_fd_);
  if (lock_fd_ >= 0) close(lock_fd_);
}

void PosixRunner::Impl::step(std::string_view name) const {
  if (options_.on_step) options_.on_step(name);
}

AttemptFiles PosixRunner::Impl::files_of(const AttemptId& attempt) const {
  return AttemptFiles(jobs_directory_ + "/" + to_string(attempt));
}

Result<void> PosixRunner::Impl::stop(const AttemptId& attempt, Epoch epoch, const std::string& reason,
                                     std::int64_t grace_s) {
  if (!parse_exit_cause(reason))
    return fail(ErrorCode::kInvalidArgument, fmt::format("'{}' is no reason to stop an attempt", reason));
  if (grace_s < 0) return fail(ErrorCode::kInvalidArgument, "a grace period can't be negative");
  std::lock_guard lifecycle(lifecycle_mutex_);
  if (!recovered_) return fail(ErrorCode::kUnavailable, "the executor has not recovered yet");
  {
    std::lock_guard lock(mutex_);
    if (const auto buried = buried_.find(attempt); buried != buried_.end()) {
      queue_report(buried->second);
      return {};
    }
    if (attempts_.contains(attempt)) {
      const Epoch own_epoch = attempts_.at(attempt).manifest.epoch;
      if (epoch < own_epoch)
        return fail(ErrorCode::kConflict, fmt::format("STALE_EPOCH: {} has epoch {}, the order {}", to_string(attempt),
                                                      own_epoch, epoch));
    }
  }
  const bool known = [&] {
    std::lock_guard lock(mutex_);
    return attempts_.contains(attempt);
  }();
  if (known) return send_stop(attempt, reason, grace_s);
  if (files_of(attempt).has_manifest() || journal_.find_tombstone(attempt)) return {};  // over and acknowledged
  return bury(attempt, epoch, reason);
}

Result<void> PosixRunner::Impl::bury(const AttemptId& attempt, Epoch epoch, const std::string& reason) {
  if (!is_attempt_name(attempt))
    return fail(ErrorCode::kInvalidArgument, fmt::format("'{}' can't name an attempt", to_string(attempt)));
  const Tombstone tombstone{attempt, epoch, reason, to_unix_us(clock_.now()), false};
  AETHER_TRY(journal_.write_tombstone(tombstone));
  std::lock_guard lock(mutex_);
  const AttemptReport report = report_of(tombstone);
  buried_[attempt] = report;
  queue_report(report);
  return {};
}

Result<void> PosixRunner::Impl::send_stop(const AttemptId& id, const std::string& reason, std::int64_t grace_s) {
  std::lock_guard lock(mutex_);
  WatchedAttempt& attempt = attempts_.at(id);
  if (is_terminal(attempt.report.state)) {
    queue_report(attempt.report);
    return {};
  }
  const auto told = tell_shim(attempt, fmt::format("stop {} {}", reason, grace_s * 1000));
  if (!told) return fail(told.error());
  if (*told) {
    if (attempt.shim_version < 2 && attempt.report.state == JobState::kSuspended) pause_by_hand(attempt, false);
    return {};
  }
  if (attempt.orphaned) stop_orphan(attempt, reason, grace_s * 1000);
  return {};
}

Result<LogChunk> PosixRunner::Impl::read_log(const AttemptId& attempt, const std::string& stream, std::int64_t offset,
                                             std::int64_t limit) const {
  if (stream != "stdout" && stream != "stderr")
    return fail(ErrorCode::kInvalidArgument, fmt::format("'{}' is no stream; ask for stdout or stderr", stream));
  const AttemptFiles files = files_of(attempt);
  if (!is_attempt_name(attempt) || !files.has_manifest())
    return fail(ErrorCode::kNotFound, fmt::format("no attempt {} on this node", to_string(attempt)));
  const auto manifest = files.read_manifest();
  if (!manifest) return fail(manifest.error());
  const auto record = files.read_exit();
  const bool ended = record && record->complete;
  return read_log_segments(files.directory() + "/log/" + stream, manifest->log_segment_bytes, offset, limit, ended);
}

void PosixRunner::Impl::forget(const AttemptId& id) {
  std::lock_guard lifecycle(lifecycle_mutex_);
  std::lock_guard lock(mutex_);
  if (const auto buried = buried_.find(id); buried != buried_.end()) {
    if (auto tombstone = journal_.find_tombstone(id)) {
      tombstone->forgotten = true;
      if (const auto written = journal_.write_tombstone(*tombstone); !written) return;
    }
    buried_.erase(buried);
    return;
  }
  const auto found = attempts_.find(id);
  if (found == attempts_.end() || !is_terminal(found->second.report.state)) return;
  if (const auto written = found->second.files.write_forgotten(); !written) {
    log::warn(kLog, "an acknowledged result could not be marked", {{"attempt", to_string(id)}, {"error", written.error().message}});
    return;  // it is reported again, which is harmless
  }
  found->second.close_descriptors();
  attempts_.erase(found);
}

std::vector<AttemptReport> PosixRunner::Impl::attempts() const {
  std::lock_guard lock(mutex_);
  std::vector<AttemptReport> reports;
  for (const auto& [id, attempt] : attempts_) reports.push_back(attempt.report);
  for (const auto& [id, report] : buried_) reports.push_back(report);
  return reports;
}

std::vector<LaunchSpec> PosixRunner::Impl::running() const {
  std::lock_guard lock(mutex_);
  std::vector<LaunchSpec> specs;
  for (const auto& [id, attempt] : attempts_)
    if (attempt.launch && attempt.report.started_at && !is_terminal(attempt.report.state))
      specs.push_back(*attempt.launch);
  return specs;
}

}  // namespace aether
