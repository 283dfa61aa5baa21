// `aether doctor`: everything that must be right before jobs run, each with the next step where it is not.
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "apps/admin.h"
#include "apps/node_wiring.h"
#include "apps/wiring.h"
#include "base/clock.h"
#include "base/log.h"
#include "client/endpoint.h"
#include "codec/codec.h"
#include "executor/posix/identity.h"
#include "http/client.h"

namespace aether::apps {
namespace {

using store::Finding;
using Verdict = store::Finding::Verdict;

constexpr double kLeastFreeGb = 1, kFewFreeGb = 5;

Finding check_gpus(const Settings& settings, const Clock& clock) {
  Settings real = settings;
  if (real.gpus == "auto") real.gpus = "nvml";
  auto gpus = open_gpus(real, clock);
  if (!gpus)
    return {"gpus", real.gpus == settings.gpus ? Verdict::kFail : Verdict::kWarn, gpus.error().message,
            "install NVIDIA's driver; without it `aether up` simulates GPUs"};
  const auto found = gpus->driver->enumerate();
  if (!found) return {"gpus", Verdict::kFail, found.error().message, "nvidia-smi  says whether the driver answers"};
  return {"gpus", Verdict::kOk, fmt::format("{} ({})", found->size(), to_string(gpus->driver->source())), ""};
}

Finding check_identity(const Settings& settings) {
  if (geteuid() != 0 && settings.run_as.empty()) return {"jobs run as", Verdict::kOk, "this account (single-user mode)", ""};
  const auto account = executor::resolve_account(settings.run_as);
  if (!account) return {"jobs run as", Verdict::kFail, account.error().message, "set executor.run_as to an account that exists (setup.sh creates aether-job)"};
  return {"jobs run as", Verdict::kOk, settings.run_as, ""};
}

Finding check_disk(const Settings& settings) {
  struct statvfs disk {};
  if (statvfs(settings.state_dir.c_str(), &disk) != 0)
    return {"disk", Verdict::kWarn, settings.state_dir + " does not exist yet", "the first start makes it"};
  if (access(settings.state_dir.c_str(), W_OK) != 0)
    return {"disk", Verdict::kFail, settings.state_dir + " is not writable for this account", "run as the account that owns it, or give it to this one"};
  const double free_gb = static_cast<double>(disk.f_bavail) * static_cast<double>(disk.f_frsize) / 1e9;
  const std::string detail = fmt::format("{}, {:.1f} GB free", settings.state_dir, free_gb);
  if (free_gb >= kFewFreeGb) return {"disk", Verdict::kOk, detail, ""};
  return {"disk", free_gb < kLeastFreeGb ? Verdict::kFail : Verdict::kWarn, detail, "make room, or shorten history.raw_h, history.minute_d and history.hour_d"};
}

Finding check_token(const Settings& settings) {
  const std::string path = client::token_path(settings.state_dir);
  const auto token = client::read_token(path);
  if (token) return {"token", Verdict::kOk, path, ""};
  if (token.error().code == ErrorCode::kNotFound) return {"token", Verdict::kWarn, "none yet", "the first start makes it"};
  return {"token", Verdict::kFail, token.error().message, "chmod 600 " + path};
}

// The address that the CLI would go to: written at a start, removed at an orderly end.
Finding check_endpoint(const Settings& settings) {
  const auto endpoint = client::read_endpoint(settings.state_dir);
  if (!endpoint) return {"endpoint", Verdict::kOk, "no orchestrator runs on this state directory", ""};
  if (kill(endpoint->pid, 0) == 0 || errno == EPERM) return {"endpoint", Verdict::kOk, fmt::format("{} (process {})", endpoint->api, endpoint->pid), ""};
  return {"endpoint", Verdict::kWarn, fmt::format("{} names process {}, which is gone", client::endpoint_path(settings.state_dir), endpoint->pid),
          "start Aether again; it writes a new one"};
}

Finding check_service(const std::string& name, const std::string& address, const std::string& path) {
  http::Client service({.base_url = address, .connect_timeout = std::chrono::milliseconds(500), .timeout = std::chrono::milliseconds(2000)});
  const auto reply = service.request("GET", path);
  if (!reply) return {name, Verdict::kWarn, address + " does not answer", "start it with `aether up`"};
  if (reply->status != 200) return {name, Verdict::kFail, fmt::format("{}{} answers {}", address, path, reply->status), "its own words: curl " + address + path};
  return {name, Verdict::kOk, address, ""};
}

Finding check_bus(const Settings& settings) {
  auto bus = open_cluster_bus(settings, "doctor");
  if (!bus) return {"nats", Verdict::kFail, bus.error().message, "correct bus.nats_url"};
  for (int i = 0; i < 20 && !(*bus)->connected(); ++i) usleep(50'000);
  if ((*bus)->connected()) return {"nats", Verdict::kOk, hide_password(settings.nats_url), ""};
  return {"nats", Verdict::kWarn, hide_password(settings.nats_url) + " does not answer", "start nats-server; `aether up` needs none"};
}

const char* word_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk: return "ok";
    case Verdict::kWarn: return "warn";
    case Verdict::kFail: return "fail";
  }
  return "fail";
}

void print(const std::vector<Finding>& findings) {
  for (const Finding& finding : findings) {
    std::printf("%-4s  %-12s %s\n", word_of(finding.verdict), finding.name.c_str(), log::sanitise(finding.detail).c_str());
    if (!finding.next.empty()) std::printf("%20s%s\n", "next: ", finding.next.c_str());
  }
}

void print_json(const std::vector<Finding>& findings, bool ok) {
  auto items = nlohmann::json::array();
  for (const Finding& finding : findings)
    items.push_back({{"check", finding.name},
                     {"verdict", word_of(finding.verdict)},
                     {"detail", finding.detail},
                     {"next", finding.next.empty() ? nlohmann::json(nullptr) : nlohmann::json(finding.next)}});
  std::printf("%s\n", codec::dump_pretty({{"ok", ok}, {"checks", items}}).c_str());
}

}  // namespace

int doctor(const LoadedSettings& loaded, const DoctorArguments& arguments) {
  log::init(log::Level::kError, log::Format::kText);
  const SystemClock clock;
  const Settings& settings = loaded.settings;
  const auto endpoint = client::read_endpoint(settings.state_dir);
  std::vector<Finding> findings = {check_gpus(settings, clock), check_identity(settings), check_disk(settings), check_token(settings),
                                   check_endpoint(settings)};
  for (Finding& finding : inspect_store(settings, arguments.full)) findings.push_back(std::move(finding));
  findings.push_back(check_service("API", endpoint ? endpoint->api : "http://" + settings.listen_api, "/readyz"));
  findings.push_back(check_service("AI core", "http://" + settings.listen_ai, "/healthz"));
  findings.push_back(check_bus(settings));
  const bool ok = std::none_of(findings.begin(), findings.end(), [](const Finding& f) { return f.verdict == Verdict::kFail; });
  if (arguments.as_json)
    print_json(findings, ok);
  else
    print(findings);
  return ok ? 0 : 1;
}

}  // namespace aether::apps
