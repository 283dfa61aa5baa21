#include "agent/agent.h"

#include <algorithm>
#include <charconv>

#include "agent/health_file.h"
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
      core_(core_options(options_, driver.source()), runner, random_hex(16)),
      health_(options_.health) {}

Agent::~Agent() { stop(); }

Result<void> Agent::start() {
  auto spool = Spool::open(options_.spool);
  if (!spool) return fail(spool.error());
  spool_ = *std::move(spool);
  auto recent = RecentReadings::open(options_.spool.directory.empty() ? "" : options_.spool.directory + "/recent", *spool_);
  if (!recent) return fail(recent.error());
  recent_ = *std::move(recent);
  counters_.spool = spool_->counters();
  if (!options_.health_file.empty())
    if (const auto text = read_file(options_.health_file)) health_.restore(decode_faults(*text), clock_.mono());
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
      [this](std::vector<GpuInfo> gpus) { on_inventory(std::move(gpus)); });
  sampler_->set_on_reading([this](const GpuSample& sample, const GpuDetail& detail, ReadTier tier) { on_reading(sample, detail, tier); });
  if (auto* events = dynamic_cast<GpuEventSource*>(&driver_))
    events->set_on_event([this](const GpuEvent& event) { on_event(event); });
  update_loads();
  thread_ = std::thread([this] { run(); });
  sampler_->start();
  return {};
}

void Agent::stop() {
  if (stopping_.exchange(true)) return;
  if (auto* events = dynamic_cast<GpuEventSource*>(&driver_)) events->set_on_event({});
  if (sampler_) sampler_->stop();
  subscription_.reset();
  inputs_->close();
  if (thread_.joinable()) thread_.join();
}

// ---- the sampler's thread ----

void Agent::on_sample(GpuSample sample) {
  send_recent_again();
  flush_spool();
  if (driver_.source() == GpuSource::kNvml) inputs_->push(sample);
  const std::string payload = codec::encode_sample(sample);
  const bool delivering = is_delivering();
  const auto key = static_cast<std::uint32_t>(sample.gpu_index);
  if (delivering) recent_->add(key, payload, clock_.mono());
  const bool sent = bus_.publish(subjects::telemetry(options_.node, sample.gpu_index), payload).has_value();
  if (!sent || !delivering) spool_->append(key, payload);
  std::lock_guard lock(mutex_);
  latest_[sample.gpu_uuid] = std::move(sample);
  counters_.spool = spool_->counters();
  if (sent) ++counters_.published;
}

// Whether what is published now arrives: the bus says so, and the orchestrator has answered lately.
bool Agent::is_delivering() const {
  if (!bus_.connected()) return false;
  if (options_.answer_timeout.count() == 0) return true;
  const Duration::rep answered = answered_us_;
  return answered > 0 && clock_.mono() - Mono(Duration(answered)) < options_.answer_timeout;
}

// What the last connection, or an orchestrator that was away, may have swallowed goes to the spool's end.
void Agent::send_recent_again() {
  const bool delivering = is_delivering();
  const std::uint64_t reconnects = bus_.counters().reconnects;
  const bool asked_again = asked_again_.exchange(false);
  if (asked_again || reconnects != reconnects_seen_ || (was_delivering_ && !delivering)) {
    const std::size_t again = recent_->move_to(*spool_);
    std::lock_guard lock(mutex_);
    counters_.sent_again += again;
  }
  recent_->forget_old(clock_.mono());
  reconnects_seen_ = reconnects;
  was_delivering_ = delivering;
}

void Agent::flush_spool() {
  if (!is_delivering()) return;
  for (std::size_t sent = 0; sent < options_.spool_burst; ++sent) {
    const Spool::Record* record = spool_->front();
    if (record == nullptr) return;
    const auto gpu_index = static_cast<int>(record->key);
    recent_->add(record->key, record->payload, clock_.mono());
    if (!bus_.publish(subjects::telemetry(options_.node, gpu_index), record->payload)) return;
    spool_->pop();
    std::lock_guard lock(mutex_);
    ++counters_.published;
  }
}

void Agent::on_reading(const GpuSample& sample, const GpuDetail& detail, ReadTier tier) {
  const Mono now = clock_.mono();
  HealthWatch::News news;
  {
    std::lock_guard lock(mutex_);
    readings_[sample.gpu_uuid] = {sample, detail, now};
    if (tier == ReadTier::kFast) return;
    health_.observe(sample, detail, now);
    news = health_.take(now);
  }
  say_health_news(std::move(news));
  remember_faults();
}

