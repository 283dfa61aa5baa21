// aether-sim-mutants: does the simulator find faults that are known to be there? Prints, for each planted fault, the
// promise it breaks and how many seeds it took. Fails when one is not found, or when the same program without any fault
// breaks a promise.
#include <algorithm>
#include <cstdio>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/log.h"
#include "simulation/mutants.h"
#include "simulation/simulation.h"

namespace {

using aether::simulation::Mutant;
using aether::simulation::Outcome;

struct Options {
  std::uint64_t first = 1, count = 2000, clean = 200;
  std::optional<std::uint64_t> seed;
  std::string mutant;
  bool trace = false;
};

// A mutated core may also throw: that is a finding like any other.
std::vector<std::string> failures_of(std::uint64_t seed) {
  try {
    return aether::simulation::run(seed).failures;
  } catch (const std::exception& error) {
    return {fmt::format("I8 at some time: {}", error.what())};
  }
}

// "I4, reference model": each promise once, in the order in which it was broken.
std::string promises_of(const std::vector<std::string>& failures) {
  std::vector<std::string> promises;
  for (const std::string& failure : failures) {
    const std::string promise = failure.substr(0, failure.find(" at "));
    if (std::find(promises.begin(), promises.end(), promise) == promises.end()) promises.push_back(promise);
  }
  return fmt::format("{}", fmt::join(promises, ", "));
}

bool is_found(const Mutant& mutant, const Options& options) {
  aether::simulation::switch_on(mutant.name);
  for (std::uint64_t i = 0; i < options.count; ++i) {
    const auto failures = failures_of(options.first + i);
    if (failures.empty()) continue;
    fmt::print("| `{}` | {} | {} | {} | {} |\n", mutant.name, mutant.what, promises_of(failures), i + 1, options.first + i);
    std::fflush(stdout);
    return true;
  }
  fmt::print("| `{}` | {} | **not found** | {} | |\n", mutant.name, mutant.what, options.count);
  return false;
}

bool is_clean(const Options& options) {
  aether::simulation::switch_on("");
  bool clean = true;
  for (std::uint64_t seed = options.first; seed < options.first + options.clean; ++seed)
    for (const std::string& failure : failures_of(seed)) {
      fmt::print("seed {} fails without any mutant: {}\n", seed, failure);
      clean = false;
    }
  return clean;
}

int replay(const Options& options) {
  aether::simulation::switch_on(options.mutant);
  const Outcome outcome = aether::simulation::run(*options.seed, options.trace);
  for (const std::string& line : outcome.trace) fmt::print("{}\n", line);
  for (const std::string& failure : outcome.failures) fmt::print("FAILED {}\n", failure);
  return outcome.failures.empty() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Planted faults, each of which the simulator has to find.");
  app.add_option("--mutant", options.mutant, "only this one (names joined by + are on together)");
  app.add_option("--first", options.first, "first seed")->capture_default_str();
  app.add_option("--count", options.count, "seeds tried for each mutant at most")->capture_default_str();
  app.add_option("--clean", options.clean, "seeds that must hold without any mutant")->capture_default_str();
  app.add_option("--seed", options.seed, "replay one seed with --mutant");
  app.add_flag("--trace", options.trace, "with --seed: print what happened");
  CLI11_PARSE(app, argc, argv);
  aether::log::init(aether::log::Level::kError, aether::log::Format::kText);
  if (options.seed) return replay(options);

  bool good = is_clean(options);
  fmt::print("| mutant | what it does | promise broken | seeds needed | first seed |\n|---|---|---|---|---|\n");
  std::size_t tried = 0, found = 0;
  for (const Mutant& mutant : aether::simulation::all_mutants()) {
    if (!options.mutant.empty() && options.mutant != mutant.name) continue;
    ++tried;
    if (is_found(mutant, options)) ++found;
  }
  if (tried == 0 && !options.mutant.empty()) {
    ++tried;
    if (is_found({options.mutant, "not in the list"}, options)) ++found;
  }
  fmt::print("\n{} of {} mutants found; {} seeds without any mutant: {}\n", found, tried, options.clean,
             good ? "every promise held" : "FAILED");
  return good && found == tried ? 0 : 1;
}
