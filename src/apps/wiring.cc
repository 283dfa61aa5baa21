#include "apps/wiring.h"

#include <fmt/format.h>

#include "base/log.h"
#include "bus/in_process/in_process_bus.h"
#include "bus/nats/nats_bus.h"
#include "bus/signed/signed_bus.h"
#include "carbon/recorded/profile_source.h"
#include "carbon/recorded/series_source.h"
#include "carbon/uk_carbon_intensity/uk_carbon_intensity_source.h"
#include "executor/posix/posix_runner.h"
#include "predictor/http/http_predictor.h"
#include "predictor/xgboost/train.h"
#include "predictor/xgboost/xgboost_predictor.h"
#include "store/postgres/postgres_inspect.h"
#include "store/postgres/postgres_store.h"
#include "store/sqlite/sqlite_backup.h"
#include "store/sqlite/sqlite_inspect.h"
#include "store/sqlite/sqlite_store.h"
#include "telemetry/nvml/supervised_driver.h"
#include "telemetry/simulated/scenario.h"
#include "telemetry/simulated/simulated_gpu_driver.h"

namespace aether::apps {
namespace {

Result<Gpus> open_simulated(const Settings& settings, std::string_view text, std::string note, const Clock& clock) {
  auto options = parse_simulated(text);
  if (!options) return fail(options.error());
  auto driver = std::make_unique<SimulatedGpuDriver>(*options, NodeId(settings.node), clock);
  LoadSink* loads = driver.get();
  return Gpus{std::move(driver), loads, std::move(note)};
}

// No GPU at all: a node that runs jobs which need none.
class NoGpus final : public GpuDriver {
 public:
  Result<std::vector<GpuInfo>> enumerate() override { return std::vector<GpuInfo>{}; }
  Result<GpuSample> read(const GpuUuid& gpu) override { return fail(ErrorCode::kNotFound, "no GPU " + gpu.str()); }
  GpuSource source() const override { return GpuSource::kNvml; }
  std::string driver_version() const override { return ""; }
};

std::string store_directory(const Settings& settings) { return settings.state_dir + "/store"; }

store::Retention retention_of(const Settings& settings) {
  store::Retention retention;
  retention.raw = std::chrono::hours(settings.history_raw_h);
  retention.minutes = std::chrono::hours(24 * settings.history_minute_d);
  retention.hours = std::chrono::hours(24 * settings.history_hour_d);
  return retention;
}

}  // namespace

Result<Gpus> open_gpus(const Settings& settings, const Clock& clock) {
  if (settings.gpus == "none") return Gpus{std::make_unique<NoGpus>(), nullptr, "no GPUs, as configured"};
  if (settings.gpus == "nvml" || settings.gpus == "auto") {
    SupervisedNvmlOptions options;
    options.command = {"/proc/self/exe", {"aether", "nvml-worker", settings.nvml_library}};
    auto nvml = SupervisedNvmlDriver::open(std::move(options), clock);
    if (nvml) return Gpus{std::move(*nvml), nullptr, "NVIDIA GPUs by NVML"};
    if (settings.gpus == "nvml") return fail(nvml.error());
    return open_simulated(settings, "simulated:4", "simulated GPUs, since " + nvml.error().message, clock);
  }
  if (settings.gpus.starts_with("simulated")) return open_simulated(settings, settings.gpus, "simulated GPUs, as configured", clock);
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("agent.gpus = '{}'; give auto, nvml, simulated:N[,seed=S,scenario=NAME] or none", settings.gpus),
              "agent.gpus");
}

Result<std::unique_ptr<ProcessRunner>> open_runner(const Settings& settings, const Clock& clock) {
  PosixRunnerOptions options;
  options.state_directory = settings.state_dir;
  options.run_as = settings.run_as;
  options.shim_path = settings.shim;
  auto runner = PosixRunner::open(std::move(options), clock);
  if (!runner) return fail(runner.error());
  return std::unique_ptr<ProcessRunner>(std::move(*runner));
}

Result<std::unique_ptr<Bus>> open_embedded_bus() { return std::make_unique<InProcessBus>(); }

