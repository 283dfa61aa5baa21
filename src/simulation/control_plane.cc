#include "simulation/control_plane.h"

#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "base/mutant.h"
#include "codec/codec.h"

namespace aether::simulation {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kTick = milliseconds(200);        // a step without any input
constexpr Duration kRestart = milliseconds(500);
constexpr Duration kStoreRetry = milliseconds(500);
constexpr std::uint64_t kEpochBlock = 1 << 16;

Duration random_duration(Rng& rng, Duration mean) {
  return Duration(static_cast<std::int64_t>(rng.exponential(static_cast<double>(mean.count()))));
}

}  // namespace

ControlPlane::ControlPlane(World& world, const Swarm& swarm, Tally& tally, Referee& referee, Disk& disk, Publish publish)
    : world_(world), swarm_(swarm), tally_(tally), referee_(referee), disk_(disk), publish_(std::move(publish)), clock_(world, 0) {}

std::unique_ptr<Orchestrator> ControlPlane::make_core() {
  OrchestratorOptions options;
  options.use_predictor = swarm_.predictor;
  options.lease = swarm_.lease;
  const Epoch first = AETHER_MUTANT("epochs_reused") ? 1 : disk_.reserve_epochs(kEpochBlock);
  return std::make_unique<Orchestrator>(options, disk_.load(), first, kEpochBlock, world_.rng().next(), clock_.now());
}

void ControlPlane::start() {
  steady_.emplace(clock_.now(), clock_.mono());
  core_ = make_core();
  world_.trace("orchestrator", "starts");
  tick(++life_);
}

void ControlPlane::kill() {
  if (!alive()) return;
  world_.trace("orchestrator", "is killed");
  core_.reset();
  inbox_.clear();
  busy_ = step_scheduled_ = false;
  world_.after(kRestart + random_duration(world_.rng(), seconds(2)), [this, life = ++life_] {
    if (life == life_) start();
  });
}

void ControlPlane::pause(Duration length) {
  world_.trace("orchestrator", fmt::format("is stopped for {} ms", length.count() / 1000));
  paused_until_ = std::max(paused_until_, world_.now() + length);
}

void ControlPlane::heal() {
  healed_ = true;
  paused_until_ = world_.now();
}

bool ControlPlane::deliver(Input input) {
  if (!alive()) return false;
  inbox_.push_back(std::move(input));
  schedule_step(milliseconds(1));
  return true;
}

std::string ControlPlane::why(const JobId& job) {
  if (!alive()) return "the orchestrator is not there";
  const auto view = core_->view(clock_.now());
  const auto waiting = view->waiting.find(job);
  if (waiting == view->waiting.end()) return "";
  std::string all = waiting->second->summary;
  for (const auto& [id, node] : view->nodes) all += fmt::format("; {} {} {}", id.str(), to_string(node.state), node.drain_reason);
  for (const auto& [uuid, gpu] : view->gpus)
    all += fmt::format("; {} {} {}", uuid.str(), to_string(gpu.state), gpu.state_reason);
  return all;
}

void ControlPlane::tick(std::uint64_t life) {
  if (life != life_) return;
  schedule_step(Duration(0));
  world_.after(kTick, [this, life] { tick(life); });
}

void ControlPlane::schedule_step(Duration delay) {
  if (step_scheduled_ || busy_) return;
  step_scheduled_ = true;
  world_.after(std::max(delay, paused_until_ - world_.now()), [this, life = life_] { step(life); });
}

void ControlPlane::step(std::uint64_t life) {
  if (life != life_) return;
  step_scheduled_ = false;
  if (world_.now() < paused_until_) return schedule_step(Duration(0));
  ++tally_.steps;
  std::vector<Input> inputs = std::move(inbox_);
  inbox_.clear();
  const Time now = AETHER_MUTANT("core_on_wall_clock") ? clock_.now() : steady_->advance(clock_.now(), clock_.mono());
  const Mono mono = AETHER_MUTANT("leases_on_wall_clock") ? Mono(clock_.now().time_since_epoch()) : clock_.mono();
  auto effects = std::make_shared<Effects>(core_->step(now, mono, inputs));
  if (AETHER_MUTANT("commands_before_commit")) send(*effects);
  if (AETHER_MUTANT("replies_before_commit")) answer(*effects);
  busy_ = true;
  if (effects->writes.empty()) return finish_step(life, effects);
  world_.after(random_duration(world_.rng(), swarm_.commit_mean), [this, life, effects] { finish_step(life, effects); });
}

