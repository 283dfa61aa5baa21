#include "client/commands.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <iostream>
#include <memory>

#include "base/names.h"
#include "client/aliases.h"
#include "client/completion.h"
#include "client/verbs.h"

namespace aether::client {
namespace {

using Action = std::function<Outcome<int>(Context&)>;

// Adds verbs whose flags live as long as the application does.
class Registrar {
 public:
  Registrar(CLI::App& app, int& exit_code, std::ostream& out, std::ostream& err)
      : app_(app), exit_code_(exit_code), out_(out), err_(err), options_(std::make_shared<GlobalOptions>()) {}

  void add_global_options() {
    GlobalOptions& options = *options_;
    app_.add_option("--server", options.server,
                    "Address of the orchestrator's API (default: the one recorded in the state directory)")
        ->envname("AETHER_SERVER")
        ->type_name("URL");
    app_.add_option("--token-file", options.token_file,
                    "File with the token (default: the state directory's)")
        ->type_name("FILE");
    app_.add_option("--state-dir", options.state_dir, "State directory of the orchestrator")
        ->envname("AETHER_STATE_DIR")
        ->type_name("DIR");
    app_.add_option("-o,--output", options.output, "table, wide, json or name; csv of history and usage")
        ->type_name("FORMAT")
        ->check(CLI::IsMember({"table", "wide", "json", "csv", "name"}));
    app_.add_flag("--json", options.json, "The same as -o json: the API's object unchanged");
    app_.add_flag("--no-headers", options.no_headers, "Tables without their first line");
    app_.add_flag("--parsable", options.parsable, "Columns between |, or the bare id of what was submitted");
    app_.add_flag("-q,--quiet", options.quiet, "Ids only");
    app_.add_flag("--utc", options.utc, "Times in UTC");
    app_.add_option("--timeout", options.timeout, "How long one request may take, e.g. 5s (default 30s)")
        ->type_name("DURATION");
    app_.add_flag("--no-color", options.no_color, "No colours (also: NO_COLOR=1)");
  }

  CLI::App& add(const std::string& name, const std::string& description, Action action) {
    CLI::App* verb = app_.add_subcommand(name, description);
    verb->fallthrough();
    verb->callback(
        [options = options_, name, action = std::move(action), &exit_code = exit_code_, &out = out_, &err = err_] {
          Context context(*options, out, err);
          const bool no_csv = context.output() == Output::kCsv && name != "history" && name != "usage";
          const auto code = no_csv ? failed(kUsage, name + " has no CSV", "--parsable  puts columns between |, -o json  prints all there is")
                                   : action(context);
          if (!code) context.print_failure(code.error());
          exit_code = code ? *code : code.error().exit_code;
          out.flush();
        });
    return *verb;
  }

  // For verbs without flags of their own but with names of things.
  CLI::App& add_with_names(const std::string& name, const std::string& description, const std::string& kind,
                           std::function<Outcome<int>(Context&, const std::vector<std::string>&)> action) {
    const auto names = std::make_shared<std::vector<std::string>>();
    CLI::App& verb = add(name, description, [names, action = std::move(action)](Context& context) {
      return action(context, *names);
    });
    verb.add_option(kind == "JOB" ? "job" : kind, *names, "Id, number or name")->type_name(kind)->required();
    return verb;
  }

  const CLI::App& app() const { return app_; }

