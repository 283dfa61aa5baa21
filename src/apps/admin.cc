#include "apps/admin.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "apps/node_wiring.h"
#include "apps/wiring.h"
#include "base/clock.h"
#include "base/log.h"
#include "client/endpoint.h"
#include "codec/codec.h"
#include "http/client.h"

namespace aether::apps {
namespace {

struct Check {
  std::string name;
  enum { kPass, kNote, kFail } verdict = kPass;
  std::string detail;
};

Check check_gpus(const Settings& settings, const Clock& clock) {
  Settings real = settings;
  if (real.gpus == "auto") real.gpus = "nvml";
  auto gpus = open_gpus(real, clock);
  if (!gpus) return {"gpus", real.gpus == settings.gpus ? Check::kFail : Check::kNote, gpus.error().message + "; `aether up` simulates GPUs"};
  const auto found = gpus->driver->enumerate();
  if (!found) return {"gpus", Check::kFail, found.error().message};
  return {"gpus", Check::kPass, fmt::format("{} ({})", found->size(), to_string(gpus->driver->source()))};
}

Check check_state(const Settings& settings) {
  struct statvfs disk {};
  if (statvfs(settings.state_dir.c_str(), &disk) != 0)
    return {"state", Check::kNote, settings.state_dir + " does not exist yet; the first start makes it"};
  const double free_gb = static_cast<double>(disk.f_bavail) * static_cast<double>(disk.f_frsize) / 1e9;
  if (access(settings.state_dir.c_str(), W_OK) != 0) return {"state", Check::kFail, settings.state_dir + " is not writable for this account"};
  return {"state", free_gb < 1 ? Check::kFail : Check::kPass, fmt::format("{}, {:.1f} GB free", settings.state_dir, free_gb)};
}

Check check_token(const Settings& settings) {
  const std::string path = client::token_path(settings.state_dir);
  const auto token = client::read_token(path);
  if (token) return {"token", Check::kPass, path};
  if (token.error().code == ErrorCode::kNotFound) return {"token", Check::kNote, "none yet; the first start makes it"};
  return {"token", Check::kFail, token.error().message};
}

Check check_service(const std::string& name, const std::string& address, const std::string& path) {
  http::Client service({.base_url = address, .connect_timeout = std::chrono::milliseconds(500), .timeout = std::chrono::milliseconds(2000)});
  const auto reply = service.request("GET", path);
  if (!reply) return {name, Check::kNote, fmt::format("{} does not answer; start it with `aether up`", address)};
  if (reply->status != 200) return {name, Check::kFail, fmt::format("{}{} answers {}", address, path, reply->status)};
  return {name, Check::kPass, address};
}

Check check_bus(const Settings& settings) {
  auto bus = open_cluster_bus(settings, "doctor");
  if (!bus) return {"nats", Check::kFail, bus.error().message};
  for (int i = 0; i < 20 && !(*bus)->connected(); ++i) usleep(50'000);
  if ((*bus)->connected()) return {"nats", Check::kPass, hide_password(settings.nats_url)};
  return {"nats", Check::kNote, hide_password(settings.nats_url) + " does not answer; only the cluster roles need it"};
}

Check check_identity(const Settings& settings) {
  if (geteuid() != 0) return {"jobs run as", Check::kPass, "this account (single-user mode)"};
  if (settings.run_as.empty()) return {"jobs run as", Check::kFail, "executor.run_as is not set; as root it is needed (setup.sh creates aether-job)"};
  return {"jobs run as", Check::kPass, settings.run_as};
}

}  // namespace

int train(const LoadedSettings& loaded, const TrainArguments& arguments) {
  const SystemClock clock;
  TrainRequest request{arguments.seed, arguments.rows, arguments.as_json, {}};
  if (isatty(STDERR_FILENO))
    request.on_progress = [](std::string_view stage, double done) {
      const int filled = static_cast<int>(done * 30);
      std::fprintf(stderr, "\r  %-12s [%-30s] %3.0f %%", std::string(stage).c_str(), std::string(static_cast<std::size_t>(filled), '#').c_str(), done * 100);
    };
  const auto report = train_model(loaded.settings, request, clock);
  if (request.on_progress) std::fprintf(stderr, "\r%60s\r", "");
  if (!report) {
    std::fprintf(stderr, "aether: %s\n", report.error().message.c_str());
    return 1;
  }
  std::printf("%s\n", report->c_str());
  return 0;
}

int doctor(const LoadedSettings& loaded, bool as_json) {
  log::init(log::Level::kError, log::Format::kText);
  const SystemClock clock;
  const Settings& settings = loaded.settings;
  const auto endpoint = client::read_endpoint(settings.state_dir);
  std::vector<Check> checks = {check_gpus(settings, clock), check_identity(settings), check_state(settings), check_token(settings),
                               check_service("API", endpoint ? endpoint->api : "http://" + settings.listen_api, "/readyz"),
                               check_service("AI core", "http://" + settings.listen_ai, "/healthz"), check_bus(settings)};
  const bool failed = std::any_of(checks.begin(), checks.end(), [](const Check& c) { return c.verdict == Check::kFail; });
  const char* const words[] = {"pass", "note", "fail"};
  if (as_json) {
    auto items = nlohmann::json::array();
    for (const Check& check : checks) items.push_back({{"check", check.name}, {"verdict", words[check.verdict]}, {"detail", check.detail}});
    std::printf("%s\n", codec::dump_pretty({{"ok", !failed}, {"checks", items}}).c_str());
  } else {
    for (const Check& check : checks) std::printf("%-4s  %-12s %s\n", words[check.verdict], check.name.c_str(), check.detail.c_str());
  }
  return failed ? 1 : 0;
}

int config(const LoadedSettings& loaded, bool show, bool as_json) {
  if (!show) {
    std::printf("the settings are right\n");
    return 0;
  }
  if (as_json) {
    auto items = nlohmann::json::array();
    for (const SettingOrigin& origin : loaded.origins)
      items.push_back({{"key", origin.key}, {"value", origin.value}, {"origin", origin.origin}, {"help", origin.help}});
    std::printf("%s\n", codec::dump_pretty({{"settings", items}}).c_str());
    return 0;
  }
  for (const SettingOrigin& origin : loaded.origins)
    std::printf("%-32s %-34s %s\n", origin.key.c_str(), origin.value.empty() ? "-" : origin.value.c_str(), origin.origin.c_str());
  return 0;
}

}  // namespace aether::apps
