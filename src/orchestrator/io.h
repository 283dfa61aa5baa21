#pragma once
// What goes into a step and what comes out of it. Values only; the service (service.h) moves them to and from threads.
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "model/carbon.h"
#include "model/message.h"
#include "orchestrator/control.h"
#include "predictor/predictor.h"
#include "scheduler/scheduler.h"
#include "store/store.h"

namespace aether {

// ---- in ----

struct SampleInput { std::shared_ptr<const GpuSample> sample; };
struct AgentInput { AgentEvent event; };
// A job that a submission depends on, as it was found when the request came.
struct FoundDependency {
  std::shared_ptr<const Job> job;                     // of an array: its first task
  bool any_failed = false;                            // of an array: one of its tasks has ended, not COMPLETED
  std::map<int, std::shared_ptr<const Job>> tasks;    // of an array that is paired task by task: by index
};
struct SubmitInput {
  SubmitRequest request;
  Control::Reply<SubmitReply> reply;
  std::optional<Job> known;   // found in the store under the same idempotency key
  std::map<std::string, FoundDependency> dependencies = {};  // by the reference in spec.depends_on
};
struct ActInput {
  JobId job;
  JobAction action = JobAction::kCancel;
  std::optional<std::int64_t> argument;
  Control::Reply<std::shared_ptr<const Job>> reply;
  std::string actor = "user";
};
struct UpdateInput {
  JobId job;
  JobUpdate update;
  std::shared_ptr<const Job> expected;  // null = whatever it is
  Control::Reply<std::shared_ptr<const Job>> reply;
  std::string actor = "user";
};
struct QuarantineInput {
  GpuUuid gpu;
  std::optional<std::string> reason;
  Control::Reply<void> reply;
  std::string actor = "user";
};
struct DrainInput {
  NodeId node;
  std::optional<std::string> reason;
  Control::Reply<void> reply;
  std::string actor = "user";
};
struct ForgetNodeInput {
  NodeId node;
  Control::Reply<void> reply;
  Unresolved unresolved = Unresolved::kRefuse;
  std::string actor = "user";
};
struct AcknowledgeInput {
  AlertId alert;
  Control::Reply<void> reply;
  std::string actor = "user";
};
inline constexpr std::string_view kSnooze = "snooze/";  // start of the setting that keeps one
struct SnoozeInput {
  AlertId alert;
  std::optional<Time> until;
  Control::Reply<void> reply;
  std::string actor = "user";
};
struct ReadLogInput {
  JobId job;
  std::optional<Job> known;   // found in the store, when it is no longer in memory
  std::string stream;
  std::int64_t offset = 0, limit = 0;
  Control::Reply<LogChunk> reply;
};
struct PredictionsInput { std::uint64_t cycle = 0; std::map<JobId, PredictionOutcome> outcomes; };
struct CarbonInput { CarbonReport report; };
// Counted elsewhere, shown with the rest: a message that could not be decoded.
struct RejectedInput { bool telemetry = false; };

using Input = std::variant<SampleInput, AgentInput, SubmitInput, ActInput, UpdateInput, QuarantineInput, DrainInput,
                           ForgetNodeInput,
                           AcknowledgeInput, SnoozeInput, ReadLogInput, PredictionsInput, CarbonInput, RejectedInput>;

// ---- out ----

struct PredictionsAsked {
  std::uint64_t cycle = 0;
  std::vector<std::pair<JobId, PredictRequest>> requests;
};

// An answer that waits for the commit. Calling it says what it says; refuse() says instead that nothing was done.
struct PendingReply {
  std::function<void(const Error* refusal)> tell;
  void operator()() const { tell(nullptr); }
  void refuse(const Error& error) const { tell(&error); }
};

struct Effects {
  std::vector<Write> writes;                                  // one durable commit, first
  std::vector<Command> commands;                              // only after the commit
  std::vector<PendingReply> replies;                          // only after the commit
  std::vector<std::shared_ptr<const GpuSample>> samples;      // to the history; may be dropped under pressure
  std::optional<PredictionsAsked> predictions;                // must be answered by a PredictionsInput
  bool view_changed = false;
  bool planned = false;                                       // a scheduling cycle was part of the step

  // In the same commit as what was ordered.
  void audit(Time time, std::string actor, std::string action, std::string target, std::string detail);

  template <class T>
  void answer(Control::Reply<T> reply, Result<T> result) {
    replies.push_back({[reply = std::move(reply), result = std::move(result)](const Error* refusal) {
      reply(refusal == nullptr ? result : Result<T>(fail(*refusal)));
    }});
  }
};

// Says to whoever waits for this input that nothing was done; false when nobody does.
bool refuse(Input& input, const Error& error);

}  // namespace aether
