#pragma once
// Structured log lines: a category (the module), a sentence, and key=value pairs.
// error: an operator must act · warn: degraded, still serving · info: rare changes of state · debug: the rest.
// Thread-safe. Values are escaped, tokens ("aeth_...") are redacted.
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace aether::log {

enum class Level { kDebug, kInfo, kWarn, kError };
enum class Format { kText, kJson };

// Once, before threads start. An empty path writes to stderr.
void init(Level level, Format format, const std::string& path = {});

struct Field {
  Field(std::string_view field_key, std::string_view field_value) : key(field_key), value(field_value) {}
  template <class T>
    requires(!std::is_convertible_v<T, std::string_view>)
  Field(std::string_view field_key, const T& field_value) : key(field_key), value(fmt::format("{}", field_value)) {}
  std::string_view key;
  std::string value;
};
using Fields = std::initializer_list<Field>;

void write(Level level, std::string_view category, std::string_view message, Fields fields);

inline void debug(std::string_view category, std::string_view message, Fields fields = {}) {
  write(Level::kDebug, category, message, fields);
}
inline void info(std::string_view category, std::string_view message, Fields fields = {}) {
  write(Level::kInfo, category, message, fields);
}
inline void warn(std::string_view category, std::string_view message, Fields fields = {}) {
  write(Level::kWarn, category, message, fields);
}
inline void error(std::string_view category, std::string_view message, Fields fields = {}) {
  write(Level::kError, category, message, fields);
}

// Control characters escaped and tokens replaced; what a log line or a terminal may safely show.
std::string sanitise(std::string_view text);

}  // namespace aether::log
