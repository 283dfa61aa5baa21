#include "executor/posix/limits.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include <fmt/format.h>

#include "base/assert.h"
#include "executor/posix/cgroup.h"

namespace aether::executor {
namespace {

constexpr std::int64_t kPeriodUs = 100'000;

bool make_directory(const std::string& path) { return mkdir(path.c_str(), 0755) == 0 || errno == EEXIST; }
bool exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

// "a,b,c" holds "b".
bool has_word(const std::string& list, const std::string& word) { return ("," + list + ",").find("," + word + ",") != std::string::npos; }

std::string find_mount_point_v1(const std::string& controller) {
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    const auto separator = line.find(" - cgroup ");
    if (separator == std::string::npos) continue;
    std::istringstream before(line), after(line.substr(separator + 10));
    std::string id, parent, device, root, mount_point, source, options;
    before >> id >> parent >> device >> root >> mount_point;
    after >> source >> options;
    if (has_word(options, controller)) return mount_point;
  }
  return {};
}

std::string find_own_path_v1(const std::string& controller) {
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const auto first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos || !has_word(line.substr(first + 1, second - first - 1), controller)) continue;
    return line.substr(second + 1) == "/" ? "" : line.substr(second + 1);
  }
  return {};
}

// A directory of this controller below which attempts get theirs; "" when there is none.
std::string find_root_v1(const std::string& controller, const std::string& instance) {
  const std::string mount_point = find_mount_point_v1(controller);
  if (mount_point.empty()) return {};
  std::string own = mount_point + find_own_path_v1(controller);
  if (!exists(own)) own = mount_point;  // in a container the path is the host's
  const std::string parent = own + "/aether-jobs", root = parent + "/" + instance;
  const std::string probe = root + "/probe-" + std::to_string(getpid());
  if (!make_directory(parent) || !make_directory(root) || !make_directory(probe)) return {};
  rmdir(probe.c_str());
  return root;
}

bool offers(const std::string& directory, const std::string& controller) {
  std::ifstream file(directory + "/cgroup.controllers");
  for (std::string word; file >> word;)
    if (word == controller) return true;
  return false;
}

// From the agent's own cgroup down to the attempts' parent. The kernel refuses where processes live beside children.
bool delegate_v2(const std::string& root, const std::string& controller) {
  const auto parent_of = [](const std::string& path) { return path.substr(0, path.rfind('/')); };
  for (const auto& directory : {parent_of(parent_of(root)), parent_of(root), root})
    if (!offers(directory, controller) || !write_cgroup(directory + "/cgroup.subtree_control", "+" + controller)) return false;
  return true;
}

struct Setting {
  std::string file, value;
  bool required = true;
};

std::vector<Setting> settings_v1(std::string_view what, const WantedLimits& wanted) {
  if (what == "memory") {
    const std::string bytes = std::to_string(*wanted.mem_mb << 20);
    return {{"memory.limit_in_bytes", bytes}, {"memory.memsw.limit_in_bytes", bytes, false}};
  }
  if (what == "pids") return {{"pids.max", std::to_string(wanted.pids_max)}};
  return {{"cpu.cfs_period_us", std::to_string(kPeriodUs)},
          {"cpu.cfs_quota_us", std::to_string(kPeriodUs * *wanted.cpus)},
          {"cpu.shares", std::to_string(1024LL * *wanted.cpus), false}};
}

