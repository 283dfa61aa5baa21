#include <fmt/format.h>

#include <chrono>

#include "store/postgres/sample_tables.h"

namespace aether::store {
namespace {

constexpr std::int64_t kDaysAhead = 2;

std::string partition_name(std::int64_t day) {
  const std::chrono::year_month_day date{std::chrono::sys_days(std::chrono::days(day))};
  return fmt::format("samples_{:04}{:02}{:02}", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
}

// Days since 1970 of the partitions there are.
Result<std::set<std::int64_t>> existing_days(SqlConnection& connection) {
  auto found = connection.run(
      "SELECT extract(epoch FROM to_date(right(relname, 8), 'YYYYMMDD'))::bigint / 86400 FROM pg_class "
      "JOIN pg_inherits ON inhrelid = pg_class.oid WHERE inhparent = 'samples'::regclass ORDER BY 1");
  if (!found) return fail(found.error());
  std::set<std::int64_t> days;
  for (const SqlRow& row : found->rows) days.insert(row.integer(0));
  return days;
}

class NativePartitions final : public SampleStorage {
 public:
  const std::vector<Migration>& migrations() const override { return postgres_native_migrations(); }

  Result<void> prepare_for(PostgresConnection& connection, const std::set<std::int64_t>& days) override {
    for (const std::int64_t day : days) {
      if (known_.contains(day)) continue;
      AETHER_TRY(connection.run_script(
          fmt::format("CREATE TABLE IF NOT EXISTS {} PARTITION OF samples FOR VALUES FROM ({}) TO ({})",
                      partition_name(day), day * kDayUs, (day + 1) * kDayUs)));
      known_.insert(day);
    }
    return {};
  }

  void forget() override { known_.clear(); }

  Result<std::int64_t> remove_before(SqlConnection& connection, std::int64_t before_us) override {
    auto days = existing_days(connection);
    if (!days) return fail(days.error());
    std::int64_t removed = 0;
    for (const std::int64_t day : *days) {
      if ((day + 1) * kDayUs > before_us) break;
      const std::string table = partition_name(day);
      auto rows = connection.run(fmt::format("SELECT count(*) FROM {}", table));
      if (!rows) return fail(rows.error());
      removed += rows->rows.front().integer(0);
      AETHER_TRY(connection.run_script("DROP TABLE " + table));
      known_.erase(day);
    }
    return removed;
  }

  Result<void> maintain(PostgresConnection& connection, std::int64_t now_us) override {
    std::set<std::int64_t> days;
    for (std::int64_t ahead = 0; ahead <= kDaysAhead; ++ahead) days.insert(now_us / kDayUs + ahead);
    return prepare_for(connection, days);
  }

 private:
  std::set<std::int64_t> known_;
};

}  // namespace

std::unique_ptr<SampleStorage> native_partitions() { return std::make_unique<NativePartitions>(); }

}  // namespace aether::store