 private:
  CLI::App& app_;
  int& exit_code_;
  std::ostream& out_;
  std::ostream& err_;
  std::shared_ptr<GlobalOptions> options_;
};

void add_submit_flags(CLI::App& verb, SubmitFlags& flags) {
  add_job_spec_flags(verb, flags.spec);
  verb.add_option("--idempotency-key", flags.idempotency_key,
                  "A repeat with the same key returns the first job (default: a new UUIDv7)")
      ->type_name("KEY");
  verb.add_flag("--dry-run", flags.dry_run, "Check everything, store nothing");
}

void add_run_verbs(Registrar& verbs) {
  const auto submit_flags = std::make_shared<SubmitFlags>();
  CLI::App& submit_verb =
      verbs.add("submit", "Submit a job: aether submit --gpus 2 --time 2h -- python train.py",
                [submit_flags](Context& context) { return submit(context, *submit_flags); });
  add_submit_flags(submit_verb, *submit_flags);
  submit_verb.add_flag("--wait", submit_flags->wait, "Wait for its end: 0 completed, 1 failed, 9 cancelled");

  const auto array_flags = std::make_shared<SubmitFlags>();
  CLI::App& array_verb = verbs.add("array", "Submit one job for each index: aether array 0-99%8 -- python sweep.py",
                                   [array_flags](Context& context) { return submit(context, *array_flags); });
  array_verb.add_option("range", array_flags->spec.array, "0-99%8: at most 8 at once; 1,3,7-9; 0-30:10")
      ->type_name("RANGE")
      ->required();
  add_submit_flags(array_verb, *array_flags);
  array_verb.footer("Each task finds its index in AETHER_ARRAY_INDEX. `aether cancel 4131` ends all of array 4131,\n"
                    "`aether cancel 4131_7` one task, `aether cancel 4131_[0-9]` some.");

  const auto batch_flags = std::make_shared<BatchFlags>();
  CLI::App& batch_verb = verbs.add("batch", "Submit a script with #AETHER or #SBATCH lines: aether batch train.sh",
                                   [batch_flags](Context& context) { return batch(context, *batch_flags); });
  add_submit_flags(batch_verb, batch_flags->submit);
  batch_verb.add_flag("--wait", batch_flags->submit.wait, "Wait for its end: 0 completed, 1 failed, 9 cancelled");
  batch_verb.add_flag("--sbatch", batch_flags->sbatch, "Speak as sbatch does");
  batch_verb.add_option("--sbatch-word", batch_flags->sbatch_words, "One word of sbatch's command line")
      ->type_name("WORD")
      ->allow_extra_args(false);
  batch_verb.footer("The script's own words come behind it, after --. What is given here wins over AETHER_* of the\n"
                    "environment, over #AETHER lines, over #SBATCH lines.");

  const auto run_flags = std::make_shared<SubmitFlags>();
  CLI::App& run_verb = verbs.add("run", "Submit a job, show its output, end with its exit code",
                                 [run_flags](Context& context) { return run(context, *run_flags); });
  add_submit_flags(run_verb, *run_flags);
  run_verb.footer(
      "Ctrl-C cancels the job and waits for its end; a second Ctrl-C leaves at once.\n"
      "Exit code: the job's own, 128 + n when signal n ended it, 143 when it was cancelled.");
}

void add_past_flags(CLI::App& verb, PastFlags& flags) {
  verb.add_option("--last", flags.last, "So far back from --to, e.g. 2h or 30d")->type_name("DURATION");
  verb.add_option("--from", flags.from, "From this time on, e.g. 08:00, yesterday, now-2h or 2026-01-15T09:00")->type_name("TIME");
  verb.add_option("--to", flags.to, "Until before this time (default: now)")->type_name("TIME");
}

void add_look_verbs(Registrar& verbs) {
  const auto queue_flags = std::make_shared<QueueFlags>();
  CLI::App& queue_verb = verbs.add("queue", "Waiting and running jobs",
                                   [queue_flags](Context& context) { return queue(context, *queue_flags); });
  queue_verb.alias("ls");
  queue_verb.add_flag("-a,--all", queue_flags->all, "Finished jobs too");
  queue_verb.add_flag("-w,--watch", queue_flags->watch, "Show it again every second");
  queue_verb.add_option("--state", queue_flags->state, "Only these, e.g. running or FAILED,TIMEOUT")
      ->type_name("STATES");
  queue_verb.add_option("--user", queue_flags->user, "Only this user's");
  queue_verb.add_option("--name", queue_flags->name, "Only of this name");
  queue_verb.add_option("--label", queue_flags->labels, "Only with this label; may be repeated")
      ->type_name("K=V")
      ->allow_extra_args(false);
  queue_verb.add_option("--limit", queue_flags->limit, "At most so many (default 1000)")
      ->type_name("N")
      ->check(CLI::Range(1, 1'000'000));

  verbs.add_with_names("show", "Everything about a job", "JOB", show);
  const auto why_job = std::make_shared<std::string>();
  verbs
      .add("why", "Why a job waits, or why it runs where it runs",
           [why_job](Context& context) { return why(context, *why_job); })
      .add_option("job", *why_job, "Id, number or name")
      ->type_name("JOB")
      ->required();

  const auto log_flags = std::make_shared<LogFlags>();
  CLI::App& logs_verb = verbs.add("logs", "What a job has written",
                                  [log_flags](Context& context) { return logs(context, *log_flags); });
  logs_verb.add_option("job", log_flags->job, "Id, number or name")->type_name("JOB")->required();
  logs_verb.add_flag("-f,--follow", log_flags->follow, "Go on until the job ends");
  logs_verb.add_option("--stream", log_flags->stream, "stdout or stderr")->type_name("STREAM");
  logs_verb.add_option("--tail", log_flags->tail_lines, "Only the last N lines")
      ->type_name("N")
      ->check(CLI::NonNegativeNumber);
  logs_verb.add_option("--offset", log_flags->offset, "From this byte on")
      ->type_name("BYTES")
      ->check(CLI::NonNegativeNumber);
  logs_verb.add_flag("--raw", log_flags->raw, "Pass control characters to the terminal");

  verbs.add("gpus", "All GPUs", gpus);
  verbs.add("nodes", "All nodes", nodes);
  verbs.add("alerts", "What somebody should look at", alerts);
  verbs.add("carbon", "How clean the grid's power is, now and over the next day", carbon);
  const auto event_flags = std::make_shared<EventFlags>();
  CLI::App& events_verb = verbs.add(
      "events", "What happened", [event_flags](Context& context) { return events(context, *event_flags); });
  events_verb.add_flag("-f,--follow", event_flags->follow, "Go on with what happens");
  events_verb.add_option("--after", event_flags->after, "After this cursor")->type_name("CURSOR");
  events_verb.add_option("--job", event_flags->job, "Only of this job")->type_name("JOB");
  events_verb.add_option("--user", event_flags->user, "Only of this user's jobs");
  events_verb.add_option("--state", event_flags->state, "Only of jobs that became this, e.g. finished or FAILED")->type_name("STATES");
  add_past_flags(events_verb, event_flags->past);
  events_verb.add_option("--limit", event_flags->limit, "At most so many (default 100)")
      ->type_name("N")
      ->check(CLI::Range(1, 1000));

  const auto top_flags = std::make_shared<TopFlags>();
  CLI::App& top_verb = verbs.add("top", "The fleet at a glance, every second",
                                 [top_flags](Context& context) { return top(context, *top_flags); });
  top_verb.add_flag("--once", top_flags->once, "One frame, then end");
  top_verb.add_option("--sort", top_flags->sort, "u utilisation, t temperature, m memory, p power, n name")
      ->type_name("KEY");
  top_verb.add_option("--filter", top_flags->filter, "Only GPUs and jobs that hold this text")->type_name("TEXT");
}

void add_past_verbs(Registrar& verbs) {
  const auto history_flags = std::make_shared<HistoryFlags>();
  CLI::App& history_verb =
      verbs.add("history", "What GPUs, nodes, jobs and the fleet were doing: aether history n1 --metric power_draw_w --last 2h",
                [history_flags](Context& context) { return history(context, *history_flags); });
  history_verb.add_option("what", history_flags->what, "fleet, or the name of a GPU, node or job")
      ->type_name("SUBJECT")
      ->required()
      ->expected(1, 2);
  history_verb.add_option("--metric", history_flags->metrics, "A reading, e.g. power_draw_w (default utilization_gpu); may be repeated")
      ->type_name("METRIC")
      ->allow_extra_args(false);
  add_past_flags(history_verb, history_flags->past);
  history_verb.add_option("--step", history_flags->step, "Length of one step (default: what gives at most 1000)")->type_name("DURATION");
  history_verb.add_option("--agg", history_flags->aggregation, "mean, min, max, sum, last or p95; several joined by commas")
      ->type_name("AGG");
  history_verb.add_option("--by", history_flags->by, "One curve for each gpu, each node, or all together (the default)")
      ->type_name("BY")
      ->check(CLI::IsMember({"gpu", "node", "all"}));
  history_verb.add_flag("--plot", history_flags->plot, "Draw also when the output is no terminal");
  history_verb.footer("A name that fits several things: gpu NAME, node NAME, job NAME. Of a job only the time counts in which it\n"
                      "held its GPUs. A terminal gets a curve, -o wide the numbers, -o csv and -o json everything. Across GPUs mean\n"
                      "and sum are of their means, min and max of all readings; last and p95 need raw readings. A hole was not read.");

  const auto usage_flags = std::make_shared<UsageFlags>();
  CLI::App& usage_verb = verbs.add("usage", "GPU hours, energy and carbon of the last 30 days: aether usage --by job --user ada",
                                   [usage_flags](Context& context) { return usage(context, *usage_flags); });
  usage_verb.add_option("--by", usage_flags->by, "user (the default), job or queue")
      ->type_name("WHOSE")
      ->check(CLI::IsMember({"user", "job", "queue"}));
  usage_verb.add_option("--user", usage_flags->user, "Only this user's");
  usage_verb.add_option("--queue", usage_flags->queue, "Only of this queue");
  add_past_flags(usage_verb, usage_flags->past);
  usage_verb.footer("A GPU that several jobs share is divided among them in equal parts, hours and energy. Energy is the difference of\n"
                    "the GPU's own counter, power over time where it has none; what was not read is not guessed.");
}

void add_act_verbs(Registrar& verbs) {
  const auto cancel_flags = std::make_shared<CancelFlags>();
  CLI::App& cancel_verb =
      verbs.add("cancel", "Stop jobs: SIGTERM, and SIGKILL after the grace time",
                [cancel_flags](Context& context) { return cancel(context, *cancel_flags); });
  cancel_verb.add_option("job", cancel_flags->jobs, "Id, number or name")->type_name("JOB")->required();
  CLI::Option* grace =
      cancel_verb.add_option("--grace", cancel_flags->grace, "Grace time (default: the job's own)")
          ->type_name("DURATION");
  cancel_verb.add_flag("--now", cancel_flags->now, "No grace time")->excludes(grace);

  const auto wait_flags = std::make_shared<WaitFlags>();
  CLI::App& wait_verb =
      verbs.add("wait", "Wait until jobs have ended: 0 completed, 1 failed, 9 cancelled, 7 timeout",
                [wait_flags](Context& context) { return wait(context, *wait_flags); });
  wait_verb.add_option("job", wait_flags->jobs, "Id, number or name")->type_name("JOB")->required();
  CLI::Option* any = wait_verb.add_flag("--any", wait_flags->any, "Until the first one has ended");
  wait_verb.add_flag("--all", wait_flags->all, "Until all have ended (the default)")->excludes(any);
  wait_verb.add_option("--timeout", wait_flags->timeout, "Give up after this time")->type_name("DURATION");
  wait_verb.add_flag("--exit-code", wait_flags->exit_code, "End with the job's own exit code");

  for (const auto& [action, help] :
       {std::pair("hold", "Keep waiting jobs from starting"), std::pair("release", "Let held jobs go"),
        std::pair("requeue", "Stop jobs and queue them again"),
        std::pair("suspend", "Freeze running jobs; they keep their GPUs, and their time limit goes on"),
        std::pair("resume", "Let suspended jobs go on")})
    verbs.add_with_names(action, help, "JOB",
                         [action = std::string(action)](Context& context, const std::vector<std::string>& jobs) {
                           return act_on_jobs(context, jobs, action);
                         });

  const auto signal_flags = std::make_shared<SignalFlags>();
  CLI::App& signal_verb = verbs.add("signal", "Send a signal to every process of jobs",
                                    [signal_flags](Context& context) { return send_signal(context, *signal_flags); });
  signal_verb.add_option("job", signal_flags->jobs, "Id, number or name")->type_name("JOB")->required();
  signal_verb.add_option("-s,--signal", signal_flags->signal, "USR1, SIGUSR1 or 10 (default TERM)")->type_name("SIGNAL");

  const auto update_flags = std::make_shared<UpdateFlags>();
  CLI::App& update_verb = verbs.add("update", "Change the priority, the time limit or labels of jobs",
                                    [update_flags](Context& context) { return update(context, *update_flags); });
  update_verb.add_option("job", update_flags->jobs, "Id, number or name")->type_name("JOB")->required();
  update_verb.add_option("--priority", update_flags->priority, "0 to 100")->type_name("N");
  update_verb.add_option("--time", update_flags->time, "New time limit of a job that waits")->type_name("DURATION");
  update_verb.add_option("--label", update_flags->labels, "KEY=VALUE, or KEY= to remove it")
      ->type_name("K=V")
      ->allow_extra_args(false);
}

void add_admin_verb(Registrar& verbs, const std::string& kind, const std::string& action,
                    const std::string& description, bool wants_reason) {
  struct Flags {
    std::string id, reason;
  };
  const auto flags = std::make_shared<Flags>();
  CLI::App& verb = verbs.add(action, description, [=](Context& context) {
    return act_on(context, kind, flags->id, action, flags->reason);
  });
  verb.add_option(kind == "nodes" ? "node" : "gpu", flags->id,
                  kind == "nodes" ? "Name of the node" : "UUID, or node-index")
      ->type_name(kind == "nodes" ? "NODE" : "GPU")
      ->required();
  if (wants_reason)
    verb.add_option("--reason", flags->reason, "Shown to everyone who asks why")
        ->type_name("TEXT")
        ->required();
}

void add_admin_verbs(Registrar& verbs) {
  add_admin_verb(verbs, "nodes", "drain", "Start nothing more on a node", true);
  add_admin_verb(verbs, "nodes", "undrain", "Return a drained node to service", false);
  add_admin_verb(verbs, "gpus", "quarantine", "Take a GPU out of service", true);
  add_admin_verb(verbs, "gpus", "clear", "Return a quarantined GPU to service", false);
  struct ForgetFlags {
    std::string node;
    bool lost = false;
  };
  const auto forget_flags = std::make_shared<ForgetFlags>();
  CLI::App& forget = verbs.add("forget", "Forget a node that never comes back", [forget_flags](Context& context) {
    return forget_node(context, forget_flags->node, forget_flags->lost);
  });
  forget.add_option("node", forget_flags->node, "Name of the node")->type_name("NODE")->required();
  forget.add_flag("--lost", forget_flags->lost, "Nothing runs there any more, for certain: its jobs end as NODE_FAIL");
  const auto audit_flags = std::make_shared<AuditFlags>();
  CLI::App& audit_verb = verbs.add("audit", "Who ordered what; `aether audit verify` checks the log's seals",
                                   [audit_flags](Context& context) {
                                     return audit_flags->what == "verify" ? verify_audit(context)
                                                                          : audit(context, *audit_flags);
                                   });
  audit_verb.add_option("what", audit_flags->what, "list or verify")
      ->type_name("WHAT")
      ->check(CLI::IsMember({"list", "verify"}));
  audit_verb.add_option("--actor", audit_flags->actor, "Only what this one ordered")->type_name("WHO");
  audit_verb.add_option("--action", audit_flags->action, "Only this, e.g. cancel")->type_name("ACTION");
  audit_verb.add_option("--target", audit_flags->target, "Only what was done to this: the id of a job, a GPU's UUID, a node")->type_name("TARGET");
  add_past_flags(audit_verb, audit_flags->past);
  audit_verb.add_option("--limit", audit_flags->limit, "At most so many of the newest (default 100)")
      ->type_name("N")
      ->check(CLI::Range(1, 1000));
  verbs.add("token", "The dashboard's address with the token, on a terminal", token);
  verbs.add("version", "What the server is", version);
  const auto alias_directory = std::make_shared<std::string>();
  verbs
      .add("install-aliases", "Links named sbatch, squeue, scancel, sinfo, sacct and scontrol in a directory",
           [alias_directory](Context& context) -> Outcome<int> {
             std::error_code error;
             const std::string program = std::filesystem::read_symlink("/proc/self/exe", error).string();
             if (error) return failed(kFailure, "this program does not find itself: " + error.message());
             AETHER_CLI_TRY(install_aliases(*alias_directory, program));
             context.out() << "6 links in " << visible(*alias_directory) << "\n";
             return kOk;
           })
      .add_option("directory", *alias_directory, "One that comes early in PATH")
      ->type_name("DIR")
      ->required();
  const auto shell = std::make_shared<std::string>();
  verbs
      .add("completion", "Completion script for a shell: source <(aether completion bash)",
           [shell, &app = verbs.app()](Context& context) -> Outcome<int> {
             const auto script = completion_script(app, *shell);
             if (!script) return failed(script.error());
             context.out() << *script;
             return kOk;
           })
      .add_option("shell", *shell, "bash, zsh or fish")
      ->type_name("SHELL")
      ->required();
}

std::string nearest_verb(const CLI::App& app, int argc, const char* const* argv) {
  std::vector<std::string> known;
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; }))
    known.push_back(sub->get_name());
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i], nearest = nearest_name(word, known);
    if (nearest == word) return {};
    if (!nearest.empty() && word[0] != '-') return nearest;
  }
  return {};
}

}  // namespace

