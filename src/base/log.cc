#include "base/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "base/clock.h"

namespace aether::log {
namespace {

Format current_format = Format::kText;

spdlog::logger& logger() {
  static std::shared_ptr<spdlog::logger> instance = [] {
    auto made = spdlog::stderr_logger_mt("aether");
    made->set_pattern("%v");
    return made;
  }();
  return *instance;
}

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::kDebug: return spdlog::level::debug;
    case Level::kInfo: return spdlog::level::info;
    case Level::kWarn: return spdlog::level::warn;
    case Level::kError: return spdlog::level::err;
  }
  return spdlog::level::info;
}

std::string_view name_of(Level level) {
  switch (level) {
    case Level::kDebug: return "debug";
    case Level::kInfo: return "info";
    case Level::kWarn: return "warn";
    case Level::kError: return "error";
  }
  return "info";
}

std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

std::string redact(std::string text) {
  constexpr std::string_view kPrefix = "aeth_";
  for (std::size_t at = text.find(kPrefix); at != std::string::npos; at = text.find(kPrefix, at + kPrefix.size())) {
    std::size_t end = at + kPrefix.size();
    while (end < text.size() && (std::isalnum(static_cast<unsigned char>(text[end])) != 0)) ++end;
    text.replace(at + kPrefix.size(), end - at - kPrefix.size(), "REDACTED");
  }
  return text;
}

}  // namespace

std::string sanitise(std::string_view text) {
  std::string out;
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f)
      out += fmt::format("\\x{:02x}", byte);
    else
      out += c;
  }
  return redact(std::move(out));
}

void init(Level level, Format format, const std::string& path) {
  current_format = format;
  if (!path.empty()) {
    auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path);
    logger().sinks() = {sink};
  }
  logger().set_pattern("%v");
  logger().set_level(to_spdlog(level));
  logger().flush_on(spdlog::level::debug);
}

void write(Level level, std::string_view category, std::string_view message, Fields fields) {
  if (!logger().should_log(to_spdlog(level))) return;
  const std::string time = format_rfc3339(SystemClock().now());
  std::string line;
  if (current_format == Format::kJson) {
    line = fmt::format(R"({{"time":"{}","level":"{}","component":"{}","msg":{})", time, name_of(level), category,
                       json_string(sanitise(message)));
    for (const Field& field : fields)
      line += fmt::format(",{}:{}", json_string(field.key), json_string(sanitise(field.value)));
    line += '}';
  } else {
    line = fmt::format("{} {:<5} {}: {}", time, name_of(level), category, sanitise(message));
    for (const Field& field : fields) line += fmt::format(" {}={}", field.key, sanitise(field.value));
  }
  logger().log(to_spdlog(level), "{}", line);
}

}  // namespace aether::log