std::vector<Setting> settings_v2(std::string_view what, const WantedLimits& wanted) {
  if (what == "memory")
    return {{"memory.max", std::to_string(*wanted.mem_mb << 20)},
            {"memory.swap.max", "0", false},
            {"memory.oom.group", "1", false}};
  if (what == "pids") return {{"pids.max", std::to_string(wanted.pids_max)}};
  return {{"cpu.max", fmt::format("{} {}", kPeriodUs * *wanted.cpus, kPeriodUs)},
          {"cpu.weight", std::to_string(std::clamp(100 * *wanted.cpus, 1, 10'000)), false}};
}

Result<void> write_settings(const std::string& directory, const std::vector<Setting>& settings) {
  for (const auto& [file, value, required] : settings)
    if (!write_cgroup(directory + "/" + file, value) && required)
      return fail(ErrorCode::kIo, fmt::format("writing {} to {}/{}: {}", value, directory, file, std::strerror(errno)));
  return {};
}

bool is_wanted(std::string_view what, const WantedLimits& wanted) {
  if (what == "memory") return wanted.mem_mb.has_value();
  return what == "pids" ? wanted.pids_max > 0 : wanted.cpus.has_value();
}

void add_resource_limit(std::string_view what, const WantedLimits& wanted, AppliedLimits& applied) {
  if (what == "memory" && !wanted.has_gpus)
    applied.resource_limits.push_back({RLIMIT_AS, static_cast<std::uint64_t>(*wanted.mem_mb) << 20});
  if (what == "pids") applied.resource_limits.push_back({RLIMIT_NPROC, static_cast<std::uint64_t>(wanted.pids_max)});
}

}  // namespace

std::string_view to_string(LimitMode mode) {
  switch (mode) {
    case LimitMode::kNone: return "none";
    case LimitMode::kRlimit: return "rlimit";
    case LimitMode::kCgroup1: return "cgroup1";
    case LimitMode::kCgroup2: return "cgroup2";
  }
  return "none";
}

Limiter Limiter::probe(const std::string& cgroup2_root, const std::string& instance, bool use_cgroups,
                       bool own_account) {
  Limiter limiter;
  limiter.controllers_ = {{"memory", "memory", LimitMode::kRlimit, {}},
                          {"pids", "pids", own_account ? LimitMode::kRlimit : LimitMode::kNone, {}},
                          {"cpus", "cpu", LimitMode::kNone, {}}};
  for (auto& controller : limiter.controllers_) {
    if (!use_cgroups) continue;
    if (!cgroup2_root.empty() && delegate_v2(cgroup2_root, controller.name)) {
      controller.mode = LimitMode::kCgroup2;
    } else if (controller.root = find_root_v1(controller.name, instance); !controller.root.empty()) {
      controller.mode = LimitMode::kCgroup1;
    }
  }
  return limiter;
}

const Limiter::Controller& Limiter::find(std::string_view what) const {
  const auto found = std::find_if(controllers_.begin(), controllers_.end(),
                                  [&](const Controller& controller) { return controller.what == what; });
  AETHER_ASSERT(found != controllers_.end());
  return *found;
}

LimitMode Limiter::mode_of(std::string_view what) const { return find(what).mode; }

std::string Limiter::describe() const {
  std::string text;
  for (const auto& controller : controllers_)
    text += fmt::format("{}{}={}", text.empty() ? "" : ",", controller.what, to_string(controller.mode));
  return text;
}

Result<AppliedLimits> Limiter::apply(const std::string& attempt, const std::string& cgroup_directory,
                                     const WantedLimits& wanted) const {
  AppliedLimits applied;
  for (const auto& controller : controllers_) {
    if (!is_wanted(controller.what, wanted)) continue;
    const bool is_memory = std::string_view(controller.what) == "memory";
    if (controller.mode == LimitMode::kRlimit) add_resource_limit(controller.what, wanted, applied);
    if (controller.mode == LimitMode::kCgroup2 && !cgroup_directory.empty()) {
      const std::string job = cgroup_directory + "/job";
      if (!write_cgroup(cgroup_directory + "/cgroup.subtree_control", std::string("+") + controller.name))
        return fail(ErrorCode::kIo, fmt::format("delegating {} to {}: {}", controller.name, job, std::strerror(errno)));
      AETHER_TRY(write_settings(job, settings_v2(controller.what, wanted)));
      if (is_memory) applied.oom_events = job + "/memory.events";
    }
    if (controller.mode == LimitMode::kCgroup1) {
      const std::string directory = controller.root + "/" + attempt;
      if (!make_directory(directory))
        return fail(ErrorCode::kIo, fmt::format("making {}: {}", directory, std::strerror(errno)));
      AETHER_TRY(write_settings(directory, settings_v1(controller.what, wanted)));
      if (is_memory) applied.oom_events = directory + "/memory.oom_control";
      applied.cgroups.push_back(directory);
    }
  }
  return applied;
}

std::vector<std::string> Limiter::cgroups_of(const std::string& attempt) const {
  std::vector<std::string> directories;
  for (const auto& controller : controllers_)
    if (controller.mode == LimitMode::kCgroup1) directories.push_back(controller.root + "/" + attempt);
  return directories;
}

void Limiter::remove_roots() const {
  for (const auto& controller : controllers_)
    if (!controller.root.empty()) rmdir(controller.root.c_str());
}

}  // namespace aether::executor
