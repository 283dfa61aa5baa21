// aether-chaos: the real programs with real jobs, of which a random part is killed or stopped each round. At the end
// every job that was accepted has ended with its own exit code, ran once, and left nothing behind.
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <optional>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "checks.h"
#include "faults.h"

namespace aether::chaos {
namespace {

constexpr int kSkipped = 77;

struct Arguments {
  int rounds = 1000;
  int jobs = 50;
  double job_seconds = 8;
  std::uint64_t seed = 1;
  std::string mode = "cluster";
  std::string output = "table";
  bool kill_shims = false;
};

struct Summary {
  double seconds = 0;
  std::size_t accepted = 0, repeated = 0;
  std::map<std::string, std::size_t> faults, states;
  Violations violations;
};

class Progress {
 public:
  explicit Progress(const Arguments& arguments) : arguments_(arguments), is_terminal_(isatty(STDERR_FILENO) == 1) {}

  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

  void show(int round, std::size_t accepted, std::size_t violations) {
    if (!is_terminal_ && seconds() - said_at_ < 10 && round != arguments_.rounds) return;
    said_at_ = seconds();
    const int width = 30, filled = round * width / std::max(1, arguments_.rounds);
    const std::string text = fmt::format("{} {}/{} rounds  {:.0f} s  {} jobs accepted  {} violations", arguments_.mode, round,
                                         arguments_.rounds, seconds(), accepted, violations);
    if (is_terminal_)
      std::fprintf(stderr, "\r[%s%s] %s ", std::string(filled, '#').c_str(), std::string(width - filled, '.').c_str(), text.c_str());
    else
      std::fprintf(stderr, "%s\n", text.c_str());
  }
  void done() {
    if (is_terminal_) std::fprintf(stderr, "\n");
  }

 private:
  const Arguments& arguments_;
  const bool is_terminal_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  double said_at_ = -10;
};

void append(Violations& to, const Violations& from) { to.insert(to.end(), from.begin(), from.end()); }

std::set<std::string> jobs_of(const std::vector<std::string>& attempts) {
  std::set<std::string> out;
  for (const std::string& attempt : attempts) out.insert(attempt.substr(0, attempt.rfind('.')));
  return out;
}

void judge(e2e::System& system, Workload& workload, const Faults& faults, const std::string& record, Summary& summary) {
  const Accepted accepted = workload.accepted();
  const auto shim_killed = jobs_of(faults.killed_shims());
  const std::vector<Json> listed = workload.all_jobs();
  summary.accepted = accepted.size();
  summary.repeated = workload.repeated();
  summary.faults = faults.counts();
  for (const Json& job : listed) ++summary.states[job.at("state")];
  append(summary.violations, faults.violations());
  append(summary.violations, workload.refusals());
  append(summary.violations, check_jobs(accepted, listed, shim_killed));
  append(summary.violations, check_record(record, accepted, shim_killed));
  append(summary.violations, check_processes(system.state_directory(), accepted, 20));
  append(summary.violations, check_cgroups(accepted, 20));
  for (const Json& gpu : system.items("/api/v1/gpus"))
    if (!gpu.at("jobs").empty()) summary.violations.push_back("a GPU is still with a job: " + gpu.at("jobs").dump());
  if (testing::Test::HasFailure()) summary.violations.push_back("a part did not start or a sanitizer spoke; see above");
  if (accepted.empty()) summary.violations.push_back("no job was accepted: nothing was tried");
}

// Nothing when a server is not installed.
std::optional<Summary> run(const Arguments& arguments) {
  std::string why;
  const auto mode = arguments.mode == "embedded" ? e2e::Mode::kEmbedded : e2e::Mode::kCluster;
  const auto system = e2e::System::start(mode, std::max(2, arguments.jobs), why);
  if (!system) {
    std::fprintf(stderr, "skipped: %s\n", why.c_str());
    return std::nullopt;
  }
  const std::string record = system->folder() + "/record";
  std::ofstream(record).close();
  chmod(record.c_str(), 0666);

  Summary summary;
  Progress progress(arguments);
  Workload workload({system->api_url(), system->token(), record, arguments.jobs, arguments.job_seconds, arguments.seed});
  Faults faults(*system, {arguments.seed, arguments.kill_shims});
  workload.start();
  for (int round = 1; round <= arguments.rounds; ++round) {
    faults.round();
    progress.show(round, workload.accepted_count(), faults.violations().size());
  }
  progress.done();
  workload.stop();
  faults.heal();
  const double patience_s = 120 + 10 * arguments.job_seconds;
  if (!workload.drain(patience_s)) summary.violations.push_back(fmt::format("jobs still live {:.0f} s after the last fault", patience_s));
  judge(*system, workload, faults, record, summary);
  summary.seconds = progress.seconds();
  return summary;
}

void print_json(const Arguments& arguments, const Summary& summary) {
  const Json out = {{"mode", arguments.mode},     {"rounds", arguments.rounds},   {"jobs", arguments.jobs},
                    {"seed", arguments.seed},     {"seconds", summary.seconds},   {"accepted", summary.accepted},
                    {"repeated", summary.repeated}, {"states", summary.states},   {"faults", summary.faults},
                    {"violations", summary.violations}};
  std::printf("%s\n", out.dump(2).c_str());
}

void print_table(const Arguments& arguments, const Summary& summary) {
  const auto row = [](const std::string& name, const auto& value) { fmt::print("  {:<28}{:>10}\n", name, value); };
  fmt::print("{} · {} rounds · {} jobs alive · seed {} · {:.0f} s\n", arguments.mode, arguments.rounds, arguments.jobs,
             arguments.seed, summary.seconds);
  for (const auto& [name, count] : summary.faults) row(name, count);
  row("submissions sent again", summary.repeated);
  row("jobs accepted", summary.accepted);
  for (const auto& [name, count] : summary.states) row("  ended " + name, count);
  row("violations", summary.violations.size());
  for (std::size_t i = 0; i < summary.violations.size() && i < 50; ++i) fmt::print("    {}\n", summary.violations[i]);
}

}  // namespace
}  // namespace aether::chaos

int main(int argc, char** argv) {
  using namespace aether::chaos;
  CLI::App app{"Kills and stops the parts of a real Aether at random, under running jobs, and counts what goes wrong."};
  Arguments arguments;
  app.add_option("--rounds", arguments.rounds, "rounds of faults, about one a second")->check(CLI::Range(1, 1000000));
  app.add_option("--jobs", arguments.jobs, "jobs alive at any time")->check(CLI::Range(1, 500));
  app.add_option("--job-seconds", arguments.job_seconds, "mean duration of a job")->check(CLI::Range(0.1, 600.0));
  app.add_option("--seed", arguments.seed, "of the faults and the jobs");
  app.add_option("--mode", arguments.mode, "embedded: one process, SQLite; cluster: nats-server, PostgreSQL, separate parts")
      ->check(CLI::IsMember({"embedded", "cluster"}));
  app.add_option("-o", arguments.output, "table or json")->check(CLI::IsMember({"table", "json"}));
  app.add_flag("--kill-shims", arguments.kill_shims, "kill shims of jobs too: their jobs may then be LOST, never anything else");
  CLI11_PARSE(app, argc, argv);
  const auto summary = run(arguments);
  if (!summary) return kSkipped;
  arguments.output == "json" ? print_json(arguments, *summary) : print_table(arguments, *summary);
  return summary->violations.empty() ? 0 : 1;
}