Result<std::unique_ptr<Bus>> open_cluster_bus(const Settings& settings, const std::string& role) {
  NatsBus::Options options;
  options.url = settings.nats_url;
  options.name = fmt::format("aether-{}-{}", role, settings.node);
  auto bus = NatsBus::open(std::move(options));
  if (!bus) return fail(bus.error());
  return std::unique_ptr<Bus>(std::move(*bus));
}

Result<std::unique_ptr<Bus>> sign_commands(const Settings& settings, Bus& bus) {
  auto key = CommandKey::ensure(settings.state_dir);
  if (!key) return fail_with_context("the key that signs commands", key.error());
  return std::make_unique<SigningBus>(bus, std::move(*key));
}

std::unique_ptr<Bus> verify_commands(const Settings& settings, Bus& bus) {
  return std::make_unique<VerifyingBus>(bus, command_public_key_path(settings.state_dir));
}

Result<std::unique_ptr<Store>> open_store(const Settings& settings) {
  if (settings.database_url.empty()) return SqliteStore::open({store_directory(settings), retention_of(settings)});
  return PostgresStore::open({settings.database_url, retention_of(settings)});
}

Result<store::BackupSummary> back_up_store(const Settings& settings, const std::string& target) {
  if (settings.database_url.empty()) return store::back_up_sqlite(store_directory(settings), target);
  return fail(ErrorCode::kUnsupported,
              fmt::format("the store is PostgreSQL, which is backed up by its own tool while Aether runs:  pg_dump --format=custom --file={} \"$DATABASE_URL\"", target));
}

Result<store::BackupSummary> restore_store(const Settings& settings, const std::string& backup, const Clock& clock) {
  if (settings.database_url.empty()) return store::restore_sqlite(backup, store_directory(settings), clock.now());
  return fail(ErrorCode::kUnsupported,
              fmt::format("the store is PostgreSQL; stop Aether, and put the dump into an empty database:  pg_restore --no-owner --dbname=\"$DATABASE_URL\" {}", backup));
}

std::vector<store::Finding> inspect_store(const Settings& settings, bool reads_everything) {
  if (!settings.database_url.empty()) return store::inspect_postgres(settings.database_url);
  return store::inspect_sqlite(store_directory(settings), reads_everything ? store::Depth::kEverything : store::Depth::kQuick);
}

Result<std::unique_ptr<Predictor>> open_model(const Settings& settings, const Clock& clock) {
  xgboost::TrainOptions options;
  options.directory = settings.model_dir;
  options.trained_at = clock.now();
  auto model = xgboost::open_or_train(options, clock);
  if (!model) return fail(model.error());
  return std::unique_ptr<Predictor>(std::move(*model));
}

std::unique_ptr<Predictor> connect_model(const Settings& settings, const std::string& token, const Clock& clock) {
  HttpPredictorOptions options;
  options.base_url = settings.ai_core_url;
  options.token = token;
  return std::make_unique<HttpPredictor>(std::move(options), clock);
}

Result<std::unique_ptr<CarbonSource>> open_carbon(const Settings& settings) {
  const std::string& source = settings.carbon_source;
  if (source == "off") return std::unique_ptr<CarbonSource>();
  if (source == "typical") return std::make_unique<carbon::ProfileSource>();
  if (source == "uk") {
    carbon::UkCarbonIntensityOptions options;
    options.postcode = settings.carbon_postcode;
    return std::make_unique<carbon::UkCarbonIntensitySource>(std::move(options));
  }
  if (source.starts_with("file:")) {
    auto series = carbon::SeriesSource::open({.path = source.substr(5)});
    if (!series) return fail(series.error());
    return std::unique_ptr<CarbonSource>(std::move(*series));
  }
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("carbon.source = '{}'; give typical, uk, off or file:PATH", source), "carbon.source");
}

Result<std::string> train_model(const Settings& settings, const TrainRequest& request, const Clock& clock) {
  xgboost::TrainOptions options;
  options.seed = request.seed;
  if (request.rows > 0) options.rows = request.rows;
  options.directory = settings.model_dir;
  options.trained_at = clock.now();
  if (request.on_progress)
    options.on_progress = [&](const xgboost::TrainProgress& progress) { request.on_progress(progress.stage, progress.done); };
  auto report = xgboost::train_synthetic(options);
  if (!report) return fail(report.error());
  return request.as_json ? xgboost::json(*report) : xgboost::table(*report);
}

}  // namespace aether::apps
