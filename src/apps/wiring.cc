#include "apps/wiring.h"

#include <fmt/format.h>

#include "bus/in_process/in_process_bus.h"
#include "bus/signed/signed_bus.h"
#include "carbon/recorded/profile_source.h"
#include "carbon/recorded/series_source.h"
#include "carbon/uk_carbon_intensity/uk_carbon_intensity_source.h"
#include "predictor/http/http_predictor.h"
#include "predictor/xgboost/train.h"
#include "predictor/xgboost/xgboost_predictor.h"
#include "store/postgres/postgres_inspect.h"
#include "store/postgres/postgres_store.h"
#include "store/sqlite/sqlite_backup.h"
#include "store/sqlite/sqlite_inspect.h"
#include "store/sqlite/sqlite_store.h"

namespace aether::apps {
namespace {

std::string store_directory(const Settings& settings) { return settings.state_dir + "/store"; }

store::Retention retention_of(const Settings& settings) {
  store::Retention retention;
  retention.raw = std::chrono::hours(settings.history_raw_h);
  retention.minutes = std::chrono::hours(24 * settings.history_minute_d);
  retention.hours = std::chrono::hours(24 * settings.history_hour_d);
  return retention;
}

}  // namespace

Result<std::unique_ptr<Bus>> open_embedded_bus() { return std::make_unique<InProcessBus>(); }

Result<std::unique_ptr<Bus>> sign_commands(const Settings& settings, Bus& bus) {
  auto key = CommandKey::ensure(settings.state_dir);
  if (!key) return fail_with_context("the key that signs commands", key.error());
  return std::make_unique<SigningBus>(bus, std::move(*key));
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
