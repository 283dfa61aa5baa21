#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <ostream>

#include "client/log_tail.h"
#include "client/verbs.h"

namespace aether::client {
namespace {

constexpr int kReconnects = 60;
constexpr int kInterrupted = 128 + 2;

// One `aether run`: submits, shows the output as it comes, and ends as the job ends.
class AttachedRun {
 public:
  AttachedRun(Context& context, std::ostream& job_stderr) : context_(context), job_stderr_(job_stderr) {}

  Outcome<int> go(const SubmitFlags& flags) {
    const auto job = submit_spec(context_, flags);
    if (!job) return failed(job.error());
    id_ = text_of(*job, "job_id");
    number_ = text_of(*job, "number");
    const bool filtered = context_.out_is_terminal();
    LogTail out(id_, "stdout", context_.out(), filtered);
    LogTail err(id_, "stderr", job_stderr_, context_.err_is_terminal());
    return follow(out, err);
  }
  bool ended_with_the_job() const { return ended_with_the_job_; }

 private:
  // What one look brings: nothing (go on), or the exit code.
  Outcome<int> follow(LogTail& out, LogTail& err) {
    std::chrono::milliseconds pause(50);
    int failures = 0;
    while (true) {
      if (const auto left = heed_interrupts()) return *left;
      const auto job = context_.get(job_path(id_));
      Outcome<bool> wrote = job ? poll_logs(*job, out, err) : Outcome<bool>(failed(job.error()));
      if (!wrote) {
        if (wrote.error().exit_code != kUnreachable || ++failures > kReconnects)
          return failed(std::move(wrote).error());
        if (failures == 1) context_.say("the connection is lost; the job goes on, trying again");
      } else {
        failures = 0;
        if (has_ended(*job) && !*wrote) return finish(*job, out, err);
        if (!has_ended(*job)) show_progress(*job);
        pause = *wrote ? std::chrono::milliseconds(50)
                       : std::min<std::chrono::milliseconds>(pause * 3 / 2, std::chrono::seconds(1));
        if (has_ended(*job)) pause = std::chrono::milliseconds(0);
      }
      sleep_unless_interrupted(failures > 0 ? std::chrono::milliseconds(1000) : pause);
    }
  }

  Outcome<bool> poll_logs(const Json& job, LogTail& out, LogTail& err) {
    if (!has_started(job)) return false;
    const auto from_out = out.poll(context_);
    if (!from_out && from_out.error().exit_code != kNotFound) return from_out;
    const auto from_err = err.poll(context_);
    if (!from_err && from_err.error().exit_code != kNotFound) return from_err;
    return from_out.value_or(false) || from_err.value_or(false);  // no log yet is no failure
  }

  // The first Ctrl-C cancels the job and stays to see its end; the second leaves at once.
  std::optional<Outcome<int>> heed_interrupts() {
    const int count = InterruptGuard::count();
    if (count >= 2) {
      context_.say(fmt::format("left; see `aether show {0}` and `aether logs -f {0}`", number_));
      return Outcome<int>(kInterrupted);
    }
    if (count == 1 && !cancelled_) {
      cancelled_ = true;
      context_.say(fmt::format("cancelling job {}; Ctrl-C again leaves at once", number_));
      const Json body = Json::object();
      const auto reply = context_.send("POST", job_path(id_) + "/cancel", &body);
      if (!reply) context_.print_failure(reply.error());
    }
    return std::nullopt;
  }

  void show_progress(const Json& job) {
    if (!context_.err_is_terminal() || context_.options().quiet) return;
    std::string status = text_of(job, "state");
    if (!has_started(job) && !text_of(member(job, "reason"), "summary").empty())
      status += ": " + text_of(member(job, "reason"), "summary");
    else if (has_started(job))
      status += " on " + joined(items_of(job, "gpu_ids"), " ");
    if (status == shown_status_) return;
    shown_status_ = status;
    context_.say(fmt::format("job {} is {}", number_, status));
  }

  int finish(const Json& job, LogTail& out, LogTail& err) {
    out.finish();
    err.finish();
    const int code = passed_on_exit_code(job);
    const Json& exit = member(job, "exit");
    ended_with_the_job_ = code == 0 || integer_of(exit, "exit_code") || integer_of(exit, "signal");
    if (code != 0)
      context_.say(fmt::format("job {} is {}{}", number_, text_of(job, "state"),
                               outcome_sentence(job).empty() ? "" : ": " + outcome_sentence(job)));
    return code;
  }

  Context& context_;
  std::ostream& job_stderr_;
  std::string id_, number_, shown_status_;
  bool cancelled_ = false, ended_with_the_job_ = false;
};

}  // namespace

Outcome<int> run(Context& context, const SubmitFlags& flags) {
  if (flags.dry_run) return submit(context, flags);
  const InterruptGuard interrupts;
  AttachedRun attached(context, context.err());
  auto code = attached.go(flags);
  if (!code) context.print_failure(code.error());
  const int exit_code = code ? *code : code.error().exit_code;
  if (context.output() == Output::kJson)
    context.out() << dump_json(
                         {{"source", attached.ended_with_the_job() ? "job" : "cli"}, {"code", exit_code}})
                  << std::endl;
  return exit_code;
}

}  // namespace aether::client
