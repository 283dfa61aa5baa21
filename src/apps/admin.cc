#include "apps/admin.h"

#include <unistd.h>

#include <cstdio>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "apps/node_wiring.h"
#include "apps/wiring.h"
#include "base/clock.h"
#include "codec/codec.h"

namespace aether::apps {

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
