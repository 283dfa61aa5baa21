#include "telemetry/nvml/supervised_driver.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <thread>

#include <fmt/format.h>

#include "base/log.h"

namespace aether {

using nvml::WorkerProcess;
namespace wire = nvml::wire;
using std::chrono::milliseconds;

namespace {

std::string text_of_status(int status) {
  if (WIFSIGNALED(status)) return fmt::format("killed by signal {}", WTERMSIG(status));
  return fmt::format("exit code {}", WEXITSTATUS(status));
}

}  // namespace

SupervisedNvmlDriver::SupervisedNvmlDriver(SupervisedNvmlOptions options, const Clock& clock)
    : options_(std::move(options)), clock_(clock) {
  health_.supervised = true;
  health_.up = false;
}

SupervisedNvmlDriver::~SupervisedNvmlDriver() {
  if (worker_) release(std::move(worker_));
  for (auto& [uuid, hung] : hung_)
    if (hung.worker) release(std::move(hung.worker));
  for (int round = 0; round < 200; ++round) {
    reap();
    if (std::all_of(dying_.begin(), dying_.end(), [](const Dying& process) { return process.abandoned; })) return;
    std::this_thread::sleep_for(milliseconds(10));
  }
}

Result<std::unique_ptr<SupervisedNvmlDriver>> SupervisedNvmlDriver::open(SupervisedNvmlOptions options, const Clock& clock) {
  std::unique_ptr<SupervisedNvmlDriver> driver(new SupervisedNvmlDriver(std::move(options), clock));
  // A GPU that hangs at once must not keep the others from being read: without it, again.
  for (;;) {
    const std::size_t hanging = driver->hung_indexes_.size();
    AETHER_TRY(driver->ensure_worker());
    auto listed = driver->list_gpus();
    if (listed) return driver;
    if (driver->hung_indexes_.size() == hanging) return fail(listed.error());
    while (clock.mono() < driver->next_start_) std::this_thread::sleep_for(milliseconds(10));
  }
}

// ---- the worker ----

// Afterwards a worker runs that knows the same GPUs as the one before.
Result<void> SupervisedNvmlDriver::ensure_worker() {
  reap();
  if (worker_) return {};
  const Mono now = clock_.mono();
  if (now < next_start_) return fail(ErrorCode::kUnavailable, "the NVML worker ended; it is started anew in a moment");
  auto started = WorkerProcess::start(options_.command, [this](const GpuEvent& event) { say(event); });
  if (!started) {
    next_start_ = now + options_.longest_delay;
    return fail(started.error());
  }
  worker_ = *std::move(started);
  worker_since_ = now;
  update_health([&](GpuDriverHealth& health) {
    health.up = true;
    health.worker_pid = worker_->pid();
  });
  return gpus_.empty() && hung_.empty() ? Result<void>() : list_gpus();
}

// The worker is gone afterwards. A row of short lives makes the next start ever later.
void SupervisedNvmlDriver::drop_worker(const char* reason) {
  const Mono now = clock_.mono();
  const bool settled = now - worker_since_ >= options_.settled_after;
  delay_ = settled ? milliseconds(0) : std::clamp<milliseconds>(2 * delay_, milliseconds(0), options_.longest_delay);
  next_start_ = now + delay_;
  if (delay_.count() == 0) delay_ = options_.first_delay / 2;  // the restart after this one waits first_delay
  const pid_t pid = worker_->pid();
  release(std::move(worker_));
  update_health([&](GpuDriverHealth& health) {
    health.up = false;
    health.worker_pid = 0;
    ++health.restarts[reason];
  });
  log::warn("telemetry", "the NVML worker is replaced", {{"reason", reason}, {"pid", pid}});
}

void SupervisedNvmlDriver::release(std::unique_ptr<WorkerProcess> worker) {
  dying_.push_back({worker->pid(), clock_.mono(), false});
  worker.reset();  // kills it
  reap();
}

// A process in an uninterruptible call survives SIGKILL; it is counted once and never waited for.
void SupervisedNvmlDriver::reap() {
  const Mono now = clock_.mono();
  std::erase_if(dying_, [&](Dying& process) {
    int status = 0;
    const pid_t ended = waitpid(process.pid, &status, WNOHANG);
    if (ended == process.pid || (ended < 0 && errno == ECHILD)) {
      log::debug("telemetry", "an NVML worker has ended", {{"pid", process.pid}, {"how", text_of_status(status)}});
      return true;
    }
    if (!process.abandoned && now - process.since >= options_.abandoned_after) {
      process.abandoned = true;
      update_health([](GpuDriverHealth& health) { ++health.abandoned; });
      log::error("telemetry", "an NVML worker outlives SIGKILL: the kernel driver hangs; restart the machine",
                 {{"pid", process.pid}});
    }
    return false;
  });
}

// The answer. kTimeout and a dead worker replace it; what the library itself refuses comes as its error.
Result<wire::Body> SupervisedNvmlDriver::ask(wire::Body request, milliseconds deadline) {
  auto answer = worker_->send(std::move(request)) ? worker_->wait(deadline)
                                                  : fail(ErrorCode::kUnavailable, "the NVML worker has ended");
  if (!answer) return answer;
  if (const auto* failed = std::get_if<wire::FailedReply>(&*answer)) return fail(failed->error);
  return answer;
}

// ---- GPUs ----

Result<std::vector<GpuInfo>> SupervisedNvmlDriver::enumerate() {
  const bool knew_gpus = !gpus_.empty() || !hung_.empty();
  const bool had_worker = worker_ != nullptr;
  AETHER_TRY(ensure_worker());
  if (had_worker || !knew_gpus) AETHER_TRY(list_gpus());  // else ensure_worker() has just listed them
  std::vector<GpuInfo> out = gpus_;
  for (const auto& [uuid, hung] : hung_) out.push_back(hung.info);
  std::sort(out.begin(), out.end(), [](const GpuInfo& a, const GpuInfo& b) { return a.gpu_index < b.gpu_index; });
  return out;
}

Result<void> SupervisedNvmlDriver::list_gpus() {
  wire::EnumerateRequest request;
  request.skip_indexes.assign(hung_indexes_.begin(), hung_indexes_.end());
  if (!hung_.empty()) {
    for (const GpuInfo& gpu : gpus_) request.bus_ids.push_back(gpu.gpu_pci_bus_id);
    if (request.bus_ids.empty()) return {};  // all of them hang: none may be touched
  }
  auto answer = ask(std::move(request), options_.start_deadline);
  if (answer) {
    auto* listed = std::get_if<wire::EnumeratedReply>(&*answer);
    if (!listed) {
      drop_worker("crash");
      return fail(ErrorCode::kUnavailable, "the NVML worker answered another question");
    }
    gpus_ = std::move(listed->gpus);
    driver_version_ = std::move(listed->driver_version);
    return {};
  }
  if (answer.error().code == ErrorCode::kTimeout) {
    const auto note = worker_->attaching();
    drop_worker("hang");
    blame_attaching(note);
  } else if (worker_->wait(milliseconds(0)).error().code == ErrorCode::kUnavailable) {
    drop_worker("crash");
  }
  return fail(ErrorCode::kUnavailable, answer.error().message);
}

Result<GpuSample> SupervisedNvmlDriver::read(const GpuUuid& gpu_uuid, ReadTier tier) {
  if (hung_.contains(gpu_uuid)) {
    try_hung(gpu_uuid);
    if (hung_.contains(gpu_uuid))
      return fail(ErrorCode::kUnavailable,
                  fmt::format("GPU {} hangs: a call about it did not return; it is tried apart", gpu_uuid.str()));
  }
  AETHER_TRY(ensure_worker());
  const Mono asked_at = clock_.mono();
  auto answer = ask(wire::ReadRequest{gpu_uuid, tier}, options_.call_deadline);
  if (answer) {
    auto* reading = std::get_if<wire::ReadingReply>(&*answer);
    if (reading && reading->sample.gpu_uuid == gpu_uuid && reading->read_at + milliseconds(1) >= asked_at) {
      details_[gpu_uuid] = std::move(reading->detail);
      return std::move(reading->sample);
    }
    drop_worker("crash");
    return fail(ErrorCode::kUnavailable, "the NVML worker answered another question");
  }
  if (answer.error().code == ErrorCode::kTimeout) {
    drop_worker("hang");
    const auto known = std::find_if(gpus_.begin(), gpus_.end(), [&](const GpuInfo& gpu) { return gpu.gpu_uuid == gpu_uuid; });
    if (known != gpus_.end()) set_hung(GpuInfo(*known));
    return fail(ErrorCode::kUnavailable, fmt::format("GPU {} did not answer within {} ms", gpu_uuid.str(), options_.call_deadline.count()));
  }
  if (answer.error().code == ErrorCode::kNotFound) {
    details_.erase(gpu_uuid);
    std::erase_if(gpus_, [&](const GpuInfo& gpu) { return gpu.gpu_uuid == gpu_uuid; });
    return fail(answer.error());
  }
  // kUnavailable is either the library's word or the end of the worker.
  if (worker_->wait(milliseconds(0)).error().code == ErrorCode::kUnavailable) drop_worker("crash");
  return fail(ErrorCode::kUnavailable, answer.error().message);
}

std::optional<GpuDetail> SupervisedNvmlDriver::detail(const GpuUuid& gpu_uuid) const {
  const auto found = details_.find(gpu_uuid);
  return found == details_.end() ? std::nullopt : std::optional(found->second);
}

// ---- GPUs that hang ----

void SupervisedNvmlDriver::set_hung(const GpuInfo& info) {
  Hung& hung = hung_[info.gpu_uuid];
  hung.info = info;
  hung.next_try = clock_.mono() + options_.probation_interval;
  details_.erase(info.gpu_uuid);
  std::erase_if(gpus_, [&](const GpuInfo& gpu) { return gpu.gpu_uuid == info.gpu_uuid; });
  update_health([&](GpuDriverHealth& health) { health.hung.push_back(info.gpu_uuid); });
  log::error("telemetry", "a GPU hangs: a call about it does not return", {{"gpu", info.gpu_uuid.str()}, {"bus_id", info.gpu_pci_bus_id}});
  say({info.gpu_uuid, GpuEvent::Kind::kHung, 0, clock_.now()});
}

void SupervisedNvmlDriver::blame_attaching(const std::optional<wire::AttachingNote>& note) {
  if (!note) return;
  const auto known = std::find_if(gpus_.begin(), gpus_.end(), [&](const GpuInfo& gpu) {
    return note->bus_id.empty() ? gpu.gpu_index == static_cast<int>(note->gpu_index) : gpu.gpu_pci_bus_id == note->bus_id;
  });
  if (known != gpus_.end()) return set_hung(GpuInfo(*known));
  log::error("telemetry", "a GPU hangs while it is attached; it is left out", {{"index", note->gpu_index}});
  if (note->bus_id.empty()) hung_indexes_.insert(note->gpu_index);
}

// Never waits: the trial goes on while the others are read.
void SupervisedNvmlDriver::try_hung(const GpuUuid& gpu_uuid) {
  Hung& hung = hung_.at(gpu_uuid);
  const Mono now = clock_.mono();
  if (!hung.worker) {
    const bool stuck = std::any_of(dying_.begin(), dying_.end(), [](const Dying& process) { return process.abandoned; });
    if (now >= hung.next_try && !stuck) start_trial(hung);
    return;
  }
  const bool answers = trial_succeeds(hung);
  if (hung.worker && !answers && now < hung.give_up_at) return;
  if (hung.worker) release(std::move(hung.worker));
  hung.next_try = now + options_.probation_interval;
  if (!answers) return;
  log::info("telemetry", "a GPU that hung answers again", {{"gpu", gpu_uuid.str()}});
  gpus_.push_back(hung.info);
  hung_.erase(gpu_uuid);
  update_health([&](GpuDriverHealth& health) { std::erase(health.hung, gpu_uuid); });
  say({gpu_uuid, GpuEvent::Kind::kAnswersAgain, 0, clock_.now()});
  if (worker_) (void)list_gpus();  // attaches it; a failure shows at the next reading
}

void SupervisedNvmlDriver::start_trial(Hung& hung) {
  const Mono now = clock_.mono();
  auto started = WorkerProcess::start(options_.command, [](const GpuEvent&) {});
  if (!started) {
    hung.next_try = now + options_.probation_interval;
    return;
  }
  hung.worker = *std::move(started);
  hung.give_up_at = now + options_.probation_deadline;
  hung.worker->send(wire::EnumerateRequest{{hung.info.gpu_pci_bus_id}, {}});
}

// True when the GPU was attached and read; drops the trial when it failed.
bool SupervisedNvmlDriver::trial_succeeds(Hung& hung) {
  const auto answer = hung.worker->wait(milliseconds(0));
  if (!answer) {
    if (answer.error().code != ErrorCode::kTimeout) release(std::move(hung.worker));
    return false;
  }
  if (const auto* listed = std::get_if<wire::EnumeratedReply>(&*answer); listed && !listed->gpus.empty()) {
    hung.worker->send(wire::ReadRequest{hung.info.gpu_uuid, ReadTier::kState});
    return false;
  }
  if (std::holds_alternative<wire::ReadingReply>(*answer)) return true;
  release(std::move(hung.worker));
  return false;
}

// ---- told to others ----

void SupervisedNvmlDriver::set_on_event(std::function<void(const GpuEvent&)> on_event) {
  std::lock_guard lock(event_mutex_);
  on_event_ = std::move(on_event);
}

void SupervisedNvmlDriver::say(const GpuEvent& event) {
  std::lock_guard lock(event_mutex_);
  if (on_event_) on_event_(event);
}

template <class Update>
void SupervisedNvmlDriver::update_health(Update update) {
  std::lock_guard lock(health_mutex_);
  update(health_);
}

GpuDriverHealth SupervisedNvmlDriver::health() const {
  std::lock_guard lock(health_mutex_);
  return health_;
}

}  // namespace aether
