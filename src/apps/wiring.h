#pragma once
// Settings in, adapters out: all that is not a node's own (node_wiring.h).
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "bus/bus.h"
#include "carbon/carbon_source.h"
#include "config/settings.h"
#include "predictor/predictor.h"
#include "store/inspection.h"
#include "store/store.h"

namespace aether::apps {

Result<std::unique_ptr<Bus>> open_embedded_bus();
// The bus as the orchestrator sends commands on it: signed with the key of the state directory, which is made at the first
// start. `bus` outlives it.
Result<std::unique_ptr<Bus>> sign_commands(const Settings& settings, Bus& bus);

Result<std::unique_ptr<Store>> open_store(const Settings& settings);
// Works beside a running orchestrator. kUnsupported for PostgreSQL: the message holds its own command.
Result<store::BackupSummary> back_up_store(const Settings& settings, const std::string& target);
// kConflict while an orchestrator holds the store.
Result<store::BackupSummary> restore_store(const Settings& settings, const std::string& backup, const Clock& clock);
std::vector<store::Finding> inspect_store(const Settings& settings, bool reads_everything);

// The AI core's model in this process; trained on synthetic data at the first start.
Result<std::unique_ptr<Predictor>> open_model(const Settings& settings, const Clock& clock);
// The service at ai_core.url.
std::unique_ptr<Predictor> connect_model(const Settings& settings, const std::string& token, const Clock& clock);

// Null when carbon.source is "off".
Result<std::unique_ptr<CarbonSource>> open_carbon(const Settings& settings);

struct TrainRequest {
  std::uint64_t seed = 1;
  std::size_t rows = 0;  // 0 = the default
  bool as_json = false;
  std::function<void(std::string_view stage, double done)> on_progress;
};
// The report, as a table or JSON.
Result<std::string> train_model(const Settings& settings, const TrainRequest& request, const Clock& clock);

}  // namespace aether::apps
