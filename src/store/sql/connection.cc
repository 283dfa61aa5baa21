#include "store/sql/connection.h"

namespace aether::store {

std::int64_t SqlRow::integer(std::size_t column) const { return optional_integer(column).value_or(0); }

std::string SqlRow::text(std::size_t column) const { return optional_text(column).value_or(""); }

std::optional<std::int64_t> SqlRow::optional_integer(std::size_t column) const {
  const SqlValue& value = values_[column];
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return *integer;
  if (const auto* real = std::get_if<double>(&value)) return static_cast<std::int64_t>(*real);
  return std::nullopt;
}

std::optional<double> SqlRow::optional_real(std::size_t column) const {
  const SqlValue& value = values_[column];
  if (const auto* real = std::get_if<double>(&value)) return *real;
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return static_cast<double>(*integer);
  return std::nullopt;
}

std::optional<std::string> SqlRow::optional_text(std::size_t column) const {
  if (const auto* text = std::get_if<std::string>(&values_[column])) return *text;
  return std::nullopt;
}

Result<void> in_transaction(SqlConnection& connection, Access access,
                            const std::function<Result<void>()>& body) {
  AETHER_TRY(connection.begin(access));
  if (auto done = body(); !done) {
    connection.rollback();
    return done;
  }
  auto committed = connection.commit();
  if (!committed) connection.rollback();
  return committed;
}

}  // namespace aether::store