void Agent::on_inventory(std::vector<GpuInfo> gpus) {
  std::string version = driver_.driver_version();
  {
    std::lock_guard lock(mutex_);
    for (auto& [uuid, known] : known_gpus_) known.present = false;
    for (const GpuInfo& gpu : gpus) known_gpus_[gpu.gpu_uuid] = {gpu, true};
    std::erase_if(readings_, [&](const auto& entry) { return !known_gpus_[entry.first].present; });
    driver_version_ = version;
  }
  inputs_->push(AgentCore::Inventory{std::move(gpus), std::move(version)});
}

// On a thread of the driver: an event waits for no reading.
void Agent::on_event(const GpuEvent& event) {
  const Mono now = clock_.mono();
  HealthWatch::News news;
  {
    std::lock_guard lock(mutex_);
    health_.observe(event, now);
    news = health_.take(now);
  }
  say_health_news(std::move(news));
}

// A fault that the file does not hold is one that a person has to release after a restart, no more. On the sampler's thread.
void Agent::remember_faults() {
  if (options_.health_file.empty()) return;
  std::vector<HealthWatch::OpenFault> faults;
  {
    std::lock_guard lock(mutex_);
    faults = health_.open_faults();
  }
  std::string text = encode_faults(faults);
  for (auto& fault : faults) fault.energy_mj.reset();
  std::string shape = encode_faults(faults);
  if (shape == remembered_faults_) return;
  remembered_faults_ = std::move(shape);
  if (const auto written = write_file_durably(options_.health_file, text); !written)
    log::warn("agent", "the open faults of GPUs are not stored", {{"why", written.error().message}});
}

void Agent::say_health_news(HealthWatch::News news) {
  for (GpuFaultEvent& fault : news.faults) {
    log::error("agent", "a GPU is sick and gets no job", {{"gpu", fault.gpu_uuid.str()}, {"kind", fault.fault}, {"why", fault.message}});
    inputs_->push(std::move(fault));
  }
  for (GpuRecoveredEvent& recovered : news.recovered) {
    log::info("agent", "a GPU is well again", {{"gpu", recovered.gpu_uuid.str()}, {"kind", recovered.fault}});
    inputs_->push(std::move(recovered));
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

std::vector<Agent::Reading> Agent::readings() const {
  std::lock_guard lock(mutex_);
  std::vector<Reading> out;
  for (const auto& [uuid, reading] : readings_) out.push_back(reading);
  return out;
}

std::vector<Agent::KnownGpu> Agent::known_gpus() const {
  std::lock_guard lock(mutex_);
  std::vector<KnownGpu> out;
  for (const auto& [uuid, known] : known_gpus_) out.push_back(known);
  std::sort(out.begin(), out.end(), [](const KnownGpu& a, const KnownGpu& b) { return a.info.gpu_index < b.info.gpu_index; });
  return out;
}

std::string Agent::driver_version() const {
  std::lock_guard lock(mutex_);
  return driver_version_;
}

std::vector<HealthWatch::XidCount> Agent::xids() const {
  std::lock_guard lock(mutex_);
  return health_.xids();
}

std::map<GpuUuid, std::size_t> Agent::foreign_processes() const {
  std::lock_guard lock(mutex_);
  return foreign_processes_;
}

// ---- the agent's thread ----

// Only an orchestrator that knows this agent counts. One that asks for the inventory was away, for whatever reason: it may
// have missed readings too.
void Agent::note_answers(const std::vector<AgentCore::Input>& inputs) {
  for (const AgentCore::Input& input : inputs) {
    const auto* command = std::get_if<Command>(&input);
    const auto* ack = command ? std::get_if<HeartbeatAckCommand>(&command->body) : nullptr;
    if (ack == nullptr) continue;
    if (ack->send_inventory)
      asked_again_ = true;
    else
      answered_us_ = clock_.mono().time_since_epoch().count();
  }
}

void Agent::run() {
  while (!stopping_) {
    const auto wait = std::clamp<Duration>(core_.next_step(clock_.mono()) - clock_.mono(), Duration(0), options_.heartbeat_interval);
    const auto inputs = inputs_->drain(wait, 100);
    note_answers(inputs);
    for (const AgentEvent& event : core_.step(clock_.mono(), inputs)) publish(event);
    if (core_.take_loads_changed()) update_loads();
    auto foreign = core_.foreign_processes();
    std::lock_guard lock(mutex_);
    foreign_processes_ = std::move(foreign);
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
