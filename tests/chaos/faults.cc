#include "faults.h"

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include <fmt/format.h>

namespace aether::chaos {
namespace {

constexpr int kStartTries = 20;  // a killed orchestrator's lock may live on for a moment

}  // namespace

std::vector<std::pair<int, std::string>> find_shims(const std::string& state_directory) {
  std::vector<std::pair<int, std::string>> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const int pid = std::atoi(entry.path().filename().c_str());
    if (pid <= 0) continue;
    std::ifstream file(entry.path() / "cmdline");
    std::string line((std::istreambuf_iterator<char>(file)), {});
    if (line.find("aether-shim") == std::string::npos) continue;
    const std::size_t at = line.find(state_directory + "/jobs/");
    if (at == std::string::npos) continue;
    const std::size_t name = at + state_directory.size() + 6;
    found.emplace_back(pid, line.substr(name, line.find_first_of(std::string("\0/", 2), name) - name));
  }
  return found;
}

Faults::Faults(e2e::System& system, FaultOptions options)
    : system_(system), options_(options), random_(options.seed * 2654435761u + 1) {}

std::vector<std::string> Faults::parts() const {
  if (system_.mode() == e2e::Mode::kEmbedded) return {"orchestrator"};
  return {"ai-core", "orchestrator", "agent"};
}

std::vector<std::string> Faults::choose_victims() {
  std::vector<std::string> all = {"orchestrator"};
  if (system_.mode() == e2e::Mode::kCluster)
    all = {"orchestrator", "orchestrator", "orchestrator", "agent", "agent", "agent", "nats", "nats", "ai-core", "database"};
  if (options_.kill_shims) all.push_back("shim");
  std::shuffle(all.begin(), all.end(), random_);
  all.resize(std::min<std::size_t>(all.size(), 1 + random_() % 3));
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  std::shuffle(all.begin(), all.end(), random_);
  return all;
}

void Faults::pause(double least_s, double most_s) {
  std::this_thread::sleep_for(std::chrono::duration<double>(std::uniform_real_distribution<double>(least_s, most_s)(random_)));
}

void Faults::round() {
  note_parts_that_ended();
  for (const std::string& victim : choose_victims()) {
    if (victim == "shim") kill_a_shim();
    else if (victim != "database" && random_() % 3 == 0) stop_one(victim);
    else kill_one(victim);
    pause(0, 0.1);
  }
  pause(0, 0.2);
  heal();
  pause(0, 0.4);
}

void Faults::note_parts_that_ended() {
  for (const std::string& part : parts())
    if (const auto code = system_.exit_of(part); code && std::find(down_.begin(), down_.end(), part) == down_.end()) {
      violations_.push_back(fmt::format("{} ended by itself with {}", part, *code));
      down_.push_back(part);
    }
}

void Faults::kill_one(const std::string& victim) {
  ++counts_["kill " + victim];
  down_.push_back(victim);
  if (victim == "nats") system_.stop_nats();
  else if (victim == "database") system_.stop_database();
  else system_.kill_part(victim);
}

// Mostly short; one in twenty long enough that everybody else has given it up.
void Faults::stop_one(const std::string& victim) {
  ++counts_["stop " + victim];
  const bool is_nats = victim == "nats";
  is_nats ? system_.freeze_nats() : system_.signal_part(victim, SIGSTOP);
  random_() % 20 == 0 ? pause(0.5, 3) : pause(0.1, 0.4);
  is_nats ? system_.thaw_nats() : system_.signal_part(victim, SIGCONT);
}

void Faults::kill_a_shim() {
  const auto shims = find_shims(system_.state_directory());
  if (shims.empty()) return;
  const auto& [pid, attempt] = shims[random_() % shims.size()];
  ++counts_["kill shim"];
  killed_shims_.push_back(attempt);
  kill(pid, SIGKILL);
}

void Faults::heal() {
  note_parts_that_ended();
  const auto was_killed = [&](const char* name) { return std::find(down_.begin(), down_.end(), name) != down_.end(); };
  if (was_killed("nats") && !system_.start_nats()) violations_.push_back("nats-server did not start again");
  if (was_killed("database") && !system_.start_database()) violations_.push_back("PostgreSQL did not start again");
  for (const std::string& part : parts())
    if (was_killed(part.c_str())) start(part);
  down_.clear();
}

void Faults::start(const std::string& part) {
  for (int i = 0; i < kStartTries; ++i) {
    if (system_.try_start_part(part)) return;
    ++counts_["start again " + part];
    pause(0.1, 0.2);
  }
  violations_.push_back(fmt::format("{} did not start in {} tries", part, kStartTries));
}

}  // namespace aether::chaos
