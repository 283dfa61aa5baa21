// aether-sim: whole clusters under seeds. Prints a failure with the one command that replays it.
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <iostream>
#include <mutex>
#include <thread>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "simulation/simulation.h"

namespace {

using aether::simulation::Outcome;
using aether::simulation::Tally;

struct Options {
  std::uint64_t first = 1, count = 1000, twice = 0;
  std::optional<std::uint64_t> seed;
  int threads = 2;
  std::size_t max_failures = 10;
  bool trace = false, json = false;
};

class Batch {
 public:
  explicit Batch(const Options& options) : options_(options), started_(std::chrono::steady_clock::now()) {}

  int run() {
    std::vector<std::thread> threads;
    for (int i = 0; i < options_.threads; ++i) threads.emplace_back([this] { work(); });
    for (std::thread& thread : threads) thread.join();
    if (shows_progress()) std::fputs("\r\033[K", stderr);
    report();
    return failed_.empty() ? 0 : 1;
  }

 private:
  bool shows_progress() const { return isatty(STDERR_FILENO) && !options_.json; }
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
  }

  void work() {
    for (std::uint64_t i = next_++; i < options_.count; i = next_++) {
      const Outcome outcome = aether::simulation::run(options_.first + i);
      const bool repeats = i >= options_.twice || aether::simulation::run(options_.first + i).digest == outcome.digest;
      std::lock_guard lock(mutex_);
      total_.add(outcome.tally);
      simulated_ += outcome.simulated;
      ++done_;
      if (!outcome.failures.empty() || !repeats) {
        failed_.push_back({outcome.seed, repeats ? outcome.failures.front() : "a second run had another trace"});
        if (failed_.size() >= options_.max_failures) next_ = options_.count;
      }
      if (shows_progress() && done_ % 16 == 0) show_progress();
    }
  }

  void show_progress() const {
    const int width = 30, full = static_cast<int>(done_ * width / options_.count);
    std::fprintf(stderr, "\r[%s%s] %llu of %llu seeds, %.0f/s, %zu failed ", std::string(full, '#').c_str(),
                 std::string(width - full, '.').c_str(), static_cast<unsigned long long>(done_),
                 static_cast<unsigned long long>(options_.count), static_cast<double>(done_) / seconds(), failed_.size());
  }

  void report() const {
    if (options_.json) {
      nlohmann::json faults = nlohmann::json::object(), failures = nlohmann::json::array();
      for (const auto& [name, times] : total_.faults) faults[name] = times;
      for (const auto& [seed, what] : failed_) failures.push_back({{"seed", seed}, {"what", what}});
      std::cout << nlohmann::json{{"seeds", done_}, {"seconds", seconds()}, {"simulated_s", simulated_.count() / 1'000'000},
                                  {"accepted", total_.accepted}, {"executions", total_.executions},
                                  {"completed", total_.completed}, {"commits", total_.commits}, {"faults", faults},
                                  {"failures", failures}}.dump(2) << "\n";
      return;
    }
    fmt::print("{} seeds in {:.1f} s ({:.0f}/s): {:.1f} h simulated, {} jobs accepted, {} executions, {} commits\n", done_,
               seconds(), static_cast<double>(done_) / seconds(), static_cast<double>(simulated_.count()) / 3.6e9,
               total_.accepted, total_.executions, total_.commits);
    for (const auto& [name, times] : total_.faults) fmt::print("  {:<28} {}\n", name, times);
    for (const auto& [seed, what] : failed_) fmt::print("FAILED seed {}: {}\n  replay: aether-sim --seed {} --trace\n", seed, what, seed);
    if (failed_.empty()) fmt::print("every promise held\n");
  }

  const Options options_;
  const std::chrono::steady_clock::time_point started_;
  std::atomic<std::uint64_t> next_{0};
  std::mutex mutex_;
  std::uint64_t done_ = 0;
  Tally total_;
  aether::Duration simulated_{0};
  std::vector<std::pair<std::uint64_t, std::string>> failed_;
};

int replay(std::uint64_t seed, bool trace) {
  const Outcome outcome = aether::simulation::run(seed, trace);
  for (const std::string& line : outcome.trace) fmt::print("{}\n", line);
  fmt::print("seed {} digest {:016x}: {}\n", seed, outcome.digest, outcome.swarm.describe());
  fmt::print("{} jobs accepted, {} executions, {:.0f} s simulated\n", outcome.tally.accepted, outcome.tally.executions,
             static_cast<double>(outcome.simulated.count()) / 1e6);
  for (const auto& [name, times] : outcome.tally.faults) fmt::print("  {:<28} {}\n", name, times);
  for (const std::string& failure : outcome.failures) fmt::print("FAILED {}\n", failure);
  if (outcome.failures.empty()) fmt::print("every promise held\n");
  return outcome.failures.empty() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Whole Aether clusters under seeds: faults, then healing, and the promises checked throughout.");
  app.add_option("--seed", options.seed, "replay one seed");
  app.add_option("--first", options.first, "first seed of a batch")->capture_default_str();
  app.add_option("--count", options.count, "seeds in the batch")->capture_default_str();
  app.add_option("--twice", options.twice, "so many of them run twice and must leave the same trace")->capture_default_str();
  app.add_option("--threads", options.threads, "runs at the same time")->capture_default_str()->check(CLI::Range(1, 64));
  app.add_option("--max-failures", options.max_failures, "stop after so many failed seeds")->capture_default_str();
  app.add_flag("--trace", options.trace, "with --seed: print what happened");
  std::string output = "table";
  app.add_option("-o,--output", output, "table or json")->check(CLI::IsMember({"table", "json"}));
  CLI11_PARSE(app, argc, argv);
  options.json = output == "json";
  aether::log::init(aether::log::Level::kError, aether::log::Format::kText);
  if (options.seed) return replay(*options.seed, options.trace);
  return Batch(options).run();
}
