#include "agent/agent.h"

#include <algorithm>

#include "base/log.h"
#include "base/secret.h"
#include "bus/subjects.h"
#include "codec/codec.h"

namespace aether {
namespace {
constexpr std::int64_t kMaxLogChunk = 32 * 1024;  // base64 of it fits a bus message
}

Agent::Agent(AgentOptions options, GpuDriver& driver, LoadSink* loads, ProcessRunner& runner, Bus& bus,
             const Clock& clock)
    : options_(std::move(options)),
      driver_(driver),
      loads_(loads),
      runner_(runner),
      bus_(bus),
      clock_(clock),
      incarnation_(random_hex(16)) {}

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
      [this](std::vector<GpuInfo> gpus) { inputs_->push(Inventory{std::move(gpus), driver_.driver_version()}); });
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
  Mono next_heartbeat = clock_.mono();
  while (!stopping_) {
    const auto wait = std::clamp<Duration>(next_heartbeat - clock_.mono(), Duration(0), options_.heartbeat_interval);
    for (const Input& input : inputs_->drain(wait, 1000))
      std::visit([&](const auto& value) { handle(value); }, input);
    if (clock_.mono() >= next_heartbeat && know_gpus_) {
      send_heartbeat();
      next_heartbeat = clock_.mono() + options_.heartbeat_interval;
    } else if (clock_.mono() >= next_heartbeat) {
      next_heartbeat = clock_.mono() + std::chrono::milliseconds(50);
    }
  }
}

void Agent::handle(const Command& command) {
  if (command.node != options_.node) return;
  if (!command.agent_incarnation.empty() && command.agent_incarnation != incarnation_) return;
  {
    std::lock_guard lock(mutex_);
    ++counters_.commands;
  }
  std::visit([&](const auto& body) { handle_body(body); }, command.body);
}

void Agent::handle(const AttemptReport& report) {
  send(report);
  update_loads();
}

void Agent::handle(const Inventory& inventory) {
  if (know_gpus_ && gpus_ == inventory.gpus) return;
  gpus_ = inventory.gpus;
  driver_version_ = inventory.driver_version;
  know_gpus_ = true;
  send_hello();
}

void Agent::handle_body(const StartCommand& command) {
  const bool all_here = std::all_of(command.gpu_uuids.begin(), command.gpu_uuids.end(), [&](const GpuUuid& uuid) {
    return std::any_of(gpus_.begin(), gpus_.end(), [&](const GpuInfo& gpu) { return gpu.gpu_uuid == uuid; });
  });
  if (!all_here) return refuse(command.attempt, command.epoch, "GPU_UNAVAILABLE", "this node does not list one of the GPUs now");
  const auto launched = runner_.launch(
      {command.attempt, command.epoch, command.job_number, command.user, command.spec, command.gpu_uuids});
  if (launched) return update_loads();
  const Error& error = launched.error();
  const char* code = "JOURNAL_READ_ONLY";
  if (error.code == ErrorCode::kConflict) code = "STALE_EPOCH";
  if (error.code == ErrorCode::kPermissionDenied) code = "CANCELLED";
  if (error.code == ErrorCode::kInvalidArgument) code = "WRONG_TARGET";
  refuse(command.attempt, command.epoch, code, error.message);
}

void Agent::refuse(const AttemptId& attempt, Epoch epoch, std::string code, std::string message) {
  {
    std::lock_guard lock(mutex_);
    ++counters_.starts_refused;
  }
  send(RefusedEvent{attempt, epoch, std::move(code), std::move(message)});
}

void Agent::handle_body(const StopCommand& command) {
  const auto stopped = runner_.stop(command.attempt, command.epoch, command.reason, command.grace_s);
  const auto known = runner_.attempts();
  const auto report = std::find_if(known.begin(), known.end(), [&](const AttemptReport& r) { return r.attempt == command.attempt; });
  if (report != known.end()) return send(*report);  // also when it had ended already
  if (stopped) return refuse(command.attempt, command.epoch, "CANCELLED", "stopped before it started");
  log::warn("agent", "stop failed", {{"attempt", to_string(command.attempt)}, {"why", stopped.error().message}});
}

void Agent::handle_body(const ResultAckCommand& command) { runner_.forget(command.attempt); }

void Agent::handle_body(const HeartbeatAckCommand& command) {
  if (command.send_inventory && know_gpus_) send_hello();
}

void Agent::handle_body(const ReadLogCommand& command) {
  LogEvent event;
  event.request_id = command.request_id;
  auto chunk = runner_.read_log(command.attempt, command.stream, command.offset, std::min(command.limit, kMaxLogChunk));
  if (chunk)
    event.chunk = std::move(*chunk);
  else
    event.error = chunk.error().message;
  send(std::move(event));
}

void Agent::send(decltype(AgentEvent::body) body) {
  const AgentEvent event{options_.node, incarnation_, std::move(body)};
  const auto sent = bus_.publish(subjects::events(options_.node), codec::encode_event(event));
  if (!sent) log::debug("agent", "event not sent; the next heartbeat repeats it", {{"why", sent.error().message}});
}

void Agent::send_hello() {
  NodeInventory inventory;
  inventory.node = options_.node;
  inventory.host_name = options_.host_name;
  inventory.agent_version = options_.version;
  inventory.agent_incarnation = incarnation_;
  inventory.boot_id = options_.boot_id;
  inventory.driver_version = driver_version_;
  inventory.exec_mode = runner_.exec_mode();
  inventory.run_as = runner_.run_as();
  inventory.source = driver_.source();
  inventory.gpus = gpus_;
  send(HelloEvent{std::move(inventory)});
}

void Agent::send_heartbeat() { send(HeartbeatEvent{++heartbeat_seq_, runner_.attempts()}); }

void Agent::update_loads() {
  if (loads_ == nullptr) return;
  std::vector<GpuLoad> loads;
  for (const LaunchSpec& running : runner_.running())
    for (const GpuUuid& uuid : running.gpu_uuids)
      loads.push_back({uuid, running.attempt, running.spec.type, running.spec.gpu_mem_mb.value_or(0)});
  loads_->set_loads(std::move(loads));
}

}  // namespace aether
