#include "store/sql/migrations.h"

#include <fmt/format.h>

#include "base/log.h"

namespace aether::store {
namespace {

Result<int> current_version(SqlConnection& connection, const std::string& table) {
  AETHER_TRY(connection.run_script(
      fmt::format("CREATE TABLE IF NOT EXISTS {} (version INTEGER PRIMARY KEY, name TEXT NOT NULL)", table)));
  auto found = connection.run(fmt::format("SELECT max(version) FROM {}", table));
  if (!found) return fail(found.error());
  return static_cast<int>(found->rows.front().integer(0));
}

Result<void> apply(SqlConnection& connection, const Migration& step, const std::string& table) {
  auto done = in_transaction(connection, Access::kWrite, [&]() -> Result<void> {
    AETHER_TRY(connection.run_script(step.sql));
    AETHER_TRY(connection.run(fmt::format("INSERT INTO {} (version, name) VALUES ($1, $2)", table),
                              {std::int64_t{step.version}, step.name}));
    return {};
  });
  if (!done) return fail_with_context(fmt::format("schema step {}", step.name), done.error());
  return {};
}

}  // namespace

Result<int> migrate(SqlConnection& connection, const std::vector<Migration>& migrations,
                    const std::function<Result<void>(int from_version)>& backup,
                    const std::string& version_table) {
  auto version = current_version(connection, version_table);
  if (!version) return version;
  const int newest = migrations.empty() ? 0 : migrations.back().version;
  if (*version > newest)
    return fail(
        ErrorCode::kUnsupported,
        fmt::format("the database has schema version {}, this program knows {} at most; start the newer "
                    "version of Aether that wrote it, or restore the backup taken before its migration",
                    *version, newest));
  if (*version > 0 && *version < newest) AETHER_TRY(backup(*version));
  for (const Migration& step : migrations) {
    if (step.version <= *version) continue;
    AETHER_TRY(apply(connection, step, version_table));
    log::info("store", "schema migrated", {{"step", step.name}});
  }
  return newest;
}

}  // namespace aether::store
