#include "apps/replay_commands.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <iostream>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "replay/metrics.h"
#include "replay/model_estimator.h"
#include "replay/referee_client.h"

namespace aether::apps {
namespace {

struct Arguments {
  std::string trace;
  std::vector<std::string> policies;
  double load = 1;
  double ageing_run_times = queueing::DispatchOptions{}.ageing_run_times;
  double gpu_exponent = queueing::DispatchOptions{}.gpu_exponent;
  std::string overhead = "venus";
  std::string output = "table";
  bool no_model = false;
  bool no_preempt = false;
};

struct Line {
  std::string policy;
  replay::Metrics metrics;
  std::int64_t preemptions = 0;
  double slowest_decision_ms = 0;
  double took_s = 0;
  runtime_model::Score score;
};

bool believes(queueing::Policy policy) { return policy == queueing::Policy::kGittins || policy == queueing::Policy::kAi; }

queueing::DispatchOptions dispatch_options(queueing::Policy policy, const Arguments& arguments) {
  queueing::DispatchOptions options;
  options.policy = policy;
  options.overhead_s = arguments.overhead == "philly" ? replay::philly_overhead_s : replay::venus_overhead_s;
  options.ageing_run_times = arguments.ageing_run_times;
  options.gpu_exponent = arguments.gpu_exponent;
  return options;
}

Line replay_one(const replay::Trace& trace, queueing::Policy policy, const Arguments& arguments) {
  Line line{.policy = std::string(to_string(policy)), .metrics = {}, .score = {}};
  replay::GlobalEstimator global;
  replay::ModelEstimator learned;
  const bool model = believes(policy) && !arguments.no_model;
  if (believes(policy)) line.policy += model ? " + model" : ", no model";
  const auto progress = [](double share) {
    if (isatty(STDERR_FILENO) != 0) fmt::print(stderr, "\r{:3.0f} %", 100 * share);
  };
  const auto before = std::chrono::steady_clock::now();
  replay::Estimator* estimator = model ? static_cast<replay::Estimator*>(&learned) : &global;
  const auto outcome = replay::run_replay(trace, dispatch_options(policy, arguments), estimator, progress);
  line.took_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count();
  if (isatty(STDERR_FILENO) != 0) fmt::print(stderr, "\r     \r");
  line.metrics = replay::measure(trace, outcome);
  line.preemptions = outcome.preemptions;
  line.slowest_decision_ms = outcome.slowest_decision_ms;
  if (model) line.score = learned.model().score();
  return line;
}

nlohmann::json to_json(const Line& line) {
  const replay::Metrics& m = line.metrics;
  nlohmann::json out{{"policy", line.policy}, {"jobs", m.jobs}, {"mean_jct_s", m.mean_jct_s}, {"mean_queue_s", m.mean_queue_s},
                     {"p50_jct_s", m.p50_jct_s}, {"p99_jct_s", m.p99_jct_s}, {"p99_queue_s", m.p99_queue_s},
                     {"p999_queue_s", m.p999_queue_s}, {"bounded_slowdown", m.bounded_slowdown}, {"makespan_s", m.makespan_s},
                     {"preemptions", line.preemptions}, {"slowest_decision_ms", line.slowest_decision_ms},
                     {"took_s", line.took_s}};
  if (line.score.jobs > 0) out["model"] = {{"spearman", line.score.spearman}, {"log_loss", line.score.log_loss}};
  return out;
}

void print_table(const std::vector<Line>& lines) {
  fmt::print("{:<20} {:>10} {:>10} {:>10} {:>11} {:>9} {:>11} {:>8}\n", "POLICY", "JCT s", "QUEUE s", "p99 QUEUE", "p99.9 QUEUE",
             "SLOWDOWN", "PREEMPTIONS", "TOOK s");
  for (const Line& line : lines)
    fmt::print("{:<20} {:>10.0f} {:>10.0f} {:>10} {:>11} {:>9.2f} {:>11} {:>8.2f}\n", line.policy, line.metrics.mean_jct_s,
               line.metrics.mean_queue_s, line.metrics.p99_queue_s, line.metrics.p999_queue_s, line.metrics.bounded_slowdown,
               line.preemptions, line.took_s);
}

int run_policies(const Arguments& arguments) {
  const auto trace = replay::read_trace(arguments.trace, arguments.load);
  if (!trace) {
    fmt::print(stderr, "aether: {}\n", trace.error().message);
    return 1;
  }
  std::vector<Line> lines;
  for (const std::string& name : arguments.policies) {
    const auto policy = queueing::policy_from(name);
    if (!policy) {
      fmt::print(stderr, "aether: no policy '{}'; there are fifo, sjf, fifo-skip, easy, srtf, tiresias, gittins, ai\n", name);
      return 2;
    }
    lines.push_back(replay_one(*trace, *policy, arguments));
  }
  if (arguments.output == "table") {
    print_table(lines);
    return 0;
  }
  nlohmann::json out = nlohmann::json::array();
  for (const Line& line : lines) out.push_back(to_json(line));
  fmt::print("{}\n", out.dump(2));
  return 0;
}

int run_referee_client(const Arguments& arguments) {
  replay::GlobalEstimator global;
  replay::ModelEstimator learned;
  replay::Estimator& estimator = arguments.no_model ? static_cast<replay::Estimator&>(global) : learned;
  const auto policy = arguments.no_preempt ? queueing::Policy::kAi : queueing::Policy::kGittins;
  std::ios::sync_with_stdio(false);
  return replay::serve_referee(std::cin, std::cout, std::cerr, dispatch_options(policy, arguments), estimator) ? 0 : 1;
}

}  // namespace

void add_replay_commands(CLI::App& app, int& exit_code) {
  const auto arguments = std::make_shared<Arguments>();
  arguments->policies = {"fifo", "fifo-skip", "tiresias", "gittins"};
  CLI::App* replay = app.add_subcommand("replay", "a recorded workload under policies of the queue");
  replay->group("Services");
  replay->add_option("trace", arguments->trace, "folder with vcs.csv and jobs.csv or jobs.csv.xz")->required();
  replay->add_option("--policy", arguments->policies, "fifo, sjf, fifo-skip, easy, srtf, tiresias, gittins, ai")->delimiter(',');
  replay->add_option("--load", arguments->load, "compress the times between submissions")->check(CLI::Range(0.1, 10.0));
  replay->add_option("-o,--output", arguments->output, "table or json")->check(CLI::IsMember({"table", "json"}));
  CLI::App* client = app.add_subcommand("referee-client", "decide for a trace server that speaks lines on stdin and stdout");
  client->group("Services");
  client->add_flag("--no-preempt", arguments->no_preempt, "never stop a running job");
  for (CLI::App* command : {replay, client}) {
    command->add_flag("--no-model", arguments->no_model, "one belief for all jobs instead of the learned ones");
    command->add_option("--ageing", arguments->ageing_run_times,
                        "gittins: the index of a job grows e-fold with so many mean run times")
        ->check(CLI::PositiveNumber);
    command->add_option("--gpu-exponent", arguments->gpu_exponent, "gittins: the index is divided by GPUs to this power")
        ->check(CLI::Range(-2.0, 2.0));
    command->add_option("--overhead", arguments->overhead, "what a preemption costs: as in venus or philly")
        ->check(CLI::IsMember({"venus", "philly"}));
  }
  replay->callback([arguments, &exit_code] { exit_code = run_policies(*arguments); });
  client->callback([arguments, &exit_code] { exit_code = run_referee_client(*arguments); });
}

}  // namespace aether::apps
