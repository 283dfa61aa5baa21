#pragma once
// SQL values in PostgreSQL's text form.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "store/sql/connection.h"

namespace aether::store {

// PostgreSQL refuses NUL and bytes that are not UTF-8; each becomes U+FFFD, since one odd message must not
// stop a commit.
std::string clean_text(std::string_view text);
// Nothing for NULL.
std::optional<std::string> encode_value(const SqlValue& value);
// `type` is an OID of catalog/pg_type.dat.
SqlValue decode_value(std::string_view text, std::uint32_t type);
// 0 when it does not begin with a number.
std::int64_t parse_integer(std::string_view text);

}  // namespace aether::store
