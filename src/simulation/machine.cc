#include "simulation/machine.h"

#include <fmt/format.h>

#include "codec/codec.h"

namespace aether::simulation {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kTick = milliseconds(100);
constexpr Duration kSampleInterval = seconds(2);
constexpr std::size_t kInboxBound = 10000;  // as the agent's queue

SimulatedRunnerOptions runner_options() {
  SimulatedRunnerOptions options;
  options.start_delay = milliseconds(20);
  return options;
}

}  // namespace

Machine::Machine(World& world, const Swarm& swarm, Tally& tally, NodeId node, Publish publish, Sample sample)
    : world_(world),
      swarm_(swarm),
      tally_(tally),
      node_(std::move(node)),
      publish_(std::move(publish)),
      sample_(std::move(sample)),
      clock_(world, world.rng().uniform(-swarm.clock_drift, swarm.clock_drift)) {
  for (int index = 0; index < swarm.gpus_per_node; ++index) {
    GpuInfo gpu;
    gpu.gpu_uuid = GpuUuid(fmt::format("GPU-{}-{}", node_.str(), index));
    gpu.gpu_index = index;
    gpu.gpu_name = "Simulated";
    gpu.source = GpuSource::kSimulated;
    gpu.memory_total_mb = 16384;
    gpus_.push_back(gpu);
  }
}

void Machine::start_agent() {
  world_.trace(node_.str(), "agent starts");
  runner_ = std::make_unique<SimulatedRunner>(runner_options(), clock_, journal_);
  (void)runner_->recover([this](const AttemptReport& report) { inbox_.push_back(report); });
  AgentCoreOptions options;
  options.node = node_;
  options.host_name = node_.str();
  options.boot_id = fmt::format("boot-{}", clock_.boot());
  options.lease = swarm_.lease;
  options.leader_epoch = leader_epoch_;
  options.remember_leader = [this](std::uint64_t epoch) -> Result<void> {
    leader_epoch_ = epoch;
    return {};
  };
  agent_ = std::make_unique<AgentCore>(options, *runner_, fmt::format("{}-{}", node_.str(), ++life_));
  inbox_.push_back(AgentCore::Inventory{gpus_now(), "simulated"});
  tick(life_);
  send_samples(life_);
}

void Machine::stop_process() {
  agent_.reset();
  runner_.reset();
  inbox_.clear();
  paused_until_ = world_.now();
  ++life_;
}

void Machine::kill_agent() {
  if (!agent_) return;
  world_.trace(node_.str(), "agent is killed");
  stop_process();
  world_.after(milliseconds(200) + Duration(static_cast<std::int64_t>(world_.rng().exponential(3e6))), [this, life = life_] {
    if (life == life_) start_agent();
  });
}

void Machine::pause_agent(Duration length) {
  world_.trace(node_.str(), fmt::format("agent is stopped for {} ms", length.count() / 1000));
  paused_until_ = std::max(paused_until_, world_.now() + length);
}

void Machine::settle() {
  if (runner_) return runner_->poll();
  SimulatedRunner meanwhile(runner_options(), clock_, journal_);
  (void)meanwhile.recover([](const AttemptReport&) {});
  meanwhile.poll();
}

void Machine::reboot() {
  world_.trace(node_.str(), "reboots");
  settle();
  stop_process();
  journal_->reboot(clock_.mono());
  clock_.reboot();
  world_.after(seconds(5), [this, life = life_] {
    if (life == life_) start_agent();
  });
}

void Machine::lose_gpu(Duration length) {
  world_.trace(node_.str(), "loses its first GPU for a while");
  gpu_lost_until_ = world_.now() + length;
  const auto look = [this] {
    if (agent_) inbox_.push_back(AgentCore::Inventory{gpus_now(), "simulated"});
  };
  look();
  world_.after(length + milliseconds(1), look);
}

void Machine::heal() {
  healed_ = true;
  paused_until_ = world_.now();
}

std::vector<GpuInfo> Machine::gpus_now() const {
  std::vector<GpuInfo> present = gpus_;
  if (world_.now() < gpu_lost_until_) present.erase(present.begin());
  return present;
}

void Machine::deliver(const std::string& encoded_command) {
  if (!agent_ || inbox_.size() >= kInboxBound) return;
  auto command = codec::decode_command(encoded_command);
  if (!command) return tally_.count("command not decoded");
  inbox_.push_back(std::move(*command));
}

void Machine::tick(std::uint64_t life) {
  if (life != life_) return;
  if (world_.now() >= paused_until_) step();
  if (life == life_) world_.after(kTick, [this, life] { tick(life); });
}

void Machine::step() {
  runner_->poll();  // after this, every start that was intended has opened its gate
  std::vector<AgentCore::Input> inputs;
  inputs.swap(inbox_);
  const bool starts = std::any_of(inputs.begin(), inputs.end(), [](const AgentCore::Input& input) {
    const auto* command = std::get_if<Command>(&input);
    return command != nullptr && std::holds_alternative<StartCommand>(command->body);
  });
  for (const AgentEvent& event : agent_->step(clock_.mono(), inputs)) publish_(codec::encode_event(event));
  if (starts && !healed_ && world_.rng().chance(swarm_.crash_in_start)) {
    tally_.count("crash before the start gate");
    kill_agent();
  }
}

void Machine::send_samples(std::uint64_t life) {
  if (life != life_) return;
  if (world_.now() >= paused_until_)
    for (const GpuInfo& gpu : gpus_now()) {
      auto sample = std::make_shared<GpuSample>();
      sample->gpu_uuid = gpu.gpu_uuid;
      sample->node = node_;
      sample->gpu_index = gpu.gpu_index;
      sample->gpu_name = gpu.gpu_name;
      sample->sample_seq = ++sample_seq_;
      sample->sample_time = clock_.now();
      sample->temperature_c = 40;
      sample->utilization_gpu = 0;
      sample->memory_used_mb = 0;
      sample->memory_total_mb = gpu.memory_total_mb;
      sample_(std::move(sample));
    }
  world_.after(kSampleInterval, [this, life] { send_samples(life); });
}

std::vector<Execution> Machine::executions() {
  settle();
  std::vector<Execution> all;
  for (const SimulatedExecution& run : journal_->executions()) {
    Execution execution;
    execution.node = node_;
    execution.attempt = run.launch.attempt;
    execution.epoch = run.launch.epoch;
    execution.gpu_uuids = run.launch.gpu_uuids;
    execution.exclusive = run.launch.spec.share == Share::kExclusive;
    if (!execution.exclusive) execution.memory_mb = run.launch.spec.gpu_mem_mb.value_or(0);
    execution.began = clock_.to_world(run.boot, run.began);
    if (run.ended) execution.ended = clock_.to_world(run.boot, *run.ended);
    all.push_back(std::move(execution));
  }
  return all;
}

}  // namespace aether::simulation
