#include "checks.h"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

#include <fmt/format.h>

#include "faults.h"

namespace aether::chaos {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> words_of(const std::string& text, char separator) {
  std::vector<std::string> out;
  std::istringstream stream(text);
  for (std::string word; std::getline(stream, word, separator);) out.push_back(word);
  return out;
}

// Until nothing is found any more; what is found last.
Violations settle(double timeout_s, const std::function<Violations()>& look) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::duration<double>(timeout_s);
  while (true) {
    Violations found = look();
    if (found.empty() || std::chrono::steady_clock::now() >= deadline) return found;
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
}

std::string describe(const Expected& expected) {
  return expected.signal != 0 ? fmt::format("signal {}", expected.signal) : fmt::format("exit code {}", expected.exit_code);
}

bool has_expected_exit(const Json& job, const Expected& expected) {
  const Json exit = job.value("exit", Json());
  if (!exit.is_object()) return false;
  if (expected.signal != 0) return exit.value("signal", Json()) == expected.signal && exit.value("cause", "") == "self";
  return exit.value("exit_code", Json()) == expected.exit_code && exit.value("signal", Json()).is_null() &&
         job.value("state", "") == (expected.exit_code == 0 ? "COMPLETED" : "FAILED");
}

bool is_lost_without_a_code(const Json& job) {
  const Json exit = job.value("exit", Json());
  return job.value("state", "") == "LOST" && exit.is_object() && exit.value("exit_code", Json()).is_null();
}

std::string environment_of(const fs::path& process, const std::string& name) {
  std::ifstream file(process / "environ");
  const std::string all((std::istreambuf_iterator<char>(file)), {});
  for (const std::string& variable : words_of(all, '\0'))
    if (variable.starts_with(name + "=")) return variable.substr(name.size() + 1);
  return "";
}

std::vector<std::string> cgroup_mounts() {
  std::vector<std::string> out;
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);)
    if (line.find(" - cgroup2 ") != std::string::npos) out.push_back(words_of(line, ' ').at(4));
  return out;
}

}  // namespace

Violations check_jobs(const Accepted& accepted, const std::vector<Json>& listed, const std::set<std::string>& shim_killed) {
  Violations out;
  std::map<std::string, int> seen;
  for (const Json& job : listed) {
    const std::string id = job.at("job_id");
    ++seen[id];
    const auto expected = accepted.find(id);
    if (expected == accepted.end()) {
      out.push_back(fmt::format("job {} exists and was never accepted", id));
    } else if (!e2e::is_terminal(job)) {
      out.push_back(fmt::format("job {} is still {}", id, job.at("state").get<std::string>()));
    } else if (!has_expected_exit(job, expected->second) && !(shim_killed.contains(id) && is_lost_without_a_code(job))) {
      out.push_back(fmt::format("job {} should have ended with {}: {} {}", id, describe(expected->second),
                                job.at("state").get<std::string>(), job.value("exit", Json()).dump()));
    }
  }
  for (const auto& [id, expected] : accepted)
    if (seen[id] != 1) out.push_back(fmt::format("job {} was accepted and is listed {} times", id, seen[id]));
  return out;
}

Violations check_record(const std::string& record, const Accepted& accepted, const std::set<std::string>& shim_killed) {
  Violations out;
  std::map<std::string, int> starts, ends;
  std::map<std::string, std::string> holder;  // of a GPU
  std::ifstream lines(record);
  for (std::string what, job, attempt, gpus; lines >> what >> job >> attempt >> gpus;) {
    const bool is_start = what == "start";
    if (!accepted.contains(job)) out.push_back(fmt::format("job {} ran and was never accepted", job));
    if (++(is_start ? starts : ends)[job] > 1) out.push_back(fmt::format("job {} has two lines of '{}'", job, what));
    if (gpus == "-") continue;
    for (const std::string& gpu : words_of(gpus, ',')) {
      const bool was_left = holder[gpu].empty() || shim_killed.contains(holder[gpu]);
      if (is_start && !was_left) out.push_back(fmt::format("{} was given to {} while {} had it", gpu, job, holder[gpu]));
      if (is_start || holder[gpu] == job) holder[gpu] = is_start ? job : "";
    }
  }
  for (const auto& [id, expected] : accepted) {
    if (starts[id] == 0 && !shim_killed.contains(id)) out.push_back(fmt::format("job {} never ran", id));
    if (ends[id] == 0 && !shim_killed.contains(id)) out.push_back(fmt::format("job {} never came to its end", id));
  }
  return out;
}

Violations check_processes(const std::string& state_directory, const Accepted& accepted, double timeout_s) {
  return settle(timeout_s, [&] {
    Violations out;
    for (const auto& [pid, attempt] : find_shims(state_directory)) out.push_back(fmt::format("shim {} of {} is left", pid, attempt));
    std::error_code error;
    for (const auto& entry : fs::directory_iterator("/proc", error)) {
      if (std::atoi(entry.path().filename().c_str()) <= 0) continue;
      const std::string job = environment_of(entry.path(), "AETHER_JOB_ID");
      if (accepted.contains(job)) out.push_back(fmt::format("process {} of job {} is left", entry.path().filename().string(), job));
    }
    return out;
  });
}

Violations check_cgroups(const Accepted& accepted, double timeout_s) {
  return settle(timeout_s, [&] {
    Violations out;
    std::error_code error;
    for (const std::string& mount : cgroup_mounts())
      for (auto entry = fs::recursive_directory_iterator(mount, fs::directory_options::skip_permission_denied, error);
           entry != fs::recursive_directory_iterator(); entry.increment(error)) {
        if (error) break;
        const std::string name = entry->path().filename();
        if (accepted.contains(name.substr(0, name.rfind('.')))) out.push_back("the control group " + entry->path().string() + " is left");
      }
    return out;
  });
}

}  // namespace aether::chaos