void add_commands(CLI::App& app, int& exit_code) { add_commands(app, exit_code, std::cout, std::cerr); }

void add_commands(CLI::App& app, int& exit_code, std::ostream& out, std::ostream& err) {
  Registrar verbs(app, exit_code, out, err);
  verbs.add_global_options();
  app.require_subcommand(1);
  add_run_verbs(verbs);
  add_look_verbs(verbs);
  add_past_verbs(verbs);
  add_act_verbs(verbs);
  add_admin_verbs(verbs);
}

int run_command_line(CLI::App& app, int argc, const char* const* argv, const int& exit_code) {
  std::vector<const char*> words(argv, argv + argc);
  const auto alias = argc > 0 ? expand_alias(argv[0], {argv + 1, argv + argc}) : std::nullopt;
  if (alias && !*alias) {
    std::cerr << "aether: " << alias->error().message << "\n";
    return alias->error().exit_code;
  }
  if (alias) {
    words.assign(1, "aether");
    for (const std::string& word : **alias) words.push_back(word.c_str());
  }
  try {
    app.parse(static_cast<int>(words.size()), words.data());
    return exit_code;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help
    std::cerr << "aether: " << visible(error.what()) << "\n";
    const std::string nearest = nearest_verb(app, argc, argv);
    if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr)
      std::cerr << "  words of the job's own command come after --\n";
    if (!nearest.empty()) std::cerr << "  did you mean `aether " << nearest << "`?\n";
    std::cerr << "  `aether --help` lists the verbs, `aether VERB --help` the flags\n";
    return kUsage;
  }
}

}  // namespace aether::client