void ControlPlane::finish_step(std::uint64_t life, std::shared_ptr<Effects> effects) {
  if (life != life_) return;
  if (!effects->writes.empty()) {
    Rng& rng = world_.rng();
    if (!healed_ && rng.chance(swarm_.commit_fails)) {
      tally_.count("commit failed");
      if (!effects->replies.empty() && rng.chance(0.3)) return start_over(*effects);
      world_.after(kStoreRetry, [this, life, effects] { finish_step(life, effects); });
      return;
    }
    if (!healed_ && rng.chance(swarm_.crash_at_commit)) {
      tally_.count("crash before commit");
      return kill();
    }
    if (!commit(effects->writes)) return kill();
    if (!healed_ && rng.chance(swarm_.commit_ambiguous)) {
      // Written, but the answer was lost. The service repeats the commit, and the store knows it again.
      tally_.count("commit ambiguous");
      world_.trace("store", "its answer is lost");
      if (!effects->replies.empty() && rng.chance(0.3)) return start_over(*effects);
    }
    if (!healed_ && rng.chance(swarm_.crash_at_commit)) {
      tally_.count("crash after commit");
      return kill();
    }
  }
  busy_ = false;
  carry_out(*effects);
  if (life == life_ && !inbox_.empty()) schedule_step(milliseconds(1));
}

// As the service does when the store stays away for too long: whoever waits is refused, the step is dropped, and what the
// store holds is the truth.
void ControlPlane::start_over(Effects& effects) {
  tally_.count("step given up");
  world_.trace("orchestrator", "gives a step up and starts over");
  for (const PendingReply& reply : effects.replies) reply.refuse({ErrorCode::kUnavailable, "the store is away", ""});
  auto core = make_core();
  core->inherit(*core_, steady_->advance(clock_.now(), clock_.mono()));
  core_ = std::move(core);
  busy_ = false;
  if (!inbox_.empty()) schedule_step(milliseconds(1));
}

bool ControlPlane::commit(const std::vector<Write>& writes) {
  const auto done = disk_.commit(writes);
  if (!done) {
    referee_.blame("I8", "the process ends, the store refuses its commit: " + done.error().message);
    return false;
  }
  ++tally_.commits;
  referee_.on_commit(writes);
  return true;
}

void ControlPlane::carry_out(Effects& effects) {
  send(effects);
  if (effects.predictions) ask_predictor(*effects.predictions);
  answer(effects);
}

void ControlPlane::send(Effects& effects) {
  for (const Command& command : std::exchange(effects.commands, {})) publish_(command.node, codec::encode_command(command));
}

void ControlPlane::answer(Effects& effects) {
  for (const auto& reply : std::exchange(effects.replies, {})) reply();
}

// Advice of every quality: sound, late, absent, or no number at all.
void ControlPlane::ask_predictor(const PredictionsAsked& asked) {
  Rng& rng = world_.rng();
  PredictionsInput answer{asked.cycle, {}};
  for (const auto& [job, request] : asked.requests) {
    PredictionOutcome& outcome = answer.outcomes[job];
    if (!healed_ && rng.chance(swarm_.predictor_silent)) {
      tally_.count("predictor silent");
      outcome.fallback_reason = "no answer in time";
      continue;
    }
    const bool nonsense = !healed_ && rng.chance(swarm_.predictor_nonsense);
    if (nonsense) tally_.count("predictor nonsense");
    for (const CandidateFeatures& candidate : request.candidates)
      outcome.scores[candidate.gpu_uuid] = nonsense ? std::numeric_limits<double>::quiet_NaN() : rng.uniform();
  }
  world_.after(random_duration(rng, milliseconds(5)), [this, life = life_, answer = std::move(answer)]() mutable {
    if (life == life_) deliver(std::move(answer));
  });
}

}  // namespace aether::simulation
