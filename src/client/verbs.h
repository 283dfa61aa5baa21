#pragma once
// The verbs themselves, without their command-line grammar (commands.cc). Each returns the exit code.
// Internal.
#include <optional>
#include <string>
#include <vector>

#include "client/context.h"
#include "client/job_spec_flags.h"
#include "client/past.h"

namespace aether::client {

// ---- jobs (jobs.cc, submit.cc, run.cc, logs.cc, explain.cc) ----

struct QueueFlags {
  bool all = false, watch = false;
  std::string state, user, name;
  std::vector<std::string> labels;  // KEY=VALUE
  int limit = 1000;
};
Outcome<int> queue(Context& context, const QueueFlags& flags);
Outcome<int> show(Context& context, const std::vector<std::string>& jobs);
Outcome<int> why(Context& context, const std::string& job);

struct CancelFlags {
  std::vector<std::string> jobs;
  std::string grace;
  bool now = false;
};
Outcome<int> cancel(Context& context, const CancelFlags& flags);
// "hold", "release", "requeue", "suspend" or "resume".
Outcome<int> act_on_jobs(Context& context, const std::vector<std::string>& jobs, const std::string& action);

struct SignalFlags {
  std::vector<std::string> jobs;
  std::string signal = "TERM";
};
Outcome<int> send_signal(Context& context, const SignalFlags& flags);

struct UpdateFlags {
  std::vector<std::string> jobs, labels;  // KEY=VALUE; KEY= removes
  std::optional<int> priority;
  std::string time;
};
Outcome<int> update(Context& context, const UpdateFlags& flags);

struct WaitFlags {
  std::vector<std::string> jobs;
  bool any = false, all = false, exit_code = false;  // `all` is the default
  std::string timeout;
};
Outcome<int> wait(Context& context, const WaitFlags& flags);

struct SubmitFlags {
  JobSpecFlags spec;
  std::string idempotency_key;
  bool dry_run = false, wait = false;
};
Outcome<int> submit(Context& context, const SubmitFlags& flags);
// Stores the job (or only checks it) and returns the reply. Sends again with the same key while the server
// does not answer.
Outcome<Json> submit_spec(Context& context, const SubmitFlags& flags);
Outcome<int> run(Context& context, const SubmitFlags& flags);

struct BatchFlags {
  SubmitFlags submit;                     // spec.argv: the script and its arguments
  bool sbatch = false;                    // speak as sbatch does
  std::vector<std::string> sbatch_words;  // Slurm's options of the command line
};
Outcome<int> batch(Context& context, const BatchFlags& flags);

struct LogFlags {
  std::string job;
  std::string stream = "stdout";
  bool follow = false, raw = false;
  std::optional<std::int64_t> tail_lines, offset;
};
Outcome<int> logs(Context& context, const LogFlags& flags);

// What the end of a job means for this process.
bool has_ended(const Json& job);
bool has_started(const Json& job);    // its process runs or ran, so it has logs
std::string number_text(const Json& job);  // "4131", of a task of an array "4131_7"
int wait_exit_code(const Json& job);  // 0, 1 or 9
int passed_on_exit_code(
    const Json& job);  // the job's own code, 128 + signal; 143 when cancelled; 1 when there is none
std::string outcome_sentence(const Json& job);

// ---- fleet (fleet.cc, top.cc) ----

Outcome<int> gpus(Context& context);
Outcome<int> nodes(Context& context);
Outcome<int> alerts(Context& context);
Outcome<int> carbon(Context& context);
Outcome<int> version(Context& context);
struct EventFlags {
  std::string after, job, user, state;
  PastFlags past;
  int limit = 100;
  bool follow = false;
};
Outcome<int> events(Context& context, const EventFlags& flags);
// kind "nodes" or "gpus"; action drain, undrain, quarantine, clear; a GPU may be named by UUID or
// "<node>-<index>".
Outcome<int> act_on(Context& context, const std::string& kind, const std::string& id,
                    const std::string& action, const std::string& reason);
// A node that never comes back; `lost`: also what it may still have been running.
Outcome<int> forget_node(Context& context, const std::string& node, bool lost);
struct AuditFlags {
  std::string what = "list";  // or "verify"
  std::string actor, action, target;
  PastFlags past;
  int limit = 100;
};
Outcome<int> audit(Context& context, const AuditFlags& flags);  // audit.cc
Outcome<int> verify_audit(Context& context);
Outcome<int> token(Context& context);

// ---- the past (history.cc, usage.cc) ----

struct HistoryFlags {
  std::vector<std::string> what;  // "fleet", a name, or "gpu", "node", "job" and a name
  std::vector<std::string> metrics;
  std::string step, aggregation, by;
  PastFlags past;
  bool plot = false;  // also when the output is no terminal
};
Outcome<int> history(Context& context, const HistoryFlags& flags);

struct UsageFlags {
  std::string by = "user", user, queue;
  PastFlags past;
};
Outcome<int> usage(Context& context, const UsageFlags& flags);

struct TopFlags {
  bool once = false;
  std::string sort = "u";  // one of kTopSortKeys
  std::string filter;
};
Outcome<int> top(Context& context, const TopFlags& flags);

// Waits a second between frames and draws again until interrupted. `draw` fills the screen's text.
Outcome<int> watch(Context& context, const std::function<Outcome<std::string>()>& draw);

}  // namespace aether::client
