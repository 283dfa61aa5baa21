#pragma once
// Port inside the store: one connection to a SQL database. What jobs and telemetry need in SQL is written
// once over it. Not thread-safe; ConnectionPool and LockedConnection hand connections to one thread at a
// time.
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace aether::store {

// Bytes that are no text, on their way into a database; they come back as std::string.
struct SqlBlob {
  std::string bytes;
};
using SqlValue = std::variant<std::monostate, std::int64_t, double, std::string, SqlBlob>;
using SqlParameters = std::vector<SqlValue>;

template <class T>
SqlValue sql_value(const std::optional<T>& value) {
  return value ? SqlValue(*value) : SqlValue();
}

class SqlRow {
 public:
  explicit SqlRow(std::vector<SqlValue> values) : values_(std::move(values)) {}
  bool is_null(std::size_t column) const { return std::holds_alternative<std::monostate>(values_[column]); }
  // 0 and "" for NULL.
  std::int64_t integer(std::size_t column) const;
  std::string text(std::size_t column) const;
  std::optional<std::int64_t> optional_integer(std::size_t column) const;
  std::optional<double> optional_real(std::size_t column) const;
  std::optional<std::string> optional_text(std::size_t column) const;

 private:
  std::vector<SqlValue> values_;
};

struct SqlResult {
  std::vector<SqlRow> rows;
  std::int64_t changed = 0;  // rows inserted, updated or deleted
};

enum class Access { kRead, kWrite };

class SqlConnection {
 public:
  virtual ~SqlConnection() = default;
  // One statement with parameters $1, $2, ...; prepared once per text, so texts come from a fixed set.
  virtual Result<SqlResult> run(std::string_view sql, const SqlParameters& parameters = {}) = 0;
  // Several statements without parameters.
  virtual Result<void> run_script(const std::string& sql) = 0;
  // A read transaction sees one state of the database from its first query on.
  virtual Result<void> begin(Access access) = 0;
  virtual Result<void> commit() = 0;
  virtual void rollback() noexcept = 0;
};

// Commits when `body` succeeds, else rolls back and returns its error.
Result<void> in_transaction(SqlConnection& connection, Access access,
                            const std::function<Result<void>()>& body);

}  // namespace aether::store
