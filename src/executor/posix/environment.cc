#include "executor/posix/environment.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace aether::executor {
namespace {

constexpr std::array<const char*, 3> kFromAgent = {"PATH", "LANG", "TZ"};
constexpr const char* kPlainPath = "/usr/local/bin:/usr/bin:/bin";

// They come with the specification, because only the orchestrator knows them.
bool is_set_by_orchestrator(const std::string& name) {
  return name.starts_with("AETHER_ARRAY_") || name == "AETHER_NTASKS";
}

bool is_allowed_from_user(const std::string& name, const std::string& value) {
  return !name.empty() && name.find('=') == std::string::npos && name.find('\0') == std::string::npos &&
         value.find('\0') == std::string::npos && (!name.starts_with("AETHER_") || is_set_by_orchestrator(name)) && !name.starts_with("BASH_FUNC_");
}

std::string joined_uuids(const std::vector<GpuUuid>& gpus) {
  std::vector<std::string> names;
  for (const auto& gpu : gpus) names.push_back(gpu.str());
  return fmt::format("{}", fmt::join(names, ","));
}

void add_gpus(std::map<std::string, std::string>& env, const std::vector<GpuUuid>& gpus) {
  const std::string uuids = joined_uuids(gpus);
  env["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID";
  env["CUDA_VISIBLE_DEVICES"] = uuids;  // empty, not absent, without GPUs: absent would mean all of them
  env["NVIDIA_VISIBLE_DEVICES"] = uuids.empty() ? "void" : uuids;
  env["AETHER_GPU_UUIDS"] = uuids;
}

}  // namespace

std::map<std::string, std::string> read_agent_environment() {
  std::map<std::string, std::string> found;
  for (const char* name : kFromAgent)
    if (const char* value = std::getenv(name)) found[name] = value;
  return found;
}

std::string expand_output_path(const std::string& path, const LaunchSpec& launch) {
  std::string name = launch.spec.name;
  std::replace(name.begin(), name.end(), '/', '_');  // a name leads nowhere else
  std::string expanded;
  for (std::size_t i = 0; i < path.size(); ++i) {
    const char pattern = path[i] == '%' && i + 1 < path.size() ? path[i + 1] : '\0';
    if (pattern == 'j') expanded += std::to_string(launch.job_number);
    else if (pattern == 'x') expanded += name;
    else if (pattern == 'u') expanded += launch.user;
    else if (pattern == 'r') expanded += std::to_string(launch.attempt.n - 1);
    else if (pattern == '%') expanded += '%';
    else {
      expanded += path[i];
      continue;
    }
    ++i;
  }
  return expanded;
}

std::vector<std::string> build_environment(const EnvironmentInput& input) {
  std::map<std::string, std::string> env = {{"HOME", input.account.home},
                                            {"USER", input.account.name},
                                            {"LOGNAME", input.account.name},
                                            {"SHELL", input.account.shell},
                                            {"PATH", kPlainPath},
                                            {"TMPDIR", input.temporary_directory}};
  for (const char* name : kFromAgent) {
    const auto found = input.agent.find(name);
    // Root's PATH is root's business.
    const bool private_path = std::string_view(name) == "PATH" && input.account.change_identity;
    if (found != input.agent.end() && !private_path) env[name] = found->second;
  }
  for (const auto& [name, value] : input.launch.spec.env)
    if (is_allowed_from_user(name, value)) env[name] = value;
  add_gpus(env, input.launch.gpu_uuids);
  env["AETHER_JOB_ID"] = input.launch.attempt.job.str();
  env["AETHER_JOB_NUMBER"] = std::to_string(input.launch.job_number);
  env["AETHER_ATTEMPT"] = std::to_string(input.launch.attempt.n);
  env["AETHER_RESTART_COUNT"] = std::to_string(input.launch.attempt.n - 1);
  std::vector<std::string> out;
  for (const auto& [name, value] : env) out.push_back(name + "=" + value);
  return out;
}

}  // namespace aether::executor
