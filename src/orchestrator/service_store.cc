// The service and its store: commits, a store that is away, one that has failed.
#include <cstdlib>

#include "base/log.h"
#include "base/secret.h"
#include "orchestrator/service.h"

namespace aether {
namespace {
constexpr std::chrono::milliseconds kStoreRetry{500};
}

Error OrchestratorService::store_is_away() {
  return {ErrorCode::kUnavailable, "the database is away or its disk is full; nothing was changed, try again", ""};
}

void OrchestratorService::top_up_epochs() {
  const auto epoch = store_.reserve_epochs(kEpochBlock, core_->epochs_above());
  if (epoch) return core_->add_epochs(*epoch, kEpochBlock);
  const ErrorCode code = epoch.error().code;
  if (code == ErrorCode::kIo || code == ErrorCode::kConflict) return end_for_good(epoch.error());
  log::error("orchestrator", "no new epochs", {{"why", epoch.error().message}});
}

// kDone: the writes are durable. Waits out a database that is away and a disk that is full, but not while a request waits
// for the answer: then it gives the step up. Anything else ends the process.
OrchestratorService::Committed OrchestratorService::commit(const Effects& effects) {
  if (effects.writes.empty()) return Committed::kDone;
  const Mono give_up = clock_.mono() + options_.refuse_after;
  while (true) {
    const auto done = store_.commit(effects.writes);
    if (done) {
      store_away_ = false;
      return Committed::kDone;
    }
    if (!wait_for_store(done.error())) return Committed::kStopped;
    if (effects.replies.empty() || clock_.mono() < give_up) continue;
    for (const PendingReply& reply : effects.replies) reply.refuse(store_is_away());
    return Committed::kGivenUp;
  }
}

// As after a restart: the truth is what the store holds. The step that was given up is as if it had never been, unless
// only the store's answer to it was lost; then its work is found here.
bool OrchestratorService::start_over(Time now) {
  while (true) {
    auto state = store_.load();
    const auto epoch = state ? store_.reserve_epochs(kEpochBlock, core_->epochs_above()) : fail(state.error());
    if (!epoch) {
      if (!wait_for_store(epoch.error())) return false;
      continue;
    }
    auto core =
        std::make_unique<Orchestrator>(options_.core, std::move(*state), *epoch, kEpochBlock, random_u64(), now);
    core->inherit(*core_, now);
    core_ = std::move(core);
    store_away_ = false;
    log::info("orchestrator", "the database is back; started over from what it holds");
    return true;
  }
}

// A pause before the next attempt, in which nobody is left waiting; false when there is to be none.
bool OrchestratorService::wait_for_store(const Error& error) {
  const bool away = error.code == ErrorCode::kUnavailable || error.code == ErrorCode::kTimeout ||
                    error.code == ErrorCode::kResourceExhausted;
  if (!away) {
    end_for_good(error);
    return false;
  }
  if (!store_away_.exchange(true))
    log::warn("orchestrator", "the database takes nothing; waiting", {{"why", error.message}});
  if (!stopping_) sleep_until_stop(kStoreRetry);
  refuse_waiting();
  return !stopping_;
}

// Requests that came before it was known that the store is away.
void OrchestratorService::refuse_waiting() {
  for (Input& input : requests_.drain(Duration(0), 10000))
    if (!refuse(input, store_is_away())) kept_.push_back(std::move(input));
}

// After a failed fsync the next one may succeed falsely: nothing is tried again.
void OrchestratorService::end_for_good(const Error& error) {
  log::error("orchestrator", "the store failed; stopping so that nothing is promised that is not stored",
             {{"why", error.message}});
  if (!options_.on_fatal) std::_Exit(74);
  options_.on_fatal(error);
}

}  // namespace aether
