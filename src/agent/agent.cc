#include "agent/agent.h"

#include <algorithm>
#include <charconv>

#include "base/files.h"
#include "base/log.h"
#include "base/secret.h"
#include "bus/subjects.h"
#include "codec/codec.h"

namespace aether {
namespace {

// 0 when nothing was written yet.
std::uint64_t read_leader(const std::string& path) {
  if (path.empty()) return 0;
  const auto text = read_file(path);
  if (!text) return 0;
  std::uint64_t epoch = 0;
  std::from_chars(text->data(), text->data() + text->size(), epoch);
  return epoch;
}

AgentCoreOptions core_options(const AgentOptions& options, GpuSource source) {
  AgentCoreOptions core;
  core.node = options.node;
  core.host_name = options.host_name;
  core.version = options.version;
  core.boot_id = options.boot_id;
  core.source = source;
  core.heartbeat_interval = options.heartbeat_interval;
  core.lease = options.lease;
  if (source == GpuSource::kNvml) {
    core.gpu_check = options.gpu_check;
    const Duration patience = options.sampler.interval * 3;  // readings come no faster
    core.gpu_check->limit = std::max(core.gpu_check->limit, patience);
    core.gpu_check->stale = std::max(core.gpu_check->stale, patience);
  }
  core.leader_epoch = read_leader(options.leader_file);
  if (!options.leader_file.empty())
    core.remember_leader = [path = options.leader_file](std::uint64_t epoch) {
      return write_file_durably(path, std::to_string(epoch) + "\n");
    };
  return core;
}

}  // namespace

Agent::Agent(AgentOptions options, GpuDriver& driver, LoadSink* loads, ProcessRunner& runner, Bus& bus,
             const Clock& clock)
    : options_(std::move(options)),
      driver_(driver),
      loads_(loads),
      runner_(runner),
      bus_(bus),
      clock_(clock),
      core_(core_options(options_, driver.source()), runner, random_hex(16)) {}

Agent::~Agent() { stop(); }

Result<void> Agent::start() {
  AETHER_TRY(runner_.recover([inputs = inputs_](const AttemptReport& report) { inputs->push(report); }));
  auto subscription = bus_.subscribe(subjects::commands(options_.node), [this](const BusMessage& message) {
    auto command = codec::decode_command(message.payload);
    if (command) {
      inputs_->push(std::move(*command));
      return;
    }
    log::warn("agent", "command refused", {{"why", command.error().message}});
    std::lock_guard lock(mutex_);
    ++counters_.commands_rejected;
  });
  if (!subscription) return fail(subscription.error());
  subscription_ = std::move(*subscription);
  sampler_ = std::make_unique<Sampler>(
      options_.node, driver_, clock_, options_.sampler, [this](GpuSample sample) { on_sample(std::move(sample)); },
      [this](std::vector<GpuInfo> gpus) { inputs_->push(AgentCore::Inventory{std::move(gpus), driver_.driver_version()}); });
  update_loads();
  thread_ = std::thread([this] { run(); });
  sampler_->start();
  return {};
}

void Agent::stop() {
  if (stopping_.exchange(true)) return;
  if (sampler_) sampler_->stop();
  subscription_.reset();
  inputs_->close();
  if (thread_.joinable()) thread_.join();
}

// ---- the sampler's thread ----

void Agent::on_sample(GpuSample sample) {
  flush_spool();
  if (driver_.source() == GpuSource::kNvml) inputs_->push(sample);
  const auto sent = bus_.publish(subjects::telemetry(options_.node, sample.gpu_index), codec::encode_sample(sample));
  std::lock_guard lock(mutex_);
  latest_[sample.gpu_uuid] = sample;
  if (sent) {
    ++counters_.published;
    return;
  }
  spool_.push_back(std::move(sample));
  ++counters_.spooled;
  if (spool_.size() > options_.spool_samples) {
    spool_.pop_front();
    ++counters_.spool_dropped;
  }
}

void Agent::flush_spool() {
  while (true) {
    GpuSample sample;
    {
      std::lock_guard lock(mutex_);
      if (spool_.empty() || !bus_.connected()) return;
      sample = spool_.front();
    }
    if (!bus_.publish(subjects::telemetry(options_.node, sample.gpu_index), codec::encode_sample(sample))) return;
    std::lock_guard lock(mutex_);
    spool_.pop_front();
    ++counters_.published;
  }
}

AgentCounters Agent::counters() const {
  std::lock_guard lock(mutex_);
  AgentCounters out = counters_;
  if (sampler_) out.sampler = sampler_->counters();
  return out;
}

std::vector<GpuSample> Agent::latest() const {
  std::lock_guard lock(mutex_);
  std::vector<GpuSample> out;
  for (const auto& [uuid, sample] : latest_) out.push_back(sample);
  return out;
}

// ---- the agent's thread ----

void Agent::run() {
  while (!stopping_) {
    const auto wait = std::clamp<Duration>(core_.next_step(clock_.mono()) - clock_.mono(), Duration(0), options_.heartbeat_interval);
    const auto inputs = inputs_->drain(wait, 100);
    for (const AgentEvent& event : core_.step(clock_.mono(), inputs)) publish(event);
    if (core_.take_loads_changed()) update_loads();
    std::lock_guard lock(mutex_);
    counters_.commands = core_.counters().commands;
    counters_.starts_refused = core_.counters().starts_refused;
    counters_.stale_leader = core_.counters().stale_leader;
    counters_.leases_expired = core_.counters().leases_expired;
  }
}

void Agent::publish(const AgentEvent& event) {
  const auto sent = bus_.publish(subjects::events(options_.node), codec::encode_event(event));
  if (!sent) log::debug("agent", "event not sent; the next heartbeat repeats it", {{"why", sent.error().message}});
}

void Agent::update_loads() {
  if (loads_ == nullptr) return;
  std::vector<GpuLoad> loads;
  for (const LaunchSpec& running : runner_.running())
    for (const GpuUuid& uuid : running.gpu_uuids)
      loads.push_back({uuid, running.attempt, running.spec.type, running.spec.gpu_mem_mb.value_or(0)});
  loads_->set_loads(std::move(loads));
}

}  // namespace aether
